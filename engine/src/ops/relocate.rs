//! Rewriting blocks: the one mechanism behind folding, transitions between tiers, recall and collection.
//!
//! # Crash consistency
//! A block is read with the pieces over it, written anew and synced (D1, D2), and only then is the extent swung, in a
//! record that compares everything that was read with what is there now. What was changed meanwhile is left alone. A
//! crash before the record leaves garbage in the new segment, never a block that nobody points to from its file.

mod slot;

use std::collections::BTreeMap;

use bytes::Bytes;

use super::layout::{Span, clear_known, joined, keep_age_index, lay, span_of};
use super::read::{MOVED_RETRIES_MAX, lay_over};
use crate::data::{BlockAddress, BlockIdentity, PlainBlock};
use crate::error::{Error, Result};
use crate::identity::{BlockIndex, ContentId, InodeId};
use crate::journal::Ticket;
use crate::limits::{BLOCK_BYTES, RECORD_BYTES_ENOUGH, UPKEEP_EXTENTS_MAX};
use crate::records::{Content, Extent, Inode, Piece, key};
use crate::threads;
use crate::tiering::Tier;
use crate::volume::{Change, Look, PieceRow, Volume};

/// A slot of a file that is being rewritten, and what it was made of.
pub(crate) struct Move {
    pub(crate) inode: InodeId,
    content: ContentId,
    slot: BlockIndex,
    /// All extents of the slot.
    old: Vec<(BlockIndex, Extent)>,
    /// All of its pieces.
    pieces: Vec<PieceRow>,
    /// What is written anew: each becomes one block. The rest of the slot stays as it is.
    blocks: Vec<(BlockIndex, Bytes)>,
}

impl Move {
    /// The blocks to write.
    pub(crate) fn plain_blocks(&self) -> impl Iterator<Item = PlainBlock> + '_ {
        self.blocks.iter().map(|(block, bytes)| PlainBlock {
            identity: BlockIdentity { content: self.content, block: *block },
            bytes: bytes.clone(),
        })
    }

    /// Bytes that are written.
    pub(crate) fn bytes(&self) -> u64 {
        self.blocks.iter().map(|(_, bytes)| bytes.len() as u64).sum()
    }
}

/// Which slots of a file are rewritten.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Select {
    /// Those with pieces.
    WithPieces,
    /// Those that are not, or not wholly, in the cold tier.
    NotCold,
    /// Those in the cold tier.
    Cold,
}

/// Slots to rewrite, and where to go on.
pub(crate) struct Gathered {
    pub(crate) moves: Vec<Move>,
    pub(crate) next: Option<BlockIndex>,
}

/// What a swing did.
pub(crate) struct Swung {
    pub(crate) ticket: Ticket,
    /// Bytes of the blocks that were swung to, by file.
    pub(crate) bytes: BTreeMap<InodeId, u64>,
    /// Slots that were changed meanwhile and stay as they are.
    pub(crate) skipped: u64,
}

/// What there is in one slot.
#[derive(Default)]
struct Slot {
    extents: Vec<(BlockIndex, Extent)>,
    pieces: Vec<PieceRow>,
}

impl Volume {
    /// Reads slots of a file for rewriting, until about `rows_max` extents or pieces were looked at.
    pub(crate) async fn gather(
        &self,
        inode: InodeId,
        select: Select,
        from: BlockIndex,
        rows_max: usize,
    ) -> Result<Gathered> {
        let mut tries = 0;
        loop {
            match self.gather_once(inode, select, from, rows_max).await {
                // As for a read: the segment may have been released after its blocks were moved or overwritten.
                Err(Error::Corrupt { .. } | Error::Io { .. }) if tries < MOVED_RETRIES_MAX => tries += 1,
                result => return result,
            }
        }
    }

    async fn gather_once(
        &self,
        inode: InodeId,
        select: Select,
        from: BlockIndex,
        rows_max: usize,
    ) -> Result<Gathered> {
        let Content::File { id, .. } = self.stored_inode(inode)?.content else {
            return Err(Error::WrongType);
        };
        let (slots, next) = self.window(id, select, from, rows_max)?;
        let mut plans = Vec::new();
        let mut to_open = Vec::new();
        for (slot, found) in slots {
            let spans = found.pieces.iter().map(piece_span).collect();
            let written = joined(spans);
            let plan = match select {
                Select::Cold if !found.extents.iter().any(|(_, extent)| is_cold(extent)) => Vec::new(),
                _ => slot::plan(select, slot, &found.extents, &written),
            };
            if plan.is_empty() {
                continue;
            }
            let shows = |(block, extent): &&(BlockIndex, Extent)| {
                let shown = span_of(*block, extent);
                plan.iter().any(|span| slot::shows_through(shown.meet(*span), &written))
            };
            to_open.extend(found.extents.iter().filter(shows).copied());
            plans.push((slot, found, plan));
        }
        let mut opened = self.open_extents(id, &to_open).await?.into_iter().peekable();
        let mut moves = Vec::with_capacity(plans.len());
        for (slot, found, plan) in plans {
            let mut bases = Vec::new();
            while let Some(base) = opened.next_if(|(at, _)| *at < slot.next_slot().start()) {
                bases.push(base);
            }
            let blocks = plan.iter().map(|span| assemble(*span, &found, &bases)).collect();
            let Slot { extents: old, pieces } = found;
            moves.push(Move { inode, content: id, slot, old, pieces, blocks });
        }
        Ok(Gathered { moves, next })
    }

