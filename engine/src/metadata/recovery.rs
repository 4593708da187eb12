//! From what is on the disk to an open store, and back.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use parking_lot::Mutex;

use super::checkpoint::{Checkpoints, Manifest};
use super::fold::Signal;
use super::index::{BootId, Index, Marker, MarkerState, MetaStore};
use super::overlay::Overlay;
use super::passing::InIndex;
use super::rebuild::Rebuild;
use super::store::{Parts, StoreBudgets};
use crate::disk::sync_parent;
use crate::error::{Error, Result};
use crate::home::Home;
use crate::identity::Lsn;
use crate::journal::{self, Journal, Place, Progress, Starved};

/// Values that were written into the index, some 64 MiB, from which on the next start would notice that it has to look at them: closing
/// does so instead. In tests it is a few.
const PREPARED_FROM: u64 = if cfg!(test) { 4 } else { 32 * 1024 };

/// Makes an empty store.
pub(super) fn create(directory: &Path, home: &Home) -> Result<()> {
    let journal = directory.join("journal");
    home.disk.create_directory(&journal).map_err(Error::io("cannot create", &journal))?;
    Checkpoints::create(home, &directory.join("checkpoint"))?;
    home.disk.sync_directory(directory).map_err(Error::io("cannot sync", directory))?;
    sync_parent(home.disk.as_ref(), directory)
}

/// Recovers: the epoch, the index, then the records that no checkpoint covers.
pub(super) fn open(directory: &Path, home: Home, budgets: StoreBudgets, boot: &BootId) -> Result<Parts> {
    let checkpoints = Arc::new(Checkpoints::open(&home, &directory.join("checkpoint"))?);
    checkpoints.remove_strays()?;
    let paths = IndexPaths::below(directory);
    let (index, passing) = open_index(&home, &paths, &checkpoints, budgets, boot)?;
    let rebuild = Rebuild::new(index.is_away());
    let covered = checkpoints.covered();

    let place = Place {
        directory: directory.join("journal"),
        home: home.clone(),
        file_bytes: budgets.journal_file_bytes(),
        fold_bytes: budgets.overlay_bytes,
    };
    let overlay = Overlay::new(covered);
    let replayed = journal::replay(&place, covered, |lsn, changes| {
        overlay.apply(lsn, changes);
        Ok(())
    })?;
    let progress = Progress::new(replayed.last, covered);
    let signal = Arc::new(Signal::new());
    let scarce = {
        let signal = Arc::clone(&signal);
        move |who| if who == Starved::Writer { signal.hurry() } else { signal.poke() }
    };
    let journal = Journal::start(place, replayed, Arc::clone(&progress), scarce)?;
    journal.trim(covered);
    Ok(Parts {
        overlay,
        passing,
        index,
        rebuild,
        epoch: checkpoints.manifest().epoch,
        checkpoints,
        journal,
        progress,
        signal,
        budgets,
        home,
        directory: directory.to_owned(),
        folding: Mutex::new(None),
        fold: crate::threads::Mutex::new(()),
        index_doubted: AtomicBool::new(false),
        marker: crate::threads::Mutex::new(()),
        boot: boot.clone(),
    })
}

pub(super) struct IndexPaths {
    pub(super) index: PathBuf,
    pub(super) marker: PathBuf,
}

impl IndexPaths {
    pub(super) fn below(directory: &Path) -> Self {
        IndexPaths { index: directory.join("index"), marker: directory.join("index.marker") }
    }
}

