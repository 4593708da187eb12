//! What every room that owns files needs to know: on which disk, under which keys, for which file system.

use std::sync::Arc;

use crate::disk::Disk;
use crate::environment::Environment;
use crate::identity::FileSystemId;
use crate::keys::KeyRing;

/// Where a file system's own files live and what they are sealed with.
#[derive(Clone)]
pub(crate) struct Home {
    /// The seam to local storage.
    pub(crate) disk: Arc<dyn Disk>,
    /// Time and randomness.
    pub(crate) environment: Environment,
    /// The file system's data keys.
    pub(crate) keys: KeyRing,
    /// Bound into everything that is sealed, so that files of two file systems cannot be swapped.
    pub(crate) file_system: FileSystemId,
}

impl Home {
    /// A new id that a sealing key is derived from.
    pub(crate) fn random_id(&self) -> [u8; 16] {
        let mut id = [0; 16];
        self.environment.entropy.fill(&mut id);
        id
    }
}

impl std::fmt::Debug for Home {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Home").field("file_system", &self.file_system).finish_non_exhaustive()
    }
}
