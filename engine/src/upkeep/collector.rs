//! The collector: segments that are mostly garbage are rewritten, and then have nothing live in them.

use crate::data::{BlockAddress, BlockIdentity, PlainBlock};
use crate::error::{Error, Result};
use crate::identity::{BlockIndex, SegmentId};
use crate::limits::RECORD_EXTENTS_MAX;
use crate::records::{Extent, SegmentRecord, SegmentState};
use crate::tiering::Tier;
use crate::volume::{Look, Volume};

/// A segment is collected when less than this share of what was written to it is live: one half, so that the space taken
/// stays below twice the space needed, at the price of writing each byte about once more.
const LIVE_SHARE_MIN: (u64, u64) = (1, 2);

/// A live block of a segment that is being collected.
struct LiveBlock {
    identity: BlockIdentity,
    extent: Extent,
}

impl Volume {
    /// Rewrites the segment with the most garbage, if it is worth it.
    pub(crate) async fn collect_garbage(&self) -> Result<()> {
        let active = self.standard.active();
        let worst = self
            .segments()?
            .into_iter()
            .filter(|(id, record)| Some(*id) != active && is_worth_it(record) && !self.uploads.contains(*id))
            .max_by_key(|(_, record)| record.written_bytes - record.live_bytes.min(record.written_bytes));
        let Some((id, record)) = worst else { return Ok(()) };
        match self.collect(id, record.tier).await {
            // The store is away: nothing is lost by waiting.
            Err(Error::Unavailable { .. }) => Ok(()),
            result => result,
        }
    }

    pub(super) async fn collect(&self, segment: SegmentId, tier: Tier) -> Result<()> {
        let directory = match tier {
            Tier::Standard => self.standard.directory(segment).await?,
            Tier::InfrequentAccess => self.cold.directory(segment).await?,
        };
        let mut live = Vec::new();
        for (identity, address) in directory {
            let next = BlockIndex(identity.block.0 + 1);
            let extent = self.store.extents(identity.content, identity.block, next)?.pop();
            if let Some((_, extent)) = extent.filter(|(_, extent)| extent.address == address) {
                live.push(LiveBlock { identity, extent });
            }
        }
        let blocks_max = crate::ops::relocate::blocks_of(self.budgets.object_bytes);
        for chunk in live.chunks(blocks_max) {
            self.rewrite(chunk, tier).await?;
        }
        Ok(())
    }

    async fn rewrite(&self, live: &[LiveBlock], tier: Tier) -> Result<()> {
        let mut blocks = Vec::with_capacity(live.len());
        for one in live {
            let rows = [(one.identity.block, one.extent)];
            let opened = self.open_extents(one.identity.content, &rows).await?;
            let bytes = opened.into_values().next().unwrap_or_default();
            blocks.push(PlainBlock { identity: one.identity, bytes });
        }
        match tier {
            Tier::Standard => {
                let _writing = self.data_writes.read().await;
                let addresses = self.append_standard(blocks).await?;
                self.swing_same(live, &addresses)
            }
            Tier::InfrequentAccess => {
                let segment = self.new_segment_id();
                let _upload = self.announce(segment, tier).await?;
                let addresses = self.cold.put(segment, blocks).await?;
                self.swing_same(live, &addresses)
            }
        }
    }

    /// Points blocks at their copies in the same tier, unless they were changed meanwhile. No file's counters move.
    fn swing_same(&self, live: &[LiveBlock], addresses: &[BlockAddress]) -> Result<()> {
        let pairs: Vec<_> = live.iter().zip(addresses).collect();
        for chunk in pairs.chunks(RECORD_EXTENTS_MAX) {
            let mut change = self.begin()?;
            for (one, address) in chunk {
                let BlockIdentity { content, block } = one.identity;
                let current = change.extents(content, block, BlockIndex(block.0 + 1))?.pop();
                if current.is_some_and(|(_, current)| current == one.extent) {
                    let new = Extent { address: **address, ..one.extent };
                    change.replace_extent((content, block), Some(&one.extent), Some(&new))?;
                }
            }
            drop(change.commit());
        }
        Ok(())
    }
}

fn is_worth_it(record: &SegmentRecord) -> bool {
    let (part, whole) = LIVE_SHARE_MIN;
    record.state == SegmentState::InUse
        && record.live_bytes > 0
        && record.live_bytes * whole < record.written_bytes * part
}
