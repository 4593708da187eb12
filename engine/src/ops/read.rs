//! READ: from the write buffer, the pieces, the Standard tier and the cold tiers.
//!
//! The layers are looked at from the newest to the oldest: buffer, pieces, extents. Data only ever moves from a newer layer
//! to an older one, and is there before it is gone here, so that a read never falls between two of them. Only where data is taken
//! away, as by a truncation, there may be nothing by the time that a read gets there, which would show as zeros within the size that
//! the file had before; and a clone brings blocks together with what lies over them. So a read that finds a hole or a shared block looks
//! whether the file is still what it was, and otherwise looks again.

use bytes::Bytes;

use super::layout::{Span, joined, span_of};
use crate::buffer::{WriteBuffer, clip};
use crate::error::{Error, Result};
use crate::file_system::ReadData;
use crate::identity::{BlockIndex, ContentId, InodeId};
use crate::limits::BLOCK_BYTES;
use crate::records::{Content, Extent, Inode};
use crate::tiering::Tier;
use crate::volume::{Look, PieceRow, Still, Volume, extent_of_unit};

/// A block of zeros, for holes.
static ZEROS: [u8; BLOCK_BYTES as usize] = [0; BLOCK_BYTES as usize];

/// How often a read begins again because what it was about to read was moved meanwhile.
pub(super) const MOVED_RETRIES_MAX: u32 = 4;

/// How often a file that changes all the time is looked at again before it is kept from changing meanwhile.
pub(super) const LOOKS_MAX: u32 = 8;

/// Where what a read shows is.
struct Found {
    /// As its users see it.
    record: Inode,
    span: Span,
    end_of_file: bool,
    content: ContentId,
    /// UNSTABLE data, the oldest first.
    layers: Vec<(u64, Bytes)>,
    pieces: Vec<PieceRow>,
    extents: Vec<(BlockIndex, Extent)>,
}

impl Found {
    /// Whether it matters that all of it was found at one moment.
    fn needs_check(&self) -> bool {
        self.has_hole() || self.extents.iter().any(|(_, extent)| extent.shared.is_some())
    }

    /// Whether nothing is stored for a part of the span.
    fn has_hole(&self) -> bool {
        let mut at = self.span.from;
        for (block, extent) in &self.extents {
            let shown = span_of(*block, extent);
            if shown.from > at {
                break;
            }
            at = at.max(shown.end);
        }
        if at >= self.span.end {
            return false;
        }
        let extents = self.extents.iter().map(|(block, extent)| span_of(*block, extent));
        let pieces = self.pieces.iter().map(PieceRow::bounds);
        let layers = self.layers.iter().map(|(from, bytes)| (*from, from + bytes.len() as u64));
        let over = pieces.chain(layers).map(|(from, end)| Span { from, end });
        let spans = joined(extents.chain(over).collect());
        !spans.iter().any(|span| span.meet(self.span) == self.span)
    }
}

impl Volume {
    pub(crate) async fn read(&self, inode: InodeId, offset: u64, length: usize) -> Result<ReadData> {
        let range = offset..offset.saturating_add(length as u64);
        let mut tries = 0;
        loop {
            match self.read_once(inode, offset, length).await {
                Ok(data) => {
                    self.met_no_damage(inode, &range);
                    return Ok(data);
                }
                // The segment may have been released after its blocks were moved elsewhere.
                Err(Error::Corrupt { .. } | Error::Io { .. } | Error::NotFound)
                    if tries < MOVED_RETRIES_MAX =>
                {
                    tries += 1
                }
                Err(error @ (Error::Corrupt { .. } | Error::Io { .. })) => {
                    return Err(self.met_damage(inode, range, error));
                }
                Err(error) => return Err(error),
            }
        }
    }

    async fn read_once(&self, inode: InodeId, offset: u64, length: usize) -> Result<ReadData> {
        let found = self.find(inode, offset, length)?;
        let Found { span, end_of_file, content, layers, pieces, extents, .. } = found;
        if span.is_empty() {
            return Ok(ReadData { parts: Vec::new(), end_of_file });
        }
        if extents.iter().any(|(_, extent)| extent.tier == Tier::InfrequentAccess) {
            self.access_log.note_cold_read(inode);
        }
        let bases = self.open_shown(content, &extents, span).await?;
        if self.access_log.touch(inode, self.environment.clock.now()) {
            self.upkeep.wake();
        }
        let mut over: Vec<_> = pieces.into_iter().map(|row| (row.bounds().0, row.piece.bytes)).collect();
        over.extend(layers);
        Ok(ReadData { parts: cut_parts(&bases, &over, span), end_of_file })
    }

