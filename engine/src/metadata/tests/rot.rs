//! sled's own files are damaged: each byte is flipped, one at a time, files are cut, swapped and removed, and pieces of them swapped.
//! What is read is right, or it is an error, and then the next start has built the index anew. Nothing panics, and everything that was
//! durable is there.
//!
//! `make flip` flips every byte that sled wrote. Of the zeros behind them, which are most of a file, it flips every 61st: sled looks at
//! what is there only to find the end of its log.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;

use super::support::{Bench, put, wait};
use crate::disk::RealDisk;
use crate::error::{Error, Result};
use crate::metadata::Store;
use crate::metadata::index::BootId;

const KEYS: usize = 60;
const ZEROS_STRIDE: usize = 61;
const BLOCK: usize = 4096;

/// What is done to sled's files, which are named by their numbers.
#[derive(Debug, Clone)]
enum Harm {
    Flip { file: usize, at: usize },
    Cut { file: usize, length: usize },
    Remove { file: usize },
    Swap { file: usize, with: usize },
    SwapBlocks { file: usize, at: usize, with: usize },
}

/// A file, up to the last of its bytes that is not zero.
#[derive(Debug, Clone)]
struct Kept {
    path: PathBuf,
    bytes: Vec<u8>,
    length: usize,
}

/// A store that is not open, which can be brought back to what it was.
struct Specimen {
    bench: Bench,
    directories: Vec<PathBuf>,
    files: Vec<Kept>,
    /// sled's among the files.
    index: Vec<usize>,
    rows: Vec<(Bytes, Bytes)>,
}

fn key(number: usize) -> String {
    format!("k{number:03}")
}

/// Some sessions with some folds each; sled begins each of them with a snapshot.
fn specimen(closed: bool) -> Specimen {
    let mut bench = Bench::on(Arc::new(RealDisk));
    bench.budgets.index_cache_bytes = 1 << 20;
    bench.create().unwrap();
    let mut rows = Vec::new();
    for session in 0..3 {
        let store = bench.open().unwrap();
        for round in 0..4 {
            let first = (session * 4 + round) * 13 % KEYS;
            let count = if session == 0 && round == 0 { KEYS } else { 7 };
            let named: Vec<(String, String)> = (first..first + count)
                .map(|number| (key(number % KEYS), format!("{session}-{round}-").repeat(20)))
                .collect();
            let entries: Vec<(&str, Option<&str>)> =
                named.iter().map(|(key, value)| (key.as_str(), Some(value.as_str()))).collect();
            wait(put(&store, &entries).durable()).unwrap();
            wait(store.checkpoint()).unwrap();
        }
        rows = read(&store).unwrap();
        if closed || session < 2 {
            wait(store.close()).unwrap();
        }
    }
    assert_eq!(rows.len(), KEYS);
    let (mut directories, mut files) = (Vec::new(), Vec::new());
    look_through(&bench.path, &mut directories, &mut files);
    let index = (0..files.len()).filter(|file| files[*file].path.starts_with(bench.file("index"))).collect();
    Specimen { bench, directories, files, index, rows }
}

fn look_through(directory: &Path, directories: &mut Vec<PathBuf>, files: &mut Vec<Kept>) {
    directories.push(directory.to_owned());
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            look_through(&path, directories, files);
        } else {
            let mut bytes = std::fs::read(&path).unwrap();
            let length = bytes.len();
            bytes.truncate(bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1));
            files.push(Kept { path, bytes, length });
        }
    }
    files.sort_by(|one, other| one.path.cmp(&other.path));
}

fn put_down(path: &Path, file: &Kept) {
    std::fs::write(path, &file.bytes).unwrap();
    std::fs::File::options().write(true).open(path).unwrap().set_len(file.length as u64).unwrap();
}

fn read(store: &Store) -> Result<Vec<(Bytes, Bytes)>> {
    store.scan(b"a", b"z", usize::MAX)
}

/// Whether an answer is an error of the kind that says so; all others are wrong.
fn is_noticed<T: PartialEq + std::fmt::Debug>(said: Result<T>, right: &T, harm: &Harm) -> bool {
    match said {
        Ok(said) => {
            assert_eq!(&said, right, "{harm:?}");
            false
        }
        Err(Error::Corrupt { .. } | Error::Io { .. }) => true,
        Err(other) => panic!("{harm:?}: {other}"),
    }
}

impl Specimen {
    fn restore(&self) {
        std::fs::remove_dir_all(&self.bench.path).unwrap();
        self.directories.iter().for_each(|directory| std::fs::create_dir(directory).unwrap());
        self.files.iter().for_each(|file| put_down(&file.path, file));
    }

