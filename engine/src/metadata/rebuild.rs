//! Building the index anew from the checkpoints, while everything else goes on: after the machine stopped uncleanly, when the index was
//! damaged, and when the disk had no room for what was to be written into it. Until it is there the checkpoints are read instead.
//!
//! # Crash consistency
//! Nothing vouches for an index that is being built: a start that finds one begins anew. Folds go into checkpoints alone meanwhile, which
//! have all that they would bring into the index.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::index::Index;
use super::recovery::{IndexPaths, in_use};
use super::store::Parts;
use crate::broken::{Broken, broken};
use crate::error::{Error, Result};

/// How often what came meanwhile is brought in before folds are held up for the rest of it. Each time there is less.
const CATCH_UPS: usize = 8;
/// What sled's files take at least.
const ROOM_BYTES: u64 = 16 << 20;

/// What is known of an index that is not there.
#[derive(Debug, Default)]
pub(super) struct Rebuild {
    /// Set until it is there.
    wanted: AtomicBool,
    /// The disk had no room for it at the last try.
    lacks_room: AtomicBool,
    /// It has room, as far as is known, and is being filled.
    being_filled: AtomicBool,
    /// Entries that were brought in, and about how many there are.
    entries: AtomicU64,
    entries_in_all: AtomicU64,
}

/// How far the building of the index is, in entries of the checkpoints.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RebuildProgress {
    entries: u64,
    /// About how many there are in all.
    of: u64,
}

impl RebuildProgress {
    /// About how many are left: never none, as long as the index is not there.
    pub(crate) fn entries_left(&self) -> u64 {
        self.of.saturating_sub(self.entries).max(1)
    }
}

impl Rebuild {
    /// Whether it is wanted from the start on.
    pub(super) fn new(wanted: bool) -> Self {
        Rebuild { wanted: AtomicBool::new(wanted), ..Rebuild::default() }
    }

    /// Whether the index is not there.
    pub(super) fn is_wanted(&self) -> bool {
        self.wanted.load(Ordering::Acquire)
    }

    /// Asks for it; `false` if it was wanted already. The caller has the lock of the marker.
    pub(super) fn want(&self) -> bool {
        !self.wanted.swap(true, Ordering::AcqRel)
    }

    /// Whether it waits for room on the disk.
    pub(super) fn lacks_room(&self) -> bool {
        self.is_wanted() && self.lacks_room.load(Ordering::Acquire)
    }

    /// Whether it is being built: a new base would have it begin again.
    pub(super) fn is_under_way(&self) -> bool {
        let waits = self.lacks_room.load(Ordering::Acquire) && !self.being_filled.load(Ordering::Acquire);
        self.is_wanted() && !waits
    }

    /// How far it is, if it is not there.
    pub(super) fn progress(&self) -> Option<RebuildProgress> {
        let (entries, of) =
            (self.entries.load(Ordering::Relaxed), self.entries_in_all.load(Ordering::Relaxed));
        self.is_wanted().then_some(RebuildProgress { entries, of })
    }
}

/// Builds the index, if it is wanted.
pub(super) fn as_needed(parts: &Parts) -> Result<()> {
    let rebuild = &parts.rebuild;
    {
        // Once it is wanted the old one is not in use any more.
        let _alone = parts.marker.lock();
        if !rebuild.is_wanted() {
            return Ok(());
        }
    }
    let built = build(parts);
    rebuild.being_filled.store(false, Ordering::Release);
    if matches!(built, Err(Error::NoSpace)) && !rebuild.lacks_room.swap(true, Ordering::AcqRel) {
        tracing::warn!("the disk is full: the metadata index is built anew as soon as there is room");
        // A merge into a new base, which may make some, need not wait any more.
        parts.signal.poke();
    }
    if built.is_err() {
        rebuild.entries.store(0, Ordering::Relaxed);
        // It is in use by nobody, and what there is of it keeps room that others need.
        let index = IndexPaths::below(&parts.directory).index;
        if let Err(error) = parts.home.environment.indexes.destroy(&index) {
            tracing::warn!(%error, "a part of a metadata index could not be removed; the next try will");
        }
    }
    built?;
    if let Err(error) = parts.vouch(&in_use(parts.checkpoints.manifest().index, &parts.boot)) {
        tracing::warn!(%error, "the metadata index cannot be marked as usable; the next start builds it anew");
    }
    // A merge may have waited.
    parts.signal.poke();
    Ok(())
}