    /// Looks for what a read shows.
    fn find(&self, inode: InodeId, offset: u64, length: usize) -> Result<Found> {
        for _ in 0..LOOKS_MAX {
            let found = self.look_for(inode, offset, length, None)?;
            if !found.needs_check() || self.seen_inode(inode)?.0.change == found.record.change {
                return Ok(found);
            }
        }
        let still = self.keep_still()?;
        self.look_for(inode, offset, length, Some(&still))
    }

    fn look_for(
        &self,
        inode: InodeId,
        offset: u64,
        length: usize,
        still: Option<&Still<'_>>,
    ) -> Result<Found> {
        let wanted_end = offset.saturating_add(length as u64);
        let buffered = |buffer: &WriteBuffer| buffer.read(inode, offset, wanted_end);
        // At one moment: of an unstable write that came between and made the file longer there would be zeros.
        let (record, layers) = match still {
            Some(still) => self.seen_still(still, inode, buffered)?,
            None => self.seen(inode, buffered)?,
        };
        let (size, content, piece_bytes) = match record.content {
            Content::File { size, id, piece_bytes, .. } => (size, id, piece_bytes),
            Content::Directory { .. } => return Err(Error::IsDirectory),
            _ => return Err(Error::WrongType),
        };
        let span = Span { from: offset, end: wanted_end.min(size) };
        let end_of_file = wanted_end >= size;
        let mut found =
            Found { record, span, end_of_file, content, layers, pieces: Vec::new(), extents: Vec::new() };
        if span.is_empty() {
            return Ok(found);
        }
        let (first, last) = span.slots();
        // Pieces before extents: data moves from the ones to the others.
        if piece_bytes > 0 {
            found.pieces = self.store.pieces(content, first, last)?;
        }
        let behind = BlockIndex::at_or_behind(span.end);
        found.extents = match BlockIndex::of_byte(offset) {
            // A page, as databases and clients read it.
            unit if unit.0 + 1 == behind.0 => {
                extent_of_unit(&self.store, content, unit)?.into_iter().collect()
            }
            _ => self.store.extents(content, first, behind)?,
        };
        found.extents.retain(|(block, extent)| !span_of(*block, extent).meet(span).is_empty());
        Ok(found)
    }
}

/// Lays bytes over others that begin at `start`; what does not fit is left out.
pub(super) fn lay_over(target: &mut [u8], start: u64, (at, bytes): (u64, &Bytes)) {
    match at.checked_sub(start) {
        Some(at) => copy_into(target, position(at), bytes),
        None => copy_into(target, 0, bytes.get(position(start - at)..).unwrap_or_default()),
    }
}

fn copy_into(target: &mut [u8], at: usize, bytes: &[u8]) {
    if let Some(target) = target.get_mut(at..) {
        let length = bytes.len().min(target.len());
        if let (Some(target), Some(bytes)) = (target.get_mut(..length), bytes.get(..length)) {
            target.copy_from_slice(bytes);
        }
    }
}

fn position(offset: u64) -> usize {
    usize::try_from(offset).unwrap_or(usize::MAX)
}

/// The bytes of a span, out of what extents show and the layers over it. Only slots with something over them are copied.
fn cut_parts(bases: &[(u64, Bytes)], layers: &[(u64, Bytes)], span: Span) -> Vec<Bytes> {
    let mut parts = Vec::new();
    let mut at = span.from;
    let mut rest = bases;
    while at < span.end {
        let slot = BlockIndex::of_byte(at).slot();
        let stop = slot.next_slot().start().min(span.end);
        let here = Span { from: at, end: stop };
        let (shown, behind) = rest.split_at(rest.partition_point(|(start, _)| *start < stop));
        rest = behind;
        let meets = |(from, data): &&(u64, Bytes)| *from < stop && from + data.len() as u64 > at;
        let over: Vec<_> = layers.iter().filter(meets).collect();
        if over.is_empty() {
            push_bases(&mut parts, shown, here);
        } else {
            let mut copy = vec![0; position(stop - at)];
            for (start, data) in shown.iter().chain(over) {
                lay_over(&mut copy, at, (*start, data));
            }
            parts.push(Bytes::from(copy));
        }
        at = stop;
    }
    parts
}

/// The bytes of a span within a slot: what extents show, and zeros between.
fn push_bases(parts: &mut Vec<Bytes>, bases: &[(u64, Bytes)], span: Span) {
    let mut at = span.from;
    for (start, bytes) in bases {
        if let Some((from, shown)) = clip(*start, bytes, at, span.end) {
            push_zeros(parts, from - at);
            at = from + shown.len() as u64;
            parts.push(shown);
        }
    }
    push_zeros(parts, span.end - at);
}

fn push_zeros(parts: &mut Vec<Bytes>, length: u64) {
    if length > 0 {
        parts.push(Bytes::from_static(ZEROS.get(..position(length)).unwrap_or(&ZEROS)));
    }
}
