//! What a crash leaves of an object that was being written into a local directory.
//!
//! `object_store` writes an object as `NAME#1` (or `#2`, if that is there) and links it to `NAME` when it is whole; its listings and deletions know nothing of the
//! first name. A bucket has nothing of the kind.

use std::io::{self, ErrorKind};
use std::path::PathBuf;

use object_store::path::Path;

use crate::disk::{Disk, RealDisk};
use crate::error::{Error, Result};
use crate::file_system::ColdStoreConfig;
use crate::threads::blocking;

/// Names that one process may have begun an object under: it gives up one that took too long and tries again beside it.
const TRIES_MAX: u32 = 4;

/// The directory with the objects, if they are in one.
#[derive(Debug, Clone)]
pub(super) struct Staging(Option<PathBuf>);

impl Staging {
    pub(super) fn of(config: &ColdStoreConfig) -> Self {
        match config {
            ColdStoreConfig::Directory(path) => Staging(Some(path.clone())),
            ColdStoreConfig::Bucket { .. } => Staging(None),
        }
    }

    /// Removes what an upload of this object left that a crash interrupted. Nobody may be uploading it.
    pub(super) async fn clear(&self, object: &Path) -> Result<()> {
        let Some(root) = &self.0 else { return Ok(()) };
        let staged = (1..=TRIES_MAX).map(|number| root.join(format!("{object}#{number}")));
        let mut staged = staged.collect::<Vec<_>>().into_iter();
        let remove = |path: PathBuf| RealDisk.remove(&path).map_err(Error::io("cannot remove", path));
        blocking(move || staged.try_for_each(remove)).await
    }

    /// Removes everything in a folder of objects that live only as long as the process that makes them.
    pub(super) async fn clear_folder(&self, folder: &Path) -> Result<()> {
        let Some(root) = &self.0 else { return Ok(()) };
        let folder = root.join(folder.as_ref());
        blocking(move || remove_all(&folder).map_err(Error::io("cannot clear", folder))).await
    }
}

fn remove_all(folder: &std::path::Path) -> io::Result<()> {
    let names = match RealDisk.list(folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        names => names?,
    };
    names.iter().try_for_each(|name| RealDisk.remove(&folder.join(name)))
}
