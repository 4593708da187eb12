//! Frames: packing, sealing and opening of blocks.

use bytes::Bytes;

use super::{SealKind, SegmentOpener};
use crate::codec::Writer;
use crate::data::block::{BlockAddress, BlockIdentity, CELL_BYTES, Codec, PlainBlock, cells_sealed_bytes};
use crate::data::part::BlockPart;
use crate::error::{Error, Result};
use crate::identity::SegmentId;
use crate::keys::{NotAuthentic, SEAL_BYTES};

/// zstd's own default: higher levels cost several times as much for a few per cent.
const ZSTD_LEVEL: i32 = 3;

/// A block that is ready to be sealed.
#[derive(Debug, Clone)]
pub(crate) struct PackedBlock {
    pub(crate) identity: BlockIdentity,
    codec: Codec,
    plain_bytes: u32,
    packed_bytes: u32,
    bytes: Bytes,
}

impl PackedBlock {
    /// As it is.
    pub(crate) fn plain(block: PlainBlock) -> Result<PackedBlock> {
        let plain_bytes = block.plain_bytes()?;
        let PlainBlock { identity, bytes } = block;
        Ok(PackedBlock { identity, codec: Codec::Plain, plain_bytes, packed_bytes: plain_bytes, bytes })
    }

    /// As it is, in cells if there is more than one.
    pub(crate) fn in_cells(block: PlainBlock) -> Result<PackedBlock> {
        let plain = PackedBlock::plain(block)?;
        let codec = if plain.plain_bytes > CELL_BYTES { Codec::Cells } else { Codec::Plain };
        Ok(PackedBlock { codec, ..plain })
    }

    /// Compressed with zstd, unless that makes it no smaller.
    pub(crate) fn compressed(block: PlainBlock) -> Result<PackedBlock> {
        let plain = PackedBlock::plain(block)?;
        let packed = zstd::bulk::compress(&plain.bytes, ZSTD_LEVEL)
            .map_err(|_| Error::Invalid { what: "zstd cannot compress the block" })?;
        match u32::try_from(packed.len()) {
            Ok(packed_bytes) if packed_bytes < plain.plain_bytes => {
                Ok(PackedBlock { codec: Codec::Zstd, packed_bytes, bytes: packed.into(), ..plain })
            }
            _ => Ok(plain),
        }
    }

    /// Bytes once it is sealed.
    pub(crate) fn sealed_bytes(&self) -> u32 {
        match self.codec {
            Codec::Plain | Codec::Zstd => self.packed_bytes + SEAL_BYTES as u32,
            Codec::Cells => cells_sealed_bytes(self.plain_bytes),
        }
    }

    pub(super) fn address(&self, segment: SegmentId, offset: u64, frame: u32) -> BlockAddress {
        let (plain_bytes, codec) = (self.plain_bytes, self.codec);
        BlockAddress { segment, offset, sealed_bytes: self.sealed_bytes(), frame, plain_bytes, codec }
    }
}

impl SegmentOpener {
    pub(super) fn seal_frame(
        &self,
        block: &PackedBlock,
        address: &BlockAddress,
        buffer: &mut Vec<u8>,
    ) -> Result<()> {
        let mut bound = self.frame_bound(address, block.identity);
        if address.codec != Codec::Cells {
            return self.seal_bytes(&block.bytes, counter(address, None), &bound, buffer);
        }
        let of_frame = bound.len();
        for (cell, bytes) in (0..).zip(block.bytes.chunks(CELL_BYTES as usize)) {
            bound.truncate(of_frame).u32(cell);
            self.seal_bytes(bytes, counter(address, Some(cell)), &bound, buffer)?;
        }
        Ok(())
    }

    fn seal_bytes(&self, bytes: &[u8], counter: u64, bound: &Writer, buffer: &mut Vec<u8>) -> Result<()> {
        let start = buffer.len();
        buffer.resize(start + bytes.len() + SEAL_BYTES, 0);
        let sealed = buffer.get_mut(start..).unwrap_or_default();
        self.key.seal_into(counter, bound.as_slice(), bytes, sealed)
    }

    /// Opens the frame at that address, which must be the block of that identity.
    pub(crate) fn open_frame(
        &self,
        address: &BlockAddress,
        identity: BlockIdentity,
        sealed: &[u8],
    ) -> Result<Bytes> {
        self.open_part(&BlockPart::whole(*address), identity, sealed)
    }

    /// Opens a part of the block of that identity.
    pub(crate) fn open_part(
        &self,
        part: &BlockPart,
        identity: BlockIdentity,
        sealed: &[u8],
    ) -> Result<Bytes> {
        let address = part.address();
        let damaged = |what: &str| self.damaged(format!("frame {}: {what}", address.frame));
        if address.segment != self.segment || sealed.len() != part.sealed_bytes() {
            return Err(damaged("cut short"));
        }
        let not_authentic = |_| damaged("the sealed bytes do not authenticate");
        let plain = match address.codec {
            Codec::Plain => self.opened(address, identity, sealed).map_err(not_authentic)?,
            Codec::Zstd => {
                let packed = self.opened(address, identity, sealed).map_err(not_authentic)?;
                zstd::bulk::decompress(&packed, address.plain_bytes as usize)
                    .map_err(|_| damaged("the compressed bytes are malformed"))?
            }
            Codec::Cells => self.open_cells(part, identity, sealed).map_err(not_authentic)?,
        };
        if plain.len() != part.plain_bytes() {
            return Err(damaged("the length contradicts the address"));
        }
        Ok(plain.into())
    }

    fn opened(
        &self,
        address: &BlockAddress,
        identity: BlockIdentity,
        sealed: &[u8],
    ) -> Result<Vec<u8>, NotAuthentic> {
        let bound = self.frame_bound(address, identity);
        self.key.opened(counter(address, None), bound.as_slice(), sealed)
    }

    fn open_cells(
        &self,
        part: &BlockPart,
        identity: BlockIdentity,
        sealed: &[u8],
    ) -> Result<Vec<u8>, NotAuthentic> {
        let address = part.address();
        let mut plain = vec![0; part.plain_bytes()];
        let mut bound = self.frame_bound(address, identity);
        let of_frame = bound.len();
        let sealed = sealed.chunks(CELL_BYTES as usize + SEAL_BYTES);
        let mut cells = part.cells().zip(plain.chunks_mut(CELL_BYTES as usize)).zip(sealed);
        cells.try_for_each(|((cell, plain), sealed)| {
            bound.truncate(of_frame).u32(cell);
            self.key.open_into(counter(address, Some(cell)), bound.as_slice(), sealed, plain)
        })?;
        Ok(plain)
    }

    /// What is bound into the seal of a frame. That of a cell has the cell's place behind it.
    pub(super) fn frame_bound(&self, address: &BlockAddress, identity: BlockIdentity) -> Writer {
        let mut bound = self.bound(SealKind::Frame, address.offset);
        bound.u32(address.frame).u64(identity.content.0).u64(identity.block.0);
        bound.u8(address.codec.to_byte()).u32(address.plain_bytes);
        bound
    }
}

/// Frame numbers are below 2³² and used once in a segment.
fn counter(address: &BlockAddress, cell: Option<u32>) -> u64 {
    u64::from(address.frame) | u64::from(cell.unwrap_or(0)) << 32
}
