//! The staged deletion of segments: unreferenced, checkpointed, validated, deleted.
//!
//! # Crash consistency
//! A segment is deleted only when no extent points into it, the record that took the last one away is in a checkpoint
//! (D4), and nobody who appended to it may still point to it. Its row goes last, so that a crash in between repeats the
//! deletion. A local file without a row is from appends that were never pointed to, because a write or a truncation overtook them. It
//! is removed when it is closed, or by the next start.

use std::time::Duration;

use futures::{StreamExt, stream};

use crate::broken::{Broken, broken};
use crate::error::{Error, Result};
use crate::identity::SegmentId;
use crate::metadata::Haste;
use crate::records::{SegmentRecord, key};
use crate::tiering::Tier;
use crate::volume::Volume;

/// Checkpoints are not forced more often than this only to release segments.
const FORCED_CHECKPOINT_EVERY: Duration = Duration::from_secs(5);

/// Segments that are deleted in one round.
const RELEASED_AT_ONCE: usize = 256;
/// Deletions under way at a time.
const DELETIONS_AT_ONCE: usize = 8;

impl Volume {
    /// Deletes segments with nothing live in them, now and then, and not too many at a time: other duties wait for it.
    pub(crate) async fn release_segments(&self, now: Duration) -> Result<()> {
        let removed = self.remove_unpointed().await;
        let rests = |id: SegmentId, record: &SegmentRecord| {
            self.store_rests(record.tier, now) || self.collector.is_undeletable(id, now)
        };
        if self.dead_segments()?.iter().all(|(id, record)| rests(*id, record)) {
            return removed;
        }
        let due = {
            let mut last = self.last_release.lock();
            let due = last.is_none_or(|last| now.saturating_sub(last) >= FORCED_CHECKPOINT_EVERY);
            if due {
                *last = Some(now);
            }
            due
        };
        if !due {
            return removed;
        }
        let is_full = self.space.grant(0, self.buffer.bytes()).is_err();
        let haste = if is_full { Haste::Urgent } else { Haste::None };
        let deleted = self.delete_dead(|id, record| !rests(id, record), RELEASED_AT_ONCE, haste).await;
        if matches!(deleted, Err(Error::Unavailable { .. })) {
            self.collector.let_store_rest(now);
        }
        deleted.map(drop).and(removed)
    }

    fn store_rests(&self, tier: Tier, now: Duration) -> bool {
        tier == Tier::InfrequentAccess && self.collector.store_rests(now)
    }

    /// Deletes all segments with nothing live in them, and says which.
    pub(crate) async fn delete_dead_segments(&self) -> Result<Vec<(SegmentId, SegmentRecord)>> {
        self.delete_dead(|_, _| true, usize::MAX, Haste::Urgent).await
    }

    /// One that cannot be deleted does not keep the others; the first failure is returned.
    async fn delete_dead(
        &self,
        wanted: impl Fn(SegmentId, &SegmentRecord) -> bool,
        most: usize,
        haste: Haste,
    ) -> Result<Vec<(SegmentId, SegmentRecord)>> {
        let candidates = self.dead_segments()?;
        if candidates.is_empty() {
            return Ok(candidates);
        }
        // Whoever was between appending and pointing when the segment was closed is done after this.
        drop(self.data_writes.write().await);
        let mut dead: Vec<_> = self
            .dead_segments()?
            .into_iter()
            .filter(|(id, record)| wanted(*id, record) && candidates.iter().any(|(c, _)| c == id))
            .collect();
        // A store that is away must not keep the local disk from getting its space back.
        dead.sort_by_key(|(_, record)| record.tier != Tier::Standard);
        dead.truncate(most);
        let unreferenced_at = self.store.committed();
        if self.store.checkpointed() < unreferenced_at && !broken(Broken::DeletedBeforeDurable) {
            self.store.checkpoint_with(haste).await?;
        }
        let mut failure = None;
        let deletions = dead
            .clone()
            .into_iter()
            .map(|(id, record)| async move { (id, self.delete_dead_one(id, &record).await) });
        let mut deletions = stream::iter(deletions).buffered(DELETIONS_AT_ONCE);
        while let Some((id, deleted)) = deletions.next().await {
            match deleted {
                Ok(()) => {
                    let mut change = self.begin()?;
                    change.delete(key::segment(id));
                    drop(change.commit());
                }
                // It would not take the others either.
                Err(error @ (Error::Unavailable { .. } | Error::Halted { .. })) => return Err(error),
                Err(error) => {
                    self.collector.note_undeletable(id, self.environment.clock.monotonic());
                    failure = Some(failure.unwrap_or(error));
                }
            }
        }
        failure.map_or(Ok(dead), Err)
    }

    async fn delete_dead_one(&self, id: SegmentId, record: &SegmentRecord) -> Result<()> {
        match record.tier {
            Tier::Standard => self.standard.remove(id).await,
            Tier::InfrequentAccess => self.cold.delete(id).await,
        }
    }

    /// Removes closed segments that never got a row.
    async fn remove_unpointed(&self) -> Result<()> {
        let mut candidates = self.appended.lock().clone();
        // Asked afterwards: what was appended to before and is not being written now is closed for good.
        let active = self.standard.active();
        candidates.retain(|segment| Some(*segment) != active);
        if candidates.is_empty() {
            return Ok(());
        }
        // Whoever was between appending and pointing is done after this.
        drop(self.data_writes.write().await);
        let mut results = Vec::new();
        for segment in candidates {
            let removed = match self.store.get(&key::segment(segment))? {
                None => self.standard.remove(segment).await,
                Some(_) => Ok(()),
            };
            if removed.is_ok() {
                self.appended.lock().remove(&segment);
            }
            results.push(removed);
        }
        results.into_iter().collect()
    }

    /// Segments that nothing points into and that nobody is writing.
    pub(crate) fn dead_segments(&self) -> Result<Vec<(SegmentId, SegmentRecord)>> {
        let active = self.standard.active();
        let rows = self.segments()?.into_iter();
        let dead = rows.filter(|(id, record)| {
            let dead = record.live_bytes == 0
                || (record.tier == Tier::InfrequentAccess && broken(Broken::DeletedWhileLive));
            dead && Some(*id) != active && !self.uploads.contains(*id)
        });
        Ok(dead.collect())
    }

    /// Removes local segment files that have no row. Only at the start, before anything is appended.
    pub(crate) async fn remove_unknown_segments(&self) -> Result<()> {
        let known = self.segments()?;
        for (id, _) in self.standard.list()? {
            if !known.contains_key(&id) {
                self.standard.remove(id).await?;
            }
        }
        Ok(())
    }
}