    fn harm(&self, harm: &Harm) {
        let file = |number: usize| &self.files[self.index[number]];
        match *harm {
            Harm::Flip { file: number, at } => {
                let mut harmed = file(number).clone();
                harmed.bytes.resize(harmed.bytes.len().max(at + 1), 0);
                harmed.bytes[at] ^= 1 << (at % 8);
                put_down(&harmed.path, &harmed);
            }
            Harm::Cut { file: number, length } => {
                put_down(&file(number).path, &Kept { length, ..file(number).clone() });
            }
            Harm::Remove { file: number } => match std::fs::remove_file(&file(number).path) {
                // sled replaces its snapshots.
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => panic!("{error}"),
                _ => {}
            },
            Harm::Swap { file: one, with } => {
                put_down(&file(one).path, file(with));
                put_down(&file(with).path, file(one));
            }
            Harm::SwapBlocks { file: number, at, with } => {
                let mut harmed = file(number).clone();
                harmed.bytes.resize(harmed.length, 0);
                let (one, other) = harmed.bytes.split_at_mut(with);
                one[at..at + BLOCK].swap_with_slice(&mut other[..BLOCK]);
                put_down(&harmed.path, &harmed);
            }
        }
    }

    /// Reads all, by scan and key by key; says whether something was noticed.
    fn is_noticed_by(&self, store: &Store, harm: &Harm) -> bool {
        let mut noticed = is_noticed(read(store), &self.rows, harm);
        for (key, value) in &self.rows {
            noticed |= is_noticed(store.get(key), &Some(value.clone()), harm);
        }
        noticed
    }

    fn open(&self, harm: &Harm) -> Arc<Store> {
        self.bench.open().unwrap_or_else(|error| panic!("{harm:?}: {error}"))
    }

    /// Damage that is there at the start.
    fn check_at_rest(&self, harm: &Harm) {
        self.restore();
        self.harm(harm);
        let store = self.open(harm);
        let noticed = self.is_noticed_by(&store, harm);
        drop(store);
        if noticed {
            assert!(!self.is_noticed_by(&self.open(harm), harm), "{harm:?}: it was not built anew");
        }
    }

    /// Damage that comes when the index is open.
    fn check_under_way(&self, harm: &Harm) {
        self.restore();
        let store = self.open(harm);
        self.harm(harm);
        let noticed = self.is_noticed_by(&store, harm);
        drop(store);
        if noticed {
            assert!(!self.is_noticed_by(&self.open(harm), harm), "{harm:?}: it was not built anew");
        }
    }

    /// What is written to an index that is damaged is not lost, even if the fold fails.
    fn check_writing(&self, harm: &Harm) {
        self.restore();
        self.harm(harm);
        let store = self.open(harm);
        let new = [(key(9), "new".to_owned()), (key(KEYS - 2), "new".to_owned())];
        let entries: Vec<_> = new.iter().map(|(key, value)| (key.as_str(), Some(value.as_str()))).collect();
        wait(put(&store, &entries).durable()).unwrap();
        let folded = wait(store.checkpoint());
        assert!(matches!(folded, Ok(_) | Err(Error::Halted { .. })), "{harm:?}: {folded:?}");
        let mut rows = self.rows.clone();
        for (key, value) in new {
            let row = rows.iter_mut().find(|(found, _)| *found == key.as_bytes()).unwrap();
            row.1 = Bytes::from(value);
        }
        let noticed = folded.is_err() | is_noticed(read(&store), &rows, harm);
        drop(store);
        if noticed {
            assert_eq!(read(&self.open(harm)).unwrap(), rows, "{harm:?}");
        }
    }

    fn flips(&self, step: usize) -> Vec<Harm> {
        let mut flips = Vec::new();
        for (file, kept) in self.index.iter().map(|file| &self.files[*file]).enumerate() {
            // Another place of the step in each file, so that not all are sampled at their beginning.
            let written = (flips.len() % step..kept.bytes.len()).step_by(step);
            let zeros = (kept.bytes.len()..kept.length).step_by(step * ZEROS_STRIDE);
            flips.extend(written.chain(zeros).map(|at| Harm::Flip { file, at }));
        }
        flips
    }

