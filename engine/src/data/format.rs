//! The format of a segment, the same for a local file and for an object.
//!
//! A segment is a header and then batches, without gaps. A batch is what one write put there: its header, its sealed
//! directory and its sealed frames. All numbers are big endian. Nothing is in clear but lengths and counts, and no byte is
//! outside of a seal: plain fields are bound into the tag that follows them.
//!
//! Segment header, 44 bytes:
//!
//! | offset | bytes | what |
//! |---|---|---|
//! | 0 | 8 | magic `tidefsSG` |
//! | 8 | 4 | format version, 2; in version 1 no frame is in cells |
//! | 12 | 16 | segment id |
//! | 28 | 16 | tag over the above, counter 0 |
//!
//! Batch header, 36 bytes:
//!
//! | offset | bytes | what |
//! |---|---|---|
//! | 0 | 4 | magic `btch` |
//! | 4 | 4 | counter of this header, *n* |
//! | 8 | 4 | number of frames, at least 1 |
//! | 12 | 8 | bytes of all sealed frames together |
//! | 20 | 16 | tag over the above, counter *n* |
//!
//! The directory follows, sealed with counter *n* + 1: for each frame, 25 bytes, and at its end the tag of 16 bytes. Frame
//! *i* has the number (and counter) *n* + 2 + *i* and starts where the one before it ends, so neither is stored.
//!
//! | offset | bytes | what |
//! |---|---|---|
//! | 0 | 8 | content |
//! | 8 | 8 | block |
//! | 16 | 4 | sealed bytes |
//! | 20 | 4 | plain bytes |
//! | 24 | 1 | codec: 0 plain, 1 zstd, 2 cells |
//!
//! The frames follow: packed bytes, sealed, tag at the end. A frame in cells is a row of up to 16 of them: 4,096 plain bytes (the last one
//! what is left), sealed, tag at the end. Cell *c* of frame *f* is sealed with counter *f* + *c* × 2³², which no other seal has.
//!
//! The key is derived for the purpose `segment` and the segment's id from the data key whose generation the id ends with. Each seal binds one
//! letter for its kind (`H`, `B`, `D`, `F`), the file system's id, the segment's id and the offset; a frame also its number,
//! content, block, codec and plain length, a cell these and its place among the cells of its frame. So nothing can be swapped, spliced, or moved to another file system.

mod batch;
mod frame;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod header;
#[cfg(test)]
mod tests;

use crate::codec::Writer;
use crate::error::{Error, Result};
use crate::identity::{FileSystemId, SegmentId};
use crate::keys::{KeyRing, SealingKey};

pub(crate) use batch::{BATCH_HEADER_BYTES, BATCH_MAGIC, BatchHeader, DirectoryEntry};
pub(crate) use frame::PackedBlock;
pub(crate) use header::{HEADER_BYTES, SegmentSealer};

/// Opens what stands in one segment.
#[derive(Clone)]
pub(crate) struct SegmentOpener {
    file_system: FileSystemId,
    segment: SegmentId,
    key: SealingKey,
}

/// What a seal protects; part of what is bound into it.
#[derive(Debug, Clone, Copy)]
enum SealKind {
    Header,
    Batch,
    Directory,
    Frame,
}

impl SegmentOpener {
    /// For the segment of that id.
    pub(crate) fn new(file_system: FileSystemId, keys: &KeyRing, segment: SegmentId) -> Result<Self> {
        let data_key = keys.key(segment.generation(), || format!("segment {segment}"))?;
        Ok(SegmentOpener { file_system, segment, key: data_key.derive("segment", &segment.0) })
    }

    /// The segment.
    pub(crate) fn segment(&self) -> SegmentId {
        self.segment
    }

    fn bound(&self, kind: SealKind, offset: u64) -> Writer {
        let kind = match kind {
            SealKind::Header => b'H',
            SealKind::Batch => b'B',
            SealKind::Directory => b'D',
            SealKind::Frame => b'F',
        };
        let mut bound = Writer::with_capacity(80);
        bound.u8(kind).bytes(&self.file_system.to_bytes()).bytes(&self.segment.0).u64(offset);
        bound
    }

    fn damaged(&self, what: impl std::fmt::Display) -> Error {
        Error::corrupt(format!("segment {}: {what}", self.segment))
    }
}
