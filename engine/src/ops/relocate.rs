//! Rewriting blocks: the one mechanism behind folding, transitions between tiers, recall and collection.
//!
//! # Crash consistency
//! A block is read with the pieces over it, written anew and synced (D1, D2), and only then is the extent swung, in a
//! record that compares everything that was read with what is there now. What was changed meanwhile is left alone. A
//! crash before the record leaves garbage in the new segment, never a block that nobody points to from its file.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::read::{MOVED_RETRIES_MAX, apply_pieces};
use super::write::enter_age_index;
use crate::data::{BlockAddress, BlockIdentity, PlainBlock};
use crate::error::{Error, Result};
use crate::identity::{BlockIndex, ContentId, InodeId};
use crate::journal::Ticket;
use crate::limits::{BLOCK_BYTES, RECORD_BYTES_ENOUGH, RECORD_EXTENTS_MAX};
use crate::records::{Content, Extent, Inode, key};
use crate::tiering::Tier;
use crate::volume::{Change, Look, PieceRow, Volume, age_key};

/// A block that is being rewritten, and what it was made of.
pub(crate) struct Move {
    pub(crate) inode: InodeId,
    pub(crate) content: ContentId,
    pub(crate) block: BlockIndex,
    old: Option<Extent>,
    pieces: Vec<PieceRow>,
    pub(crate) bytes: Bytes,
}

impl Move {
    /// The block to write.
    pub(crate) fn plain_block(&self) -> PlainBlock {
        PlainBlock {
            identity: BlockIdentity { content: self.content, block: self.block },
            bytes: self.bytes.clone(),
        }
    }
}

/// Which blocks of a file are rewritten.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Select {
    /// Those with pieces.
    WithPieces,
    /// Those that are not, or not wholly, in the cold tier.
    NotCold,
    /// Those in the cold tier.
    Cold,
}

/// Blocks to rewrite, and where to go on.
pub(crate) struct Gathered {
    pub(crate) moves: Vec<Move>,
    pub(crate) next: Option<BlockIndex>,
}

/// What a swing did.
pub(crate) struct Swung {
    pub(crate) ticket: Ticket,
    /// Bytes of the blocks that were swung, by file.
    pub(crate) bytes: BTreeMap<InodeId, u64>,
    /// Blocks that were changed meanwhile and stay as they are.
    pub(crate) skipped: u64,
}