    fn others(&self) -> Vec<Harm> {
        let mut others = Vec::new();
        for (file, kept) in self.index.iter().map(|file| &self.files[*file]).enumerate() {
            let used = kept.bytes.len();
            let lengths = [0, 1, 20, used / 3, used / 2, used.saturating_sub(1)];
            others.extend(lengths.into_iter().map(|length| Harm::Cut { file, length }));
            others.push(Harm::Remove { file });
            others.extend((file + 1..self.index.len()).map(|with| Harm::Swap { file, with }));
            let blocks = kept.length.min(used + BLOCK) / BLOCK;
            for block in 1..blocks {
                let place = |block| block * BLOCK;
                others.push(Harm::SwapBlocks { file, at: place(block - 1), with: place(block) });
                if block > 2 {
                    others.push(Harm::SwapBlocks { file, at: 0, with: place(block) });
                }
            }
        }
        others
    }
}

/// Bytes between two flips: `TIDEFS_FLIP_STEP=1` flips all of them.
fn step() -> usize {
    std::env::var("TIDEFS_FLIP_STEP").ok().and_then(|step| step.parse().ok()).unwrap_or(397)
}

fn no_damage_to_the_index_gives_wrong_data(closed: bool) {
    let specimen = specimen(closed);
    let (flips, others) = (specimen.flips(step()), specimen.others());
    assert!(flips.len() > 50 && others.len() > 20, "{} flips, {} others", flips.len(), others.len());
    for harm in flips.iter().chain(&others) {
        specimen.check_at_rest(harm);
    }
    // What reads the same bytes in the same way need not be tried with each of them.
    for harm in flips.iter().step_by(5).chain(&others) {
        specimen.check_under_way(harm);
        specimen.check_writing(harm);
    }
    println!("closed: {closed}: {} flips, {} other kinds of harm to sled's files", flips.len(), others.len());
}

#[test]
fn no_damage_to_a_closed_index_gives_wrong_data() {
    no_damage_to_the_index_gives_wrong_data(true);
}

#[test]
fn no_damage_to_an_index_that_was_in_use_gives_wrong_data() {
    no_damage_to_the_index_gives_wrong_data(false);
}

#[test]
fn an_index_that_failed_is_not_vouched_for_by_a_close() {
    let specimen = specimen(true);
    let store = specimen.bench.open().unwrap();
    store.parts().index.write_raw(&[0], Some(b"no seal".to_vec()));
    assert!(read(&store).is_err());
    wait(store.close()).unwrap();
    drop(store);
    assert!(!specimen.bench.file("index.marker").exists());
    assert_eq!(read(&specimen.bench.open().unwrap()).unwrap(), specimen.rows);
}

#[test]
fn an_index_that_verification_finds_to_differ_is_built_anew() {
    let specimen = specimen(true);
    specimen.restore();
    let store = specimen.bench.open().unwrap();
    let covered = store.parts().checkpoints.covered();
    let entry = (Bytes::from_static(b"k010"), Some(Bytes::from_static(b"wrong")));
    store.parts().index.apply(std::iter::once(Ok(entry)), covered).unwrap();
    assert_eq!(store.compare_index(|_| Ok(())).unwrap().unwrap().0, 1);
    drop(store);
    assert_eq!(read(&specimen.bench.open().unwrap()).unwrap(), specimen.rows);
}

#[test]
fn an_index_that_cannot_be_brought_up_to_date_is_built_anew() {
    let specimen = specimen(false);
    specimen.restore();
    let store = specimen.bench.open().unwrap();
    // A checkpoint that the index never saw: the process was killed in the midst of a fold. Nobody else folds meanwhile.
    let parts = Arc::clone(store.parts());
    parts.signal.stop();
    parts.folding.lock().take().unwrap().join();
    wait(put(&store, &[("k059", Some("new"))]).durable()).unwrap();
    parts.checkpoints.add_delta(&parts.overlay.freeze().unwrap(), None).unwrap();
    // Not the lowest leaf, at which each start looks.
    assert!(parts.index.write_raw(b"k059", Some(b"no seal".to_vec())).starts_with(b"k"));
    drop((store, parts));
    let store = specimen.bench.open().unwrap();
    assert_eq!(store.get(b"k059").unwrap().unwrap(), "new");
    assert_eq!(read(&store).unwrap().len(), KEYS);
}

#[test]
fn another_boot_looks_at_nothing_that_was_in_use() {
    let mut specimen = specimen(false);
    specimen.restore();
    specimen.bench.boot = BootId::of("second boot");
    for harm in specimen.others() {
        specimen.restore();
        specimen.harm(&harm);
        assert_eq!(read(&specimen.open(&harm)).unwrap(), specimen.rows, "{harm:?}");
    }
}
