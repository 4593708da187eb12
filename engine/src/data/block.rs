//! What a block is, and where it stands.
//!
//! # The address as bytes
//! Big endian, 32 bytes:
//!
//! | offset | bytes | what |
//! |---|---|---|
//! | 0 | 16 | segment id |
//! | 16 | 5 | offset of the sealed bytes in the segment |
//! | 21 | 4 | frame number |
//! | 25 | 3 | sealed bytes |
//! | 28 | 3 | plain bytes, 1 to 65,536 |
//! | 31 | 1 | codec: 0 plain, 1 zstd, 2 cells |

use bytes::Bytes;

use crate::codec::{Malformed, Reader};
use crate::error::{Error, Result};
use crate::identity::{BlockIndex, ContentId, SegmentId};
use crate::keys::SEAL_BYTES;
use crate::limits::BLOCK_BYTES;

/// Which block of which content it is. Bound into the seal, so that no block can pass for another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct BlockIdentity {
    /// The content.
    pub(crate) content: ContentId,
    /// The block within it.
    pub(crate) block: BlockIndex,
}

/// How the bytes were packed before they were sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Codec {
    /// As they are.
    Plain,
    /// With zstd; always smaller than plain.
    Zstd,
    /// As they are, in cells of [`CELL_BYTES`] that are sealed one by one, so that a page is read without the rest; more than one cell.
    Cells,
}

/// A block to be stored.
#[derive(Debug, Clone)]
pub(crate) struct PlainBlock {
    /// Which it is.
    pub(crate) identity: BlockIdentity,
    /// Its bytes, 1 to [`BLOCK_BYTES`] of them; zeros at the end may be left out.
    pub(crate) bytes: Bytes,
}

/// Where a block stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct BlockAddress {
    /// The segment.
    pub(crate) segment: SegmentId,
    /// Where its sealed bytes start in the segment.
    pub(crate) offset: u64,
    /// How many there are.
    pub(crate) sealed_bytes: u32,
    /// Its number in the segment, which is also the counter of its seal.
    pub(crate) frame: u32,
    /// Bytes when opened.
    pub(crate) plain_bytes: u32,
    /// How it is packed.
    pub(crate) codec: Codec,
}

/// The largest offset that an address can hold.
pub(crate) const OFFSET_MAX: u64 = (1 << 40) - 1;
/// The most plain bytes of a block.
pub(crate) const PLAIN_BYTES_MAX: u32 = 65_536;

/// Plain bytes of a cell; the last one of a block may be shorter. A page: what a database reads and a client caches.
pub(crate) const CELL_BYTES: u32 = 4096;

const SEAL_BYTES_U32: u32 = 16;
const _: () = assert!(BLOCK_BYTES == PLAIN_BYTES_MAX as u64 && SEAL_BYTES == SEAL_BYTES_U32 as usize);
const _: () = assert!(PLAIN_BYTES_MAX.is_multiple_of(CELL_BYTES));

impl Codec {
    pub(super) fn to_byte(self) -> u8 {
        match self {
            Codec::Plain => 0,
            Codec::Zstd => 1,
            Codec::Cells => 2,
        }
    }

    pub(super) fn from_byte(byte: u8) -> Result<Codec, Malformed> {
        match byte {
            0 => Ok(Codec::Plain),
            1 => Ok(Codec::Zstd),
            2 => Ok(Codec::Cells),
            _ => Err(Malformed("unknown block codec")),
        }
    }

    /// Whether a block of these lengths can be packed so: the decoders refuse all others.
    pub(super) fn check(self, plain_bytes: u32, sealed_bytes: u32) -> Result<(), Malformed> {
        if !(1..=PLAIN_BYTES_MAX).contains(&plain_bytes) {
            return Err(Malformed("block length out of range"));
        }
        let plain_sealed = plain_bytes + SEAL_BYTES_U32;
        let fits = match self {
            Codec::Plain => sealed_bytes == plain_sealed,
            Codec::Zstd => (SEAL_BYTES_U32 + 1..plain_sealed).contains(&sealed_bytes),
            Codec::Cells => plain_bytes > CELL_BYTES && sealed_bytes == cells_sealed_bytes(plain_bytes),
        };
        if fits { Ok(()) } else { Err(Malformed("sealed length contradicts the block length")) }
    }
}

/// Sealed bytes of a block in cells.
pub(super) fn cells_sealed_bytes(plain_bytes: u32) -> u32 {
    plain_bytes + plain_bytes.div_ceil(CELL_BYTES) * SEAL_BYTES_U32
}

impl PlainBlock {
    /// The length, if it is one that a block may have.
    pub(super) fn plain_bytes(&self) -> Result<u32> {
        u32::try_from(self.bytes.len())
            .ok()
            .filter(|length| (1..=PLAIN_BYTES_MAX).contains(length))
            .ok_or(Error::Invalid { what: "a block holds 1 to 65536 bytes" })
    }
}

impl BlockAddress {
    /// Bytes of an encoded address.
    #[cfg(test)]
    pub(crate) const ENCODED_BYTES: usize = 32;

    /// The offset just after the sealed bytes.
    pub(crate) fn end(&self) -> u64 {
        self.offset.saturating_add(u64::from(self.sealed_bytes))
    }

    /// Appends the 32 bytes of the address.
    pub(crate) fn encode(&self, buffer: &mut Vec<u8>) {
        debug_assert!(
            self.offset <= OFFSET_MAX && self.codec.check(self.plain_bytes, self.sealed_bytes).is_ok()
        );
        buffer.extend_from_slice(&self.segment.0);
        buffer.extend(self.offset.to_be_bytes().iter().skip(3));
        buffer.extend_from_slice(&self.frame.to_be_bytes());
        buffer.extend(self.sealed_bytes.to_be_bytes().iter().skip(1));
        buffer.extend(self.plain_bytes.to_be_bytes().iter().skip(1));
        buffer.push(self.codec.to_byte());
    }

    /// Reads an address.
    pub(crate) fn decode(reader: &mut Reader<'_>) -> Result<BlockAddress, Malformed> {
        let segment = SegmentId(reader.array()?);
        let [a, b, c, d, e] = reader.array()?;
        let offset = u64::from_be_bytes([0, 0, 0, a, b, c, d, e]);
        let frame = reader.u32()?;
        let [a, b, c] = reader.array()?;
        let sealed_bytes = u32::from_be_bytes([0, a, b, c]);
        let [a, b, c] = reader.array()?;
        let plain_bytes = u32::from_be_bytes([0, a, b, c]);
        let codec = Codec::from_byte(reader.u8()?)?;
        codec.check(plain_bytes, sealed_bytes)?;
        Ok(BlockAddress { segment, offset, sealed_bytes, frame, plain_bytes, codec })
    }
}
