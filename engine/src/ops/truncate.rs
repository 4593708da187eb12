//! Changing the size of a file.

use super::permission;
use super::relocate::keep_age_index;
use crate::credential::Credential;
use crate::error::{Error, Result};
use crate::identity::{BlockIndex, ContentId, InodeId};
use crate::limits::BLOCK_BYTES;
use crate::records::{Content, Extent, Inode, Piece, key};
use crate::tiering::Tier;
use crate::volume::{Change, Look, Volume, extent_row, piece_row};

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
        cut(change, &mut new, id, new_size)?;
        keep_age_index(change, inode, &mut new);
    }
    if let Content::File { size, .. } = &mut new.content {
        *size = new_size;
    }
    volume.buffer.truncate(inode, new_size);
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
    cut(change, &mut new, id, size)?;
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

/// Removes what lies at and behind the size.
fn cut(change: &mut Change<'_>, record: &mut Inode, content: ContentId, size: u64) -> Result<()> {
    let first_gone = BlockIndex(size.div_ceil(BLOCK_BYTES));
    for (row, value) in change.scan_all(&key::extents(content, first_gone, None))? {
        let (block, extent) = extent_row(&row, &value)?;
        change.replace_extent((content, block), Some(&extent), None)?;
        subtract(record, extent.tier, extent.visible_bytes);
    }
    for (row, value) in change.scan_all(&key::pieces(content, first_gone, None))? {
        let row = piece_row(row, &value)?;
        change.delete(row.key.to_vec());
        subtract_piece(record, row.piece.bytes.len());
    }
    let keep = u32::try_from(size % BLOCK_BYTES).unwrap_or(0);
    if keep > 0 {
        cut_boundary(change, record, (content, BlockIndex(size / BLOCK_BYTES)), keep)
    } else {
        Ok(())
    }
}

/// Cuts the block in which the new end lies down to `keep` bytes.
fn cut_boundary(
    change: &mut Change<'_>,
    record: &mut Inode,
    (content, block): (ContentId, BlockIndex),
    keep: u32,
) -> Result<()> {
    let next = BlockIndex(block.0 + 1);
    for (_, extent) in change.extents(content, block, next)? {
        if extent.visible_bytes > keep {
            let shorter = Extent { visible_bytes: keep, ..extent };
            change.replace_extent((content, block), Some(&extent), Some(&shorter))?;
            subtract(record, extent.tier, extent.visible_bytes - keep);
        }
    }
    for row in change.pieces(content, block, next)? {
        let Piece { inode, offset, bytes } = row.piece;
        let left = usize::try_from(keep.saturating_sub(offset)).unwrap_or(0);
        if left >= bytes.len() {
            continue;
        }
        subtract_piece(record, bytes.len() - left);
        if left == 0 {
            change.delete(row.key.to_vec());
        } else {
            let shorter = Piece { inode, offset, bytes: bytes.slice(..left) };
            change.put(row.key.to_vec(), shorter.encode());
        }
    }
    Ok(())
}

fn subtract(record: &mut Inode, tier: Tier, bytes: u32) {
    if let Content::File { standard_bytes, cold_bytes, .. } = &mut record.content {
        let field = match tier {
            Tier::Standard => standard_bytes,
            Tier::InfrequentAccess => cold_bytes,
        };
        *field = field.saturating_sub(u64::from(bytes));
    }
}

fn subtract_piece(record: &mut Inode, bytes: usize) {
    if let Content::File { piece_bytes, .. } = &mut record.content {
        *piece_bytes = piece_bytes.saturating_sub(bytes as u64);
    }
}
