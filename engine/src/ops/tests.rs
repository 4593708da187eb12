//! The data of files, with upkeep driven by hand: after each step the invariants of `records/extent.rs` are checked.

mod ages;
mod cases;
mod damage;
mod invariants;
mod limits;
mod pieces;
mod random;
mod steady;

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;

use crate::budgets::Budgets;
use crate::credential::Credential;
use crate::environment::Environment;
use crate::file_system::{CloneRange, ColdStoreConfig, CreateMode, Entry, OpenOptions, Stability, ZeroSize};
use crate::identity::InodeId;
use crate::keys::KeyFile;
use crate::tiering::Tier;
use crate::volume::Volume;
use crate::{FileSystem, SetAttributes};

const KIB: u64 = 1024;

/// A volume in a temporary directory. Mostly it does no upkeep by itself.
struct World {
    volume: Arc<Volume>,
    directory: tempfile::TempDir,
}

impl World {
    async fn new() -> World {
        let world = World::with_upkeep(Environment::system()).await;
        // Before its task runs for the first time: it ends at once.
        world.volume.closing.store(true, Ordering::Release);
        world.volume.release_orphans().await.unwrap();
        world
    }

    async fn with_upkeep(environment: Environment) -> World {
        let directory = tempfile::tempdir().unwrap();
        let key_file = directory.path().join("tidefs.key");
        KeyFile::create(&key_file, environment.entropy.as_ref()).unwrap();
        let budgets = Budgets {
            journal_bytes: 32 << 20,
            overlay_bytes: 8 << 20,
            index_cache_bytes: 4 << 20,
            write_buffer_bytes: 8 << 20,
            block_cache_bytes: 1 << 20,
            segment_bytes: 256 << 10,
            object_bytes: 256 << 10,
        };
        let cold = ColdStoreConfig::Directory(directory.path().join("cold"));
        let options = OpenOptions { key: crate::KeySource::File(key_file), cold, environment, budgets };
        let data = directory.path().join("data");
        let id = FileSystem::make(&data, &options).unwrap();
        let volume = crate::file_system::open::open(&data, id, options).await.unwrap();
        World { volume, directory }
    }

    async fn create(&self, name: &str) -> InodeId {
        let (who, set) = (Credential::root(), SetAttributes::default());
        let entry = Entry { directory: InodeId::ROOT, name: name.as_bytes() };
        let made = self.volume.create_file(&who, entry, CreateMode::Guarded, &set).await.unwrap();
        made.durable().await.unwrap().into_inner().attributes.inode
    }

    async fn remove(&self, name: &str) {
        let entry = Entry { directory: InodeId::ROOT, name: name.as_bytes() };
        self.volume.remove(&Credential::root(), entry).await.unwrap().durable().await.unwrap();
        self.volume.reclaim_contents().await.unwrap();
    }

    async fn write(&self, file: InodeId, offset: u64, data: &[u8], stability: Stability) {
        let data = Bytes::copy_from_slice(data);
        let written = self.volume.write(&Credential::root(), file, offset, data, stability).await.unwrap();
        written.ticket.durable().await.unwrap();
    }

    /// A file whose content lies in blocks as long as can be.
    async fn file(&self, name: &str, content: &[u8]) -> InodeId {
        let file = self.create(name).await;
        for (number, part) in content.chunks(256 << 10).enumerate() {
            self.write(file, number as u64 * 256 * KIB, part, Stability::Unstable).await;
        }
        self.volume.commit(file).await.unwrap().durable().await.unwrap();
        self.fold().await;
        file
    }

    async fn fold(&self) {
        self.volume.fold_pieces(true).await.unwrap();
    }

    async fn truncate(&self, file: InodeId, size: u64) {
        let set = SetAttributes { size: Some(size), ..SetAttributes::default() };
        let who = Credential::root();
        let done = self.volume.set_attributes(&who, file, &set, crate::Authority::Mode).await.unwrap();
        done.durable().await.unwrap();
    }

    async fn punch(&self, file: InodeId, range: Range<u64>) {
        let punched = self.volume.zero(&Credential::root(), file, range, ZeroSize::Keep).await.unwrap();
        punched.durable().await.unwrap();
    }

    async fn clone_range(&self, source: InodeId, destination: InodeId, range: CloneRange) {
        let cloned = self.volume.clone_range(&Credential::root(), source, destination, range).await.unwrap();
        cloned.durable().await.unwrap();
    }

    async fn transition(&self, file: InodeId, to: Tier) {
        self.volume.transition(&[file], to).await.unwrap();
    }

    /// Rewrites every closed segment that has any garbage, and deletes the dead ones.
    async fn collect(&self) {
        self.volume.standard.close_active().await.unwrap();
        self.volume.collect_now().await.unwrap();
    }

    async fn read(&self, file: InodeId) -> Vec<u8> {
        let size = self.volume.attributes(file).unwrap().size;
        let mut all = Vec::new();
        while (all.len() as u64) < size {
            let part = self.volume.read(file, all.len() as u64, 1 << 20).await.unwrap();
            part.parts.iter().for_each(|part| all.extend_from_slice(part));
        }
        all
    }

    fn check(&self) {
        invariants::check(&self.volume);
    }
}

fn whole(length: u64) -> CloneRange {
    CloneRange { source_offset: 0, destination_offset: 0, length }
}

/// Bytes that look random but are the same for one seed.
fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut chance = Chance::new(seed);
    std::iter::repeat_with(|| chance.next().to_le_bytes()).flatten().take(length).collect()
}

/// Numbers that look random but are the same for one seed.
struct Chance(u64);

impl Chance {
    fn new(seed: u64) -> Self {
        Chance(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, end: u64) -> u64 {
        (self.next() >> 11) % end
    }
}
