//! Sealing everything anew under the newest data key, after a rotation; then the older keys are forgotten.
//!
//! A round moves at most one segment, as the collector does, and the next round waits until the budget allows it. When no segment is left,
//! the metadata follows: journal, checkpoints, index.
//!
//! # Crash consistency
//! What is sealed under an older key is seen in the ids of segments and in the headers of files; nothing else is remembered. More than one
//! key in the superblock means that there is something to do. An older key leaves the superblock, durably, only after nothing at rest needs
//! it: every segment under it is deleted, and every file is written anew and synced.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::collector::STORE_RESTS;
use crate::error::{Error, Result};
use crate::identity::{KeyGeneration, SegmentId};
use crate::keys::{KeySource, KeyStatus, ResealStatus};
use crate::limits::RESEAL_BYTES_PER_SECOND;
use crate::metadata::Haste;
use crate::records::{SegmentRecord, key};
use crate::threads::blocking;
use crate::tiering::Tier;
use crate::volume::Volume;

/// How often a segment that could not be moved is tried again.
const RETRY_EVERY: Duration = Duration::from_secs(60);

/// How far the sealing anew has got. It counts for one run of the server.
#[derive(Debug, Default)]
pub(crate) struct Reseal {
    /// The generation that everything is sealed under in the end; `None` if nothing is to be done.
    target: Option<KeyGeneration>,
    began: Duration,
    bytes_done: u64,
    /// Before this time nothing is moved: the budget is used up.
    not_before: Duration,
    /// Where in the index it is, and the bytes that it went over there; `None` at its end.
    index: Option<Vec<u8>>,
    index_bytes: u64,
    /// Segments that could not be moved, and why.
    failed: BTreeMap<SegmentId, String>,
    failed_since: Duration,
    waiting_for: Option<String>,
}

impl Reseal {
    fn begin(&mut self, target: KeyGeneration, now: Duration) {
        if self.target != Some(target) {
            *self = Reseal { target: Some(target), began: now, index: Some(Vec::new()), ..Reseal::default() };
        }
        if now.saturating_sub(self.failed_since) >= RETRY_EVERY {
            self.failed.clear();
        }
    }

    fn moved(&mut self, bytes: u64, now: Duration) {
        self.bytes_done += bytes;
        let nanoseconds = u128::from(bytes) * 1_000_000_000 / u128::from(RESEAL_BYTES_PER_SECOND);
        let takes = Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(u64::MAX));
        self.not_before = self.not_before.max(now).saturating_add(takes);
    }
}

impl Volume {
    /// Takes a step, if something is sealed under an older key.
    pub(crate) async fn reseal(&self, now: Duration) -> Result<()> {
        if !self.keys.ring().is_rotating() {
            return Ok(());
        }
        {
            let mut state = self.reseal.lock();
            state.begin(self.keys.ring().newest(), now);
            if now < state.not_before {
                return Ok(());
            }
        }
        let result = self.reseal_step(now).await;
        {
            let mut state = self.reseal.lock();
            if matches!(result, Err(Error::Unavailable { .. })) {
                // What the store is to take is read from it each time.
                state.not_before = now.saturating_add(STORE_RESTS);
            }
            state.waiting_for = match &result {
                Err(error) => Some(error.to_string()),
                Ok(()) => state.failed.values().next().cloned(),
            };
        }
        match result {
            // The store is away, the index is being built or the disk is full: nothing is lost by waiting.
            Err(Error::Unavailable { .. } | Error::NoSpace) => Ok(()),
            result => result,
        }
    }

    async fn reseal_step(&self, now: Duration) -> Result<()> {
        let newest = self.keys.ring().newest();
        if self.standard.active().is_some_and(|active| active.generation() < newest) {
            self.standard.close_active().await?;
        }
        let old = self.segments_older_than(newest)?;
        let next = {
            let state = self.reseal.lock();
            let movable = |id: &SegmentId, record: &SegmentRecord| {
                record.live_bytes > 0 && !self.uploads.contains(*id) && !state.failed.contains_key(id)
            };
            old.iter().find(|(id, record)| movable(id, record)).cloned()
        };
        match next {
            Some((id, record)) => self.reseal_segment(id, record, now).await,
            None if old.is_empty() => self.reseal_metadata(newest, now).await,
            None => {
                // What is left of them is being released, which otherwise takes its time.
                *self.last_release.lock() = None;
                self.release_segments(now).await
            }
        }
    }

    /// The rows of segments that are sealed under an older key, those in Standard first.
    fn segments_older_than(&self, newest: KeyGeneration) -> Result<Vec<(SegmentId, SegmentRecord)>> {
        let mut old: Vec<_> =
            self.segments()?.into_iter().filter(|(id, _)| id.generation() < newest).collect();
        old.sort_by_key(|(_, record)| record.tier != Tier::Standard);
        Ok(old)
    }

