//! Frames: packing, sealing and opening of blocks.

use bytes::Bytes;

use super::{SealKind, SegmentOpener};
use crate::codec::Writer;
use crate::data::block::{BlockAddress, BlockIdentity, Codec, PlainBlock};
use crate::error::{Error, Result};
use crate::identity::SegmentId;
use crate::keys::SEAL_BYTES;

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
    pub(super) fn sealed_bytes(&self) -> u32 {
        self.packed_bytes + SEAL_BYTES as u32
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
        let start = buffer.len();
        buffer.extend_from_slice(&block.bytes);
        let bound = self.frame_bound(address, block.identity);
        let sealed = buffer.get_mut(start..).unwrap_or_default();
        let tag = self.key.seal_detached(u64::from(address.frame), bound.as_slice(), sealed)?;
        buffer.extend_from_slice(&tag);
        Ok(())
    }

    /// Opens the frame at that address, which must be the block of that identity.
    pub(crate) fn open_frame(
        &self,
        address: &BlockAddress,
        identity: BlockIdentity,
        sealed: &[u8],
    ) -> Result<Bytes> {
        let damaged = |what: &str| self.damaged(format!("frame {}: {what}", address.frame));
        if address.segment != self.segment || sealed.len() != address.sealed_bytes as usize {
            return Err(damaged("cut short"));
        }
        let bound = self.frame_bound(address, identity);
        let bytes = self
            .key
            .opened(u64::from(address.frame), bound.as_slice(), sealed)
            .map_err(|_| damaged("the sealed bytes do not authenticate"))?;
        let plain_bytes = address.plain_bytes as usize;
        let plain = match address.codec {
            Codec::Plain => bytes,
            Codec::Zstd => zstd::bulk::decompress(&bytes, plain_bytes)
                .map_err(|_| damaged("the compressed bytes are malformed"))?,
        };
        if plain.len() != plain_bytes {
            return Err(damaged("the length contradicts the address"));
        }
        Ok(plain.into())
    }

    pub(super) fn frame_bound(&self, address: &BlockAddress, identity: BlockIdentity) -> Writer {
        let mut bound = self.bound(SealKind::Frame, address.offset);
        bound.u32(address.frame).u64(identity.content.0).u64(identity.block.0);
        bound.u8(address.codec.to_byte()).u32(address.plain_bytes);
        bound
    }
}
