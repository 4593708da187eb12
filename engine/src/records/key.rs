//! The keys of the metadata store.

use crate::attributes::Timestamp;
use crate::data::BlockAddress;
use crate::identity::{BlockIndex, ContentId, InodeId, Lsn, SegmentId};

/// A range of keys: from the first to before the second.
pub(crate) type KeyRange = (Vec<u8>, Vec<u8>);

fn key(family: u8, parts: &[&[u8]]) -> Vec<u8> {
    let mut key = Vec::with_capacity(1 + parts.iter().map(|part| part.len()).sum::<usize>());
    key.push(family);
    for part in parts {
        key.extend_from_slice(part);
    }
    key
}

pub(crate) fn inode(inode: InodeId) -> Vec<u8> {
    key(b'i', &[&inode.0.to_be_bytes()])
}

pub(crate) fn dentry(directory: InodeId, cookie: u64) -> Vec<u8> {
    key(b'd', &[&directory.0.to_be_bytes(), &cookie.to_be_bytes()])
}

/// The entries of a directory with cookies in `from..=last`.
pub(crate) fn dentries(directory: InodeId, from: u64, last: u64) -> KeyRange {
    (dentry(directory, from), key(b'd', &[&directory.0.to_be_bytes(), &last.to_be_bytes(), &[0]]))
}

/// The cookie of an entry's key.
pub(crate) fn dentry_cookie(key: &[u8]) -> Option<u64> {
    key.get(9..17)?.try_into().ok().map(u64::from_be_bytes)
}

/// The directory and the cookie of an entry's key.
pub(crate) fn dentry_parts(key: &[u8]) -> Option<(InodeId, u64)> {
    let directory = key.get(1..9)?.try_into().ok()?;
    let cookie = key.get(9..)?.try_into().ok()?;
    Some((InodeId(u64::from_be_bytes(directory)), u64::from_be_bytes(cookie)))
}

pub(crate) fn extent(content: ContentId, block: BlockIndex) -> Vec<u8> {
    key(b'e', &[&content.0.to_be_bytes(), &block.0.to_be_bytes()])
}

/// The extents of blocks `from..end` of a content; without `end`, to the last.
pub(crate) fn extents(content: ContentId, from: BlockIndex, end: Option<BlockIndex>) -> KeyRange {
    let end = match end {
        Some(end) => extent(content, end),
        None => family(b'e', &content.0.to_be_bytes()).1,
    };
    (extent(content, from), end)
}

/// The block of an extent's key.
pub(crate) fn extent_block(key: &[u8]) -> Option<BlockIndex> {
    key.get(9..17)?.try_into().ok().map(|bytes| BlockIndex(u64::from_be_bytes(bytes)))
}

/// The content and the block of an extent's or a piece's key.
pub(crate) fn content_block(key: &[u8]) -> Option<(ContentId, BlockIndex)> {
    let content = key.get(1..9)?.try_into().ok()?;
    Some((ContentId(u64::from_be_bytes(content)), extent_block(key)?))
}

/// A piece's key. Its LSN is that of the record that brings it, so that later pieces come after earlier ones.
pub(crate) fn piece(content: ContentId, block: BlockIndex, lsn: Lsn, offset: u32) -> Vec<u8> {
    let block = block.0.to_be_bytes();
    key(b'p', &[&content.0.to_be_bytes(), &block, &lsn.0.to_be_bytes(), &offset.to_be_bytes()])
}

/// The pieces of blocks `from..end` of a content; without `end`, to the last.
pub(crate) fn pieces(content: ContentId, from: BlockIndex, end: Option<BlockIndex>) -> KeyRange {
    let start = key(b'p', &[&content.0.to_be_bytes(), &from.0.to_be_bytes()]);
    let end = match end {
        Some(end) => key(b'p', &[&content.0.to_be_bytes(), &end.0.to_be_bytes()]),
        None => family(b'p', &content.0.to_be_bytes()).1,
    };
    (start, end)
}

/// The content of a piece's key.
pub(crate) fn piece_content(key: &[u8]) -> Option<ContentId> {
    key.get(1..9)?.try_into().ok().map(|bytes| ContentId(u64::from_be_bytes(bytes)))
}

/// The LSN in a piece's key.
pub(crate) fn piece_lsn(key: &[u8]) -> Option<Lsn> {
    key.get(17..25)?.try_into().ok().map(|bytes| Lsn(u64::from_be_bytes(bytes)))
}

/// The block of a piece's key.
pub(crate) fn piece_block(key: &[u8]) -> Option<BlockIndex> {
    extent_block(key)
}

pub(crate) fn segment(segment: SegmentId) -> Vec<u8> {
    key(b's', &[&segment.0])
}

/// The segment of its key.
pub(crate) fn segment_id(key: &[u8]) -> Option<SegmentId> {
    key.get(1..)?.try_into().ok().map(SegmentId)
}

