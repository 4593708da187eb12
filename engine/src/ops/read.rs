//! READ: from the write buffer, the pieces, the Standard tier and the cold tiers.
//!
//! The layers are looked at from the newest to the oldest: buffer, pieces, extents. Data only ever moves from a newer layer
//! to an older one, and is there before it is gone here, so that a read never falls between two of them.

use std::collections::BTreeMap;
use std::ops::Range;

use bytes::Bytes;

use crate::attributes::FileKind;
use crate::data::{BlockAddress, BlockIdentity};
use crate::error::{Error, Result};
use crate::file_system::ReadData;
use crate::identity::{BlockIndex, ContentId, InodeId};
use crate::limits::BLOCK_BYTES;
use crate::records::{Content, Extent};
use crate::tiering::Tier;
use crate::volume::{Look, PieceRow, Volume};

/// A block of zeros, for holes.
static ZEROS: [u8; BLOCK_BYTES as usize] = [0; BLOCK_BYTES as usize];

/// How often a read begins again because what it was about to read was moved meanwhile.
pub(super) const MOVED_RETRIES_MAX: u32 = 4;

impl Volume {
    pub(crate) async fn read(&self, inode: InodeId, offset: u64, length: usize) -> Result<ReadData> {
        let mut tries = 0;
        loop {
            match self.read_once(inode, offset, length).await {
                // The segment may have been released after its blocks were moved elsewhere.
                Err(Error::Corrupt { .. } | Error::Io { .. } | Error::NotFound)
                    if tries < MOVED_RETRIES_MAX =>
                {
                    tries += 1
                }
                result => return result,
            }
        }
    }

    async fn read_once(&self, inode: InodeId, offset: u64, length: usize) -> Result<ReadData> {
        let wanted_end = offset.saturating_add(length as u64);
        let layers = self.buffer.read(inode, offset, wanted_end);
        let attributes = self.attributes(inode)?;
        match attributes.kind {
            FileKind::Regular => {}
            FileKind::Directory => return Err(Error::IsDirectory),
            _ => return Err(Error::WrongType),
        }
        let end = wanted_end.min(attributes.size);
        let end_of_file = wanted_end >= attributes.size;
        if offset >= end {
            return Ok(ReadData { parts: Vec::new(), end_of_file });
        }
        let Content::File { id, piece_bytes, .. } = self.stored_inode(inode)?.content else {
            return Err(Error::WrongType);
        };
        let (from, to) = (BlockIndex(offset / BLOCK_BYTES), BlockIndex((end - 1) / BLOCK_BYTES + 1));
        let pieces = if piece_bytes > 0 { self.store.pieces(id, from, to)? } else { Vec::new() };
        let blocks = self.blocks(id, from..to, pieces).await?;
        if blocks.cold {
            self.access_log.note_cold_read(inode);
        }
        self.access_log.touch(inode, self.environment.clock.now());
        Ok(ReadData { parts: cut_parts(&blocks, &layers, offset, end), end_of_file })
    }

    /// The stored content of a range of blocks, opened, with their pieces over it.
    async fn blocks(
        &self,
        content: ContentId,
        range: Range<BlockIndex>,
        pieces: Vec<PieceRow>,
    ) -> Result<Blocks> {
        let extents = self.store.extents(content, range.start, range.end)?;
        let cold = extents.iter().any(|(_, extent)| extent.tier == Tier::InfrequentAccess);
        let mut bases = self.open_extents(content, &extents).await?;
        let mut by_block: BTreeMap<BlockIndex, Vec<PieceRow>> = BTreeMap::new();
        for row in pieces {
            by_block.entry(row.block).or_default().push(row);
        }
        for (block, rows) in by_block {
            let base = bases.remove(&block);
            bases.insert(block, apply_pieces(base.as_ref(), &rows));
        }
        Ok(Blocks { blocks: bases, cold })
    }

    /// Opens the blocks of extents: from the cache, or with as few reads and requests as possible from where they are.
    pub(crate) async fn open_extents(
        &self,
        content: ContentId,
        extents: &[(BlockIndex, Extent)],
    ) -> Result<BTreeMap<BlockIndex, Bytes>> {
        let mut opened = BTreeMap::new();
        for tier in [Tier::Standard, Tier::InfrequentAccess] {
            let mut missing: Vec<(BlockAddress, BlockIdentity)> = Vec::new();
            for (block, extent) in extents.iter().filter(|(_, extent)| extent.tier == tier) {
                match self.cache.get(&extent.address) {
                    Some(bytes) => drop(opened.insert(*block, bytes)),
                    None => missing.push((extent.address, BlockIdentity { content, block: *block })),
                }
            }
            self.load(tier, &missing, &mut opened).await?;
        }
        for (block, extent) in extents {
            if let Some(bytes) = opened.get_mut(block) {
                bytes.truncate(usize::try_from(extent.visible_bytes).unwrap_or(usize::MAX));
            }
        }
        Ok(opened)
    }

