//! The store as the operations see it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::checkpoint::{Checkpoints, StandIn};
use super::fold::{Folding, Haste, Signal};
use super::index::{BootId, Index, Marker};
use super::merge::{Layer, Merge};
use super::overlay::{Entry, Found, Overlay, Snapshot};
use super::pace::{Fullness, Pace};
use super::passing;
use super::rebuild::{Rebuild, RebuildProgress};
use super::recovery::{self, IndexPaths};
use super::transaction::Transaction;
use crate::disk::Disk;
use crate::environment::Environment;
use crate::error::{Error, Result};
use crate::home::Home;
use crate::identity::{Epoch, FileSystemId, Lsn};
use crate::journal::{Journal, Progress, Starved, State, Ticket};
use crate::keys::KeyRing;
use crate::limits::{JOURNAL_FILE_BYTES_MIN, JOURNAL_FILES};
use crate::records::key;
use crate::threads;

/// How often a scan is tried without a lock. A freeze must come between for one to fail, and freezes are rare.
const SCAN_TRIES: usize = 3;

/// How long the end of a fold is waited for, and how often it is looked for.
const FOLD_WAIT: Duration = Duration::from_secs(5);
const FOLD_LOOK: Duration = Duration::from_millis(5);
/// Journal files at which it is time for a fold, however little is in them: a server that is killed again and again leaves one each time.
const JOURNAL_FILES_ENOUGH: usize = JOURNAL_FILES as usize / 4 * 3;

/// Memory and disk budgets of a store, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct StoreBudgets {
    /// Journal records that no checkpoint covers.
    pub(crate) journal_bytes: u64,
    /// Recent changes in memory.
    pub(crate) overlay_bytes: u64,
    /// The cache of the index.
    pub(crate) index_cache_bytes: u64,
}

impl StoreBudgets {
    /// Of the cache of the index, for opened bundles: what is looked up again is found in them.
    pub(super) fn bundle_cache_bytes(&self) -> u64 {
        self.index_cache_bytes / 2
    }

    /// Of the cache of the index, for sled's own.
    pub(super) fn sled_cache_bytes(&self) -> u64 {
        self.index_cache_bytes - self.bundle_cache_bytes()
    }

    /// The checkpoints in the place of the index, with the half of what it would have for opened bundles: the one that is built is there, too.
    pub(super) fn stand_in(&self, checkpoints: &Arc<Checkpoints>) -> Arc<StandIn> {
        Arc::new(StandIn::new(checkpoints, self.bundle_cache_bytes() / 2))
    }

    pub(super) fn journal_file_bytes(&self) -> u64 {
        (self.journal_bytes / JOURNAL_FILES).max(JOURNAL_FILE_BYTES_MIN).next_multiple_of(4096)
    }
}

/// How much there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct StoreStatistics {
    /// Journal bytes that no checkpoint covers yet.
    pub(crate) journal_bytes: u64,
    /// The budget for them.
    pub(crate) journal_bytes_max: u64,
    /// Recent changes in memory.
    pub(crate) overlay_bytes: u64,
    /// The budget for them.
    pub(crate) overlay_bytes_max: u64,
    /// Checkpoint files on the disk.
    pub(crate) checkpoint_bytes: u64,
}

/// The transactional store of an open file system. Dropping it without [`Store::close`] is a crash as far as the disk is concerned.
pub(crate) struct Store {
    /// The last record that was committed. Whoever holds it commits the next one.
    sequencer: Mutex<Lsn>,
    pace: Pace,
    parts: Arc<Parts>,
}

/// What the background threads need, too.
pub(super) struct Parts {
    pub(super) overlay: Overlay,
    pub(super) passing: passing::InIndex,
    pub(super) index: Index,
    pub(super) rebuild: Rebuild,
    pub(super) checkpoints: Arc<Checkpoints>,
    pub(super) journal: Journal,
    pub(super) progress: Arc<Progress>,
    pub(super) signal: Arc<Signal>,
    pub(super) budgets: StoreBudgets,
    pub(super) epoch: Epoch,
    pub(super) home: Home,
    pub(super) directory: PathBuf,
    pub(super) folding: Mutex<Option<Folding>>,
    /// Held from before a checkpoint is made until the index has it, too.
    pub(super) fold: threads::Mutex<()>,
    /// Set when the index failed, until it is built anew.
    pub(super) index_doubted: AtomicBool,
    /// Held while the marker of the index is written or removed, and while the index goes or comes.
    pub(super) marker: threads::Mutex<()>,
    pub(super) boot: BootId,
}