/// The reference of an extent, named by its key, to a block that it shares or shared with others.
pub(crate) fn reference(address: &BlockAddress, content: ContentId, block: BlockIndex) -> Vec<u8> {
    reference_at(address.segment, address.frame, content, block)
}

/// The same, of a frame of a segment.
pub(crate) fn reference_at(segment: SegmentId, frame: u32, content: ContentId, block: BlockIndex) -> Vec<u8> {
    let (frame, content, block) = (frame.to_be_bytes(), content.0.to_be_bytes(), block.0.to_be_bytes());
    key(b'r', &[&segment.0, &frame, &content, &block])
}

/// The references to one block.
pub(crate) fn references(address: &BlockAddress) -> KeyRange {
    let mut prefix = address.segment.0.to_vec();
    prefix.extend_from_slice(&address.frame.to_be_bytes());
    family(b'r', &prefix)
}

/// The references to all blocks of a segment.
pub(crate) fn references_into(segment: SegmentId) -> KeyRange {
    family(b'r', &segment.0)
}

/// The segment of a reference's key.
pub(crate) fn reference_segment(key: &[u8]) -> Option<SegmentId> {
    key.get(1..17)?.try_into().ok().map(SegmentId)
}

/// The frame of a reference's key, and the content and block of its extent.
pub(crate) fn reference_parts(key: &[u8]) -> Option<(u32, ContentId, BlockIndex)> {
    let frame = key.get(17..21)?.try_into().ok().map(u32::from_be_bytes)?;
    let content = key.get(21..29)?.try_into().ok().map(u64::from_be_bytes)?;
    let block = key.get(29..)?.try_into().ok().map(u64::from_be_bytes)?;
    Some((frame, ContentId(content), BlockIndex(block)))
}

pub(crate) fn totals() -> Vec<u8> {
    key(b't', &[])
}

pub(crate) fn orphan(inode: InodeId) -> Vec<u8> {
    key(b'o', &[&inode.0.to_be_bytes()])
}

/// The inode of an orphan's key.
pub(crate) fn orphan_inode(key: &[u8]) -> Option<InodeId> {
    key.get(1..)?.try_into().ok().map(|bytes| InodeId(u64::from_be_bytes(bytes)))
}

pub(crate) fn dead_content(content: ContentId) -> Vec<u8> {
    key(b'x', &[&content.0.to_be_bytes()])
}

/// The content of its key.
pub(crate) fn dead_content_id(key: &[u8]) -> Option<ContentId> {
    key.get(1..)?.try_into().ok().map(|bytes| ContentId(u64::from_be_bytes(bytes)))
}

/// An entry of the age index. Seconds before 1970 count as 0.
pub(crate) fn age(access: Timestamp, inode: InodeId) -> Vec<u8> {
    key(b'a', &[&age_second(access).to_be_bytes(), &inode.0.to_be_bytes()])
}

/// The second under which an access stands in the age index.
pub(crate) fn age_second(access: Timestamp) -> u64 {
    u64::try_from(access.seconds).unwrap_or(0)
}

/// The age index up to and with the second.
pub(crate) fn ages_until(last: Timestamp) -> KeyRange {
    (key(b'a', &[]), key(b'a', &[&(age_second(last) + 1).to_be_bytes()]))
}

/// The second and inode of an entry of the age index.
pub(crate) fn age_parts(key: &[u8]) -> Option<(u64, InodeId)> {
    let second = key.get(1..9)?.try_into().ok()?;
    let inode = key.get(9..)?.try_into().ok()?;
    Some((u64::from_be_bytes(second), InodeId(u64::from_be_bytes(inode))))
}

pub(crate) fn note(name: &str) -> Vec<u8> {
    key(b'n', &[name.as_bytes()])
}

/// The name of a note's key.
pub(crate) fn note_name(key: &[u8]) -> Option<String> {
    String::from_utf8(key.get(1..)?.to_vec()).ok()
}

/// All keys of a family that start with the prefix.
pub(crate) fn family(family: u8, prefix: &[u8]) -> KeyRange {
    let from = key(family, &[prefix]);
    let mut to = from.clone();
    while let Some(last) = to.pop() {
        if last < u8::MAX {
            to.push(last + 1);
            break;
        }
    }
    (from, to)
}

/// The first key after this one.
pub(crate) fn after(key: &[u8]) -> Vec<u8> {
    let mut next = key.to_vec();
    next.push(0);
    next
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_content_has_a_range_too() {
        let (content, block) = (ContentId(u64::MAX), BlockIndex(u64::MAX));
        let (from, to) = extents(content, BlockIndex(0), None);
        assert!((from..to).contains(&extent(content, block)));
        let (from, to) = pieces(content, BlockIndex(0), None);
        assert!((from..to).contains(&piece(content, block, Lsn(u64::MAX), u32::MAX)));
    }
}
