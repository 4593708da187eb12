//! What the tests of the store share.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;

use crate::disk::{Disk, RealDisk};
use crate::environment::Environment;
use crate::error::Result;
use crate::home::Home;
use crate::identity::FileSystemId;
use crate::journal::Ticket;
use crate::keys::{DataKey, KeyRing};
use crate::metadata::index::BootId;
use crate::metadata::{Store, StoreBudgets};

pub(super) const BUDGETS: StoreBudgets =
    StoreBudgets { journal_bytes: 16 << 20, overlay_bytes: 8 << 20, index_cache_bytes: 8 << 20 };

/// A store in a directory, on some disk, that can be opened again and again.
pub(crate) struct Bench {
    pub(crate) path: PathBuf,
    pub(crate) home: Home,
    pub(crate) budgets: StoreBudgets,
    pub(crate) boot: BootId,
    pub(super) _directory: tempfile::TempDir,
}

impl Bench {
    pub(crate) fn on_real_disk() -> Self {
        Self::new(Arc::new(RealDisk), tempfile::tempdir().unwrap())
    }

    /// The index is not on the simulated disk; it is kept in memory, where there is such a place, for speed.
    pub(crate) fn on(disk: Arc<dyn Disk>) -> Self {
        let directory = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        disk.create_directory(directory.path()).unwrap();
        for ancestor in directory.path().ancestors() {
            disk.sync_directory(ancestor).unwrap();
        }
        Self::new(disk, directory)
    }

    fn new(disk: Arc<dyn Disk>, directory: tempfile::TempDir) -> Self {
        let home = Home {
            disk,
            environment: Environment::system(),
            keys: KeyRing::of(DataKey::from_bytes([3; 32])),
            file_system: FileSystemId::from_random([5; 16]),
        };
        let path = directory.path().join("fs");
        let boot = BootId::of("first boot");
        Bench { path, home, budgets: BUDGETS, boot, _directory: directory }
    }

    pub(crate) fn create(&self) -> Result<()> {
        let Home { disk, environment, keys, file_system } = &self.home;
        Store::create(&self.path, disk, environment, keys, *file_system, self.budgets)
    }

    /// Opens it; its index is there.
    pub(in crate::metadata) fn open(&self) -> Result<Arc<Store>> {
        let store = self.open_at_once()?;
        wait(store.until_index_is_built());
        Ok(store)
    }

    /// Opens it; its index may still have to be built.
    pub(in crate::metadata) fn open_at_once(&self) -> Result<Arc<Store>> {
        Store::open_in_boot(&self.path, self.home.clone(), self.budgets, &self.boot)
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }
}

pub(in crate::metadata) fn wait<T>(future: impl Future<Output = T>) -> T {
    // What is held back needs timers.
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(future)
}

pub(in crate::metadata) fn put(store: &Store, entries: &[(&str, Option<&str>)]) -> Ticket {
    let mut transaction = store.begin().unwrap();
    for (key, value) in entries {
        match value {
            Some(value) => transaction.put(key.as_bytes().to_vec(), value.as_bytes().to_vec()),
            None => transaction.delete(key.as_bytes().to_vec()),
        }
    }
    transaction.commit()
}

pub(super) fn text(store: &Store, key: &str) -> Option<String> {
    store.get(key.as_bytes()).unwrap().map(|value| String::from_utf8(value.to_vec()).unwrap())
}

pub(super) fn joined(entries: Vec<(Bytes, Bytes)>) -> String {
    let pairs = entries
        .iter()
        .map(|(key, value)| format!("{}={}", String::from_utf8_lossy(key), String::from_utf8_lossy(value)));
    pairs.collect::<Vec<_>>().join(" ")
}

/// The names in a directory that end so, sorted.
pub(super) fn files(directory: &Path, extension: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let mut found: Vec<PathBuf> =
        entries.filter(|path| path.extension().is_some_and(|found| found == extension)).collect();
    found.sort();
    found
}
