//! sled as the store of the index.
//!
//! sled writes its own files, beside the seam to the disk. Its `flush` does not make all of them durable, so that a close syncs each
//! file here. Of damaged files it says so, or it panics: a panic is an error here, and the last thing that the store does.
//!
//! # What must not pile up
//! sled writes its log in the background, on eight threads, each of which then waits for a lock on its segments. Whoever appends to the
//! log may hold that lock while it waits for an earlier cut of the file, which waits for one of these threads: with eight writes before
//! the cut nobody ever goes on. And only what is known to be written is collected: with nothing to tell it, the log grows without
//! bounds. Hence it is waited for after each [`INDEX_BATCH_BYTES`]: see `docs/decisions/0003-sled-is-waited-for.md`.

use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;

use super::{Indexes, MetaStore};
use crate::error::{Error, Result};
use crate::limits::INDEX_BATCH_BYTES;

/// sled below one directory.
struct SledStore {
    directory: PathBuf,
    /// `None` only while it is dropped.
    db: Option<sled::Db>,
    panicked: AtomicBool,
    /// Bytes of keys and values since the log was last waited for.
    unsettled_bytes: AtomicU64,
}

/// A range of sled's.
struct Rows<'a> {
    store: &'a SledStore,
    rows: sled::Iter,
}

/// Five seconds in all.
const LOCK_TRIES: u32 = 500;
const LOCK_PAUSE: Duration = Duration::from_millis(10);
/// Of sled, while it only looks at its log: no page is read.
const PREPARE_CACHE_BYTES: u64 = 1 << 20;

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
        let db = Some(db.map_err(failed("cannot open"))?);
        Ok(Box::new(SledStore::new(directory, db)))
    }

    /// sled reads all of its log that was written since it was last opened, and keeps what it found.
    fn prepare(&self, directory: &Path) -> Result<()> {
        drop(self.open(directory, PREPARE_CACHE_BYTES)?);
        sync_tree(directory)
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

impl SledStore {
    fn new(directory: &Path, db: Option<sled::Db>) -> Self {
        let directory = directory.to_owned();
        SledStore { directory, db, panicked: AtomicBool::new(false), unsettled_bytes: AtomicU64::new(0) }
    }

    /// What sled says; that it panicked, if it does. What it holds then is not asked again.
    fn ask<T>(&self, question: impl FnOnce(&sled::Db) -> Result<T>) -> Result<T> {
        let panicked = || Error::corrupt("sled panicked in the index");
        let db = self.db.as_ref().filter(|_| !self.panicked.load(Ordering::Acquire)).ok_or_else(panicked)?;
        catch_unwind(AssertUnwindSafe(|| question(db))).unwrap_or_else(|_| {
            self.panicked.store(true, Ordering::Release);
            Err(panicked())
        })
    }
}

impl Drop for SledStore {
    /// sled writes when it is dropped, so that it may panic then, too. Whoever had to know was told by a flush.
    fn drop(&mut self) {
        let db = self.db.take();
        if catch_unwind(AssertUnwindSafe(|| drop(db))).is_err() {
            tracing::warn!("sled panicked while the index was closed");
        }
    }
}

impl Iterator for Rows<'_> {
    type Item = Result<(Bytes, Vec<u8>)>;

    fn next(&mut self) -> Option<Self::Item> {
        let rows = &mut self.rows;
        let row = self.store.ask(|_| rows.next().transpose().map_err(failed("cannot read")));
        row.map(|row| row.map(|(key, value)| (Bytes::copy_from_slice(&key), value.to_vec()))).transpose()
    }
}

impl MetaStore for SledStore {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        let found = self.ask(|db| db.get(key).map_err(failed("cannot read")))?;
        Ok(found.map(|value| value.to_vec()))
    }

    fn last_key(&self) -> Result<Option<Bytes>> {
        let found = self.ask(|db| db.last().map_err(failed("cannot read")))?;
        Ok(found.map(|(key, _)| Bytes::copy_from_slice(&key)))
    }

    fn range<'a>(
        &'a self,
        from: &[u8],
        to: &[u8],
    ) -> Box<dyn Iterator<Item = Result<(Bytes, Vec<u8>)>> + 'a> {
        // sled, too, does not like a range that ends before its start.
        let to = to.max(from);
        match self.ask(|db| Ok(db.range(from.to_vec()..to.to_vec()))) {
            Ok(rows) => Box::new(Rows { store: self, rows }),
            Err(error) => Box::new(std::iter::once(Err(error))),
        }
    }

    fn apply(&self, batch: Vec<(Bytes, Option<Vec<u8>>)>) -> Result<()> {
        let bytes =
            batch.iter().map(|(key, value)| key.len() + value.as_ref().map_or(0, Vec::len)).sum::<usize>();
        self.unsettled_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        if let [(key, Some(value))] = batch.as_slice() {
            let insert = |db: &sled::Db| db.insert(key.as_ref(), value.as_slice()).map(drop);
            return self.ask(|db| insert(db).map_err(failed("cannot write")));
        }
        let mut changes = sled::Batch::default();
        for (key, value) in batch {
            match value {
                Some(value) => changes.insert(key.as_ref(), value),
                None => changes.remove(key.as_ref()),
            }
        }
        self.ask(|db| db.apply_batch(changes).map_err(failed("cannot write")))
    }

    fn settle(&self) -> Result<()> {
        if self.unsettled_bytes.load(Ordering::Relaxed) < INDEX_BATCH_BYTES as u64 {
            return Ok(());
        }
        self.unsettled_bytes.store(0, Ordering::Relaxed);
        self.ask(|db| db.flush().map(drop).map_err(failed("cannot flush")))
    }

    fn flush(&self) -> Result<()> {
        self.ask(|db| db.flush().map_err(failed("cannot flush")))?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_of_sled_is_an_error_and_the_last_thing_that_it_is_asked() {
        let directory = tempfile::tempdir().unwrap();
        let db = sled::Config::new().path(directory.path().join("index")).open().unwrap();
        let store = SledStore::new(directory.path(), Some(db));
        store.apply(vec![(Bytes::from_static(b"a"), Some(b"1".to_vec()))]).unwrap();
        let rows = store.range(b"a", b"b");
        let said =
            store.ask(|_| -> Result<()> { panic!("as sled does of a page that it does not understand") });
        assert!(matches!(said, Err(Error::Corrupt { .. })));
        assert!(matches!(store.get(b"a"), Err(Error::Corrupt { .. })));
        assert!(matches!(store.flush(), Err(Error::Corrupt { .. })));
        assert!(rows.take(1).all(|row| row.is_err()));
    }

    #[test]
    fn the_log_is_collected_while_it_is_written() {
        let directory = tempfile::tempdir().unwrap();
        let store = SledIndexes.open(&directory.path().join("index"), 1 << 20).unwrap();
        for round in 0..40_u8 {
            for key in 0..200_u8 {
                // Each value is another one, so that nothing is left out.
                let value: Vec<u8> = (0..2000_usize).map(|at| round ^ key ^ (at as u8)).collect();
                store.apply(vec![(Bytes::copy_from_slice(&[1, key]), Some(value))]).unwrap();
                store.settle().unwrap();
            }
        }
        let stored = std::fs::metadata(directory.path().join("index/db")).unwrap().len();
        assert!(stored < 8 << 20, "{stored} bytes for 400 KB, of which 16 MB were written");
    }
}
