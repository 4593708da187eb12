//! One server for each data directory.

use std::fs::{DirBuilder, File, OpenOptions};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use anyhow::{Context, Result};
use rustix::fs::{FlockOperation, flock};

/// Held while the server runs.
pub(super) struct DataLock {
    _file: File,
}

impl DataLock {
    /// Makes the data directory if need be, and takes its lock.
    pub(super) fn take(data: &Path) -> Result<DataLock> {
        DirBuilder::new().recursive(true).mode(0o700).create(data).with_context(|| {
            format!("cannot make the data directory {}; choose another with --data", data.display())
        })?;
        let path = data.join("lock");
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .with_context(|| format!("cannot open {}", path.display()))?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(DataLock { _file: file }),
            Err(rustix::io::Errno::WOULDBLOCK) => {
                Err(engine::OpenError::InUse { path: data.to_owned() }.into())
            }
            Err(error) => Err(error).with_context(|| format!("cannot lock {}", path.display())),
        }
    }
}
