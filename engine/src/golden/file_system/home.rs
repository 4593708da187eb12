//! Where the file system is.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::error::{Error, OpenError, Result};
use crate::metadata::{Indexes, MetaStore, SledIndexes};
use crate::{
    Budgets, ColdStoreConfig, Depth, Environment, FileSystem, FileSystemId, KeySource, OpenOptions,
    VerifyOptions, VerifyProgress, VerifyReport,
};

/// A key, a data directory and a cold tier.
pub(super) struct Home {
    directory: tempfile::TempDir,
    pub(super) id: FileSystemId,
    /// How often an index was thrown away.
    pub(super) indexes_destroyed: Arc<AtomicUsize>,
}

impl Home {
    pub(super) fn new(id: FileSystemId) -> Home {
        let directory = tempfile::tempdir().unwrap();
        Home { directory, id, indexes_destroyed: Arc::default() }
    }

    pub(super) fn path(&self) -> &Path {
        self.directory.path()
    }

    pub(super) fn key(&self) -> PathBuf {
        self.path().join("key")
    }

    pub(super) fn data(&self) -> PathBuf {
        self.path().join("data")
    }

    pub(super) fn options(&self) -> OpenOptions {
        self.options_in(Environment::system())
    }

    pub(super) fn options_in(&self, environment: Environment) -> OpenOptions {
        let indexes = Arc::new(Watched(Arc::clone(&self.indexes_destroyed)));
        OpenOptions {
            key: KeySource::File(self.key()),
            cold: ColdStoreConfig::Directory(self.path().join("cold")),
            environment: Environment { indexes, ..environment },
            budgets: Budgets {
                journal_bytes: 16 << 20,
                overlay_bytes: 8 << 20,
                index_cache_bytes: 4 << 20,
                block_cache_bytes: 1 << 20,
                segment_bytes: 1 << 20,
                ..Budgets::default()
            },
        }
    }

    pub(super) async fn open(&self) -> FileSystem {
        self.open_with(self.options()).await
    }

    /// Without its upkeep.
    pub(super) async fn open_at_rest(&self) -> FileSystem {
        let fs = self.open().await;
        end_upkeep(&fs).await;
        fs
    }

    /// The last tasks of an earlier life may hold the lock for a moment.
    pub(super) async fn open_with(&self, options: OpenOptions) -> FileSystem {
        loop {
            match FileSystem::open(&self.data(), self.id, options.clone()).await {
                Err(Error::Open(OpenError::InUse { .. })) => tokio::task::yield_now().await,
                opened => {
                    let fs = opened.unwrap();
                    assert!(fs.volume().store.until_index_is_built().await);
                    return fs;
                }
            }
        }
    }

    pub(super) async fn verify_offline(&self) {
        let (data, open, progress) = (self.data(), self.options(), VerifyProgress::default());
        let report = FileSystem::verify_offline(&data, self.id, &open, &deep(), &progress).await;
        assert_whole(&report.unwrap());
    }
}

pub(super) async fn end_upkeep(fs: &FileSystem) {
    fs.volume().upkeep.abort().await;
}

pub(super) async fn verify(fs: &FileSystem) {
    assert_whole(&fs.verify(&deep(), &VerifyProgress::default()).await.unwrap());
}

fn deep() -> VerifyOptions {
    VerifyOptions { depth: Depth { local: true, bucket: true }, ..VerifyOptions::default() }
}

#[track_caller]
fn assert_whole(report: &VerifyReport) {
    assert!(report.is_clean() && report.unsettled.is_empty(), "{report:#?}");
    let checked = report.checked;
    assert!(checked.inodes > 25 && checked.objects > 0 && checked.bytes > 100_000, "{checked:?}");
}

/// sled, counting what is thrown away.
struct Watched(Arc<AtomicUsize>);

impl Indexes for Watched {
    fn open(&self, directory: &Path, cache_bytes: u64) -> Result<Box<dyn MetaStore>> {
        SledIndexes.open(directory, cache_bytes)
    }

    fn destroy(&self, directory: &Path) -> Result<()> {
        self.0.fetch_add(1, Ordering::Relaxed);
        SledIndexes.destroy(directory)
    }
}
