//! Batches: header and directory.

use super::frame::PackedBlock;
use super::{SealKind, SegmentOpener, SegmentSealer};
use crate::codec::{Malformed, Reader, Writer};
use crate::data::block::{BlockAddress, BlockIdentity, Codec, OFFSET_MAX};
use crate::error::{Error, Result};
use crate::identity::{BlockIndex, ContentId};
use crate::keys::SEAL_BYTES;

/// What a batch starts with.
pub(crate) const BATCH_MAGIC: [u8; 4] = *b"btch";
const FIELDS_BYTES: usize = 20;
const ENTRY_BYTES: usize = 25;
/// Bytes of a batch header.
pub(crate) const BATCH_HEADER_BYTES: usize = FIELDS_BYTES + SEAL_BYTES;
/// Frames in a batch: bounds what a reader of the directory must hold in memory, 25 MiB.
const FRAMES_MAX: u32 = 1 << 20;

/// An authentic batch header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BatchHeader {
    pub(super) offset: u64,
    pub(super) counter: u32,
    pub(super) frames: u32,
    pub(super) body_bytes: u64,
}

/// A block in a directory.
pub(crate) type DirectoryEntry = (BlockIdentity, BlockAddress);

impl BatchHeader {
    /// Where the sealed directory starts.
    pub(crate) fn directory_offset(&self) -> u64 {
        self.offset + BATCH_HEADER_BYTES as u64
    }

    /// How long the sealed directory is.
    pub(crate) fn directory_bytes(&self) -> usize {
        usize::try_from(self.frames).unwrap_or(usize::MAX) * ENTRY_BYTES + SEAL_BYTES
    }

    /// Where the batch ends: the next one, or the end of the segment.
    pub(crate) fn end(&self) -> u64 {
        self.frames_offset().saturating_add(self.body_bytes)
    }

    fn frames_offset(&self) -> u64 {
        self.directory_offset() + self.directory_bytes() as u64
    }

    pub(super) fn fields(&self) -> Writer {
        let mut fields = Writer::with_capacity(FIELDS_BYTES);
        fields.bytes(&BATCH_MAGIC).u32(self.counter).u32(self.frames).u64(self.body_bytes);
        fields
    }
}

impl SegmentSealer {
    /// Seals the blocks as one batch, appends it to the buffer and says where each of them stands then.
    pub(crate) fn seal_batch(
        &mut self,
        blocks: &[PackedBlock],
        buffer: &mut Vec<u8>,
    ) -> Result<Vec<BlockAddress>> {
        let header = self.plan(blocks)?;
        let mut addresses = Vec::with_capacity(blocks.len());
        let mut directory = Writer::with_capacity(header.directory_bytes());
        let (mut offset, mut frame) = (header.frames_offset(), header.counter + 2);
        for block in blocks {
            let address = block.address(self.segment(), offset, frame);
            offset = address.end();
            frame += 1;
            encode_entry(&mut directory, block.identity, &address);
            addresses.push(address);
        }
        let opener = &self.opener;
        let fields = header.fields();
        let mut bound = opener.bound(SealKind::Batch, header.offset);
        bound.bytes(fields.as_slice());
        let tag = opener.key.seal_detached(u64::from(header.counter), bound.as_slice(), &mut [])?;
        buffer.extend_from_slice(fields.as_slice());
        buffer.extend_from_slice(&tag);

        let mut directory = directory.into_vec();
        let bound = opener.bound(SealKind::Directory, header.directory_offset());
        opener.key.seal(u64::from(header.counter) + 1, bound.as_slice(), &mut directory)?;
        buffer.extend_from_slice(&directory);

        for (block, address) in blocks.iter().zip(&addresses) {
            opener.seal_frame(block, address, buffer)?;
        }
        self.counter = frame;
        self.length = offset;
        Ok(addresses)
    }

    /// How many bytes [`SegmentSealer::seal_batch`] will append.
    pub(crate) fn batch_bytes(&self, blocks: &[PackedBlock]) -> Result<usize> {
        let bytes = self.plan(blocks)?.end() - self.length;
        usize::try_from(bytes).map_err(|_| Error::Invalid { what: "batch too long" })
    }