    async fn reseal_segment(&self, id: SegmentId, record: SegmentRecord, now: Duration) -> Result<()> {
        match self.collect_segment(id, record).await {
            Err(Error::Corrupt { what }) => self.reseal_failed(id, what, now),
            Err(error) => return Err(error),
            Ok(()) => {
                let left = self.segments()?.get(&id).map_or(0, |record| record.live_bytes);
                if left >= record.live_bytes {
                    self.reseal_failed(id, format!("the blocks of segment {id} cannot be moved"), now);
                }
                self.reseal.lock().moved(record.live_bytes.saturating_sub(left), now);
            }
        }
        self.upkeep.wake();
        Ok(())
    }

    fn reseal_failed(&self, id: SegmentId, what: String, now: Duration) {
        tracing::error!(segment = %id, what, "a segment cannot be sealed anew; the old key is kept for it");
        let mut state = self.reseal.lock();
        state.failed.insert(id, format!("{what}: the old key is kept for it"));
        state.failed_since = now;
    }

    /// No segment is sealed under an older key; the metadata follows, and then the older keys are forgotten.
    async fn reseal_metadata(&self, newest: KeyGeneration, now: Duration) -> Result<()> {
        let index = self.reseal.lock().index.clone();
        if let Some(from) = index {
            let resealed = self.store.reseal_index(from).await?;
            let mut state = self.reseal.lock();
            state.index = resealed.next;
            state.index_bytes += resealed.bytes;
            state.moved(resealed.bytes, now);
            self.upkeep.wake();
            return Ok(());
        }
        if self.store.reseal_checkpoints() > 0 {
            return Ok(());
        }
        // A record after the rotation begins a new journal file, and a checkpoint that covers it frees the older ones. It also
        // comes after whatever was being folded when the key was rotated.
        self.commit_nothing_new()?;
        self.store.checkpoint_with(Haste::None).await?;
        if self.store.has_old_journal() || self.store.reseal_checkpoints() > 0 {
            return Ok(());
        }
        self.retire_old_keys(newest).await
    }

    /// Commits a record that changes nothing.
    fn commit_nothing_new(&self) -> Result<()> {
        let mut transaction = self.store.begin()?;
        if let Some(totals) = transaction.get(&key::totals())? {
            transaction.put(key::totals(), totals.to_vec());
        }
        drop(transaction.commit());
        Ok(())
    }

    async fn retire_old_keys(&self, newest: KeyGeneration) -> Result<()> {
        // Whoever appended to an older segment before it was closed has pointed to it after this, so that it has a row.
        drop(self.data_writes.write().await);
        if !self.segments_older_than(newest)?.is_empty() {
            return Ok(());
        }
        for (id, _) in self.standard.list()? {
            if id.generation() < newest {
                self.standard.remove(id).await?;
            }
        }
        self.store.reseal_small_files().await?;
        let keys = Arc::clone(&self.keys);
        blocking(move || keys.retire_old(newest)).await?;
        if self.keys.ring().is_rotating() {
            return Ok(());
        }
        self.store.forget_older_than(newest);
        *self.reseal.lock() = Reseal::default();
        tracing::info!(
            generation = newest.0,
            "everything is sealed under the newest key; the older ones are forgotten"
        );
        Ok(())
    }

    /// How the keys stand.
    pub(crate) fn key_status(&self) -> Result<KeyStatus> {
        Ok(KeyStatus::of(self.id, &self.keys, self.reseal_status()?))
    }

    /// How far the sealing anew has got; `None` if nothing is to be done.
    fn reseal_status(&self) -> Result<Option<ResealStatus>> {
        if !self.keys.ring().is_rotating() {
            return Ok(None);
        }
        let old = self.segments_older_than(self.keys.ring().newest())?;
        let live: u64 = old.iter().map(|(_, record)| record.live_bytes).sum();
        let state = self.reseal.lock();
        // The entries of the index are about as long as those of the checkpoints.
        let index_bytes = match (&state.target, &state.index) {
            (Some(_), None) => 0,
            _ => self.store.statistics().checkpoint_bytes.saturating_sub(state.index_bytes),
        };
        let bytes_left = live + index_bytes + self.store.reseal_checkpoints();
        let elapsed = self.environment.clock.monotonic().saturating_sub(state.began).as_secs();
        let seconds_left = u128::from(bytes_left) * u128::from(elapsed);
        let seconds_left = seconds_left.checked_div(u128::from(state.bytes_done));
        Ok(Some(ResealStatus {
            bytes_done: state.bytes_done,
            bytes_left,
            segments_left: old.len() as u64,
            seconds_left: seconds_left.and_then(|seconds| u64::try_from(seconds).ok()),
            waiting_for: state.waiting_for.clone(),
        }))
    }

    /// Adds a data key that seals from now on, and wraps all keys anew.
    pub(crate) async fn rotate_key(&self, new: Option<KeySource>) -> Result<()> {
        if self.closing.load(Ordering::Acquire) {
            return Err(Error::Halted { reason: "the file system is being closed".to_owned() });
        }
        let keys = Arc::clone(&self.keys);
        blocking(move || keys.rotate(new.as_ref())).await?;
        self.upkeep.wake();
        Ok(())
    }
}

#[cfg(test)]
mod tests;
