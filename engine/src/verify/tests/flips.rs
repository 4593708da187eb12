//! Each byte of each file and object is flipped, one at a time: each flip is found, or is in a range that verification itself names as
//! unused. Files are also cut short and swapped with each other. Nothing panics, and nothing reads as wrong data.
//!
//! The flips are made on the way from the disk ([`Spoiled`]), so that no file is written. A whole verification for each byte would take
//! hours: of a file only that is verified of which it is a part. That the parts make up a whole verification is seen by sampling.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::support::*;
use crate::data::StandardTier;
use crate::data::audit::InMemory;
use crate::disk::{Disk, DiskFile, DiskLock, OpenHow, RealDisk};
use crate::home::Home as Keys;
use crate::identity::SegmentId;
use crate::metadata::offline::{OfflineStore, audit_journal};
use crate::tiering::Tier;
use crate::tiers::ColdTier;
use crate::verify::deep::{
    self,
    segments::{Source, check_segment},
};
use crate::verify::offline::Offline;
use crate::verify::site::Site;
use crate::verify::structure::Found;
use crate::verify::throttle::Throttle;
use crate::verify::{Depth, Unused, VerifyOptions, VerifyProgress, VerifyReport};
use crate::volume::NameHasher;
use crate::{Budgets, OpenOptions};

/// What is done to the bytes of one file.
#[derive(Debug, Clone)]
enum Harm {
    Flip(u64),
    FlipAll(Vec<(u64, u64)>),
    Cut(u64),
    Swap(PathBuf),
}

/// A disk that reads one file otherwise than it was written.
struct Spoiled {
    target: PathBuf,
    harm: Harm,
}

struct SpoiledFile {
    file: Arc<dyn DiskFile>,
    harm: Harm,
}

impl Disk for Spoiled {
    fn open(&self, path: &Path, how: OpenHow) -> io::Result<Arc<dyn DiskFile>> {
        assert_eq!(how, OpenHow::Read, "a verification writes nothing: {}", path.display());
        if path != self.target {
            let swapped = matches!(&self.harm, Harm::Swap(other) if other == path);
            return RealDisk.open(if swapped { &self.target } else { path }, how);
        }
        match &self.harm {
            Harm::Swap(other) => RealDisk.open(other, how),
            harm => Ok(Arc::new(SpoiledFile { file: RealDisk.open(path, how)?, harm: harm.clone() })),
        }
    }
    fn rename(&self, from: &Path, _to: &Path) -> io::Result<()> {
        panic!("a verification renames nothing: {}", from.display())
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        panic!("a verification removes nothing: {}", path.display())
    }
    fn list(&self, directory: &Path) -> io::Result<Vec<String>> {
        RealDisk.list(directory)
    }
    fn create_directory(&self, path: &Path) -> io::Result<()> {
        assert!(path.exists());
        Ok(())
    }
    fn sync_directory(&self, _path: &Path) -> io::Result<()> {
        Ok(())
    }
    fn lock(&self, path: &Path) -> io::Result<DiskLock> {
        panic!("the tests hold no lock: {}", path.display())
    }
    fn boot(&self) -> Option<String> {
        RealDisk.boot()
    }
    fn free_bytes(&self, path: &Path) -> io::Result<u64> {
        RealDisk.free_bytes(path)
    }
}

impl DiskFile for SpoiledFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut read = self.file.read_at(buffer, offset)?;
        let mut flip = |from: u64, to: u64| {
            let from = from.max(offset);
            for at in from..to.min(offset + read as u64) {
                buffer[(at - offset) as usize] ^= 1 << (at % 8);
            }
        };
        match &self.harm {
            Harm::Flip(at) => flip(*at, at + 1),
            Harm::FlipAll(ranges) => ranges.iter().for_each(|(from, to)| flip(*from, *to)),
            Harm::Cut(length) => read = read.min(length.saturating_sub(offset) as usize),
            Harm::Swap(_) => {}
        }
        Ok(read)
    }
    fn write_all_at(&self, _bytes: &[u8], _offset: u64) -> io::Result<()> {
        panic!("a verification writes nothing")
    }
    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }
    fn length(&self) -> io::Result<u64> {
        let length = self.file.length()?;
        Ok(if let Harm::Cut(cut) = self.harm { length.min(cut) } else { length })
    }
    fn set_length(&self, _length: u64) -> io::Result<()> {
        panic!("a verification changes no length")
    }
}