fn build(parts: &Parts) -> Result<()> {
    let (home, checkpoints, rebuild) = (&parts.home, &parts.checkpoints, &parts.rebuild);
    let (paths, indexes) = (IndexPaths::below(&parts.directory), &home.environment.indexes);
    indexes.destroy(&paths.index)?;
    let files = checkpoints.manifest().files;
    rebuild.entries_in_all.store(files.iter().map(|file| file.entries).sum(), Ordering::Relaxed);
    let bytes: u64 = files.iter().map(|file| file.bytes).sum();
    // It has some more bytes than the checkpoints. Nothing is begun that cannot be ended, or that would leave no room for a fold.
    let needed = bytes.saturating_mul(2).saturating_add(ROOM_BYTES + parts.overlay.bytes());
    if home.disk.free_bytes(&parts.directory).unwrap_or(u64::MAX) < needed {
        return Err(Error::NoSpace);
    }
    rebuild.being_filled.store(true, Ordering::Release);
    let began = home.environment.clock.monotonic();
    if !rebuild.lacks_room() {
        tracing::info!(
            bytes,
            "building the metadata index anew; until it is there the checkpoints are read instead"
        );
    }
    loop {
        rebuild.entries.store(0, Ordering::Relaxed);
        let store = indexes.open(&paths.index, parts.budgets.sled_cache_bytes())?;
        let id = parts.index.id();
        let index = Index::new(home, id, checkpoints.begin_epoch(id)?, store, 0);
        if fill_and_take_over(index, parts)? {
            break;
        }
        indexes.destroy(&paths.index)?;
    }
    let seconds = home.environment.clock.monotonic().saturating_sub(began).as_secs_f32();
    let entries = rebuild.entries.load(Ordering::Relaxed);
    tracing::info!(entries, seconds, "the metadata index is built");
    Ok(())
}

/// Fills an index with all that stands in the checkpoints, and has it used. `false` if a base came meanwhile, without the deletions that
/// were in what it was merged from.
fn fill_and_take_over(index: Index, parts: &Parts) -> Result<bool> {
    let mut applied = None;
    for _ in 0..CATCH_UPS {
        let Some((changes, covered)) = parts.checkpoints.changes_after(applied)? else { return Ok(false) };
        if applied == Some(covered) || (applied.is_some() && broken(Broken::IndexTakenOverEarly)) {
            break;
        }
        index.apply(changes.map(|change| parts.rebuild.counted(change, parts)), covered)?;
        applied = Some(covered);
    }
    let _nobody_folds = parts.fold.lock();
    let Some((changes, covered)) = parts.checkpoints.changes_after(applied)? else { return Ok(false) };
    if applied != Some(covered) && !broken(Broken::IndexTakenOverEarly) {
        index.apply(changes.map(|change| parts.rebuild.counted(change, parts)), covered)?;
    }
    let _alone = parts.marker.lock();
    // From here on it is the new one that may be doubted, or incomplete. The marker of the old one is gone.
    parts.index_doubted.store(false, Ordering::Release);
    parts.index.take_over(index);
    parts.rebuild.lacks_room.store(false, Ordering::Release);
    parts.rebuild.wanted.store(false, Ordering::Release);
    Ok(true)
}

impl Rebuild {
    fn counted<T>(&self, change: Result<T>, parts: &Parts) -> Result<T> {
        if parts.signal.stopping() {
            return Err(Error::Halted { reason: "the file system is being closed".to_owned() });
        }
        self.entries.fetch_add(1, Ordering::Relaxed);
        change
    }
}
