//! Golden files: a base, a delta, and the manifest that names them.

use std::path::Path;

use ::golden::Format;
use bytes::Bytes;

use super::manifest::{self, FileEntry, Manifest};
use super::reader::CheckpointFile;
use super::{CheckpointView, Kind, writer};
use crate::fuzzing::memory::MemoryDisk;
use crate::golden::fixed::{home, ring};
use crate::identity::{Epoch, KeyGeneration, Lsn};
use crate::metadata::overlay::Entry;

pub(crate) const FORMATS: &[Format] = &[
    Format { name: "checkpoint-base-1", write: None, read: |stored| read(Kind::Base, stored) },
    Format { name: "checkpoint-delta-1", write: None, read: |stored| read(Kind::Delta, stored) },
    Format { name: "checkpoint-base", write: Some(|| write(Kind::Base)), read: |s| read(Kind::Base, s) },
    Format { name: "checkpoint-delta", write: Some(|| write(Kind::Delta)), read: |s| read(Kind::Delta, s) },
    Format { name: "checkpoint-manifest", write: Some(write_manifest), read: read_manifest },
];

const DIRECTORY: &str = "/checkpoint";

/// What the manifest says of a file.
fn planned(kind: Kind) -> FileEntry {
    match kind {
        Kind::Base => FileEntry::new(3, kind, (Lsn(1), Lsn(40)), KeyGeneration(1), [0xb; 16]),
        Kind::Delta => FileEntry::new(4, kind, (Lsn(41), Lsn(42)), KeyGeneration(2), [0xd; 16]),
    }
}

fn entries(kind: Kind) -> Vec<Entry> {
    let put = |value: &'static [u8]| Some(Bytes::from_static(value));
    match kind {
        Kind::Base => vec![
            (Bytes::from_static(b"a"), put(b"one")),
            (Bytes::from_static(b"ab"), put(b"")),
            (Bytes::from_static(b"b"), put(&[0xee; 300])),
        ],
        Kind::Delta => vec![(Bytes::from_static(b"a"), None), (Bytes::from_static(b"c"), put(b"three"))],
    }
}

fn write(kind: Kind) -> Vec<u8> {
    let (disk, planned) = (MemoryDisk::default(), planned(kind));
    let path = Path::new(DIRECTORY).join(planned.name());
    let entries = entries(kind).into_iter().map(Ok);
    writer::write(&home(disk.clone(), ring()), &path, planned, entries).unwrap();
    disk.bytes(&path)
}

/// The entry with the counts of the file.
fn entry(kind: Kind, bytes: usize) -> FileEntry {
    FileEntry { bytes: bytes as u64, entries: entries(kind).len() as u64, ..planned(kind) }
}

fn read(kind: Kind, stored: &[u8]) {
    let (directory, expected) = (Path::new(DIRECTORY), entry(kind, stored.len()));
    let disk = MemoryDisk::with(&directory.join(expected.name()), stored);
    let home = home(disk, ring());
    let file = CheckpointFile::open(&home, directory, &expected).unwrap();
    assert_eq!(file.entries().map(Result::unwrap).collect::<Vec<_>>(), entries(kind));
    let view = CheckpointView::open(&home, directory, &[expected], None, None).unwrap();
    for (key, value) in entries(kind) {
        assert_eq!(view.get(&key).unwrap(), value);
    }
    assert_eq!(view.get(b"aa").unwrap(), None);
}

fn manifest() -> Manifest {
    let files = vec![entry(Kind::Base, 1000), entry(Kind::Delta, 2000)];
    Manifest { epoch: Epoch(7), index: [0x1d; 16], files, journaled: None }
}

fn write_manifest() -> Vec<u8> {
    let disk = MemoryDisk::default();
    manifest().publish(&home(disk.clone(), ring()), Path::new(DIRECTORY)).unwrap();
    disk.bytes(&Path::new(DIRECTORY).join(manifest::NAME))
}

fn read_manifest(stored: &[u8]) {
    let disk = MemoryDisk::with(&Path::new(DIRECTORY).join(manifest::NAME), stored);
    assert_eq!(Manifest::read(&home(disk, ring()), Path::new(DIRECTORY)).unwrap(), manifest());
}