fn tiny(home: &Home) -> OpenOptions {
    // The smallest journal files: they are the longest to look through.
    OpenOptions { budgets: Budgets { journal_bytes: 1 << 20, ..home.options().budgets }, ..home.options() }
}

/// A small file system with everything in it; closed, or killed.
async fn made(closed: bool) -> Home {
    let home = Home::new();
    let volume = home.open_with(tiny(&home)).await;
    let filled = fill_with(&volume, 3_000).await;
    volume.fold_pieces(true).await.unwrap();
    volume.store.fold().await.unwrap();
    write(&volume, filled.large, 10, vec![9; 100]).await;
    if closed {
        volume.shutdown().await.unwrap();
    }
    home.let_go(volume).await;
    home
}

fn segment_of(path: &Path) -> SegmentId {
    let mut id = [0; 16];
    hex::decode_to_slice(path.file_name().unwrap().to_str().unwrap(), &mut id).unwrap();
    SegmentId(id)
}

struct Case<'a> {
    home: &'a Home,
    keys: Keys,
    store: OfflineStore,
    open: OpenOptions,
    unused: Vec<Unused>,
    /// The last frame of a journal that was not closed. Damaged it looks like one that a crash interrupted: nothing on the disk says
    /// that it was whole. So it is left out.
    open_end: Option<Unused>,
    directory: PathBuf,
}

impl<'a> Case<'a> {
    async fn new(home: &'a Home, closed: bool) -> Case<'a> {
        let directory = home.files();
        let open = tiny(home);
        let offline = Offline { disk: Arc::new(RealDisk), directory: &directory, id: home.id(), open: &open };
        let keys = offline.home(&offline.keys(&mut Found::new(1)).unwrap().unwrap());
        let store = OfflineStore::load(&keys, &directory, |_| Ok(())).unwrap();
        let newest = audit_journal(&keys, &directory).unwrap().pop().unwrap();
        let place = newest.path.strip_prefix(&directory).unwrap().display().to_string();
        let open_end = (!closed).then_some(Unused { place, from: newest.last_frame, to: newest.end });
        let mut case = Case { home, keys, store, open, unused: Vec::new(), open_end, directory };
        let report = case.verify(Arc::new(RealDisk)).await;
        assert_clean(&report);
        case.unused = report.unused;
        case
    }

    async fn verify(&self, disk: Arc<dyn Disk>) -> VerifyReport {
        let options =
            VerifyOptions { depth: Depth { local: true, bucket: true }, ..VerifyOptions::default() };
        self.offline(disk)
            .check(&options, &VerifyProgress::default(), |_| NameHasher::colliding())
            .await
            .unwrap()
    }

    fn offline(&self, disk: Arc<dyn Disk>) -> Offline<'_> {
        Offline { disk, directory: &self.directory, id: self.home.id(), open: &self.open }
    }

    /// Whether harm to a file is found when that file is verified.
    async fn found(&self, target: &Path, harm: Harm) -> bool {
        let disk = Arc::new(Spoiled { target: target.to_owned(), harm });
        let within = target.strip_prefix(&self.directory).unwrap();
        match within.parent().and_then(Path::to_str) {
            Some("segments") => self.segment_is_damaged(disk, segment_of(target), None).await,
            _ => self.metadata_is_damaged(disk),
        }
    }

    fn metadata_is_damaged(&self, disk: Arc<dyn Disk>) -> bool {
        let mut found = Found::new(100);
        let offline = self.offline(disk);
        let Some(keys) = offline.keys(&mut found).unwrap() else {
            return !found.suspicions.is_empty();
        };
        let home = offline.home(&keys);
        deep::raw(&home, &self.directory, &mut found).unwrap();
        !found.suspicions.is_empty() || OfflineStore::load(&home, &self.directory, |_| Ok(())).is_err()
    }

