//! One process at a time.
//!
//! # Crash consistency
//! The operating system lets go of the lock when its holder dies; the file itself means nothing and stays.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::{FlockOperation, flock};

use crate::error::{Error, OpenError, Result};

/// Holds a file system's directory as long as it lives.
#[derive(Debug)]
pub(crate) struct DirectoryLock {
    _file: File,
}

impl DirectoryLock {
    /// Takes the lock of a file system's directory, which must be there, or says at once that another process has it.
    pub(crate) fn take(directory: &Path) -> Result<Self> {
        let path = directory.join("lock");
        let mut how = OpenOptions::new();
        let file = match how.write(true).create(true).truncate(false).mode(0o600).open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(OpenError::NotAFileSystem { path: directory.to_owned() }.into());
            }
            Err(error) => return Err(Error::io("cannot open", path)(error)),
        };
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(DirectoryLock { _file: file }),
            Err(rustix::io::Errno::WOULDBLOCK) => Err(OpenError::InUse { path: directory.to_owned() }.into()),
            Err(error) => Err(Error::io("cannot lock", path)(error.into())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_holder_is_refused_until_the_first_lets_go() {
        let directory = tempfile::tempdir().unwrap();
        let first = DirectoryLock::take(directory.path()).unwrap();
        let second = DirectoryLock::take(directory.path());
        assert!(matches!(second, Err(Error::Open(OpenError::InUse { .. }))));
        drop(first);
        DirectoryLock::take(directory.path()).unwrap();
        let missing = DirectoryLock::take(&directory.path().join("missing"));
        assert!(matches!(missing, Err(Error::Open(OpenError::NotAFileSystem { .. }))));
    }
}
