//! Looking files up: a LOOKUP and a GETATTR each.

use std::time::{Duration, Instant};

use engine::{Credential, Entry, FileSystem, InodeId};

use crate::fill::{DIRECTORY_FILES, directory_name, file_name};

/// Directories that are in use at a time; with all their files they are the working set, the same for any number of files.
const WORKING_DIRECTORIES: u64 = 2;
const SAMPLES: u64 = 200_000;
/// Between two looks whether the index is built.
const BUILDING_SAMPLES: u64 = 100;

/// How long one took, in microseconds.
#[derive(Debug, Clone, Copy, Default, serde::Serialize, serde::Deserialize)]
pub(crate) struct Latency {
    pub(crate) p50_us: f64,
    pub(crate) p99_us: f64,
}

/// Of files in a working set that fits into memory, and of any file.
#[derive(Debug, Clone, Copy, Default, serde::Serialize, serde::Deserialize)]
pub(crate) struct Lookups {
    pub(crate) working_set: Latency,
    pub(crate) anywhere: Latency,
}

/// Of any file, as long as the index is being built; `None` if it is there.
pub(crate) fn while_building(fs: &FileSystem, files: u64) -> Option<Latency> {
    let mut random = random();
    let mut spent = Vec::new();
    while fs.status().unwrap().backlog.index_entries > 0 {
        spent.extend((0..BUILDING_SAMPLES).map(|_| look_up(fs, random() % files)));
    }
    (!spent.is_empty()).then(|| latency(spent))
}

/// Numbers that look random.
fn random() -> impl FnMut() -> u64 {
    let mut step = 0x9e37_79b9_7f4a_7c15_u64;
    move || {
        step ^= step << 13;
        step ^= step >> 7;
        step ^= step << 17;
        step
    }
}

pub(crate) fn measure(fs: &FileSystem, files: u64) -> Lookups {
    let directories = (files / DIRECTORY_FILES).max(1);
    // Two directories, a third of the way from either end: nothing near what was written last.
    let chosen: Vec<u64> = (1..=WORKING_DIRECTORIES)
        .map(|number| number * directories / (WORKING_DIRECTORIES + 1) * DIRECTORY_FILES)
        .collect();
    let mut random = random();
    let set = DIRECTORY_FILES.min(files);
    for first in &chosen {
        for file in 0..set {
            look_up(fs, first + file);
        }
    }
    let mut in_set = || chosen[usize::try_from(random() % WORKING_DIRECTORIES).unwrap()] + random() % set;
    let working_set = sample(fs, SAMPLES, &mut in_set);
    let anywhere = sample(fs, SAMPLES / 20, &mut || random() % files);
    Lookups { working_set, anywhere }
}

fn sample(fs: &FileSystem, samples: u64, next: &mut dyn FnMut() -> u64) -> Latency {
    latency((0..samples).map(|_| look_up(fs, next())).collect())
}

fn latency(mut spent: Vec<Duration>) -> Latency {
    spent.sort_unstable();
    let at = |share: usize| spent[spent.len() * share / 100].as_secs_f64() * 1e6;
    Latency { p50_us: at(50), p99_us: at(99) }
}

/// Looks a file up in its directory and asks for its attributes; the directory's own look-up is not counted.
fn look_up(fs: &FileSystem, file: u64) -> Duration {
    let root = Credential::root();
    let directory = directory_name(file);
    let directory = Entry { directory: InodeId::ROOT, name: directory.as_bytes() };
    let directory = fs.lookup(&root, directory).unwrap().inode;
    let name = file_name(file);
    let started = Instant::now();
    let found = fs.lookup(&root, Entry { directory, name: name.as_bytes() }).unwrap();
    let attributes = fs.attributes(found.inode).unwrap();
    assert_eq!(attributes.inode, found.inode);
    started.elapsed()
}