    /// Of a local file, or of an object with these bytes.
    async fn segment_is_damaged(
        &self,
        disk: Arc<dyn Disk>,
        segment: SegmentId,
        object: Option<Vec<u8>>,
    ) -> bool {
        let home = Keys { disk: Arc::clone(&disk), ..self.keys.clone() };
        let segments = self.directory.join("segments");
        let environment = self.open.environment.clone();
        let standard =
            StandardTier::open(&segments, disk, environment.clone(), &home.keys, self.home.id(), u64::MAX)
                .unwrap();
        let cold = ColdTier::open(&self.open.cold, self.home.id(), environment, &home.keys).unwrap();
        let names = NameHasher::colliding();
        let site = Site {
            look: &self.store,
            names: &names,
            home: &home,
            directory: &self.directory,
            standard: &standard,
            cold: &cold,
            live: None,
        };
        let source = match object {
            Some(bytes) => Source::Object(InMemory(bytes.into()), Box::new(cold.opener(segment).unwrap())),
            None => Source::Local,
        };
        let (throttle, progress) = (Throttle::new(None), VerifyProgress::default());
        let mut found = Found::new(100);
        check_segment(&site, segment, &source, (&throttle, &progress), &mut found).await.unwrap();
        !found.suspicions.is_empty()
    }

    fn open_end_in(&self, target: &Path) -> Vec<(u64, u64)> {
        let place = target.strip_prefix(&self.directory).unwrap().display().to_string();
        let end = self.open_end.iter().filter(|end| end.place == place);
        end.map(|end| (end.from, end.to)).collect()
    }

    fn unused_in(&self, target: &Path) -> Vec<(u64, u64)> {
        let place = target.strip_prefix(&self.directory).unwrap().display().to_string();
        self.unused
            .iter()
            .filter(|unused| unused.place == place)
            .map(|unused| (unused.from, unused.to))
            .collect()
    }

    /// All files that verification answers for: the lock is empty, and the index is never asked while nobody has it open. What damage
    /// of its files does is tested where they are read: in `metadata::tests::rot`, and below.
    fn files(&self) -> Vec<PathBuf> {
        let mut files = vec![self.directory.join("superblock"), self.directory.join("index.marker")];
        for name in ["journal", "checkpoint", "segments"] {
            let entries = std::fs::read_dir(self.directory.join(name)).unwrap();
            files.extend(entries.map(|entry| entry.unwrap().path()));
        }
        files.sort();
        files
    }

    /// Flips every `step`th byte; says how many.
    async fn flip_all(&self, step: usize) -> usize {
        let mut flips = 0;
        for file in self.files() {
            let length = std::fs::metadata(&file).unwrap().len();
            let unused = self.unused_in(&file);
            let harmless = unused.clone();
            let unused = [unused, self.open_end_in(&file)].concat();
            let used = |at: &u64| !unused.iter().any(|(from, to)| (*from..*to).contains(at));
            // Another place of the step in each file, so that headers are not all sampled alike.
            let start = flips as u64 % step as u64;
            let mut at = start;
            while at < length {
                if used(&at) {
                    assert!(self.found(&file, Harm::Flip(at)).await, "byte {at} of {}", file.display());
                    flips += 1;
                } else if let Some((_, to)) = unused.iter().find(|(from, to)| (*from..*to).contains(&at)) {
                    at = at.max(to.saturating_sub(step as u64));
                }
                at += step as u64;
            }
            assert!(
                !self.found(&file, Harm::FlipAll(harmless)).await,
                "the unused bytes of {}",
                file.display()
            );
        }
        flips
    }

    async fn cut_all(&self) {
        for file in self.files() {
            let length = std::fs::metadata(&file).unwrap().len();
            let unused = [self.unused_in(&file), self.open_end_in(&file)].concat();
            let used_end = unused.iter().map(|(from, _)| *from).min().unwrap_or(length);
            for cut in [0, 1, 20, used_end / 2, used_end.saturating_sub(1)] {
                if cut < used_end {
                    assert!(self.found(&file, Harm::Cut(cut)).await, "{} cut to {cut}", file.display());
                }
            }
        }
    }

