//! What is left under an older key: looked for in every byte that is at rest.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;

use crate::codec::Reader;
use crate::data::format::{HEADER_BYTES, SegmentOpener};
use crate::file_system::open::open;
use crate::keys::{DataKey, KeyRing};
use crate::records::{Extent, key};
use crate::tiering::Tier;
use crate::volume::{Look, Volume};
use crate::{
    Budgets, ColdStoreConfig, CreateMode, Credential, Entry, Environment, Error, FileSystem, FileSystemId,
    InodeId, KeyFile, KeyGeneration, KeySource, OpenError, OpenOptions, SegmentId, SetAttributes, Stability,
};

const OLD: KeyGeneration = KeyGeneration::FIRST;
const FILES: u8 = 6;

struct Home {
    directory: tempfile::TempDir,
    id: FileSystemId,
}

impl Home {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let entropy = Environment::system().entropy;
        KeyFile::create(&directory.path().join("key"), entropy.as_ref()).unwrap();
        let mut home = Home { directory, id: FileSystemId::from_random([0; 16]) };
        home.id = FileSystem::make(&home.data(), &home.options()).unwrap();
        home
    }

    fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    fn cold(&self) -> PathBuf {
        self.directory.path().join("cold")
    }

    fn below(&self, name: &str) -> PathBuf {
        self.data().join(self.id.to_string()).join(name)
    }

    fn options(&self) -> OpenOptions {
        OpenOptions {
            key: KeySource::File(self.directory.path().join("key")),
            cold: ColdStoreConfig::Directory(self.cold()),
            environment: Environment::system(),
            budgets: Budgets {
                journal_bytes: 16 << 20,
                segment_bytes: 1 << 20,
                block_cache_bytes: 0,
                object_bytes: 1 << 20,
                ..Budgets::default()
            },
        }
    }

    /// After a volume was dropped its last task may still hold the lock for a moment.
    async fn open(&self) -> Arc<Volume> {
        loop {
            match open(&self.data(), self.id, self.options()).await {
                Err(Error::Open(OpenError::InUse { .. })) => tokio::task::yield_now().await,
                opened => return opened.unwrap(),
            }
        }
    }

    /// Every file below the data directory and in the cold store.
    fn at_rest(&self) -> Vec<PathBuf> {
        let mut found = Vec::new();
        let mut left = vec![self.data(), self.cold()];
        while let Some(directory) = left.pop() {
            for entry in std::fs::read_dir(directory).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() { left.push(path) } else { found.push(path) }
            }
        }
        found
    }
}

fn content(number: u8) -> Bytes {
    (0..300_000u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8 ^ number).collect()
}

fn name(number: u8) -> [u8; 2] {
    [b'f', b'0' + number]
}

/// Files in Standard and in the cold tier, one of them with a piece in the journal.
async fn fill(volume: &Volume) {
    let (root, set) = (Credential::root(), SetAttributes::default());
    for number in 0..FILES {
        let entry = Entry { directory: InodeId::ROOT, name: &name(number) };
        let made = volume.create_file(&root, entry, CreateMode::Guarded, &set).await.unwrap();
        let inode = made.durable().await.unwrap().into_inner().attributes.inode;
        volume.write(&root, inode, 0, content(number), Stability::Unstable).await.unwrap();
        volume.commit(inode).await.unwrap().durable().await.unwrap();
        if number % 2 == 0 {
            volume.transition(&[inode], Tier::InfrequentAccess).await.unwrap();
        }
    }
    volume.store.fold().await.unwrap();
    let inode = volume.resolve_path(b"/f1").unwrap().inode;
    let piece = content(1).slice(7..9);
    volume.write(&root, inode, 7, piece, Stability::FileSync).await.unwrap().ticket.durable().await.unwrap();
}

async fn check(volume: &Volume) {
    for number in 0..FILES {
        let inode = volume.resolve_path(&[b"/".as_slice(), &name(number)].concat()).unwrap().inode;
        let read = volume.read(inode, 0, 300_000).await.unwrap();
        assert!(read.parts.concat() == content(number), "file {number}");
    }
}

fn old_key(volume: &Volume) -> DataKey {
    volume.keys.ring().key(OLD, String::new).unwrap()
}

async fn until_resealed(volume: &Volume) {
    while volume.keys.ring().is_rotating() {
        volume.upkeep.wake();
        tokio::task::yield_now().await;
    }
}

