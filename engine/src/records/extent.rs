//! Where content lies: extents (in blocks of segments) and pieces (in the metadata itself), and the segments.
//!
//! Extent: format 1 (1), tier (1), visible bytes (4), then the block's address. Bytes of the block beyond the visible ones
//! were cut off by a truncation; the block reads as zeros from there.
//!
//! Piece: format 1 (1), inode (8), offset in the block (4), then its bytes.
//!
//! Segment: format 1 (1), tier (1), state (1), live bytes (8), written bytes (8).

use bytes::Bytes;

use crate::codec::{Malformed, Reader};
use crate::data::BlockAddress;
use crate::identity::InodeId;
use crate::tiering::Tier;

const FORMAT: u8 = 1;

fn tier_code(tier: Tier) -> u8 {
    match tier {
        Tier::Standard => 0,
        Tier::InfrequentAccess => 1,
    }
}

fn decode_tier(code: u8) -> Result<Tier, Malformed> {
    match code {
        0 => Ok(Tier::Standard),
        1 => Ok(Tier::InfrequentAccess),
        _ => Err(Malformed("tier")),
    }
}

fn expect_format(reader: &mut Reader<'_>) -> Result<(), Malformed> {
    if reader.u8()? == FORMAT { Ok(()) } else { Err(Malformed("format")) }
}

/// One block of a file's content, sealed in a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Extent {
    pub(crate) tier: Tier,
    pub(crate) visible_bytes: u32,
    pub(crate) address: BlockAddress,
}

impl Extent {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = vec![FORMAT, tier_code(self.tier)];
        out.extend_from_slice(&self.visible_bytes.to_be_bytes());
        self.address.encode(&mut out);
        out
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(bytes);
        expect_format(&mut reader)?;
        let tier = decode_tier(reader.u8()?)?;
        let visible_bytes = reader.u32()?;
        let address = BlockAddress::decode(&mut reader)?;
        reader.finish()?;
        if visible_bytes > address.plain_bytes {
            return Err(Malformed("visible bytes"));
        }
        Ok(Extent { tier, visible_bytes, address })
    }
}

/// A small write that is not yet folded into a block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Piece {
    pub(crate) inode: InodeId,
    pub(crate) offset: u32,
    pub(crate) bytes: Bytes,
}

impl Piece {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(13 + self.bytes.len());
        out.push(FORMAT);
        out.extend_from_slice(&self.inode.0.to_be_bytes());
        out.extend_from_slice(&self.offset.to_be_bytes());
        out.extend_from_slice(&self.bytes);
        out
    }

    pub(crate) fn decode(bytes: &Bytes) -> Result<Self, Malformed> {
        let mut reader = Reader::new(bytes);
        expect_format(&mut reader)?;
        let inode = InodeId(reader.u64()?);
        let offset = reader.u32()?;
        Ok(Piece { inode, offset, bytes: bytes.slice_ref(reader.rest()) })
    }
}

/// What is done with a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SegmentState {
    /// Announced, and perhaps being written. After a restart it is garbage unless something in it is live.
    Announced,
    /// Extents point, or pointed, into it.
    InUse,
}

/// A segment's row in the metadata.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SegmentRecord {
    pub(crate) tier: Tier,
    pub(crate) state: SegmentState,
    /// Sealed bytes of the blocks that extents point to.
    pub(crate) live_bytes: u64,
    /// Sealed bytes of all blocks that extents ever pointed to; with the live ones it tells how much is garbage.
    pub(crate) written_bytes: u64,
}

impl SegmentRecord {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let state = match self.state {
            SegmentState::Announced => 0,
            SegmentState::InUse => 1,
        };
        let mut out = vec![FORMAT, tier_code(self.tier), state];
        out.extend_from_slice(&self.live_bytes.to_be_bytes());
        out.extend_from_slice(&self.written_bytes.to_be_bytes());
        out
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(bytes);
        expect_format(&mut reader)?;
        let tier = decode_tier(reader.u8()?)?;
        let state = match reader.u8()? {
            0 => SegmentState::Announced,
            1 => SegmentState::InUse,
            _ => return Err(Malformed("segment state")),
        };
        let live_bytes = reader.u64()?;
        let written_bytes = reader.u64()?;
        reader.finish()?;
        Ok(SegmentRecord { tier, state, live_bytes, written_bytes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_and_segments_round_trip() {
        let piece = Piece { inode: InodeId(3), offset: 100, bytes: Bytes::from_static(b"bytes") };
        assert_eq!(Piece::decode(&piece.encode().into()), Ok(piece));
        for state in [SegmentState::Announced, SegmentState::InUse] {
            let record = SegmentRecord {
                tier: Tier::InfrequentAccess,
                state,
                live_bytes: 1 << 40,
                written_bytes: 1 << 41,
            };
            assert_eq!(SegmentRecord::decode(&record.encode()), Ok(record));
        }
        assert!(SegmentRecord::decode(&[1, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0]).is_err());
    }
}