    fn plan(&self, blocks: &[PackedBlock]) -> Result<BatchHeader> {
        let frames = u32::try_from(blocks.len()).ok().filter(|frames| (1..=FRAMES_MAX).contains(frames));
        let frames = frames.ok_or(Error::Invalid { what: "number of blocks in one batch" })?;
        let body_bytes = blocks.iter().map(|block| u64::from(block.sealed_bytes())).sum();
        let header = BatchHeader { offset: self.length, counter: self.counter, frames, body_bytes };
        let counters_left = self.counter.checked_add(2).and_then(|first| first.checked_add(frames));
        if counters_left.is_none() || header.end() > OFFSET_MAX {
            return Err(Error::Invalid { what: "segment too long" });
        }
        Ok(header)
    }
}

impl SegmentOpener {
    /// Opens the batch header that stands at the offset.
    pub(crate) fn open_batch_header(&self, offset: u64, bytes: &[u8]) -> Result<BatchHeader> {
        let damaged = || self.damaged(format!("the batch header at {offset} does not authenticate"));
        let (fields, tag) = bytes
            .split_at_checked(FIELDS_BYTES)
            .filter(|(_, tag)| tag.len() == SEAL_BYTES)
            .ok_or_else(damaged)?;
        let mut reader = Reader::new(fields);
        let magic: [u8; 4] = reader.array()?;
        let header =
            BatchHeader { offset, counter: reader.u32()?, frames: reader.u32()?, body_bytes: reader.u64()? };
        let mut bound = self.bound(SealKind::Batch, offset);
        bound.bytes(fields);
        self.key
            .open(u64::from(header.counter), bound.as_slice(), &mut tag.to_vec())
            .map_err(|_| damaged())?;
        if magic != BATCH_MAGIC || !(1..=FRAMES_MAX).contains(&header.frames) || header.end() > OFFSET_MAX {
            return Err(self.damaged(format!("the batch header at {offset} contradicts itself")));
        }
        Ok(header)
    }

    /// Opens the directory of a batch.
    pub(crate) fn open_directory(&self, header: &BatchHeader, bytes: &[u8]) -> Result<Vec<DirectoryEntry>> {
        let offset = header.directory_offset();
        let mut directory = bytes.to_vec();
        let bound = self.bound(SealKind::Directory, offset);
        self.key
            .open(u64::from(header.counter) + 1, bound.as_slice(), &mut directory)
            .map_err(|_| self.damaged(format!("the directory at {offset} does not authenticate")))?;
        self.decode_directory(header, &directory)
            .map_err(|malformed| self.damaged(format!("the directory at {offset}: {malformed}")))
    }

    pub(super) fn decode_directory(
        &self,
        header: &BatchHeader,
        directory: &[u8],
    ) -> Result<Vec<DirectoryEntry>, Malformed> {
        let mut reader = Reader::new(directory);
        let mut entries = Vec::with_capacity(directory.len() / ENTRY_BYTES);
        let mut offset = header.frames_offset();
        let first = header.counter.checked_add(2).ok_or(Malformed("frame number out of range"))?;
        for index in 0..header.frames {
            let frame = first.checked_add(index).ok_or(Malformed("frame number out of range"))?;
            let identity =
                BlockIdentity { content: ContentId(reader.u64()?), block: BlockIndex(reader.u64()?) };
            let (sealed_bytes, plain_bytes) = (reader.u32()?, reader.u32()?);
            let codec = Codec::from_byte(reader.u8()?)?;
            codec.check(plain_bytes, sealed_bytes)?;
            let segment = self.segment;
            let address = BlockAddress { segment, offset, sealed_bytes, frame, plain_bytes, codec };
            offset = address.end();
            entries.push((identity, address));
        }
        reader.finish()?;
        if offset != header.end() {
            return Err(Malformed("the frames' lengths contradict the batch header"));
        }
        Ok(entries)
    }
}

pub(super) fn encode_entry(directory: &mut Writer, identity: BlockIdentity, address: &BlockAddress) {
    directory.u64(identity.content.0).u64(identity.block.0);
    directory.u32(address.sealed_bytes).u32(address.plain_bytes).u8(address.codec.to_byte());
}

#[cfg(test)]
pub(super) fn any_header() -> BatchHeader {
    BatchHeader { offset: 44, counter: u32::MAX - 2, frames: 3, body_bytes: 100 }
}