/// Opens the index, and begins a new epoch for what is written into it. One that cannot be trusted is left for [`super::rebuild`].
fn open_index(
    home: &Home,
    paths: &IndexPaths,
    checkpoints: &Arc<Checkpoints>,
    budgets: StoreBudgets,
    boot: &BootId,
) -> Result<(Index, InIndex)> {
    let manifest = checkpoints.manifest();
    let marker = Marker::read(home, &paths.marker).filter(|marker| marker.may_vouch(manifest.index, boot));
    if let Some(marker) = marker {
        // The store may write as soon as it is opened, so that a clean close vouches for it no longer.
        in_use(manifest.index, boot).publish(home, &paths.marker)?;
        if let Some((store, applied)) = trusted(home, paths, &manifest, budgets, (&marker, boot)) {
            let epoch = checkpoints.begin_epoch(manifest.index)?;
            let index = Index::new(home, manifest.index, epoch, store, budgets.bundle_cache_bytes());
            match bring_up_to_date(&index, checkpoints, applied).and_then(|()| InIndex::look(&index)) {
                Ok(passing) => return Ok((index, passing)),
                Err(error @ (Error::Corrupt { .. } | Error::Io { .. } | Error::NoSpace)) => {
                    tracing::warn!(%error, "the metadata index cannot be brought up to date; it is built anew");
                }
                Err(error) => return Err(error),
            }
        }
    }
    Marker::remove(home, &paths.marker)?;
    let id = home.random_id();
    let epoch = checkpoints.begin_epoch(id)?;
    let stand_in = budgets.stand_in(checkpoints);
    // What is wrong with the files is said as a start says it.
    let passing = InIndex::look_in(stand_in.view()?.as_ref())?;
    Ok((Index::without_store(home, (id, epoch), stand_in, budgets.bundle_cache_bytes()), passing))
}

pub(super) fn in_use(index: [u8; 16], boot: &BootId) -> Marker {
    Marker { index, state: MarkerState::InUse(boot.clone()) }
}

fn bring_up_to_date(index: &Index, checkpoints: &Checkpoints, applied: Lsn) -> Result<()> {
    let covered = checkpoints.covered();
    if applied == covered {
        return Ok(());
    }
    tracing::info!(from = applied.0, to = covered.0, "bringing the metadata index up to date");
    let changes = checkpoints.changes_after(Some(applied))?;
    let (changes, covered) = changes.ok_or_else(|| Error::corrupt("the index is older than the base"))?;
    index.apply(changes, covered)
}

/// The index on the disk with the record up to which it is applied, if its marker vouches for it and the checkpoints can bring it up to
/// date. Whatever is wrong with it, it is only built anew.
fn trusted(
    home: &Home,
    paths: &IndexPaths,
    manifest: &Manifest,
    budgets: StoreBudgets,
    (marker, boot): (&Marker, &BootId),
) -> Option<(Box<dyn MetaStore>, Lsn)> {
    let store = match home.environment.indexes.open(&paths.index, budgets.sled_cache_bytes()) {
        Ok(store) => store,
        Err(error) => {
            tracing::warn!(%error, "the metadata index cannot be opened; it is built anew");
            return None;
        }
    };
    let index = Index::new(home, manifest.index, manifest.epoch, store, 0);
    let applied = index.applied().ok().flatten()?;
    let usable = index.has_lowest().unwrap_or(false)
        && applied >= manifest.base_covers()
        && applied <= manifest.covered();
    if !usable || !marker.vouches(manifest.index, boot, applied) {
        return None;
    }
    Some((index.into_store()?, applied))
}

/// Ends the threads, makes the index durable and vouches for it, unless it is doubted: checkpoints have everything.
pub(super) fn close(parts: &Parts) -> Result<()> {
    parts.stop();
    let applied = parts.doubting(parts.index.applied());
    let paths = IndexPaths::below(&parts.directory);
    let closed = parts.completing(parts.index.close());
    if parts.index_is_doubted() || parts.rebuild.is_wanted() {
        return Ok(());
    }
    closed?;
    if parts.index.written() >= PREPARED_FROM
        && let Err(error) = parts.home.environment.indexes.prepare(&paths.index)
    {
        // Everything is durable; the next start takes longer, and looks at the index more closely.
        tracing::warn!(%error, "the metadata index could not be prepared for the next start");
        return Ok(());
    }
    let state = MarkerState::Closed { applied: applied?.unwrap_or(Lsn(0)) };
    let marker = Marker { index: parts.checkpoints.manifest().index, state };
    marker.publish(&parts.home, &paths.marker)
}
