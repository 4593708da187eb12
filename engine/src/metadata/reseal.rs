//! Sealing metadata under the newest key: journal, checkpoints, index, and the small files beside them.
//!
//! # Crash consistency
//! Nothing here is remembered: what is sealed under an older key is seen in the files themselves, so that a restart goes on where it was,
//! but for the index, which is looked through from its beginning.

use std::sync::Arc;

use super::index::{Marker, Resealed};
use super::recovery::IndexPaths;
use super::store::{Parts, Store};
use crate::error::{Error, Result};
use crate::identity::KeyGeneration;
use crate::journal;
use crate::threads::blocking;

impl Store {
    /// Bytes of checkpoints that are sealed under an older key than the newest one. A merge into a new base is begun if there are any.
    pub(crate) fn reseal_checkpoints(&self) -> u64 {
        let parts = self.parts();
        let bytes = parts.checkpoints.bytes_older_than(parts.home.keys.newest());
        if bytes > 0 {
            parts.signal.poke();
        }
        bytes
    }

    /// Whether journal files are there that are sealed under an older key than the newest one.
    pub(crate) fn has_old_journal(&self) -> bool {
        let parts = self.parts();
        parts.journal.has_older_than(parts.home.keys.newest())
    }

    /// Seals some values of the index anew, from this key on.
    pub(crate) async fn reseal_index(&self, from: Vec<u8>) -> Result<Resealed> {
        let parts = Arc::clone(self.parts());
        blocking(move || parts.completing(parts.index.reseal(&from))).await
    }

    /// The last step: makes what was sealed anew stay, seals the manifest and the marker of the index anew, and removes what is left of old journal files.
    pub(crate) async fn reseal_small_files(&self) -> Result<()> {
        let parts = Arc::clone(self.parts());
        blocking(move || small_files(&parts)).await
    }

    /// Forgets what was derived from older keys.
    pub(crate) fn forget_older_than(&self, generation: KeyGeneration) {
        self.parts().index.forget_older_than(generation);
    }
}

pub(super) fn small_files(parts: &Parts) -> Result<()> {
    parts.completing(parts.index.flush())?;
    parts.checkpoints.reseal_manifest()?;
    let path = IndexPaths::below(&parts.directory).marker;
    if let Some(marker) = Marker::read(&parts.home, &path) {
        parts.vouch(&marker)?;
    }
    parts.journal.remove_used_spares()?;
    let journal = parts.directory.join("journal");
    for name in parts.journal.strays(&journal, parts.home.disk.as_ref())? {
        // One that was given back and could not be recycled: its key is not asked for again.
        if journal::is_file(&name) {
            let path = journal.join(name);
            parts.home.disk.remove(&path).map_err(Error::io("cannot remove", &path))?;
        }
    }
    // A file that came back after a power failure could not be opened any more.
    for directory in ["journal", "checkpoint"].map(|name| parts.directory.join(name)) {
        parts.home.disk.sync_directory(&directory).map_err(Error::io("cannot sync", &directory))?;
    }
    Ok(())
}
