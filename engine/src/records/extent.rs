//! Where content lies: extents (in blocks of segments) and pieces (in the metadata itself), and the segments.
//!
//! A content is a row of *slots* of 64 KiB. A block is what is sealed as one frame: 1 byte to 64 KiB. An extent shows a range of
//! bytes of one block at a place of a content. Its key says where it starts, in units of 4 KiB. A file written from front to end has one
//! extent for each slot; where it is written at random it has one for each unit that was written.
//!
//! Extent of a block that nobody else uses, format 1: format (1), tier (1), visible bytes (4), then the block's address (32). The block was
//! sealed under the extent's own content and place, and is shown from its first byte on.
//!
//! Extent of a block that is or was shared, format 2: format (1), tier (1), visible bytes (4), address (32), origin: content (8) and
//! block (8) under which the block was sealed, then the bytes at the start of the block that are skipped (4).
//!
//! Piece: format 1 (1), inode (8), offset in the slot (4), then its bytes.
//!
//! Segment: format 1 (1), tier (1), state (1), live bytes (8), written bytes (8).
//!
//! # Invariants
//! 1. An extent shows `visible` bytes, at least 1, from byte `place × 4096` on, and does not reach beyond the end of the slot in which it starts.
//!    `skipped + visible` is at most the block's plain bytes. What is skipped is a multiple of 4096.
//! 2. No two extents of a content overlap. What no extent, piece or UNSTABLE write covers is a hole and reads as zeros.
//! 3. A key in `r` exists for exactly each extent of format 2. A block that has any has no user of format 1.
//! 4. `live` of a segment is the sum of the sealed bytes of its blocks that have at least one user, each block counted once
//!    whatever part of it is shown. `written` counts each block once when its first user comes, and is never less than `live`.
//! 5. A piece's key has the first unit of its slot, and the piece ends within the slot. Later pieces (by LSN) lie over earlier ones, and
//!    pieces over extents. Pieces of one LSN do not overlap. A piece covers 1 byte at least.
//! 6. No extent and no piece shows anything at or behind the size of its file.
//! 7. A file's Standard and cold bytes are the sums of the visible bytes of its extents in that tier; its piece bytes that of
//!    its pieces. So a shared block counts in each file that shows it, as `du` shows it elsewhere; only segments count it once.

use bytes::Bytes;

use crate::codec::{Malformed, Reader};
use crate::data::{BlockAddress, BlockIdentity};
use crate::identity::{BlockIndex, ContentId, InodeId};
use crate::limits::UNIT_BYTES;
use crate::tiering::Tier;

const FORMAT: u8 = 1;
const FORMAT_SHARED: u8 = 2;

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

/// A range of bytes of a content, shown from one sealed block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Extent {
    pub(crate) tier: Tier,
    pub(crate) visible_bytes: u32,
    pub(crate) address: BlockAddress,
    /// Set if the block is or was shared; the extent has a key in family `r` then.
    pub(crate) shared: Option<Shared>,
}

/// How an extent shows a block that is or was shared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shared {
    /// What the block was sealed as.
    pub(crate) origin: BlockIdentity,
    /// Bytes at its start that are not shown.
    pub(crate) skipped_bytes: u32,
}

impl Extent {
    /// Shows all of a block that was written for this place.
    pub(crate) fn whole(tier: Tier, address: BlockAddress) -> Self {
        Extent { tier, visible_bytes: address.plain_bytes, address, shared: None }
    }

    /// The identity under which its block was sealed.
    pub(crate) fn sealed_as(&self, content: ContentId, block: BlockIndex) -> BlockIdentity {
        self.shared.map_or(BlockIdentity { content, block }, |shared| shared.origin)
    }

    /// The same, of a block that is shared.
    pub(crate) fn to_shared(self, content: ContentId, block: BlockIndex) -> Self {
        let own = Shared { origin: BlockIdentity { content, block }, skipped_bytes: 0 };
        Extent { shared: self.shared.or(Some(own)), ..self }
    }

    /// The part from `from` bytes on, of `visible_bytes`; of a shared block.
    pub(crate) fn part(self, from: u32, visible_bytes: u32) -> Self {
        let shared =
            self.shared.map(|shared| Shared { skipped_bytes: shared.skipped_bytes + from, ..shared });
        Extent { shared, visible_bytes, ..self }
    }

    /// Where it ends, if it starts there.
    pub(crate) fn end(&self, block: BlockIndex) -> u64 {
        block.start().saturating_add(u64::from(self.visible_bytes))
    }

    /// What it shows of its opened block.
    pub(crate) fn show(&self, opened: &Bytes) -> Bytes {
        let start = self.shared.map_or(0, |shared| shared.skipped_bytes as usize).min(opened.len());
        let end = start.saturating_add(self.visible_bytes as usize).min(opened.len());
        opened.slice(start..end)
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let format = if self.shared.is_some() { FORMAT_SHARED } else { FORMAT };
        let mut out = vec![format, tier_code(self.tier)];
        out.extend_from_slice(&self.visible_bytes.to_be_bytes());
        self.address.encode(&mut out);
        if let Some(Shared { origin, skipped_bytes }) = &self.shared {
            out.extend_from_slice(&origin.content.0.to_be_bytes());
            out.extend_from_slice(&origin.block.0.to_be_bytes());
            out.extend_from_slice(&skipped_bytes.to_be_bytes());
        }
        out
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(bytes);
        let format = reader.u8()?;
        let tier = decode_tier(reader.u8()?)?;
        let visible_bytes = reader.u32()?;
        let address = BlockAddress::decode(&mut reader)?;
        let shared = match format {
            FORMAT => None,
            FORMAT_SHARED => {
                let (content, block) = (ContentId(reader.u64()?), BlockIndex(reader.u64()?));
                let origin = BlockIdentity { content, block };
                Some(Shared { origin, skipped_bytes: reader.u32()? })
            }
            _ => return Err(Malformed("format")),
        };
        reader.finish()?;
        let skipped_bytes = shared.map_or(0, |shared| shared.skipped_bytes);
        if !u64::from(skipped_bytes).is_multiple_of(UNIT_BYTES) {
            return Err(Malformed("skipped bytes"));
        }
        let shown = skipped_bytes.checked_add(visible_bytes);
        if visible_bytes == 0 || shown.is_none_or(|end| end > address.plain_bytes) {
            return Err(Malformed("visible bytes"));
        }
        Ok(Extent { tier, visible_bytes, address, shared })
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
    use crate::data::block::Codec;
    use crate::identity::SegmentId;

    #[test]
    fn extents_round_trip_and_show_no_more_than_there_is() {
        let address = BlockAddress {
            segment: SegmentId([7; 16]),
            offset: 44,
            sealed_bytes: 65_552,
            frame: 9,
            plain_bytes: 65_536,
            codec: Codec::Plain,
        };
        let own = Extent::whole(Tier::Standard, address);
        let shared = own.to_shared(ContentId(1), BlockIndex(16));
        let tail = shared.part(8192, 57_344);
        for extent in [own, shared, tail, Extent { visible_bytes: 1, ..own }] {
            assert_eq!(Extent::decode(&extent.encode()), Ok(extent));
        }
        let bytes = Bytes::from((0..=255).cycle().take(65_536).collect::<Vec<u8>>());
        assert_eq!(tail.show(&bytes), bytes.slice(8192..));
        for wrong in [tail.part(4096, 57_344), tail.part(1, 1), Extent { visible_bytes: 0, ..own }] {
            assert!(Extent::decode(&wrong.encode()).is_err(), "{wrong:?}");
        }
    }

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
