//! Changing the size of a file.

use super::layout::{self, Span, keep_age_index};
use super::permission;
use crate::buffer::Cut;
use crate::credential::Credential;
use crate::error::{Error, Result};
use crate::identity::{BlockIndex, ContentId, InodeId};
use crate::limits::TRUNCATE_ROWS_MAX;
use crate::records::{Content, Inode, key};
use crate::volume::{Change, Volume};

/// Sets the size within a change. What is cut off is gone: a later extension reads as zeros.
pub(super) fn truncate(
    volume: &Volume,
    change: &mut Change<'_>,
    who: &Credential,
    inode: InodeId,
    new_size: u64,
) -> Result<()> {
    let now = change.now();
    let (old, mut new) = volume.touch(change, inode)?;
    let Content::File { id, size, standard_bytes, cold_bytes, piece_bytes, .. } = old.content else {
        return Err(Error::WrongType);
    };
    let stored = standard_bytes + cold_bytes + piece_bytes;
    if new_size == 0 && stored > 0 {
        change.put(key::dead_content(id), Vec::new());
        let fresh = ContentId(change.new_id());
        replace_content(change, inode, &mut new, fresh);
    } else if new_size < size && stored > 0 {
        layout::clear(change, &mut new, id, Span::behind(new_size))?;
        layout::clear_pieces(change, &mut new, id, Span::behind(new_size))?;
        keep_age_index(change, inode, &mut new);
    }
    if let Content::File { size, .. } = &mut new.content {
        *size = new_size;
    }
    change.cut_buffer(inode, Cut::Behind(new_size));
    permission::clear_set_id(who, &mut new);
    new.mtime = now;
    new.last_access = now;
    volume.bump(inode, &mut new, now);
    change.update_inode(inode, &old, new);
    Ok(())
}

/// Removes data that lies behind the end of a file, where it should never be; `false` if there is no such file.
pub(crate) fn cut_behind_end(change: &mut Change<'_>, inode: InodeId) -> Result<bool> {
    let old = match change.stored_inode(inode) {
        Ok(old) => old,
        Err(Error::Stale) => return Ok(false),
        Err(error) => return Err(error),
    };
    let Content::File { id, size, .. } = old.content else { return Ok(false) };
    let mut new = old.clone();
    layout::clear(change, &mut new, id, Span::behind(size))?;
    layout::clear_pieces(change, &mut new, id, Span::behind(size))?;
    keep_age_index(change, inode, &mut new);
    change.update_inode(inode, &old, new);
    Ok(true)
}

fn replace_content(change: &mut Change<'_>, inode: InodeId, record: &mut Inode, fresh: ContentId) {
    if let Content::File { age_second: Some(second), .. } = record.content {
        change.delete(crate::volume::age_key(second, inode));
    }
    let verifier = match record.content {
        Content::File { verifier, .. } => verifier,
        _ => None,
    };
    record.content = Content::empty_file(fresh);
    if let Content::File { verifier: kept, .. } = &mut record.content {
        *kept = verifier;
    }
}

impl Volume {
    /// The sizes, ascending, at which a file that is to be cut down to `size` must be cut on the way, so that no record becomes too
    /// large.
    pub(super) fn cutting_points(&self, inode: InodeId, size: u64) -> Result<Vec<u64>> {
        let Content::File { id, .. } = self.stored_inode(inode)?.content else {
            return Err(Error::WrongType);
        };
        let from = BlockIndex::of_byte(size).slot();
        let mut points = Vec::new();
        for (mut from, end) in [key::extents(id, from, None), key::pieces(id, from, None)] {
            loop {
                let rows = self.store.scan(&from, &end, TRUNCATE_ROWS_MAX)?;
                let Some((last, _)) = rows.last().filter(|_| rows.len() == TRUNCATE_ROWS_MAX) else { break };
                from = key::after(last);
                points.extend(key::extent_block(last).map(|block| block.slot().start()));
            }
        }
        points.retain(|point| *point > size);
        points.sort_unstable();
        points.dedup();
        Ok(points)
    }
}