    /// The next slots with anything in them, and where to go on. The window ends where one of the lists of rows is cut off.
    fn window(
        &self,
        content: ContentId,
        select: Select,
        from: BlockIndex,
        rows_max: usize,
    ) -> Result<(BTreeMap<BlockIndex, Slot>, Option<BlockIndex>)> {
        let mut stop = None;
        let mut note_cut = |rows: &[(Bytes, Bytes)]| {
            if rows.len() == rows_max {
                let last = rows.last().and_then(|(row, _)| key::extent_block(row));
                stop = [stop, last.map(BlockIndex::slot)].into_iter().flatten().min();
            }
        };
        let (start, end) = key::pieces(content, from, None);
        note_cut(&self.store.scan(&start, &end, rows_max)?);
        if select != Select::WithPieces {
            let (start, end) = key::extents(content, from, None);
            note_cut(&self.store.scan(&start, &end, rows_max)?);
        }
        let next = stop.map(BlockIndex::next_slot);
        let end = next.unwrap_or(BlockIndex(u64::MAX));
        let mut slots: BTreeMap<BlockIndex, Slot> = BTreeMap::new();
        // Pieces first: see the order of layers in `ops::read`.
        for row in self.store.pieces(content, from, end)? {
            slots.entry(row.block).or_default().pieces.push(row);
        }
        if select == Select::WithPieces {
            for (first, end) in rows_of_slots(slots.keys().copied()) {
                for (block, extent) in self.store.extents(content, first, end)? {
                    if let Some(found) = slots.get_mut(&block.slot()) {
                        found.extents.push((block, extent));
                    }
                }
            }
        } else {
            for (block, extent) in self.store.extents(content, from, end)? {
                slots.entry(block.slot()).or_default().extents.push((block, extent));
            }
        }
        Ok((slots, next))
    }

    /// Points slots at their new blocks, unless they were changed since they were gathered. The addresses are those of
    /// all blocks of all moves, in order.
    pub(crate) async fn swing(&self, moves: &[Move], addresses: &[BlockAddress], to: Tier) -> Result<Swung> {
        let mut swung = Swung { ticket: Ticket::nothing(), bytes: BTreeMap::new(), skipped: 0 };
        let mut rest = addresses;
        let mut pairs = Vec::with_capacity(moves.len());
        for one in moves {
            let (own, others) = rest.split_at_checked(one.blocks.len()).unwrap_or((rest, &[]));
            pairs.push((one, own));
            rest = others;
        }
        let mut pairs = pairs.into_iter().peekable();
        while pairs.peek().is_some() {
            self.store.admit().await?;
            let ticket = self.swing_record(&mut pairs, to, &mut swung)?;
            swung.ticket = swung.ticket.merge(ticket);
            // Those who waited for this record come before the next one.
            threads::give_way().await;
        }
        Ok(swung)
    }

    /// Swings as many slots as one record takes.
    fn swing_record<'a>(
        &self,
        pairs: &mut impl Iterator<Item = (&'a Move, &'a [BlockAddress])>,
        to: Tier,
        swung: &mut Swung,
    ) -> Result<Ticket> {
        let mut change = self.begin()?;
        let mut inodes = Touched::new();
        let mut extents = 0;
        for (one, addresses) in pairs {
            let new: Vec<_> = addresses.iter().map(|address| Extent::whole(to, *address)).collect();
            if swing_one(&mut change, &mut inodes, one, &new)? {
                let bytes = new.iter().map(|extent| u64::from(extent.visible_bytes)).sum::<u64>();
                *swung.bytes.entry(one.inode).or_default() += bytes;
            } else {
                swung.skipped += 1;
                for address in addresses {
                    change.count_unused(to, address)?;
                }
            }
            extents += new.len();
            if extents >= UPKEEP_EXTENTS_MAX || change.record_bytes() > RECORD_BYTES_ENOUGH {
                break;
            }
        }
        for (inode, touched) in inodes {
            let Some((old, mut new)) = touched else { continue };
            keep_age_index(&mut change, inode, &mut new);
            change.update_inode(inode, &old, new);
        }
        change.commit().accepted()
    }
}

/// Ascending slots in rows without much between them, each from its first slot up to the one behind its last: to look each slot up by
/// itself costs several times as much as to walk over a neighbour.
fn rows_of_slots(slots: impl Iterator<Item = BlockIndex>) -> Vec<(BlockIndex, BlockIndex)> {
    let mut rows: Vec<(BlockIndex, BlockIndex)> = Vec::new();
    for slot in slots {
        match rows.last_mut().filter(|(_, end)| slot <= end.next_slot()) {
            Some((_, end)) => *end = slot.next_slot(),
            None => rows.push((slot, slot.next_slot())),
        }
    }
    rows
}

