//! The collector: the segments with the most garbage are rewritten, and then have nothing live in them.
//!
//! # Crash consistency
//! Live blocks are written and synced first (D1, D2), and then their extents are swung. A block with one user is swung if its extent is
//! still what it was; one that is shared is copied once, and all extents that show it are swung, in as many records as it takes:
//! both copies are live and right in between. A crash leaves copies that nobody points to, which are garbage of their segment.

pub(crate) mod plan;

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use parking_lot::Mutex;

use crate::data::{BlockAddress, BlockIdentity, PlainBlock, Urgency};
use crate::error::{Error, Result};
use crate::garbage::{Collected, CollectionAction, CollectionPlan, PlannedSegment, TierGarbage};
use crate::identity::{BlockIndex, SegmentId};
use crate::limits::UPKEEP_EXTENTS_MAX;
use crate::records::{Extent, SegmentRecord, SegmentState, Shared, key};
use crate::tiering::Tier;
use crate::volume::{Change, Look, Volume};
use plan::{Candidate, Space, Terms};

/// Live bytes that are written anew in one round of upkeep.
const ROUND_BYTES: u64 = 64 << 20;
/// Live bytes that are held in memory at once.
const CHUNK_BYTES: u64 = 8 << 20;
/// Requests for each object that is rewritten: its directory, about four runs of blocks, its part of the new object, its deletion.
const OBJECT_REQUESTS: u64 = 7;
/// How long the store is not asked to take what is collected after it did not: each time some megabytes are read from it before.
pub(super) const STORE_RESTS: Duration = Duration::from_secs(60);
const TIERS: [Tier; 2] = [Tier::Standard, Tier::InfrequentAccess];

/// What the collector keeps in memory.
#[derive(Default)]
pub(crate) struct Collector {
    /// Held while segments are collected.
    running: tokio::sync::Mutex<()>,
    /// Segments in which live blocks could not be found, with their live bytes: they are not tried again while that stays.
    hopeless: Mutex<HashMap<SegmentId, u64>>,
    /// Segments that could not be deleted, and until when they are left alone, in monotonic time.
    undeletable: Mutex<HashMap<SegmentId, Duration>>,
    /// Until then the cold store is not asked to take what is collected, or to delete, as it refused to; in monotonic time.
    store_rests_until: Mutex<Duration>,
}

impl Collector {
    /// Whether upkeep asks nothing of the cold store now.
    pub(super) fn store_rests(&self, now: Duration) -> bool {
        now < *self.store_rests_until.lock()
    }

    /// Whether the segment could not be deleted a short time ago.
    pub(super) fn is_undeletable(&self, segment: SegmentId, now: Duration) -> bool {
        self.undeletable.lock().get(&segment).is_some_and(|until| now < *until)
    }

    /// It could not be deleted: others come first for a while.
    pub(super) fn note_undeletable(&self, segment: SegmentId, now: Duration) {
        let mut undeletable = self.undeletable.lock();
        undeletable.retain(|_, until| now < *until);
        undeletable.insert(segment, now.saturating_add(STORE_RESTS));
    }

    /// It did not take something: it is asked again later.
    pub(super) fn let_store_rest(&self, now: Duration) {
        *self.store_rests_until.lock() = now.saturating_add(STORE_RESTS);
    }
}

/// A live block of a segment that is being collected.
struct LiveBlock {
    /// What it was sealed as.
    identity: BlockIdentity,
    address: BlockAddress,
    user: User,
}

enum User {
    /// The extent of the block's own place.
    Own(Extent),
    /// The extents that the references name.
    Shared,
}

impl LiveBlock {
    /// What is copied of it: what its only user shows, or all.
    fn extent(&self, tier: Tier) -> Extent {
        let shared = Some(Shared { origin: self.identity, skipped_bytes: 0 });
        match &self.user {
            User::Own(extent) => Extent { shared, ..*extent },
            User::Shared => Extent { shared, ..Extent::whole(tier, self.address) },
        }
    }
}

impl Volume {
    /// Rewrites the worst segments, if a tier has too much garbage.
    pub(crate) async fn collect_garbage(&self) -> Result<()> {
        let now = self.environment.clock.monotonic();
        let tiers = if self.collector.store_rests(now) { &TIERS[..1] } else { &TIERS[..] };
        match self.collect_chosen(tiers, ROUND_BYTES, &mut Collected::default()).await {
            // The store is away: nothing is lost by waiting.
            Err(Error::Unavailable { .. }) => Ok(()),
            result => result,
        }
    }