    async fn swap_all(&self) {
        let files = self.files();
        for (number, one) in files.iter().enumerate() {
            for other in files.iter().skip(number + 1) {
                let spare = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "spare");
                if !(spare(one) && spare(other)) {
                    let found = self.found(one, Harm::Swap(other.clone())).await
                        || self.found(other, Harm::Swap(one.clone())).await;
                    assert!(found, "{} and {}", one.display(), other.display());
                }
            }
        }
    }

    /// Flips each byte of each object.
    async fn flip_objects(&self) -> usize {
        let mut flips = 0;
        for object in self.home.objects() {
            let whole = std::fs::read(&object).unwrap();
            let segment = segment_of(&object);
            let damaged = |bytes: Vec<u8>| self.segment_is_damaged(Arc::new(RealDisk), segment, Some(bytes));
            assert!(!damaged(whole.clone()).await);
            for at in 0..whole.len() {
                let mut bytes = whole.clone();
                bytes[at] ^= 1 << (at % 8);
                assert!(damaged(bytes).await, "byte {at} of {}", object.display());
                flips += 1;
            }
            for cut in [0, 1, 50, whole.len() / 2, whole.len() - 1] {
                assert!(damaged(whole[..cut].to_vec()).await, "{} cut to {cut}", object.display());
            }
        }
        flips
    }

    /// Puts whatever else is sealed in the place of each object.
    async fn swap_objects(&self) -> usize {
        let objects = self.home.objects();
        let segments = self.files().into_iter().filter(|file| file.parent().unwrap().ends_with("segments"));
        let others: Vec<PathBuf> = objects.iter().cloned().chain(segments).collect();
        let mut swaps = 0;
        for (object, other) in objects.iter().flat_map(|one| others.iter().map(move |other| (one, other))) {
            if object != other {
                let bytes = std::fs::read(other).unwrap();
                let damaged =
                    self.segment_is_damaged(Arc::new(RealDisk), segment_of(object), Some(bytes)).await;
                assert!(damaged, "{} in the place of {}", other.display(), object.display());
                swaps += 1;
            }
        }
        swaps
    }
}

/// Bytes between two flips: `TIDEFS_FLIP_STEP=1` flips all of them.
fn step() -> usize {
    std::env::var("TIDEFS_FLIP_STEP").ok().and_then(|step| step.parse().ok()).unwrap_or(23)
}