impl Store {
    /// Makes an empty store in the file system's directory, which is made, too.
    pub(crate) fn create(
        directory: &Path,
        disk: &Arc<dyn Disk>,
        environment: &Environment,
        keys: &KeyRing,
        file_system: FileSystemId,
        _budgets: StoreBudgets,
    ) -> Result<()> {
        let (disk, environment) = (Arc::clone(disk), environment.clone());
        recovery::create(directory, &Home { disk, environment, keys: keys.clone(), file_system })
    }

    /// Opens a store, recovering what the last run left.
    pub(crate) fn open(
        directory: &Path,
        disk: Arc<dyn Disk>,
        environment: Environment,
        keys: &KeyRing,
        file_system: FileSystemId,
        budgets: StoreBudgets,
    ) -> Result<Arc<Self>> {
        let home = Home { disk, environment, keys: keys.clone(), file_system };
        let boot = BootId::current(home.disk.as_ref());
        Self::open_in_boot(directory, home, budgets, &boot)
    }

    pub(super) fn open_in_boot(
        directory: &Path,
        home: Home,
        budgets: StoreBudgets,
        boot: &BootId,
    ) -> Result<Arc<Self>> {
        let parts = Arc::new(recovery::open(directory, home, budgets, boot)?);
        *parts.folding.lock() = Some(Folding::start(&parts)?);
        let committed = parts.overlay.committed();
        Ok(Arc::new(Store { sequencer: Mutex::new(committed), pace: Pace::default(), parts }))
    }

    /// The value of a key, whether it is durable yet or not.
    pub(crate) fn get(&self, key: &[u8]) -> Result<Option<Bytes>> {
        self.parts.get(key)
    }

    /// Up to `limit` entries from one key up to another, which is not among them, in ascending order: as they were at one moment.
    pub(crate) fn scan(&self, from: &[u8], to: &[u8], limit: usize) -> Result<Vec<(Bytes, Bytes)>> {
        self.parts.scan(from, to, limit, &[])
    }

    /// The last entry from one key up to another, which may be it, as it was at one moment.
    pub(crate) fn last(&self, from: &[u8], upto: &[u8]) -> Result<Option<(Bytes, Bytes)>> {
        self.parts.last(from, upto)
    }