fn is_cold(extent: &Extent) -> bool {
    extent.tier == Tier::InfrequentAccess
}

fn piece_span(row: &PieceRow) -> Span {
    let (from, end) = row.bounds();
    Span { from, end }
}

/// The content of a span of whole units, up to where it ends.
fn assemble(span: Span, found: &Slot, bases: &[(u64, Bytes)]) -> (BlockIndex, Bytes) {
    let extents = found.extents.iter().map(|(block, extent)| span_of(*block, extent));
    let ends = extents.chain(found.pieces.iter().map(piece_span)).map(|part| part.meet(span));
    let end = ends.filter(|part| !part.is_empty()).map(|part| part.end).max().unwrap_or(span.from);
    let mut block = vec![0; usize::try_from(end - span.from).unwrap_or(0)];
    for (at, bytes) in bases {
        lay_over(&mut block, span.from, (*at, bytes));
    }
    for row in &found.pieces {
        lay_over(&mut block, span.from, (row.bounds().0, &row.piece.bytes));
    }
    (BlockIndex::of_byte(span.from), block.into())
}

/// The files of a swing: their old and new records; `None` for one that is gone.
type Touched = BTreeMap<InodeId, Option<(Inode, Inode)>>;

/// Swings one slot if everything that it was made of is still there.
fn swing_one(change: &mut Change<'_>, inodes: &mut Touched, one: &Move, new: &[Extent]) -> Result<bool> {
    if let std::collections::btree_map::Entry::Vacant(entry) = inodes.entry(one.inode) {
        entry.insert(match change.stored_inode(one.inode) {
            Ok(record) => Some((record.clone(), record)),
            Err(Error::Stale) => None,
            Err(error) => return Err(error),
        });
    }
    let Some(Some((_, record))) = inodes.get_mut(&one.inode) else { return Ok(false) };
    let Content::File { id, piece_bytes, .. } = &mut record.content else { return Ok(false) };
    if *id != one.content || new.len() != one.blocks.len() || !lies_as_before(change, one)? {
        return Ok(false);
    }
    for row in &one.pieces {
        if !change.get(&row.key)?.is_some_and(|value| is_same(&row.piece, &value)) {
            return Ok(false);
        }
    }
    for row in &one.pieces {
        change.delete(row.key.to_vec());
        *piece_bytes = piece_bytes.saturating_sub(row.piece.bytes.len() as u64);
    }
    for ((block, _), extent) in one.blocks.iter().zip(new) {
        clear_known(change, record, one.content, whole_units(span_of(*block, extent)), &one.old)?;
        lay(change, record, (one.content, *block), extent)?;
    }
    Ok(true)
}

/// Whether the extents that the new blocks go over are what they were. Where these cover all of a new block nothing else can lie, so that
/// each is looked up by itself; all writers wait for this, and to walk the slot takes several times as long.
fn lies_as_before(change: &Change<'_>, one: &Move) -> Result<bool> {
    let place = |(block, bytes): &(BlockIndex, Bytes)| {
        let from = block.start();
        whole_units(Span { from, end: from + bytes.len() as u64 })
    };
    let places: Vec<Span> = one.blocks.iter().map(place).collect();
    let shown = |(block, extent): &(BlockIndex, Extent)| whole_units(span_of(*block, extent));
    let is_below =
        |row: &&(BlockIndex, Extent)| places.iter().any(|place| !shown(row).meet(*place).is_empty());
    let below: Vec<_> = one.old.iter().filter(is_below).collect();
    let covered = joined(below.iter().map(|row| shown(row)).collect());
    if places.iter().any(|place| slot::shows_through(*place, &covered)) {
        return Ok(change.extents(one.content, one.slot, one.slot.next_slot())? == one.old);
    }
    for (block, extent) in below {
        if change.get(&key::extent(one.content, *block))? != Some(extent.encode().into()) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Whether a value is that of a piece. Mostly it is the very one that was read.
fn is_same(piece: &Piece, value: &Bytes) -> bool {
    Piece::decode(value).is_ok_and(|found| {
        let very_same =
            (found.bytes.as_ptr(), found.bytes.len()) == (piece.bytes.as_ptr(), piece.bytes.len());
        (found.inode, found.offset) == (piece.inode, piece.offset)
            && (very_same || found.bytes == piece.bytes)
    })
}

/// Up to where the last unit ends: no extent starts within one.
fn whole_units(span: Span) -> Span {
    Span { end: BlockIndex::at_or_behind(span.end).start(), ..span }
}

/// How many long blocks fit into this many bytes, at least one.
pub(crate) fn blocks_of(bytes: u64) -> usize {
    usize::try_from(bytes / BLOCK_BYTES).unwrap_or(usize::MAX).max(1)
}
