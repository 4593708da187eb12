//! A file system in a temporary directory.

use std::path::PathBuf;

use bytes::Bytes;
use engine::{
    Authority, Budgets, ColdStoreConfig, CreateMode, Credential, Entry, Environment, FileSystem,
    FileSystemId, InodeId, KeyFile, KeySource, OpenOptions, SetAttributes, Stability,
};
use tempfile::TempDir;

/// A data directory with a key beside it.
pub(crate) struct Home {
    directory: TempDir,
    pub(crate) id: FileSystemId,
    pub(crate) budgets: Budgets,
}

impl Home {
    pub(crate) fn with(budgets: Budgets) -> Home {
        let directory = tempfile::tempdir().unwrap();
        let environment = Environment::system();
        KeyFile::create(&directory.path().join("tidefs.key"), environment.entropy.as_ref()).unwrap();
        let mut home = Home { directory, id: FileSystemId::from_random([0; 16]), budgets };
        home.id = FileSystem::make(&home.data(), &home.options()).unwrap();
        home
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    pub(crate) fn cold(&self) -> PathBuf {
        self.directory.path().join("cold")
    }

    pub(crate) fn options(&self) -> OpenOptions {
        OpenOptions {
            key: KeySource::File(self.directory.path().join("tidefs.key")),
            cold: ColdStoreConfig::Directory(self.cold()),
            environment: Environment::system(),
            budgets: self.budgets,
        }
    }

    pub(crate) async fn open(&self) -> FileSystem {
        FileSystem::open(&self.data(), self.id, self.options()).await.unwrap()
    }
}

pub(crate) fn small_budgets() -> Budgets {
    const MIB: u64 = 1 << 20;
    Budgets {
        journal_bytes: 64 * MIB,
        overlay_bytes: 16 * MIB,
        index_cache_bytes: 16 * MIB,
        write_buffer_bytes: 16 * MIB,
        block_cache_bytes: 8 * MIB,
        segment_bytes: 8 * MIB,
        object_bytes: 4 * MIB,
    }
}

pub(crate) fn root() -> Credential {
    Credential::root()
}

pub(crate) fn at(directory: InodeId, name: &[u8]) -> Entry<'_> {
    Entry { directory, name }
}

pub(crate) async fn create(fs: &FileSystem, directory: InodeId, name: &[u8]) -> InodeId {
    let set = SetAttributes::default();
    let pending = fs.create(&root(), at(directory, name), CreateMode::Guarded, &set).await.unwrap();
    pending.durable().await.unwrap().into_inner().attributes.inode
}

pub(crate) async fn write(fs: &FileSystem, inode: InodeId, offset: u64, data: &[u8], stability: Stability) {
    let written = fs.write(&root(), inode, offset, Bytes::copy_from_slice(data), stability).await.unwrap();
    assert_eq!(written.length, data.len());
    written.ticket.durable().await.unwrap();
}

pub(crate) async fn commit(fs: &FileSystem, inode: InodeId) {
    fs.commit(inode).await.unwrap().durable().await.unwrap();
}

pub(crate) async fn truncate(fs: &FileSystem, inode: InodeId, size: u64) {
    let set = SetAttributes { size: Some(size), ..SetAttributes::default() };
    fs.set_attributes(&root(), inode, &set, Authority::Mode).await.unwrap().durable().await.unwrap();
}

pub(crate) async fn read(fs: &FileSystem, inode: InodeId, offset: u64, length: usize) -> Vec<u8> {
    let data = fs.read(inode, offset, length).await.unwrap();
    data.parts.iter().flat_map(|part| part.iter().copied()).collect()
}

pub(crate) async fn read_all(fs: &FileSystem, inode: InodeId) -> Vec<u8> {
    let size = fs.attributes(inode).unwrap().size;
    let mut all = Vec::new();
    while (all.len() as u64) < size {
        let part = read(fs, inode, all.len() as u64, 1 << 20).await;
        assert!(!part.is_empty());
        all.extend(part);
    }
    all
}

/// Bytes that look random but are the same for one seed.
pub(crate) fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut step = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    std::iter::repeat_with(|| step().to_le_bytes()).flatten().take(length).collect()
}
