//! A small file system with a bit of everything in it.

use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;

use crate::KeySource;
use crate::disk::RealDisk;
use crate::file_system::open::{Substitutes, open_with};
use crate::verify::offline::{self, Offline};
use crate::verify::{Depth, Repaired};
use crate::volume::{NameHasher, Volume};
use crate::{
    Budgets, CloneRange, ColdStoreConfig, CreateMode, Credential, Entry, Environment, FileSystem,
    FileSystemId, InodeId, KeyFile, OpenOptions, SetAttributes, Stability, Tier, VerifyOptions,
    VerifyProgress, VerifyReport,
};

pub(super) struct Home {
    directory: tempfile::TempDir,
    id: FileSystemId,
}

/// The inodes of [`fill`].
pub(super) struct Filled {
    pub(super) directory: InodeId,
    pub(super) small: InodeId,
    pub(super) large: InodeId,
    pub(super) cold: InodeId,
    pub(super) orphan: InodeId,
    /// A file of blocks that `clone` shows, too.
    pub(super) original: InodeId,
    pub(super) clone: InodeId,
}

impl Home {
    pub(super) fn new() -> Home {
        let directory = tempfile::tempdir().unwrap();
        let key_file = directory.path().join("key");
        KeyFile::create(&key_file, Environment::system().entropy.as_ref()).unwrap();
        let mut home = Home { directory, id: FileSystemId::from_random([0; 16]) };
        home.id = FileSystem::make(&home.data(), &home.options()).unwrap();
        home
    }

    pub(super) fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    pub(super) fn files(&self) -> PathBuf {
        self.data().join(self.id.to_string())
    }

    pub(super) fn cold(&self) -> PathBuf {
        self.directory.path().join("cold").join(self.id.to_string())
    }

    pub(super) fn options(&self) -> OpenOptions {
        OpenOptions {
            key: KeySource::File(self.directory.path().join("key")),
            cold: ColdStoreConfig::Directory(self.directory.path().join("cold")),
            environment: Environment::system(),
            budgets: Budgets {
                journal_bytes: 16 << 20,
                overlay_bytes: 4 << 20,
                index_cache_bytes: 4 << 20,
                block_cache_bytes: 1 << 20,
                segment_bytes: 1 << 20,
                ..Budgets::default()
            },
        }
    }

    /// Drops an open file system as a kill does, and waits until its tasks let go of it.
    pub(super) async fn let_go(&self, volume: Arc<Volume>) {
        volume.closing.store(true, std::sync::atomic::Ordering::Release);
        volume.upkeep.stop().await;
        assert_eq!(Arc::strong_count(&volume), 1);
    }

    pub(super) async fn verify_offline(&self, options: &VerifyOptions) -> VerifyReport {
        let open = self.options();
        let directory = self.files();
        let offline = Offline { disk: Arc::new(RealDisk), directory: &directory, id: self.id, open: &open };
        offline.check(options, &VerifyProgress::default(), |_| NameHasher::colliding()).await.unwrap()
    }

    pub(super) async fn repair_offline(&self, options: &VerifyOptions) -> Repaired {
        let (open, progress) = (self.options(), VerifyProgress::default());
        let substitutes = Substitutes { names: |_| NameHasher::colliding(), ..Substitutes::default() };
        offline::repair(&self.data(), self.id, &open, (options, &progress), substitutes).await.unwrap()
    }

    /// Names collide, so that there are tombstones.
    pub(super) async fn open(&self) -> Arc<Volume> {
        self.open_with(self.options()).await
    }

    pub(super) async fn open_with(&self, options: OpenOptions) -> Arc<Volume> {
        let substitutes = Substitutes { names: |_| NameHasher::colliding(), ..Substitutes::default() };
        let volume = open_with(&self.data(), self.id, options, substitutes).await.unwrap();
        assert!(volume.store.until_index_is_built().await);
        volume
    }

    pub(super) fn id(&self) -> FileSystemId {
        self.id
    }

    /// The files of all objects.
    pub(super) fn objects(&self) -> Vec<PathBuf> {
        let shelves = std::fs::read_dir(self.cold().join("segments")).unwrap();
        let files = shelves.flat_map(|shelf| std::fs::read_dir(shelf.unwrap().path()).unwrap());
        files.map(|file| file.unwrap().path()).collect()
    }
}

