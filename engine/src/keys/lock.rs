//! One process at a time.
//!
//! # Crash consistency
//! The operating system lets go of the lock when its holder dies; the file itself means nothing and stays.

use std::io::ErrorKind;
use std::path::Path;

use crate::disk::{Disk, DiskLock};
use crate::error::{Error, OpenError, Result};

/// Holds a file system's directory as long as it lives.
pub(crate) struct DirectoryLock {
    _held: DiskLock,
}

impl DirectoryLock {
    /// Takes the lock of a file system's directory, which must be there, or says at once that another process has it.
    pub(crate) fn take(disk: &dyn Disk, directory: &Path) -> Result<Self> {
        let path = directory.join("lock");
        match disk.lock(&path) {
            Ok(held) => Ok(DirectoryLock { _held: held }),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                Err(OpenError::NotAFileSystem { path: directory.to_owned() }.into())
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                Err(OpenError::InUse { path: directory.to_owned() }.into())
            }
            Err(error) => Err(Error::io("cannot lock", path)(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::RealDisk;

    #[test]
    fn a_second_holder_is_refused_until_the_first_lets_go() {
        let directory = tempfile::tempdir().unwrap();
        let first = DirectoryLock::take(&RealDisk, directory.path()).unwrap();
        let second = DirectoryLock::take(&RealDisk, directory.path());
        assert!(matches!(second, Err(Error::Open(OpenError::InUse { .. }))));
        drop(first);
        DirectoryLock::take(&RealDisk, directory.path()).unwrap();
        let missing = DirectoryLock::take(&RealDisk, &directory.path().join("missing"));
        assert!(matches!(missing, Err(Error::Open(OpenError::NotAFileSystem { .. }))));
    }
}