    /// Collects and deletes now all that is due, without a budget.
    pub(crate) async fn collect_now(&self) -> Result<Collected> {
        // Whoever asks has perhaps repaired something.
        self.collector.hopeless.lock().clear();
        let (mut collected, mut failure) = (Collected::default(), Ok(()));
        let (mut tiers, most) = (&TIERS[..], self.segments()?.len() as u64);
        loop {
            // In rounds, each of which frees what it rewrote: the next one may need the room.
            let before = collected.rewritten_bytes;
            let round = self.collect_chosen(tiers, ROUND_BYTES, &mut collected).await;
            if matches!(round, Err(Error::Unavailable { .. })) {
                tiers = &TIERS[..1];
            }
            failure = failure.and(round);
            let deleted = match self.delete_dead_segments().await {
                Ok(deleted) => deleted,
                Err(error) => {
                    failure = failure.and(Err(error));
                    Vec::new()
                }
            };
            collected.deleted_segments += deleted.len() as u64;
            collected.deleted_bytes += deleted.iter().map(|(_, record)| plan::stored(record)).sum::<u64>();
            let did_nothing = collected.rewritten_bytes == before && deleted.is_empty();
            // What others make garbage of meanwhile is for the next call.
            if did_nothing || collected.rewritten_segments >= most {
                return failure.map(|()| collected);
            }
        }
    }

    /// Rewrites what is live in one segment.
    pub(super) async fn collect_segment(&self, segment: SegmentId, record: SegmentRecord) -> Result<()> {
        let _alone = self.collector.running.lock().await;
        self.collect(&[(segment, record)], record.tier, &mut Collected::default()).await
    }

    /// What a collection would do now.
    pub(crate) fn collection_plan(&self) -> Result<CollectionPlan> {
        let segments = self.segments()?;
        let row = |(id, record): &Candidate, action| PlannedSegment {
            id: id.to_string(),
            tier: record.tier,
            live_bytes: record.live_bytes,
            stored_bytes: plan::stored(record),
            action,
        };
        let dead = self.dead_segments()?;
        let is_cold = |(_, record): &&Candidate| record.tier == Tier::InfrequentAccess;
        let mut requests = dead.iter().filter(is_cold).count() as u64;
        let mut planned: Vec<_> = dead.iter().map(|one| row(one, CollectionAction::Delete)).collect();
        let mut tiers = Vec::new();
        for tier in TIERS {
            let space = Space::of(segments.values().filter(|record| record.tier == tier));
            tiers.push(TierGarbage { tier, live_bytes: space.live, stored_bytes: space.stored });
            let chosen = self.chosen(&segments, tier, u64::MAX / 8);
            requests += OBJECT_REQUESTS * chosen.iter().filter(is_cold).count() as u64;
            planned.extend(chosen.iter().map(|one| row(one, CollectionAction::Rewrite)));
        }
        Ok(CollectionPlan { tiers, segments: planned, requests })
    }

    fn chosen(
        &self,
        segments: &BTreeMap<SegmentId, SegmentRecord>,
        tier: Tier,
        budget_bytes: u64,
    ) -> Vec<Candidate> {
        let space = Space::of(segments.values().filter(|record| record.tier == tier));
        let (closed_at, garbage_share_min) = match tier {
            Tier::Standard => (self.budgets.segment_bytes, (1, 8)),
            Tier::InfrequentAccess => (self.budgets.object_bytes, (1, 4)),
        };
        let idle_bytes = closed_at / 16;
        let active = self.standard.active();
        let hopeless = self.collector.hopeless.lock();
        let candidates = segments.iter().filter(|(id, record)| {
            // The segment that is being written is closed for it only if most of it is garbage.
            let is_closed = active != Some(**id)
                || (record.live_bytes < record.written_bytes / 2 && record.written_bytes > idle_bytes);
            record.tier == tier
                && is_closed
                && record.state == SegmentState::InUse
                && !self.uploads.contains(**id)
                && hopeless.get(*id) != Some(&record.live_bytes)
        });
        let candidates = candidates.map(|(id, record)| (*id, *record)).collect();
        plan::choose(space, candidates, Terms { budget_bytes, idle_bytes, garbage_share_min })
    }

