//! From what is on the disk to an open store, and back.

use std::path::{Path, PathBuf};

use parking_lot::Mutex;

use super::checkpoint::{Checkpoints, Manifest};
use super::fold::Signal;
use super::index::{BootId, Index, Marker, MarkerState, MetaStore};
use super::overlay::Overlay;
use super::passing::InIndex;
use super::store::{Parts, StoreBudgets};
use crate::disk::sync_parent;
use crate::error::{Error, Result};
use crate::home::Home;
use crate::identity::Lsn;
use crate::journal::{self, Journal, Place, Progress};

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
    let checkpoints = Checkpoints::open(&home, &directory.join("checkpoint"))?;
    checkpoints.remove_strays()?;
    let paths = IndexPaths::below(directory);
    let index = open_index(&home, &paths, &checkpoints, budgets, boot)?;
    let covered = checkpoints.covered();

    let place = Place {
        directory: directory.join("journal"),
        home: home.clone(),
        file_bytes: budgets.journal_file_bytes(),
    };
    let overlay = Overlay::new(covered);
    let replayed = journal::replay(&place, covered, |lsn, changes| {
        overlay.apply(lsn, changes);
        Ok(())
    })?;
    let passing = InIndex::look(&index)?;
    let progress = Progress::new(replayed.last, covered);
    let journal = Journal::start(place, replayed, std::sync::Arc::clone(&progress))?;
    journal.trim(covered);
    Ok(Parts {
        overlay,
        passing,
        index,
        epoch: checkpoints.manifest().epoch,
        checkpoints,
        journal,
        progress,
        signal: Signal::new(),
        budgets,
        home,
        directory: directory.to_owned(),
        folding: Mutex::new(None),
    })
}

pub(super) struct IndexPaths {
    index: PathBuf,
    pub(super) marker: PathBuf,
}

impl IndexPaths {
    pub(super) fn below(directory: &Path) -> Self {
        IndexPaths { index: directory.join("index"), marker: directory.join("index.marker") }
    }
}

/// Opens the index, or rebuilds it if it cannot be trusted, and begins a new epoch for what is written into it.
fn open_index(
    home: &Home,
    paths: &IndexPaths,
    checkpoints: &Checkpoints,
    budgets: StoreBudgets,
    boot: &BootId,
) -> Result<Index> {
    let manifest = checkpoints.manifest();
    let in_use = |index| Marker { index, state: MarkerState::InUse(boot.clone()) };
    let marker = Marker::read(home, &paths.marker).filter(|marker| marker.may_vouch(manifest.index, boot));
    let kept = match marker {
        Some(marker) => {
            // The store may write as soon as it is opened, so that a clean close vouches for it no longer.
            in_use(manifest.index).publish(home, &paths.marker)?;
            trusted(home, paths, &manifest, budgets, (&marker, boot))
        }
        None => None,
    };
    let (id, store, applied) = match kept {
        Some((store, applied)) => (manifest.index, store, Some(applied)),
        None => {
            Marker::remove(home, &paths.marker)?;
            let indexes = &home.environment.indexes;
            indexes.destroy(&paths.index)?;
            (home.random_id(), indexes.open(&paths.index, budgets.sled_cache_bytes())?, None)
        }
    };
    let epoch = checkpoints.begin_epoch(id)?;
    let index = Index::new(home, id, epoch, store, budgets.bundle_cache_bytes());
    let covered = checkpoints.covered();
    if applied != Some(covered) {
        tracing::info!(
            from = applied.map(|lsn| lsn.0),
            to = covered.0,
            "bringing the metadata index up to date"
        );
        index.apply(checkpoints.entries_after(applied)?, covered)?;
    }
    if applied.is_none() {
        in_use(id).publish(home, &paths.marker)?;
    }
    Ok(index)
}

/// The index on the disk with the record up to which it is applied, if its marker vouches for it and the checkpoints can bring it up to
/// date. Whatever is wrong with it, it is only rebuilt.
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
            tracing::warn!(%error, "the metadata index cannot be opened; it is rebuilt");
            return None;
        }
    };
    let index = Index::new(home, manifest.index, manifest.epoch, store, 0);
    let applied = index.applied().ok().flatten()?;
    let usable = applied >= manifest.base_covers() && applied <= manifest.covered();
    if !usable || !marker.vouches(manifest.index, boot, applied) {
        return None;
    }
    Some((index.into_store()?, applied))
}

/// Ends the threads, makes the index durable and vouches for it.
pub(super) fn close(parts: &Parts) -> Result<()> {
    parts.stop();
    let applied = parts.index.applied()?.unwrap_or(Lsn(0));
    parts.index.close()?;
    let index = parts.checkpoints.manifest().index;
    let marker = Marker { index, state: MarkerState::Closed { applied } };
    marker.publish(&parts.home, &IndexPaths::below(&parts.directory).marker)
}