    /// Begins a transaction: it is the only one until it is committed or dropped.
    pub(crate) fn begin(&self) -> Result<Transaction<'_>> {
        let last = self.sequencer.lock();
        match self.parts.progress.halted() {
            Some(halted) => Err(halted),
            None => Ok(Transaction::new(self, last)),
        }
    }

    /// Waits until a transaction that is under way has ended.
    pub(crate) fn wait_for_change(&self) {
        drop(self.sequencer.lock());
    }

    /// Waits until there is room in the budgets. Called before [`Store::begin`]; with room it does not wait, and the less there is,
    /// the longer it holds each change back.
    pub(crate) async fn admit(&self) -> Result<()> {
        let parts = &self.parts;
        let progress = &parts.progress;
        if progress.is_starved(Starved::Journal) {
            // The last file is for what was admitted before, until the fold that is under way gives others back.
            let settled = |state: &State| {
                let is_starved = |what| state.starved.contains(&what);
                !is_starved(Starved::Journal) || is_starved(Starved::Fold) || is_starved(Starved::Trim)
            };
            progress.until(settled).await?;
            if progress.is_starved(Starved::Writer) && progress.is_starved(Starved::Fold) {
                return Err(Error::NoSpace);
            }
        }
        if !parts.over_budget() {
            let held_back = self.pace.step(parts.fullness(), parts.home.environment.clock.monotonic());
            if !held_back.is_zero() {
                tokio::time::sleep(held_back).await;
            }
            return Ok(());
        }
        parts.signal.poke();
        progress.until(|state| !parts.over_budget() || state.starved.contains(&Starved::Fold)).await?;
        if parts.over_budget() { Err(Error::NoSpace) } else { Ok(()) }
    }

    /// Durable when all that is committed now is.
    pub(crate) fn everything(&self) -> Ticket {
        match self.committed() {
            Lsn(0) => Ticket::nothing(),
            lsn => Ticket::at(Arc::clone(&self.parts.progress), lsn),
        }
    }

    /// Makes all that is committed now durable as a checkpoint; returns the record up to which everything is. It gets into the index
    /// afterwards.
    pub(crate) async fn checkpoint(&self) -> Result<Lsn> {
        self.checkpoint_with(Haste::Urgent).await
    }

    /// The same for somebody who may be in no hurry.
    pub(crate) async fn checkpoint_with(&self, haste: Haste) -> Result<Lsn> {
        let wanted = self.committed();
        self.parts.signal.request(wanted, haste);
        let progress = &self.parts.progress;
        let starved = |state: &State| state.starved.contains(&Starved::Fold);
        progress.until(|state| state.checkpointed >= wanted || starved(state)).await?;
        let reached = progress.checkpointed();
        if reached >= wanted { Ok(reached) } else { Err(Error::NoSpace) }
    }

    /// Waits until the index has what is being folded, and is there, but no longer than a few seconds.
    pub(crate) async fn after_fold(&self) {
        let looks = FOLD_WAIT.as_millis() / FOLD_LOOK.as_millis();
        for _ in 0..looks {
            if !self.parts.overlay.is_folding() && !self.parts.index_is_being_built() {
                return;
            }
            tokio::time::sleep(FOLD_LOOK).await;
        }
    }

    /// Waits until the index is there; `false` if it cannot be built now.
    pub(crate) async fn until_index_is_built(&self) -> bool {
        while self.parts.index_is_being_built() {
            tokio::time::sleep(FOLD_LOOK).await;
        }
        !self.parts.rebuild.is_wanted()
    }

    /// A checkpoint of all that is committed now, which the index has, too.
    #[cfg(test)]
    pub(crate) async fn fold(&self) -> Result<()> {
        self.checkpoint().await?;
        self.after_fold().await;
        Ok(())
    }

    /// Told when a fold waits for passing rows to go.
    pub(crate) fn passing(&self) -> Arc<Notify> {
        Arc::clone(self.parts.signal.passing())
    }

    /// Whether a fold waits for passing rows to go.
    pub(crate) fn awaits_passing(&self) -> bool {
        self.parts.signal.asks_to_pass()
    }

    /// From now on no fold waits for that, or rests: the store is about to be closed.
    pub(crate) fn hasten(&self) {
        self.parts.signal.hasten();
    }

    /// Whether there is enough to fold to do so while nobody writes.
    pub(crate) fn is_worth_a_fold(&self) -> bool {
        self.parts.overlay.bytes() >= self.parts.budgets.overlay_bytes / 64
    }

    /// The record up to which everything stands in durable checkpoints.
    pub(crate) fn checkpointed(&self) -> Lsn {
        self.parts.progress.checkpointed()
    }

    /// The record up to which everything is on stable storage.
    #[cfg(test)]
    pub(crate) fn durable(&self) -> Lsn {
        self.parts.progress.durable()
    }

    /// The last record.
    pub(crate) fn committed(&self) -> Lsn {
        self.parts.overlay.committed()
    }

    /// Grows with each start, and when an index is built; durable before anything of this start is.
    pub(crate) fn epoch(&self) -> Epoch {
        self.parts.epoch
    }

    /// How much there is.
    pub(crate) fn statistics(&self) -> StoreStatistics {
        let parts = &self.parts;
        StoreStatistics {
            journal_bytes: parts.journal.uncovered_bytes(),
            journal_bytes_max: parts.budgets.journal_bytes,
            overlay_bytes: parts.overlay.bytes(),
            overlay_bytes_max: parts.budgets.overlay_bytes,
            checkpoint_bytes: parts.checkpoints.manifest().files.iter().map(|file| file.bytes).sum(),
        }
    }

    /// How far the building of the index is, if it is not there: metadata is read from the checkpoints then.
    pub(crate) fn rebuilding(&self) -> Option<RebuildProgress> {
        self.parts.rebuild.progress()
    }

    /// Accepts no more changes.
    pub(crate) fn halt(&self, reason: &str) {
        self.parts.progress.halt(reason);
    }

    /// Why no more changes are accepted.
    pub(crate) fn halted(&self) -> Option<String> {
        self.parts.progress.halted().map(|error| match error {
            Error::Halted { reason } => reason,
            other => other.to_string(),
        })
    }

    /// Whether changes will soon have to wait.
    pub(crate) fn is_pressed(&self) -> bool {
        self.parts.is_pressed()
    }

    /// What the disk is too full for, if anything.
    pub(crate) fn wants_space(&self) -> Option<&'static str> {
        let (parts, starved) = (&self.parts, |what| self.parts.progress.is_starved(what));
        if starved(Starved::Writer) || starved(Starved::Fold) {
            return Some("changes are refused until there is room");
        }
        if parts.rebuild.lacks_room() {
            return Some("the metadata index is built anew as soon as there is room");
        }
        let waits = starved(Starved::Journal) && !starved(Starved::Trim);
        waits.then_some("changes wait for journal files to be given back")
    }

    /// Folds everything, makes the index durable and marks it so. Nothing can be read or changed afterwards.
    pub(crate) async fn close(&self) -> Result<()> {
        self.checkpoint().await?;
        let parts = Arc::clone(&self.parts);
        let (done, closed) = tokio::sync::oneshot::channel();
        let body = move || {
            // Nobody may wait for the answer any more; then it is of no use.
            let _ = done.send(recovery::close(&parts));
        };
        threads::spawn("tidefs-close", body)?;
        closed.await.map_err(|_| Error::Halted { reason: "closing failed half-way".to_owned() })?
    }

    pub(super) fn parts(&self) -> &Arc<Parts> {
        &self.parts
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.parts.stop();
    }
}

