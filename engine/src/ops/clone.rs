//! CLONE: a range of one file shows the blocks of another.
//!
//! # Crash consistency
//! A long range takes several records, from its start to its end; a crash leaves a first part of it done. A record makes the blocks of its
//! part shared, takes what the destination had there away, and lays the destination's own extents, so that a block is never without
//! the references of all who show it. What of the source is still in pieces is copied as pieces.

use bytes::Bytes;

use super::holes::not_a_file;
use super::layout::{self, Span, span_of};
use super::permission;
use super::write::add_pieces;
use crate::buffer::{Cut, RangeMap, clip};
use crate::credential::Credential;
use crate::error::{Error, Result};
use crate::file_system::CloneRange;
use crate::identity::{BlockIndex, ContentId, InodeId};
use crate::journal::Ticket;
use crate::limits::{BLOCK_BYTES, FILE_SIZE_MAX, RECORD_EXTENTS_MAX, RECORD_PIECE_BYTES_MAX, UNIT_BYTES};
use crate::records::{Content, Extent, Inode, key};
use crate::volume::{Change, Look, Volume};

/// Slots of which one record copies the pieces; at an uneven distance each of them meets two slots.
const PIECE_SLOTS_MAX: usize = 8;
const _: () = assert!(PIECE_SLOTS_MAX as u64 * BLOCK_BYTES <= RECORD_PIECE_BYTES_MAX / 2);

/// From where to where, in bytes.
#[derive(Debug, Clone, Copy)]
struct Route {
    source: Span,
    destination: Span,
}

impl Route {
    /// Where a byte of the source comes to lie.
    fn place(self, source: u64) -> u64 {
        self.destination.from + (source - self.source.from)
    }

    /// The part before a byte of the source, and the rest.
    fn split(self, at: u64) -> (Route, Route) {
        let middle = self.place(at);
        let head = Route {
            source: Span { end: at, ..self.source },
            destination: Span { end: middle, ..self.destination },
        };
        let tail = Route {
            source: Span { from: at, ..self.source },
            destination: Span { from: middle, ..self.destination },
        };
        (head, tail)
    }
}

impl Volume {
    pub(crate) async fn clone_range(
        &self,
        who: &Credential,
        source: InodeId,
        destination: InodeId,
        range: CloneRange,
    ) -> Result<Ticket> {
        for inode in [source, destination] {
            if self.buffer.holds(inode) {
                let _: Ticket = self.flush(inode).await?;
            }
        }
        // A flush of the destination decides by what lies in a slot whether it is written as a whole.
        let _alone = self.locks.lock(destination).await;
        let mut rest = self.route(source, destination, range)?;
        if rest.source.is_empty() {
            return Ok(self.store.everything());
        }
        loop {
            self.store.admit().await?;
            let end = self.step_end(source, destination, rest)?;
            let (step, after) = rest.split(end);
            let ticket = self.clone_step(who, source, destination, step)?;
            if after.source.is_empty() {
                return Ok(ticket);
            }
            drop(ticket.accepted()?);
            rest = after;
        }
    }

    /// Checks a request and says which bytes it is about.
    fn route(&self, source: InodeId, destination: InodeId, range: CloneRange) -> Result<Route> {
        let from = self.stored_inode(source)?;
        let to = self.stored_inode(destination)?;
        for record in [&from, &to] {
            if !matches!(record.content, Content::File { .. }) {
                return Err(not_a_file(record));
            }
        }
        let CloneRange { source_offset, destination_offset, length } = range;
        let length = if length == 0 { from.size().saturating_sub(source_offset) } else { length };
        let source_end = source_offset.checked_add(length).filter(|end| *end <= from.size());
        let source_end =
            source_end.ok_or(Error::Invalid { what: "a clone from behind the end of the file" })?;
        let destination_end = destination_offset.checked_add(length).filter(|end| *end <= FILE_SIZE_MAX);
        let destination_end = destination_end.ok_or(Error::FileTooLarge)?;
        let aligned = |byte: u64| byte.is_multiple_of(UNIT_BYTES);
        // A part of a unit can only be shown where the destination ends, too.
        let end_fits = aligned(source_end) || (source_end == from.size() && destination_end >= to.size());
        if !aligned(source_offset) || !aligned(destination_offset) || !end_fits {
            return Err(Error::Invalid { what: "a clone that is not aligned to 4096 bytes" });
        }
        let source_span = Span { from: source_offset, end: source_end };
        let destination_span = Span { from: destination_offset, end: destination_end };
        if source == destination && !source_span.meet(destination_span).is_empty() {
            return Err(Error::Invalid { what: "a clone onto itself" });
        }
        Ok(Route { source: source_span, destination: destination_span })
    }

