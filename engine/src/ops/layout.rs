//! The layout of a content: laying blocks, and taking ranges out of what lies there, by reference. All within one change.
//!
//! Nothing here reads data. Where the middle of a block is taken out, its head and its tail go on showing the same block.

use super::write::{add_pieces, enter_age_index};
use crate::error::{Error, Result};
use crate::identity::{BlockIndex, ContentId, InodeId};
use crate::limits::UNIT_BYTES;
use crate::records::{Content, Extent, Inode, Piece, key};
use crate::tiering::Tier;
use crate::volume::{Change, Look, age_key};

/// The bytes `from..end` of a content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) from: u64,
    pub(super) end: u64,
}

impl Span {
    /// From a byte to the end of whatever there is.
    pub(super) fn behind(from: u64) -> Self {
        Span { from, end: u64::MAX }
    }

    /// The slot that starts there.
    pub(super) fn slot(slot: BlockIndex) -> Self {
        Span { from: slot.start(), end: slot.next_slot().start() }
    }

    pub(super) fn is_empty(self) -> bool {
        self.from >= self.end
    }

    /// The slots that it touches: the first, and the one behind the last.
    pub(super) fn slots(self) -> (BlockIndex, BlockIndex) {
        (BlockIndex::of_byte(self.from).slot(), BlockIndex::of_byte(self.end.saturating_sub(1)).next_slot())
    }

    /// What it has in common with another.
    pub(super) fn meet(self, other: Span) -> Span {
        Span { from: self.from.max(other.from), end: self.end.min(other.end) }
    }
}

/// What an extent shows.
pub(super) fn span_of(block: BlockIndex, extent: &Extent) -> Span {
    Span { from: block.start(), end: extent.end(block) }
}

/// Joins spans that overlap or touch.
pub(super) fn joined(mut spans: Vec<Span>) -> Vec<Span> {
    spans.sort_unstable_by_key(|span| (span.from, span.end));
    let mut joined: Vec<Span> = Vec::new();
    for span in spans {
        match joined.last_mut().filter(|last| last.end >= span.from) {
            Some(last) => last.end = last.end.max(span.end),
            None => joined.push(span),
        }
    }
    joined
}