    async fn collect_chosen(
        &self,
        tiers: &[Tier],
        budget_bytes: u64,
        collected: &mut Collected,
    ) -> Result<()> {
        let _alone = self.collector.running.lock().await;
        let mut results = Vec::new();
        for tier in tiers.iter().copied() {
            let segments = self.segments()?;
            if tier == Tier::Standard {
                let live = segments
                    .values()
                    .filter(|record| record.tier == tier)
                    .map(|record| record.live_bytes)
                    .sum();
                self.standard.close_at(plan::segment_bytes(live, self.budgets.segment_bytes));
            }
            self.collector.hopeless.lock().retain(|id, _| segments.contains_key(id));
            let chosen = self.chosen(&segments, tier, budget_bytes);
            if chosen.iter().any(|(id, _)| self.standard.active() == Some(*id)) {
                self.standard.close_active().await?;
            }
            let result = self.collect(&chosen, tier, collected).await;
            if matches!(result, Err(Error::Unavailable { .. })) {
                self.collector.let_store_rest(self.environment.clock.monotonic());
            }
            self.note_hopeless(&chosen, &result)?;
            results.push(result);
        }
        results.into_iter().collect()
    }

    /// Segments that are still live after a collection are tried again when something in them has changed.
    fn note_hopeless(&self, chosen: &[Candidate], result: &Result<()>) -> Result<()> {
        if result.as_ref().is_err_and(is_elsewhere) {
            return Ok(());
        }
        let mut hopeless = self.collector.hopeless.lock();
        for (id, _) in chosen {
            let left = self.store.get(&key::segment(*id))?;
            let left = left.map(|bytes| crate::volume::decode_segment(*id, &bytes)).transpose()?;
            match left.map(|record| record.live_bytes).filter(|live| *live > 0) {
                Some(live) => hopeless.insert(*id, live),
                None => hopeless.remove(id),
            };
        }
        Ok(())
    }

    /// Rewrites the segments: the live blocks of all of them together, so that half-empty objects become fewer full ones. One that cannot
    /// be read does not keep the others from it; a failure is returned, first of those that are not in the segments.
    async fn collect(&self, chosen: &[Candidate], tier: Tier, collected: &mut Collected) -> Result<()> {
        let chunk_bytes = match tier {
            Tier::Standard => CHUNK_BYTES,
            Tier::InfrequentAccess => self.budgets.object_bytes,
        };
        let mut results = Vec::new();
        let mut chunk = Vec::new();
        let mut bytes = 0;
        for (id, _) in chosen {
            let live = match self.live_blocks(*id, tier).await {
                Ok(live) => live,
                Err(error) => {
                    results.push(Err(error));
                    continue;
                }
            };
            collected.rewritten_segments += 1;
            for one in live {
                bytes += u64::from(one.address.plain_bytes);
                chunk.push(one);
                if bytes >= chunk_bytes {
                    match self.rewrite(&std::mem::take(&mut chunk), tier).await {
                        // It would not take the others either.
                        Err(error @ Error::Unavailable { .. }) => return Err(error),
                        Ok(()) => collected.rewritten_bytes += bytes,
                        Err(error) => results.push(Err(error)),
                    }
                    bytes = 0;
                }
            }
        }
        if !chunk.is_empty() {
            let rewritten = self.rewrite(&chunk, tier).await;
            collected.rewritten_bytes += if rewritten.is_ok() { bytes } else { 0 };
            results.push(rewritten);
        }
        results.sort_by_key(|result| !result.as_ref().is_err_and(is_elsewhere));
        results.into_iter().collect()
    }

    async fn live_blocks(&self, segment: SegmentId, tier: Tier) -> Result<Vec<LiveBlock>> {
        let directory = match tier {
            Tier::Standard => self.standard.directory(segment).await?,
            Tier::InfrequentAccess => self.cold.directory(segment).await?,
        };
        let (from, end) = key::references_into(segment);
        let has_shared = !self.store.scan(&from, &end, 1)?.is_empty();
        let mut live = Vec::new();
        for (identity, address) in directory {
            let next = BlockIndex(identity.block.0 + 1);
            let own = self.store.extents(identity.content, identity.block, next)?.pop();
            let own = own.filter(|(_, extent)| extent.address == address && extent.shared.is_none());
            let (from, end) = key::references(&address);
            if let Some((_, extent)) = own {
                live.push(LiveBlock { identity, address, user: User::Own(extent) });
            } else if has_shared && !self.store.scan(&from, &end, 1)?.is_empty() {
                live.push(LiveBlock { identity, address, user: User::Shared });
            }
        }
        Ok(live)
    }

