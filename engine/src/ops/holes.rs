//! DEALLOCATE, zeroing, and SEEK for data and holes.
//!
//! # Crash consistency
//! A long range takes several records, from its start to its end, each of them bounded; a crash leaves a first part of it done. Each
//! record takes UNSTABLE data of its part out of the buffer in the same moment. Nothing is read, in no tier.

use super::layout::{self, Span, span_of};
use super::permission;
use super::read::LOOKS_MAX;
use crate::attributes::FileKind;
use crate::buffer::Cut;
use crate::credential::Credential;
use crate::error::{Error, Result};
use crate::file_system::{SeekFor, Sought, ZeroSize};
use crate::identity::{BlockIndex, ContentId, InodeId};
use crate::journal::Ticket;
use crate::limits::{FILE_SIZE_MAX, RECORD_EXTENTS_MAX};
use crate::records::{Content, Inode, key};
use crate::volume::{Look, Volume};

impl Volume {
    /// Makes a hole of a range.
    pub(crate) async fn zero(
        &self,
        who: &Credential,
        inode: InodeId,
        range: std::ops::Range<u64>,
        size: ZeroSize,
    ) -> Result<Ticket> {
        if range.start > range.end {
            return Err(Error::Invalid { what: "a range that ends before it starts" });
        }
        if size == ZeroSize::Extend && range.end > FILE_SIZE_MAX {
            return Err(Error::FileTooLarge);
        }
        if self.buffer.holds(inode) {
            // So that a crash cannot leave a size without the data that made it.
            let _: Ticket = self.flush(inode).await?;
        }
        let mut from = range.start;
        loop {
            self.store.admit().await?;
            let end = self.bounded_end(inode, Span { from, end: range.end })?;
            let last = end >= range.end;
            let ticket =
                self.zero_step(who, inode, Span { from, end }, if last { size } else { ZeroSize::Keep })?;
            if last {
                return Ok(ticket);
            }
            drop(ticket.accepted()?);
            from = end;
        }
    }

    fn zero_step(&self, who: &Credential, inode: InodeId, span: Span, grow: ZeroSize) -> Result<Ticket> {
        let mut change = self.begin()?;
        let seen = change.inode(inode)?.size();
        let (old, mut new) = self.touch(&change, inode)?;
        let Content::File { id, .. } = old.content else { return Err(not_a_file(&old)) };
        let now = change.now();
        change.cut_buffer(inode, Cut::Range(span.from, span.end));
        layout::punch(&mut change, (inode, &mut new), id, span)?;
        // Bytes that only the buffer had may have ended the file: its users keep the size that they saw.
        layout::grow(&mut new, if grow == ZeroSize::Extend { seen.max(span.end) } else { seen });
        permission::clear_set_id(who, &mut new);
        new.mtime = now;
        new.last_access = new.last_access.max(now);
        layout::keep_age_index(&mut change, inode, &mut new);
        self.bump(inode, &mut new, now);
        change.update_inode(inode, &old, new);
        Ok(change.commit())
    }

    /// Where a record that works on a span must end, so that it does not become too large: at the end of a slot.
    pub(super) fn bounded_end(&self, inode: InodeId, span: Span) -> Result<u64> {
        let Content::File { id, .. } = self.stored_inode(inode)?.content else {
            return Ok(span.end);
        };
        let (first, last) = span.slots();
        let mut end = span.end;
        for (from, to) in [key::extents(id, first, Some(last)), key::pieces(id, first, Some(last))] {
            let rows = self.store.scan(&from, &to, RECORD_EXTENTS_MAX)?;
            if rows.len() == RECORD_EXTENTS_MAX {
                let block = rows.last().and_then(|(row, _)| key::extent_block(row));
                let cut = block.map_or(end, |block| block.next_slot().start());
                end = end.min(cut.max(BlockIndex::of_byte(span.from).next_slot().start()));
            }
        }
        Ok(end)
    }