impl Volume {
    /// Reads up to `blocks_max` blocks of a file for rewriting.
    pub(crate) async fn gather(
        &self,
        inode: InodeId,
        select: Select,
        from: BlockIndex,
        blocks_max: usize,
    ) -> Result<Gathered> {
        let mut tries = 0;
        loop {
            match self.gather_once(inode, select, from, blocks_max).await {
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
        blocks_max: usize,
    ) -> Result<Gathered> {
        let Content::File { id, .. } = self.stored_inode(inode)?.content else {
            return Err(Error::WrongType);
        };
        let (extents, pieces, next) = self.window(id, select, from, blocks_max)?;
        let chosen = |extent: &Extent, pieced: bool| match select {
            Select::WithPieces => pieced,
            Select::NotCold => pieced || extent.tier != Tier::InfrequentAccess,
            Select::Cold => extent.tier == Tier::InfrequentAccess,
        };
        let mut by_block: BTreeMap<BlockIndex, (Option<Extent>, Vec<PieceRow>)> = BTreeMap::new();
        for row in pieces {
            by_block.entry(row.block).or_default().1.push(row);
        }
        for (block, extent) in extents {
            if chosen(&extent, by_block.contains_key(&block)) {
                by_block.entry(block).or_default().0 = Some(extent);
            }
        }
        if select == Select::Cold {
            by_block.retain(|_, (extent, _)| extent.is_some());
        }
        let to_open: Vec<_> =
            by_block.iter().filter_map(|(block, (extent, _))| Some((*block, (*extent)?))).collect();
        let mut opened = self.open_extents(id, &to_open).await?;
        let moves = by_block.into_iter().filter_map(|(block, (old, pieces))| {
            let base = opened.remove(&block);
            let bytes = if pieces.is_empty() {
                base.unwrap_or_default()
            } else {
                apply_pieces(base.as_ref(), &pieces)
            };
            (!bytes.is_empty()).then_some(Move { inode, content: id, block, old, pieces, bytes })
        });
        Ok(Gathered { moves: moves.collect(), next })
    }

    /// The extents and pieces of at most `blocks_max` blocks that have any.
    #[expect(clippy::type_complexity, reason = "the three are taken apart at once by the only caller")]
    fn window(
        &self,
        content: ContentId,
        select: Select,
        from: BlockIndex,
        blocks_max: usize,
    ) -> Result<(Vec<(BlockIndex, Extent)>, Vec<PieceRow>, Option<BlockIndex>)> {
        // The next `blocks_max` rows of each kind; the window ends where the shorter list is cut off.
        let (start, end) = key::pieces(content, from, None);
        let piece_keys = self.store.scan(&start, &end, blocks_max)?;
        let pieces_stop = (piece_keys.len() == blocks_max)
            .then(|| piece_keys.last().and_then(|(row, _)| key::piece_block(row)))
            .flatten();
        let mut stop = pieces_stop;
        if select != Select::WithPieces {
            let (start, end) = key::extents(content, from, None);
            let extent_keys = self.store.scan(&start, &end, blocks_max)?;
            if extent_keys.len() == blocks_max {
                let last = extent_keys.last().and_then(|(row, _)| key::extent_block(row));
                stop = [stop, last].into_iter().flatten().min();
            }
        }
        let next = stop.map(|stop| BlockIndex(stop.0 + 1));
        let end = next.unwrap_or(BlockIndex(u64::MAX));
        // Pieces first: see the order of layers in `ops::read`.
        let pieces = self.store.pieces(content, from, end)?;
        let extents = match (select, pieces.first(), pieces.last()) {
            (Select::WithPieces, Some(first), Some(last)) => {
                self.store.extents(content, first.block, BlockIndex(last.block.0 + 1))?
            }
            (Select::WithPieces, _, _) => Vec::new(),
            _ => self.store.extents(content, from, end)?,
        };
        Ok((extents, pieces, next))
    }

    /// Points the blocks at their new addresses, unless they were changed since they were gathered.
    pub(crate) async fn swing(&self, moves: &[Move], addresses: &[BlockAddress], to: Tier) -> Result<Swung> {
        let mut swung = Swung { ticket: Ticket::nothing(), bytes: BTreeMap::new(), skipped: 0 };
        let mut pairs = moves.iter().zip(addresses).peekable();
        while pairs.peek().is_some() {
            self.store.admit().await?;
            let ticket = self.swing_record(&mut pairs, to, &mut swung)?;
            swung.ticket = swung.ticket.merge(ticket);
        }
        Ok(swung)
    }

    /// Swings as many blocks as one record takes.
    fn swing_record<'a>(
        &self,
        pairs: &mut impl Iterator<Item = (&'a Move, &'a BlockAddress)>,
        to: Tier,
        swung: &mut Swung,
    ) -> Result<Ticket> {
        let mut change = self.begin()?;
        let mut inodes = Touched::new();
        for (one, address) in pairs.take(RECORD_EXTENTS_MAX) {
            let new = Extent { tier: to, visible_bytes: address.plain_bytes, address: *address };
            if swing_one(&mut change, &mut inodes, one, &new)? {
                *swung.bytes.entry(one.inode).or_default() += u64::from(new.visible_bytes);
            } else {
                swung.skipped += 1;
            }
            if change.record_bytes() > RECORD_BYTES_ENOUGH {
                break;
            }
        }
        for (inode, touched) in inodes {
            let Some((old, mut new)) = touched else { continue };
            keep_age_index(&mut change, inode, &mut new);
            change.update_inode(inode, &old, new);
        }
        Ok(change.commit())
    }
}

/// The files of a swing: their old and new records; `None` for one that is gone.
type Touched = BTreeMap<InodeId, Option<(Inode, Inode)>>;

/// Swings one block if everything that it was made of is still there.
fn swing_one(change: &mut Change<'_>, inodes: &mut Touched, one: &Move, new: &Extent) -> Result<bool> {
    if let std::collections::btree_map::Entry::Vacant(entry) = inodes.entry(one.inode) {
        entry.insert(match change.stored_inode(one.inode) {
            Ok(record) => Some((record.clone(), record)),
            Err(Error::Stale) => None,
            Err(error) => return Err(error),
        });
    }
    let Some(Some((_, record))) = inodes.get_mut(&one.inode) else { return Ok(false) };
    let Content::File { id, standard_bytes, cold_bytes, piece_bytes, .. } = &mut record.content else {
        return Ok(false);
    };
    let current =
        change.extents(one.content, one.block, BlockIndex(one.block.0 + 1))?.pop().map(|(_, extent)| extent);
    if *id != one.content || current != one.old {
        return Ok(false);
    }
    for row in &one.pieces {
        if change.get(&row.key)? != Some(row.piece.encode().into()) {
            return Ok(false);
        }
    }
    for row in &one.pieces {
        change.delete(row.key.to_vec());
        *piece_bytes = piece_bytes.saturating_sub(row.piece.bytes.len() as u64);
    }
    let mut count = |extent: &Extent, sign: i64| {
        let field = match extent.tier {
            Tier::Standard => &mut *standard_bytes,
            Tier::InfrequentAccess => &mut *cold_bytes,
        };
        *field = field.saturating_add_signed(sign * i64::from(extent.visible_bytes));
    };
    if let Some(old) = &one.old {
        count(old, -1);
    }
    count(new, 1);
    change.replace_extent((one.content, one.block), one.old.as_ref(), Some(new))?;
    Ok(true)
}

/// A file leaves the age index with its last Standard data, and enters it with its first.
pub(crate) fn keep_age_index(change: &mut Change<'_>, inode: InodeId, record: &mut Inode) {
    if let Content::File { standard_bytes: 0, piece_bytes: 0, age_second, .. } = &mut record.content {
        if let Some(second) = age_second.take() {
            change.delete(age_key(second, inode));
        }
    } else {
        enter_age_index(change, inode, record);
    }
}

/// How many blocks fit into this many bytes, at least one.
pub(crate) fn blocks_of(bytes: u64) -> usize {
    usize::try_from(bytes / BLOCK_BYTES).unwrap_or(usize::MAX).max(1)
}