/// The files at rest that the old key opens, or that name it.
fn found_under(home: &Home, old: &DataKey) -> Vec<PathBuf> {
    let ring = KeyRing::of_generation(OLD, old.clone());
    let opens = |path: &Path| {
        let bytes = std::fs::read(path).unwrap();
        let name = path.file_name().unwrap().to_str().unwrap();
        let mut id = [0; 16];
        if hex::decode_to_slice(name, &mut id).is_ok() {
            let opener = SegmentOpener::new(home.id, &ring, SegmentId(id));
            return opener.is_ok_and(|opener| opener.open_header(&bytes[..HEADER_BYTES]).is_ok());
        }
        // Where the headers of files have the generation.
        let generation_at = match bytes.first_chunk::<8>() {
            Some(b"tidefsJL") => 44,
            Some(b"tidefsCK") => 45,
            Some(b"tidefsMF" | b"tidefsIM") => 28,
            _ => return false,
        };
        Reader::new(&bytes[generation_at..]).u16() == Ok(OLD.0)
    };
    home.at_rest().into_iter().filter(|path| opens(path)).collect()
}

/// Generations that the values of the index are sealed under.
fn generations_in_index(home: &Home) -> Vec<u16> {
    let index = sled::Config::new().path(home.below("index")).open().unwrap();
    let mut found: Vec<u16> =
        index.iter().map(|entry| Reader::new(&entry.unwrap().1).u16().unwrap()).collect();
    found.sort_unstable();
    found.dedup();
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_rotation_the_old_key_opens_nothing() {
    let home = Home::new();
    let volume = home.open().await;
    fill(&volume).await;
    let old = old_key(&volume);
    assert!(found_under(&home, &old).len() > 6, "the search finds what is there");
    let before = std::fs::read(home.below("superblock")).unwrap();
    let secret = volume.keys.identity().derive_secret("test", b"");

    volume.rotate_key(None).await.unwrap();
    check(&volume).await;
    until_resealed(&volume).await;
    assert_eq!(volume.keys.ring().newest(), KeyGeneration(2));
    assert_eq!(volume.key_status().unwrap().resealing, None);
    assert_eq!(found_under(&home, &old), Vec::<PathBuf>::new());
    check(&volume).await;
    volume.shutdown().await.unwrap();
    drop(volume);
    assert_eq!(found_under(&home, &old), Vec::<PathBuf>::new());
    assert_eq!(generations_in_index(&home), [2]);

    let volume = home.open().await;
    check(&volume).await;
    assert_eq!(volume.keys.identity().derive_secret("test", b""), secret);
    volume.shutdown().await.unwrap();
    drop(volume);

    std::fs::write(home.below("superblock"), before).unwrap();
    let stale = open(&home.data(), home.id, home.options()).await.map(|_| ());
    assert!(
        matches!(
            stale,
            Err(Error::Open(OpenError::KeyGenerationMissing { generation: KeyGeneration(2), .. }))
        ),
        "{stale:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rotation_goes_on_after_each_start() {
    let home = Home::new();
    let mut volume = home.open().await;
    fill(&volume).await;
    let old = old_key(&volume);
    volume.rotate_key(None).await.unwrap();
    let mut starts = 0;
    while volume.keys.ring().is_rotating() {
        // One step by hand, and then the process dies, or is stopped in order.
        let now = volume.environment.clock.monotonic();
        volume.reseal(now).await.unwrap();
        if starts % 3 == 2 {
            volume.shutdown().await.unwrap();
        }
        drop(volume);
        volume = home.open().await;
        check(&volume).await;
        starts += 1;
        if starts > 8 {
            until_resealed(&volume).await;
        }
    }
    assert_eq!(found_under(&home, &old), Vec::<PathBuf>::new());
    check(&volume).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_segment_that_is_damaged_keeps_its_key() {
    let home = Home::new();
    let volume = home.open().await;
    fill(&volume).await;
    volume.shutdown().await.unwrap();
    drop(volume);
    // Nothing of it is in memory any more.
    let volume = home.open().await;
    let extents = volume.store.scan_all(&key::family(b'e', b"")).unwrap();
    let mut extents = extents.iter().map(|(_, value)| Extent::decode(value).unwrap());
    let needed = extents.find(|extent| extent.tier == Tier::Standard).unwrap().address;
    let damaged = needed.segment;
    let path = home.below("segments").join(damaged.to_string());
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[usize::try_from(needed.offset).unwrap()] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    volume.rotate_key(None).await.unwrap();
    let waiting = loop {
        let status = volume.key_status().unwrap().resealing.unwrap();
        if let (Some(reason), 1) = (status.waiting_for, status.segments_left) {
            break reason;
        }
        volume.upkeep.wake();
        tokio::task::yield_now().await;
    };
    assert!(waiting.contains("the old key is kept"), "{waiting}");
    assert!(volume.keys.ring().is_rotating());
}