impl Parts {
    /// Ends the background threads. Records that are queued are still written.
    pub(super) fn stop(&self) {
        let folding = self.folding.lock().take();
        if let Some(folding) = folding {
            self.signal.stop();
            folding.join();
        }
        self.journal.stop();
    }

    /// Lets through what the index says. Once it has failed, the next start builds it anew.
    pub(super) fn doubting<T>(&self, said: Result<T>) -> Result<T> {
        if let Err(error @ (Error::Corrupt { .. } | Error::Io { .. } | Error::Open(_))) = &said {
            self.doubt_index(&error.to_string());
        }
        said
    }

    /// Lets through what came of a write to the index. What sled could not write for want of space it does not write later: the index
    /// has to be built anew, and the checkpoints are read until it is.
    pub(super) fn completing<T>(&self, said: Result<T>) -> Result<T> {
        if matches!(said, Err(Error::NoSpace)) {
            self.let_index_go();
        }
        self.doubting(said)
    }

    fn let_index_go(&self) {
        let alone = self.marker.lock();
        if !self.rebuild.want() {
            return;
        }
        let old = self.index.let_go(self.budgets.stand_in(&self.checkpoints));
        if let Err(error) = Marker::remove(&self.home, &IndexPaths::below(&self.directory).marker) {
            tracing::error!(%error, "the index cannot be marked as incomplete");
        }
        // Before anybody builds another one in its place: it may still write, and has room.
        drop(old);
        drop(alone);
        self.signal.poke();
    }

    /// Publishes a marker that vouches for the index, unless nothing may any more.
    pub(super) fn vouch(&self, marker: &Marker) -> Result<()> {
        let _alone = self.marker.lock();
        if self.index_is_doubted() || self.rebuild.is_wanted() {
            return Ok(());
        }
        marker.publish(&self.home, &IndexPaths::below(&self.directory).marker)
    }

    /// Nothing vouches for the index from now on.
    pub(super) fn doubt_index(&self, why: &str) {
        // Without an index it was the checkpoints that said so.
        if self.index.is_away() || self.index_doubted.swap(true, Ordering::AcqRel) {
            return;
        }
        tracing::error!(why, "the metadata index is damaged; the next start builds it anew");
        let _alone = self.marker.lock();
        if let Err(error) = Marker::remove(&self.home, &IndexPaths::below(&self.directory).marker) {
            tracing::error!(%error, "the index cannot be marked as damaged");
        }
    }

    pub(super) fn index_is_doubted(&self) -> bool {
        self.index_doubted.load(Ordering::Acquire)
    }

    fn index_is_being_built(&self) -> bool {
        self.rebuild.is_under_way() && self.progress.halted().is_none()
    }

    pub(super) fn over_budget(&self) -> bool {
        self.overlay.bytes() >= self.budgets.overlay_bytes
            || self.journal.uncovered_bytes() >= self.budgets.journal_bytes
    }

    /// How much of the budgets is taken.
    fn fullness(&self) -> Fullness {
        let overlay = Fullness::of(self.overlay.bytes(), self.budgets.overlay_bytes);
        overlay.max(Fullness::of(self.journal.uncovered_bytes(), self.budgets.journal_bytes))
    }

    /// Whether changes will soon have to wait.
    pub(super) fn is_pressed(&self) -> bool {
        self.fullness() >= Fullness::PRESSED
    }

    /// Whether somebody waits for the end of a fold who can wait for nothing else, or soon will.
    pub(super) fn fold_is_awaited(&self) -> bool {
        self.is_pressed()
            || self.signal.urgent() > self.progress.checkpointed()
            || self.progress.is_starved(Starved::Journal)
            || self.progress.is_starved(Starved::Fold)
            || self.signal.is_hastened()
    }