/// Makes a file at least that long.
pub(super) fn grow(record: &mut Inode, size_min: u64) {
    if let Content::File { size, .. } = &mut record.content {
        *size = (*size).max(size_min);
    }
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

/// Counts bytes of extents in a file's record.
pub(super) fn count(record: &mut Inode, tier: Tier, bytes: i64) {
    if let Content::File { standard_bytes, cold_bytes, .. } = &mut record.content {
        let field = match tier {
            Tier::Standard => standard_bytes,
            Tier::InfrequentAccess => cold_bytes,
        };
        *field = field.saturating_add_signed(bytes);
    }
}

/// Lays an extent where nothing lies.
pub(super) fn lay(
    change: &mut Change<'_>,
    record: &mut Inode,
    place: (ContentId, BlockIndex),
    extent: &Extent,
) -> Result<()> {
    count(record, extent.tier, i64::from(extent.visible_bytes));
    change.replace_extent(place, None, Some(extent))
}

/// Takes a range out of the extents. It ends where a unit ends, or behind everything.
pub(super) fn clear(
    change: &mut Change<'_>,
    record: &mut Inode,
    content: ContentId,
    span: Span,
) -> Result<()> {
    debug_assert!(span.end == u64::MAX || span.end.is_multiple_of(UNIT_BYTES));
    if span.is_empty() {
        return Ok(());
    }
    let first = BlockIndex::of_byte(span.from).slot();
    for (block, extent) in change.extents(content, first, BlockIndex::at_or_behind(span.end))? {
        let shown = span_of(block, &extent);
        if !shown.meet(span).is_empty() {
            take_out(change, record, (content, block), extent, span)?;
        }
    }
    Ok(())
}

/// As [`clear`], if the extents that lay in the range before this change are known, and what this change took out of them was outside of the
/// range. If they lie wholly in it they need not be looked for.
pub(super) fn clear_known(
    change: &mut Change<'_>,
    record: &mut Inode,
    content: ContentId,
    span: Span,
    known: &[(BlockIndex, Extent)],
) -> Result<()> {
    let shown = |(block, extent): &(BlockIndex, Extent)| span_of(*block, extent);
    let inside: Vec<_> = known.iter().filter(|row| !shown(row).meet(span).is_empty()).collect();
    if inside.iter().any(|row| shown(row).from < span.from || shown(row).end > span.end) {
        return clear(change, record, content, span);
    }
    for (block, extent) in inside {
        take_out(change, record, (content, *block), *extent, span)?;
    }
    Ok(())
}

/// Takes a range out of one extent: what is before it stays, and what is behind it becomes an extent of its own.
fn take_out(
    change: &mut Change<'_>,
    record: &mut Inode,
    (content, block): (ContentId, BlockIndex),
    extent: Extent,
    span: Span,
) -> Result<()> {
    let shown = span_of(block, &extent);
    let length = |from: u64, end: u64| u32::try_from(end.saturating_sub(from)).unwrap_or(u32::MAX);
    let (head, tail) = (length(shown.from, span.from), length(span.end, shown.end));
    count(record, extent.tier, i64::from(head) + i64::from(tail) - i64::from(extent.visible_bytes));
    let mut current = extent;
    if tail > 0 {
        // First the block becomes a shared one, so that it always has a user.
        current = extent.to_shared(content, block);
        change.replace_extent((content, block), Some(&extent), Some(&current))?;
        let rest = current.part(length(shown.from, span.end), tail);
        change.replace_extent((content, BlockIndex::of_byte(span.end)), None, Some(&rest))?;
    }
    let left = Extent { visible_bytes: head, ..current };
    change.replace_extent((content, block), Some(&current), (head > 0).then_some(&left))
}

/// Takes a range out of the pieces.
pub(super) fn clear_pieces(
    change: &mut Change<'_>,
    record: &mut Inode,
    content: ContentId,
    span: Span,
) -> Result<()> {
    let Content::File { piece_bytes, .. } = &mut record.content else { return Err(Error::WrongType) };
    if *piece_bytes == 0 || span.is_empty() {
        return Ok(());
    }
    let (first, end) = span.slots();
    for row in change.pieces(content, first, end)? {
        let (from, end) = row.bounds();
        let whole = Span { from, end };
        if whole.meet(span).is_empty() {
            continue;
        }
        let Piece { inode, offset, bytes } = row.piece;
        let cut = |from: u64, end: u64| {
            let at = |byte: u64| usize::try_from(byte - whole.from).unwrap_or(usize::MAX);
            bytes.slice(at(from)..at(end))
        };
        *piece_bytes = piece_bytes.saturating_sub(bytes.len() as u64);
        change.delete(row.key.to_vec());
        if whole.from < span.from {
            let bytes = cut(whole.from, span.from);
            *piece_bytes += bytes.len() as u64;
            change.put(row.key.to_vec(), Piece { inode, offset, bytes }.encode());
        }
        if whole.end > span.end {
            let lsn = key::piece_lsn(&row.key).ok_or_else(|| Error::corrupt("a piece's key is too short"))?;
            let offset = u32::try_from(span.end - row.block.start()).unwrap_or(u32::MAX);
            let bytes = cut(span.end, whole.end);
            *piece_bytes += bytes.len() as u64;
            change.put(key::piece(content, row.block, lsn, offset), Piece { inode, offset, bytes }.encode());
        }
    }
    Ok(())
}

/// Makes a hole. Whole units lose what lies there; at an end in the middle of a unit that shows something, zeros go over it.
pub(super) fn punch(
    change: &mut Change<'_>,
    (inode, record): (InodeId, &mut Inode),
    content: ContentId,
    span: Span,
) -> Result<()> {
    if span.is_empty() {
        return Ok(());
    }
    clear_pieces(change, record, content, span)?;
    let size = record.size();
    let whole_end = if span.end >= size { u64::MAX } else { span.end - span.end % UNIT_BYTES };
    clear(change, record, content, Span { from: span.from, end: whole_end })?;
    let edge = span.meet(Span::behind(whole_end));
    if edge.is_empty() {
        return Ok(());
    }
    let slot = BlockIndex::of_byte(edge.from).slot();
    let extents = change.extents(content, slot, BlockIndex::at_or_behind(edge.end))?;
    let mut zeros = Vec::new();
    for (block, extent) in extents {
        let covered = span_of(block, &extent).meet(edge);
        if let Some(length) = covered.end.checked_sub(covered.from).filter(|length| *length > 0) {
            let length = usize::try_from(length).unwrap_or(0);
            zeros.push((covered.from, bytes::Bytes::from(vec![0; length])));
        }
    }
    add_pieces(change, inode, record, &zeros)
}
