//! The data directory and its lock: one server for each.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use engine::OpenError;

use super::ServeError;

/// A data directory that no other server uses, as long as this lives.
pub(super) struct DataDirectory {
    path: PathBuf,
    made: bool,
    _lock: File,
}

const LOCK: &str = "tidefs.lock";

impl DataDirectory {
    /// Makes the directory if it is not there, for this user only, and locks it.
    pub(super) fn take(path: &Path) -> Result<DataDirectory, ServeError> {
        let failed = |source| ServeError::DataDirectory { path: path.to_owned(), source };
        let made = !path.exists();
        if made {
            DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(failed)?;
        }
        let mut open = OpenOptions::new();
        open.read(true).write(true).create(true).truncate(false).mode(0o600);
        let lock = open.open(path.join(LOCK)).map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => Ok(DataDirectory { path: path.to_owned(), made, _lock: lock }),
            Err(TryLockError::WouldBlock) => {
                Err(engine::Error::Open(OpenError::InUse { path: path.to_owned() }).into())
            }
            Err(TryLockError::Error(source)) => Err(failed(source)),
        }
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Takes back what [`Self::take`] made, if nothing else is in it.
    pub(super) fn take_back(self) {
        if self.made {
            // What cannot be removed is not empty, and stays.
            let _ = std::fs::remove_file(self.path.join(LOCK));
            let _ = std::fs::remove_dir(self.path.join("cold"));
            let _ = std::fs::remove_dir(&self.path);
        }
    }
}