pub(super) async fn create(volume: &Volume, directory: InodeId, name: &[u8]) -> InodeId {
    let set = SetAttributes::default();
    let entry = Entry { directory, name };
    let pending = volume.create_file(&Credential::root(), entry, CreateMode::Guarded, &set).await.unwrap();
    pending.durable().await.unwrap().into_inner().attributes.inode
}

pub(super) async fn mkdir(volume: &Volume, directory: InodeId, name: &[u8]) -> InodeId {
    let set = SetAttributes::default();
    let new = crate::ops::NewContent::Directory;
    let entry = Entry { directory, name };
    let pending = volume.create_other(&Credential::root(), entry, new, &set).await.unwrap();
    pending.durable().await.unwrap().into_inner().attributes.inode
}

pub(super) async fn write(volume: &Volume, inode: InodeId, offset: u64, data: Vec<u8>) {
    let root = Credential::root();
    let written = volume.write(&root, inode, offset, Bytes::from(data), Stability::FileSync).await.unwrap();
    written.ticket.durable().await.unwrap();
}

pub(super) async fn remove(volume: &Volume, directory: InodeId, name: &[u8]) {
    let pending = volume.remove(&Credential::root(), Entry { directory, name }).await.unwrap();
    pending.durable().await.unwrap();
}

/// Makes a file that shares all blocks of another one.
pub(super) async fn clone_of(volume: &Volume, source: InodeId, directory: InodeId, name: &[u8]) -> InodeId {
    let clone = create(volume, directory, name).await;
    let whole = CloneRange { source_offset: 0, destination_offset: 0, length: 0 };
    let cloned = volume.clone_range(&Credential::root(), source, clone, whole).await.unwrap();
    cloned.durable().await.unwrap();
    clone
}

/// Files with pieces, with blocks and in the cold tier, clones in both tiers, an orphan, hard links, a tombstone.
pub(super) async fn fill(volume: &Volume) -> Filled {
    fill_with(volume, 400_000).await
}

/// The same with files of about this length.
pub(super) async fn fill_with(volume: &Volume, length: usize) -> Filled {
    let root = InodeId::ROOT;
    let directory = mkdir(volume, root, b"directory").await;
    mkdir(volume, directory, b"below").await;
    let cold = create(volume, directory, b"cold").await;
    write(volume, cold, 0, vec![1; length / 4 * 3]).await;
    volume.transition(&[cold], Tier::InfrequentAccess).await.unwrap();
    let large = create(volume, root, b"large").await;
    write(volume, large, 0, vec![2; length]).await;
    let small = create(volume, directory, b"small").await;
    write(volume, small, 100, vec![3; 50]).await;
    let entry = Entry { directory: root, name: b"link" };
    volume.link(&Credential::root(), small, entry).await.unwrap().durable().await.unwrap();
    let orphan = create(volume, root, b"orphan").await;
    write(volume, orphan, 0, vec![4; length / 2]).await;
    remove(volume, root, b"orphan").await;
    for name in [b"first", b"other", b"third"] {
        create(volume, directory, name).await;
    }
    remove(volume, directory, b"first").await;
    let original = create(volume, root, b"original").await;
    write(volume, original, 0, vec![5; length / 2]).await;
    let clone = clone_of(volume, original, directory, b"clone").await;
    let frozen = create(volume, root, b"frozen").await;
    write(volume, frozen, 0, vec![6; length / 2]).await;
    volume.transition(&[frozen], Tier::InfrequentAccess).await.unwrap();
    clone_of(volume, frozen, root, b"frozen-clone").await;
    Filled { directory, small, large, cold, orphan, original, clone }
}

/// Reads everything.
pub(super) fn deep() -> VerifyOptions {
    VerifyOptions { depth: Depth { local: true, bucket: true }, ..VerifyOptions::default() }
}

pub(super) async fn verify(volume: &Arc<Volume>) -> VerifyReport {
    volume.verify(&VerifyOptions::default(), &VerifyProgress::default()).await.unwrap()
}

#[track_caller]
pub(super) fn assert_clean(report: &VerifyReport) {
    assert!(report.is_clean() && report.unsettled.is_empty(), "{:#?}", report);
}