async fn every_flip_is_found(closed: bool) {
    let home = made(closed).await;
    let case = Case::new(&home, closed).await;
    let flips = case.flip_all(step()).await;
    let objects = case.flip_objects().await;
    assert!(flips > 500 && objects > 50, "{flips} flips, {objects} of objects");
    println!("closed: {closed}: {flips} flips in files, {objects} in objects");
    case.cut_all().await;
    case.swap_all().await;
    assert!(case.swap_objects().await > 0);
    // The whole verification finds what its parts find.
    for file in case.files() {
        let unused = case.unused_in(&file);
        let length = std::fs::metadata(&file).unwrap().len();
        for at in [0, 50, length / 3, length - 1] {
            if at < length && !unused.iter().any(|(from, to)| (*from..*to).contains(&at)) {
                let report =
                    case.verify(Arc::new(Spoiled { target: file.clone(), harm: Harm::Flip(at) })).await;
                assert!(!report.findings.is_empty(), "byte {at} of {}", file.display());
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_flip_in_a_closed_file_system_is_found() {
    every_flip_is_found(true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_flip_in_a_killed_file_system_is_found() {
    every_flip_is_found(false).await;
}

/// A version or a generation of the key that nobody knows is a finding, too, and does not end the verification.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_flip_in_the_head_of_a_file_is_found() {
    let home = made(true).await;
    let case = Case::new(&home, true).await;
    for file in case.files() {
        let unused = case.unused_in(&file);
        for at in (0..48).filter(|at| !unused.iter().any(|(from, to)| (*from..*to).contains(at))) {
            assert!(case.found(&file, Harm::Flip(at)).await, "byte {at} of {}", file.display());
        }
    }
    for (name, at) in [("checkpoint/MANIFEST", 28), ("superblock", 11)] {
        let disk = Spoiled { target: home.files().join(name), harm: Harm::Flip(at) };
        let report = case.verify(Arc::new(disk)).await;
        let named = |problem: &crate::Problem| matches!(problem, crate::Problem::FileDamaged { path, .. } if path.ends_with(name));
        assert!(
            report.findings.iter().any(|finding| named(&finding.problem)),
            "{name}: {:?}",
            report.findings
        );
    }
}

/// All unused bytes at once, on the disk itself: the file system opens, is clean and reads as before.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unused_bytes_may_be_anything() {
    for closed in [true, false] {
        let home = made(closed).await;
        let case = Case::new(&home, closed).await;
        for file in case.files() {
            let mut bytes = std::fs::read(&file).unwrap();
            for (from, to) in case.unused_in(&file) {
                bytes[from as usize..to as usize].iter_mut().for_each(|byte| *byte ^= 0xa5);
            }
            std::fs::write(&file, bytes).unwrap();
        }
        let volume = home.open_with(tiny(&home)).await;
        let options =
            VerifyOptions { depth: Depth { local: true, bucket: true }, ..VerifyOptions::default() };
        assert_clean(&volume.verify(&options, &VerifyProgress::default()).await.unwrap());
        let large = volume
            .lookup(
                &crate::Credential::root(),
                crate::Entry { directory: crate::InodeId::ROOT, name: b"large" },
            )
            .unwrap();
        let data = volume.read(large.inode, 0, 3_000).await.unwrap().parts.concat();
        assert!(
            data.iter().enumerate().all(|(at, byte)| *byte == if (10..110).contains(&at) { 9 } else { 2 })
        );
        volume.transition(&[large.inode], Tier::InfrequentAccess).await.unwrap();
        volume.shutdown().await.unwrap();
    }
}

/// Damage of sled's files, with the whole engine above: the file system opens, reads as before, and a verification finds nothing, or
/// says that it is the index.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_system_with_a_damaged_index_reads_as_before() {
    let home = made(true).await;
    let index = home.files().join("index");
    for round in 0..12_usize {
        let entries = std::fs::read_dir(&index).unwrap().map(|entry| entry.unwrap().path());
        let mut files: Vec<PathBuf> = entries.filter(|path| path.is_file()).collect();
        files.sort();
        let file = &files[round % files.len()];
        let mut bytes = std::fs::read(file).unwrap();
        let used = bytes.iter().rposition(|byte| *byte != 0).unwrap();
        bytes[used * (round + 1) / 13] ^= 1 << (round % 8);
        std::fs::write(file, bytes).unwrap();
        let volume = home.open_with(tiny(&home)).await;
        let entry = crate::Entry { directory: crate::InodeId::ROOT, name: b"large" };
        let large = volume.lookup(&crate::Credential::root(), entry);
        let options =
            VerifyOptions { depth: Depth { local: true, bucket: false }, ..VerifyOptions::default() };
        let report = volume.verify(&options, &VerifyProgress::default()).await.unwrap();
        let of_the_index = report
            .findings
            .iter()
            .all(|finding| matches!(finding.problem, crate::Problem::IndexUnreadable { .. }));
        assert!(of_the_index, "{}: {:?}", file.display(), report.findings);
        match large {
            Ok(large) => {
                let data = volume.read(large.inode, 0, 3_000).await.unwrap().parts.concat();
                let right = |(at, byte): (usize, &u8)| *byte == if (10..110).contains(&at) { 9 } else { 2 };
                assert!(data.len() == 3_000 && data.iter().enumerate().all(right), "{}", file.display());
            }
            Err(error) => assert!(!report.findings.is_empty(), "{}: {error}", file.display()),
        }
        volume.shutdown().await.unwrap();
    }
    let volume = home.open_with(tiny(&home)).await;
    let options = VerifyOptions { depth: Depth { local: true, bucket: true }, ..VerifyOptions::default() };
    assert_clean(&volume.verify(&options, &VerifyProgress::default()).await.unwrap());
    volume.shutdown().await.unwrap();
}