    async fn rewrite(&self, live: &[LiveBlock], tier: Tier) -> Result<()> {
        self.store.admit().await?;
        if tier == Tier::Standard {
            let bytes = live.iter().map(|one| u64::from(one.address.plain_bytes)).sum();
            self.space.grant_copies(bytes, self.store.statistics().overlay_bytes)?;
        }
        let rows: Vec<_> = live.iter().map(|one| (one.identity.block, one.extent(tier))).collect();
        // Each extent says what its block was sealed as, so that the content does not matter.
        let Some(any) = live.first() else { return Ok(()) };
        let opened = self.open_extents(any.identity.content, &rows).await?;
        let block = |(one, (_, bytes)): (&LiveBlock, (u64, bytes::Bytes))| PlainBlock {
            identity: one.identity,
            bytes,
        };
        let blocks = live.iter().zip(opened).map(block).collect();
        match tier {
            Tier::Standard => {
                let _writing = self.data_writes.read().await;
                let addresses = self.append_standard(blocks, Urgency::Upkeep).await?;
                self.swing_same(live, &addresses).await
            }
            Tier::InfrequentAccess => {
                let segment = self.new_segment_id();
                let _upload = self.announce(segment, tier).await?;
                let addresses = self.cold.put(segment, blocks).await?;
                self.swing_same(live, &addresses).await
            }
        }
    }

    /// Points blocks at their copies in the same tier. No file's counters move.
    async fn swing_same(&self, live: &[LiveBlock], addresses: &[BlockAddress]) -> Result<()> {
        let pairs: Vec<_> = live.iter().zip(addresses).collect();
        for chunk in pairs.chunks(UPKEEP_EXTENTS_MAX) {
            self.store.admit().await?;
            self.swing_chunk(chunk)?;
            // Those who waited for this record come before the next one.
            tokio::task::yield_now().await;
        }
        for (one, address) in pairs {
            if matches!(one.user, User::Shared) {
                self.swing_users(&one.address, *address).await?;
            }
        }
        Ok(())
    }

    fn swing_chunk(&self, chunk: &[(&LiveBlock, &BlockAddress)]) -> Result<()> {
        let mut change = self.begin()?;
        for (one, address) in chunk {
            if let User::Own(extent) = &one.user {
                swing_own(&mut change, one.identity, extent, **address)?;
            }
        }
        drop(change.commit());
        Ok(())
    }

    /// Points all users of a shared block at its copy: also those that came since, because the copy is the same.
    async fn swing_users(&self, old: &BlockAddress, new: BlockAddress) -> Result<()> {
        let (from, end) = key::references(old);
        loop {
            self.store.admit().await?;
            let mut change = self.begin()?;
            let rows = change.scan(&from, &end, UPKEEP_EXTENTS_MAX)?;
            if rows.is_empty() {
                return Ok(());
            }
            for (row, _) in rows {
                let (_, content, block) = key::reference_parts(&row)
                    .ok_or_else(|| Error::corrupt("a reference's key has the wrong length"))?;
                let user = change.extents(content, block, BlockIndex(block.0 + 1))?.pop();
                let extent = user
                    .map(|(_, extent)| extent)
                    .filter(|extent| extent.address == *old && extent.shared.is_some())
                    .ok_or_else(|| {
                        Error::corrupt("a reference names an extent that does not show its block")
                    })?;
                let moved = Extent { address: new, ..extent };
                change.replace_extent((content, block), Some(&extent), Some(&moved))?;
            }
            drop(change.commit());
        }
    }
}

/// Whether what stood in the way of a collection is not in its segments: what cannot be read of them is corrupt.
fn is_elsewhere(error: &Error) -> bool {
    matches!(error, Error::Unavailable { .. } | Error::NoSpace | Error::Halted { .. } | Error::Io { .. })
}

/// Points a block with one user at its copy, unless it was changed meanwhile.
fn swing_own(
    change: &mut Change<'_>,
    BlockIdentity { content, block }: BlockIdentity,
    extent: &Extent,
    address: BlockAddress,
) -> Result<()> {
    if change.get(&key::extent(content, block))? == Some(extent.encode().into()) {
        let new = Extent::whole(extent.tier, address);
        change.replace_extent((content, block), Some(extent), Some(&new))
    } else {
        change.count_unused(extent.tier, &address)
    }
}
