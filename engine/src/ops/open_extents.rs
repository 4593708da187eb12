//! Opening what extents show: from the cache, from the disk, from the cold tier.

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;

use super::layout::{Span, span_of};
use crate::data::block::CELL_BYTES;
use crate::data::{BlockAddress, BlockIdentity, BlockPart};
use crate::error::{Error, Result};
use crate::identity::{BlockIndex, ContentId, SegmentId};
use crate::records::Extent;
use crate::tiering::Tier;
use crate::volume::Volume;

/// A read of more extents than that takes whole blocks.
const PAGES_EXTENTS_MAX: usize = 2;
/// A read that follows as many cells that were read one by one is one of a row of them, and takes the whole block.
const ROW_CELLS: u32 = 2;

/// What an extent shows of a span.
enum Shown {
    /// Where it begins, and its bytes.
    Here(u64, Bytes),
    Page(Page),
}

/// Few cells of a block that are wanted by themselves.
struct Page {
    part: BlockPart,
    identity: BlockIdentity,
    /// Where in the content they begin, and where what the extent shows of them ends.
    span: Span,
}

impl Volume {
    /// Opens what extents show of a span; more where that is as cheap. The result is in the order of the extents: where each part
    /// starts, and its bytes.
    pub(super) async fn open_shown(
        &self,
        content: ContentId,
        extents: &[(BlockIndex, Extent)],
        span: Span,
    ) -> Result<Vec<(u64, Bytes)>> {
        let few = if extents.len() <= PAGES_EXTENTS_MAX { extents } else { &[] };
        let shown: Option<Vec<Shown>> =
            few.iter().map(|(block, extent)| self.shown(content, *block, extent, span)).collect();
        let Some(shown) = shown.filter(|shown| shown.len() == extents.len()) else {
            return self.open_extents(content, extents).await;
        };
        let mut bases = Vec::with_capacity(shown.len());
        for one in shown {
            bases.push(match one {
                Shown::Here(at, bytes) => (at, bytes),
                Shown::Page(page) => self.open_page(&page).await?,
            });
        }
        Ok(bases)
    }

    /// What needs no more than the cache or a few cells; `None` if the block has to be read whole.
    fn shown(&self, content: ContentId, block: BlockIndex, extent: &Extent, span: Span) -> Option<Shown> {
        if let Some(bytes) = self.cache.get(&extent.address) {
            return Some(Shown::Here(block.start(), extent.show(&bytes)));
        }
        if extent.tier != Tier::Standard {
            return None;
        }
        let skipped = extent.shared.map_or(0, |shared| shared.skipped_bytes);
        let wanted = span_of(block, extent).meet(span);
        let in_block = |at: u64| u32::try_from(at - block.start()).ok()?.checked_add(skipped);
        let part = BlockPart::with(extent.address, in_block(wanted.from)?..in_block(wanted.end)?)?;
        if !part.is_small() || self.is_in_a_row(&part) {
            return None;
        }
        // What is skipped is a whole number of cells.
        let from = block.start() + u64::from(part.plain_start().checked_sub(skipped)?);
        let identity = extent.sealed_as(content, block);
        Some(Shown::Page(Page { part, identity, span: Span { from, end: wanted.end } }))
    }

    fn is_in_a_row(&self, part: &BlockPart) -> bool {
        let first = part.cells().start;
        let before = first.checked_sub(ROW_CELLS).map(|from| from..first);
        before.is_some_and(|mut before| before.all(|cell| self.cache.has_cell(part.address(), cell)))
    }

    async fn open_page(&self, Page { part, identity, span }: &Page) -> Result<(u64, Bytes)> {
        let (address, cells) = (*part.address(), part.cells());
        let bytes = if cells.len() == 1 {
            // Concurrent readers of one cell share one read of the disk.
            let read = self.standard.read_part(part, *identity);
            self.cache.get_or_load_cell(address, cells.start, read).await?
        } else {
            let kept: Option<Vec<Bytes>> =
                cells.clone().map(|cell| self.cache.cell(&address, cell)).collect();
            match kept {
                Some(kept) => kept.concat().into(),
                None => {
                    let bytes = self.standard.read_part(part, *identity).await?;
                    for (cell, bytes) in cells.zip(bytes.chunks(CELL_BYTES as usize)) {
                        // A slice would keep all of them in memory.
                        self.cache.insert_cell(address, cell, Bytes::copy_from_slice(bytes));
                    }
                    bytes
                }
            }
        };
        let length = usize::try_from(span.end - span.from).unwrap_or(usize::MAX).min(bytes.len());
        Ok((span.from, bytes.slice(..length)))
    }

    /// Opens what extents show: from the cache, or with as few reads and requests as possible from where they are. The result is in
    /// the order of the extents: where each starts, and its bytes.
    pub(crate) async fn open_extents(
        &self,
        content: ContentId,
        extents: &[(BlockIndex, Extent)],
    ) -> Result<Vec<(u64, Bytes)>> {
        if let [(block, extent)] = extents {
            let bytes = match self.cache.get(&extent.address) {
                Some(bytes) => bytes,
                None => {
                    self.load_one(extent.tier, &extent.address, extent.sealed_as(content, *block)).await?
                }
            };
            return Ok(vec![(block.start(), extent.show(&bytes))]);
        }
        let mut opened: HashMap<BlockAddress, Bytes> = HashMap::with_capacity(extents.len());
        for tier in [Tier::Standard, Tier::InfrequentAccess] {
            // Two extents of one block want it once.
            let mut missing: BTreeMap<(SegmentId, u32), (BlockAddress, BlockIdentity)> = BTreeMap::new();
            for (block, extent) in extents.iter().filter(|(_, extent)| extent.tier == tier) {
                let address = extent.address;
                match self.cache.get(&address) {
                    Some(bytes) => drop(opened.insert(address, bytes)),
                    None => {
                        let wanted = (address, extent.sealed_as(content, *block));
                        missing.insert((address.segment, address.frame), wanted);
                    }
                }
            }
            let missing: Vec<_> = missing.into_values().collect();
            self.load(tier, &missing, &mut opened).await?;
        }
        let show = |(block, extent): &(BlockIndex, Extent)| {
            let bytes = opened.get(&extent.address).ok_or_else(|| Error::corrupt("a block was not read"))?;
            Ok((block.start(), extent.show(bytes)))
        };
        extents.iter().map(show).collect()
    }

    /// Concurrent readers of one block share one read of the disk, or one request.
    async fn load_one(&self, tier: Tier, address: &BlockAddress, identity: BlockIdentity) -> Result<Bytes> {
        match tier {
            Tier::Standard => self.cache.get_or_load(*address, self.standard.read(address, identity)).await,
            Tier::InfrequentAccess => {
                self.cache.get_or_load(*address, self.cold.read(address, identity)).await
            }
        }
    }

    async fn load(
        &self,
        tier: Tier,
        missing: &[(BlockAddress, BlockIdentity)],
        opened: &mut HashMap<BlockAddress, Bytes>,
    ) -> Result<()> {
        match (missing, tier) {
            ([], _) => {}
            ([(address, identity)], tier) => {
                opened.insert(*address, self.load_one(tier, address, *identity).await?);
            }
            (several, tier) => {
                let blocks = match tier {
                    Tier::Standard => self.standard.read_many(several).await?,
                    Tier::InfrequentAccess => self.cold.read_many(several).await?,
                };
                for ((address, _), bytes) in several.iter().zip(blocks) {
                    self.cache.insert(*address, bytes.clone());
                    opened.insert(*address, bytes);
                }
            }
        }
        Ok(())
    }
}