    /// Where, in the source, the next record ends.
    fn step_end(&self, source: InodeId, destination: InodeId, route: Route) -> Result<u64> {
        let mut end = self.bounded_end(source, route.source)?;
        let there = self.bounded_end(destination, route.destination)?;
        end = end.min(route.source.from + (there - route.destination.from));
        let Content::File { id, piece_bytes, .. } = self.stored_inode(source)?.content else {
            return Ok(end);
        };
        if piece_bytes > 0 {
            let (first, last) = route.source.slots();
            let (from, to) = key::pieces(id, first, Some(last));
            let rows = self.store.scan(&from, &to, RECORD_EXTENTS_MAX)?;
            let mut slots: Vec<_> = rows.iter().filter_map(|(row, _)| key::piece_block(row)).collect();
            slots.dedup();
            if let Some(slot) = slots.get(PIECE_SLOTS_MAX) {
                end = end.min(slot.start().max(first.next_slot().start()));
            }
        }
        Ok(end)
    }

    fn clone_step(
        &self,
        who: &Credential,
        source: InodeId,
        destination: InodeId,
        route: Route,
    ) -> Result<Ticket> {
        let mut change = self.begin()?;
        let from = change.stored_inode(source)?;
        let seen = change.inode(destination)?.size();
        let (old, mut new) = self.touch(&change, destination)?;
        let (Content::File { id: content, size, .. }, Content::File { id: target, .. }) =
            (&from.content, &old.content)
        else {
            return Err(Error::WrongType);
        };
        if *size < route.source.end {
            return Err(Error::Invalid { what: "a clone from a file that is being truncated" });
        }
        let now = change.now();
        let pieces = pieces_of(&change, *content, route)?;
        let parts = share(&mut change, *content, route)?;
        change.cut_buffer(destination, Cut::Range(route.destination.from, route.destination.end));
        layout::clear_pieces(&mut change, &mut new, *target, route.destination)?;
        let end = BlockIndex::at_or_behind(route.destination.end).start();
        layout::clear(&mut change, &mut new, *target, Span { end, ..route.destination })?;
        for (at, part) in parts {
            lay_in_slots(&mut change, &mut new, *target, at, part)?;
        }
        add_pieces(&mut change, destination, &mut new, &pieces)?;
        layout::grow(&mut new, seen.max(route.destination.end));
        permission::clear_set_id(who, &mut new);
        new.mtime = now;
        new.last_access = new.last_access.max(now);
        layout::keep_age_index(&mut change, destination, &mut new);
        self.bump(destination, &mut new, now);
        change.update_inode(destination, &old, new);
        Ok(change.commit())
    }
}

/// Makes the blocks that a range shows shared; returns what of them it shows, and where in the destination.
fn share(change: &mut Change<'_>, content: ContentId, route: Route) -> Result<Vec<(u64, Extent)>> {
    let (first, _) = route.source.slots();
    let mut parts = Vec::new();
    for (block, extent) in change.extents(content, first, BlockIndex::at_or_behind(route.source.end))? {
        let shown = span_of(block, &extent);
        let wanted = shown.meet(route.source);
        if wanted.is_empty() {
            continue;
        }
        let shared = extent.to_shared(content, block);
        if shared != extent {
            change.replace_extent((content, block), Some(&extent), Some(&shared))?;
        }
        let part = shared.part(bytes_of(wanted.from - shown.from), bytes_of(wanted.end - wanted.from));
        parts.push((route.place(wanted.from), part));
    }
    Ok(parts)
}

/// Lays an extent, in two parts if a slot ends within it.
fn lay_in_slots(
    change: &mut Change<'_>,
    record: &mut Inode,
    content: ContentId,
    at: u64,
    extent: Extent,
) -> Result<()> {
    let (mut at, end, mut rest) = (at, at + u64::from(extent.visible_bytes), extent);
    while at < end {
        let block = BlockIndex::of_byte(at);
        let length = bytes_of(block.next_slot().start().min(end) - at);
        layout::lay(change, record, (content, block), &rest.part(0, length))?;
        at += u64::from(length);
        rest = rest.part(length, rest.visible_bytes - length);
    }
    Ok(())
}

/// The bytes of pieces within the range, where they come to lie.
fn pieces_of(change: &Change<'_>, content: ContentId, route: Route) -> Result<Vec<(u64, Bytes)>> {
    let mut joined = RangeMap::default();
    let (first, end) = route.source.slots();
    for row in change.pieces(content, first, end)? {
        let (at, _) = row.bounds();
        if let Some((from, bytes)) = clip(at, &row.piece.bytes, route.source.from, route.source.end) {
            joined.insert(route.place(from), bytes);
        }
    }
    Ok(joined.joined())
}

fn bytes_of(length: u64) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}