    /// The first byte at or behind `offset` that is data, or that is in a hole; at the end of the file there always is a hole.
    pub(crate) fn seek(&self, inode: InodeId, offset: u64, wanted: SeekFor) -> Result<Sought> {
        let mut looks = 0;
        loop {
            let (record, _) = self.seen_inode(inode)?;
            let sought = self.seek_in(inode, &record, offset, wanted)?;
            looks += 1;
            // See `ops::read`. A long walk is not worth it to keep a file from changing.
            if looks == LOOKS_MAX || self.seen_inode(inode)?.0.change == record.change {
                return Ok(sought);
            }
        }
    }

    fn seek_in(&self, inode: InodeId, record: &Inode, offset: u64, wanted: SeekFor) -> Result<Sought> {
        let size = record.size();
        let Content::File { id, .. } = record.content else { return Err(not_a_file(record)) };
        if offset >= size {
            return Ok(Sought::BeyondEnd);
        }
        let mut at = offset;
        while at < size {
            let (spans, known) = self.covered(inode, id, at)?;
            for span in spans {
                match wanted {
                    _ if span.end <= at => {}
                    SeekFor::Data if span.from < size => return Ok(Sought::At(span.from.max(at))),
                    SeekFor::Data => return Ok(Sought::EndOfFile),
                    SeekFor::Hole if span.from > at => return Ok(Sought::At(at)),
                    SeekFor::Hole => at = span.end,
                }
            }
            match known {
                Some(known) if wanted == SeekFor::Data || at >= known => at = at.max(known),
                _ => break,
            }
        }
        Ok(match wanted {
            SeekFor::Data => Sought::EndOfFile,
            SeekFor::Hole => Sought::At(at.min(size)),
        })
    }

    /// What is covered by data from the slot of a byte on, ascending and joined; and up to where that is known, if not to the end.
    fn covered(&self, inode: InodeId, content: ContentId, from: u64) -> Result<(Vec<Span>, Option<u64>)> {
        const ROWS: usize = 1024;
        let slot = BlockIndex::of_byte(from).slot();
        let mut known = u64::MAX;
        let mut spans: Vec<Span> = Vec::new();
        // From the newest to the oldest: see `ops::read`.
        let buffered = self.buffer.read(inode, from, u64::MAX);
        spans.extend(buffered.iter().map(|(from, data)| Span { from: *from, end: from + data.len() as u64 }));
        let (start, end) = key::pieces(content, slot, None);
        let rows = self.store.scan(&start, &end, ROWS)?;
        let full = |count: usize, row: Option<BlockIndex>| match row {
            Some(block) if count == ROWS => block.slot().start(),
            _ => u64::MAX,
        };
        known = known.min(full(rows.len(), rows.last().and_then(|(row, _)| key::piece_block(row))));
        let rows = if known > slot.start() {
            rows.into_iter()
                .map(|(row, value)| crate::volume::piece_row(row, &value))
                .collect::<Result<_>>()?
        } else {
            // There are more in this slot alone.
            known = slot.next_slot().start();
            self.store.pieces(content, slot, slot.next_slot())?
        };
        spans.extend(rows.iter().map(|row| {
            let (from, end) = row.bounds();
            Span { from, end }
        }));
        let (start, end) = key::extents(content, slot, None);
        let rows = self.store.scan(&start, &end, ROWS)?;
        known = known.min(full(rows.len(), rows.last().and_then(|(row, _)| key::extent_block(row))));
        for (row, value) in rows {
            let (block, extent) = crate::volume::extent_row(&row, &value)?;
            spans.push(span_of(block, &extent));
        }
        spans.retain_mut(|span| {
            span.end = span.end.min(known);
            !span.is_empty()
        });
        Ok((layout::joined(spans), Some(known).filter(|known| *known < u64::MAX)))
    }
}

/// Why an inode that is no regular file has no data.
pub(super) fn not_a_file(record: &Inode) -> Error {
    if record.kind() == FileKind::Directory { Error::IsDirectory } else { Error::WrongType }
}