    async fn load(
        &self,
        tier: Tier,
        missing: &[(BlockAddress, BlockIdentity)],
        opened: &mut BTreeMap<BlockIndex, Bytes>,
    ) -> Result<()> {
        match (missing, tier) {
            ([], _) => {}
            // Concurrent readers of one block share one read of the disk, or one request.
            ([(address, identity)], Tier::Standard) => {
                let read = self.standard.read(address, *identity);
                opened.insert(identity.block, self.cache.get_or_load(*address, read).await?);
            }
            ([(address, identity)], Tier::InfrequentAccess) => {
                let read = self.cold.read(address, *identity);
                opened.insert(identity.block, self.cache.get_or_load(*address, read).await?);
            }
            (several, tier) => {
                let blocks = match tier {
                    Tier::Standard => self.standard.read_many(several).await?,
                    Tier::InfrequentAccess => self.cold.read_many(several).await?,
                };
                for ((address, identity), bytes) in several.iter().zip(blocks) {
                    self.cache.insert(*address, bytes.clone());
                    opened.insert(identity.block, bytes);
                }
            }
        }
        Ok(())
    }
}

/// Opened blocks. A block that is not in the map is a hole; a short one is zeros from its end.
struct Blocks {
    blocks: BTreeMap<BlockIndex, Bytes>,
    /// Whether any of them came from a cold tier.
    cold: bool,
}

/// A block's content with its pieces laid over it.
pub(super) fn apply_pieces(base: Option<&Bytes>, rows: &[PieceRow]) -> Bytes {
    let base = base.map_or(&[][..], |base| base);
    let piece_end = |row: &PieceRow| position(u64::from(row.piece.offset)) + row.piece.bytes.len();
    let length = rows.iter().map(piece_end).max().unwrap_or(0).max(base.len());
    let mut block = vec![0; length];
    lay(&mut block, 0, base);
    for row in rows {
        lay(&mut block, position(u64::from(row.piece.offset)), &row.piece.bytes);
    }
    block.into()
}

/// Copies bytes into a block; what does not fit is left out.
fn lay(block: &mut [u8], at: usize, bytes: &[u8]) {
    if let Some(target) = block.get_mut(at..) {
        let length = bytes.len().min(target.len());
        if let (Some(target), Some(bytes)) = (target.get_mut(..length), bytes.get(..length)) {
            target.copy_from_slice(bytes);
        }
    }
}

fn position(offset: u64) -> usize {
    usize::try_from(offset).unwrap_or(usize::MAX)
}

/// The bytes `offset..end`, out of the blocks and the layers over them. Only blocks with something over them are copied.
fn cut_parts(blocks: &Blocks, layers: &[(u64, Bytes)], offset: u64, end: u64) -> Vec<Bytes> {
    let mut parts = Vec::new();
    let mut at = offset;
    while at < end {
        let block = BlockIndex(at / BLOCK_BYTES);
        let start = block.0 * BLOCK_BYTES;
        let stop = (start + BLOCK_BYTES).min(end);
        let (from, to) = (position(at - start), position(stop - start));
        let base = blocks.blocks.get(&block);
        let over: Vec<_> =
            layers.iter().filter(|(from, data)| *from < stop && from + data.len() as u64 > at).collect();
        if over.is_empty() {
            push_base(&mut parts, base, from, to);
        } else {
            let mut copy = vec![0; to];
            lay(&mut copy, 0, base.map_or(&[][..], |base| base));
            for (offset, data) in over {
                match offset.checked_sub(start) {
                    Some(at) => lay(&mut copy, position(at), data),
                    None => lay(&mut copy, 0, data.get(position(start - offset)..).unwrap_or_default()),
                }
            }
            parts.push(Bytes::from(copy).slice(from..));
        }
        at = stop;
    }
    parts
}

/// The bytes `from..to` of a stored block: what there is, then zeros.
fn push_base(parts: &mut Vec<Bytes>, base: Option<&Bytes>, from: usize, to: usize) {
    let stored = base.map_or(0, Bytes::len);
    if let Some(base) = base.filter(|_| from < stored) {
        parts.push(base.slice(from..to.min(stored)));
    }
    let zeros = to - from.max(stored.min(to));
    if zeros > 0 {
        parts.push(Bytes::from_static(ZEROS.get(..zeros).unwrap_or(&ZEROS)));
    }
}