    /// The same, or somebody asked for one.
    pub(super) fn fold_is_wanted(&self) -> bool {
        self.fold_is_awaited() || self.signal.requested() > self.progress.checkpointed()
    }

    /// Whether it is time for a fold.
    pub(super) fn fold_is_due(&self) -> bool {
        let (lasting, all) = self.overlay.active_bytes();
        lasting >= self.budgets.overlay_bytes / 2
            || all >= self.budgets.overlay_bytes / 4 * 3
            || self.journal.uncovered_bytes() >= self.budgets.journal_bytes / 2
            || self.journal.uncovered_files() >= JOURNAL_FILES_ENOUGH
    }

    pub(super) fn get(&self, key: &[u8]) -> Result<Option<Bytes>> {
        match self.overlay.find(key) {
            Found::Value(value) => Ok(value),
            Found::Unknown if self.passing.may_have(key, key) => self.doubting(self.index.get(key)),
            Found::Unknown => Ok(None),
        }
    }

    /// Looks at one entry of each layer, unless it has to look at all.
    pub(super) fn last(&self, from: &[u8], upto: &[u8]) -> Result<Option<(Bytes, Bytes)>> {
        let ([active, frozen], generation) = self.overlay.last(from, upto);
        let at_the_end = [&active, &frozen].into_iter().flatten().find(|(key, _)| key == upto);
        if let Some((key, Some(value))) = at_the_end {
            // Nothing older can be behind it, or newer in its place.
            return Ok(Some((key.clone(), value.clone())));
        }
        let stored = self.doubting(self.index.last(from, upto))?.map(|(key, value)| (key, Some(value)));
        let mut last: Option<Entry> = None;
        for found in [active, frozen, stored].into_iter().flatten() {
            // Of the same key the newest is looked at first.
            if last.as_ref().is_none_or(|(key, _)| found.0 > *key) {
                last = Some(found);
            }
        }
        match last {
            _ if self.overlay.generation() != generation => {}
            None => return Ok(None),
            Some((key, Some(value))) => return Ok(Some((key, value))),
            // What is before something deleted is not known.
            Some((_, None)) => {}
        }
        let behind = key::after(upto);
        Ok(self.scan(from, &behind, usize::MAX, &[])?.pop())
    }

    /// `above` are newer changes than those of the overlay, sorted.
    pub(super) fn scan(
        &self,
        from: &[u8],
        to: &[u8],
        limit: usize,
        above: &[Entry],
    ) -> Result<Vec<(Bytes, Bytes)>> {
        // A deletion above may hide a value of the overlay, so that more of those are needed.
        let overlay_limit = limit.saturating_add(above.len());
        for _ in 0..SCAN_TRIES {
            let snapshot = self.overlay.snapshot(from, to, overlay_limit);
            let generation = snapshot.generation;
            let found = self.merged(from, to, limit, above, snapshot)?;
            if self.overlay.generation() == generation {
                return Ok(found);
            }
        }
        self.overlay.with_snapshot((from, to), overlay_limit, |snapshot| {
            self.merged(from, to, limit, above, snapshot)
        })
    }

    fn merged(
        &self,
        from: &[u8],
        to: &[u8],
        limit: usize,
        above: &[Entry],
        snapshot: Snapshot,
    ) -> Result<Vec<(Bytes, Bytes)>> {
        let Snapshot { active, frozen, .. } = snapshot;
        let merge = |stored: Option<Layer<'_>>| {
            let range = frozen.as_ref().map(|frozen| frozen.range(from, to));
            let mut older = range.into_iter().flatten().peekable();
            let mut stored = stored.into_iter().flatten().peekable();
            if above.is_empty() && older.peek().is_none() && stored.peek().is_none() {
                // Most ranges are short, and in one layer.
                let live = active.into_iter().filter_map(|(key, value)| Some((key, value?)));
                return Ok(live.take(limit).collect());
            }
            let layers: Vec<Layer<'_>> = vec![
                Box::new(above.iter().cloned().map(Ok)),
                Box::new(active.into_iter().map(Ok)),
                Box::new(older.map(|(key, value)| Ok((key.clone(), value.clone())))),
                Box::new(stored),
            ];
            let live = Merge::new(layers).filter_map(|entry| match entry {
                Ok((key, value)) => value.map(|value| Ok((key, value))),
                Err(error) => Some(Err(error)),
            });
            live.take(limit).collect()
        };
        if self.passing.may_have(from, to) {
            self.doubting(self.index.with_range(from, to, |stored| merge(Some(stored))))
        } else {
            merge(None)
        }
    }
}
