//! sled as the store of the index.
//!
//! sled writes its own files, beside the seam to the disk. Its `flush` does not make all of them durable, so that a close syncs each
//! file here.

use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;

use super::{Indexes, MetaStore};
use crate::error::{Error, Result};

/// sled below one directory.
struct SledStore {
    directory: PathBuf,
    db: sled::Db,
}

/// Five seconds in all.
const LOCK_TRIES: u32 = 500;
const LOCK_PAUSE: Duration = Duration::from_millis(10);

/// Indexes in sled.
pub(crate) struct SledIndexes;

impl Indexes for SledIndexes {
    /// A panic of sled is an error, too.
    fn open(&self, directory: &Path, cache_bytes: u64) -> Result<Box<dyn MetaStore>> {
        let config = sled::Config::new().path(directory).cache_capacity(cache_bytes).flush_every_ms(None);
        let db = patiently(|| {
            let opened = catch_unwind(AssertUnwindSafe(|| config.open()));
            opened.map_err(|_| Error::corrupt("sled panicked while opening the index"))
        })?;
        let db = db.map_err(failed("cannot open"))?;
        Ok(Box::new(SledStore { directory: directory.to_owned(), db }))
    }

    fn destroy(&self, directory: &Path) -> Result<()> {
        let removed = match std::fs::symlink_metadata(directory) {
            Ok(found) if found.is_dir() => std::fs::remove_dir_all(directory),
            Ok(_) => std::fs::remove_file(directory),
            Err(error) => Err(error),
        };
        match removed {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(Error::io("cannot remove", directory)(error))
            }
            _ => Ok(()),
        }
    }
}

/// Tries again while sled's own lock is held. The lock of the file system keeps other processes away, so that it can only be held by what
/// sled still does in the background after it was closed in this process.
fn patiently(open: impl Fn() -> Result<sled::Result<sled::Db>>) -> Result<sled::Result<sled::Db>> {
    for _ in 0..LOCK_TRIES {
        match open()? {
            Err(sled::Error::Io(error)) if error.to_string().contains("could not acquire lock") => {
                std::thread::sleep(LOCK_PAUSE);
            }
            opened => return Ok(opened),
        }
    }
    open()
}

impl MetaStore for SledStore {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        let found = self.db.get(key).map_err(failed("cannot read"))?;
        Ok(found.map(|value| value.to_vec()))
    }

    fn floor(&self, key: &[u8]) -> Result<Option<(Bytes, Vec<u8>)>> {
        let Some(found) = self.db.range(..=key.to_vec()).next_back() else { return Ok(None) };
        let (key, value) = found.map_err(failed("cannot read"))?;
        Ok(Some((Bytes::copy_from_slice(&key), value.to_vec())))
    }

    fn range<'a>(
        &'a self,
        from: &[u8],
        to: &[u8],
    ) -> Box<dyn Iterator<Item = Result<(Bytes, Vec<u8>)>> + 'a> {
        // sled, too, does not like a range that ends before its start.
        let to = to.max(from);
        Box::new(self.db.range(from.to_vec()..to.to_vec()).map(|entry| {
            let (key, value) = entry.map_err(failed("cannot read"))?;
            Ok((Bytes::copy_from_slice(&key), value.to_vec()))
        }))
    }

    fn apply(&self, batch: Vec<(Bytes, Option<Vec<u8>>)>) -> Result<()> {
        if let [(key, Some(value))] = batch.as_slice() {
            return self.db.insert(key.as_ref(), value.as_slice()).map(drop).map_err(failed("cannot write"));
        }
        let mut changes = sled::Batch::default();
        for (key, value) in batch {
            match value {
                Some(value) => changes.insert(key.as_ref(), value),
                None => changes.remove(key.as_ref()),
            }
        }
        self.db.apply_batch(changes).map_err(failed("cannot write"))
    }

    fn flush(&self) -> Result<()> {
        self.db.flush().map_err(failed("cannot flush"))?;
        sync_tree(&self.directory)
    }
}

fn failed(action: &'static str) -> impl Fn(sled::Error) -> Error {
    move |error| match error {
        sled::Error::Io(source) => Error::io(action, "the index")(source),
        other => Error::corrupt(format!("{action} the index: {other}")),
    }
}

fn sync_tree(directory: &Path) -> Result<()> {
    let entries = std::fs::read_dir(directory).map_err(Error::io("cannot list", directory))?;
    for entry in entries {
        let entry = entry.map_err(Error::io("cannot list", directory))?;
        let path = entry.path();
        let kind = entry.file_type().map_err(Error::io("cannot look at", &path))?;
        if kind.is_dir() {
            sync_tree(&path)?;
        } else if kind.is_file() {
            sync(&path)?;
        }
    }
    sync(directory)
}

fn sync(path: &Path) -> Result<()> {
    File::open(path).and_then(|file| file.sync_all()).map_err(Error::io("cannot sync", path))
}
