//! For fuzzing: the manifest and the files that it names.

use std::path::Path;

use bytes::Bytes;

use super::file::{self, ChunkKind, Footer, Tree};
use super::manifest::{self, FileEntry, Manifest};
use super::reader::CheckpointFile;
use super::tree::{self, ChunkPlace, TreeBuilder};
use super::writer::{self, ChunkWriter};
use super::{CheckpointView, Kind};
use crate::KeyGeneration;
use crate::codec::{Reader, Writer};
use crate::fuzzing::input::{Input, damages};
use crate::fuzzing::memory::MemoryDisk;
use crate::fuzzing::{Decoder, home, must};
use crate::identity::{Epoch, Lsn};
use crate::journal::record::{decode_change, encode_change};
use crate::metadata::overlay::Entry;

pub(crate) const DECODERS: &[Decoder] = &[
    Decoder { name: "manifest", run: manifest, seeds: || vec![genuine_manifest().encode()] },
    Decoder { name: "manifest-file", run: manifest_file, seeds: manifest_file_seeds },
    Decoder { name: "checkpoint-chunk-header", run: chunk_header, seeds: chunk_header_seeds },
    Decoder { name: "checkpoint-footer", run: footer, seeds: footer_seeds },
    Decoder { name: "checkpoint-node", run: node, seeds: node_seeds },
    Decoder { name: "checkpoint-chunk", run: chunk, seeds: chunk_seeds },
    Decoder { name: "checkpoint-file", run: checkpoint_file, seeds: || vec![genuine_file().1] },
    Decoder { name: "checkpoint-damage", run: damage, seeds: damages },
];

const DIRECTORY: &str = "/checkpoint";

fn genuine_manifest() -> Manifest {
    let file = |number, kind, first, last| FileEntry {
        bytes: 7,
        entries: 8,
        ..FileEntry::new(number, kind, (Lsn(first), Lsn(last)), KeyGeneration::FIRST, [9; 16])
    };
    let files = vec![file(3, Kind::Base, 1, 10), file(5, Kind::Delta, 11, 12)];
    Manifest { epoch: Epoch(4), index: [1; 16], files, journaled: None }
}

/// The content of a manifest, under a right seal.
fn manifest(data: &[u8]) {
    let (disk, directory) = (MemoryDisk::default(), Path::new(DIRECTORY));
    must(manifest::FILE.publish(&home(&disk), &directory.join(manifest::NAME), data));
    let Ok(manifest) = Manifest::read(&home(&disk), directory) else { return };
    assert_eq!(manifest.encode(), data);
    assert_eq!(Manifest::decode(data), Ok(manifest.clone()));
    assert!(manifest.base_covers() <= manifest.covered());
}

/// A manifest of any bytes: only a real one is read.
fn manifest_file(data: &[u8]) {
    let (disk, directory) = (MemoryDisk::default(), Path::new(DIRECTORY));
    disk.put(&directory.join(manifest::NAME), data);
    if let Ok(manifest) = Manifest::read(&home(&disk), directory) {
        assert_eq!(manifest, genuine_manifest());
    }
}

fn manifest_file_seeds() -> Vec<Vec<u8>> {
    let (disk, directory) = (MemoryDisk::default(), Path::new(DIRECTORY));
    must(genuine_manifest().publish(&home(&disk), directory));
    vec![disk.bytes(&directory.join(manifest::NAME))]
}

fn chunk_header(data: &[u8]) {
    if let Ok((kind, length)) = file::decode_chunk_header(data) {
        assert_eq!(file::encode_chunk_header(kind, length), data);
    }
}

fn chunk_header_seeds() -> Vec<Vec<u8>> {
    let kinds = [(ChunkKind::Entries, 70), (ChunkKind::Footer, 32), (ChunkKind::Node, 90)];
    kinds.map(|(kind, bytes)| file::encode_chunk_header(kind, bytes)).to_vec()
}

fn footer(data: &[u8]) {
    if let Ok(footer) = Footer::decode(data) {
        assert_eq!(footer.encode(), data);
    }
}

fn footer_seeds() -> Vec<Vec<u8>> {
    let root = Tree::Root(ChunkPlace { number: 0, offset: 63 });
    let trees = [Tree::Unknown, Tree::Empty, root];
    trees.map(|tree| Footer { entries: 3, chunks: 1, tree }.encode()).to_vec()
}

/// A node of any content: whatever it leads to is among its children.
fn node(data: &[u8]) {
    let (first, last) = (tree::child_for(data, b""), tree::child_for(data, &[0xff; 300]));
    let Ok(found) = tree::child_for(data, b"key-2") else { return };
    assert!(first.is_ok());
    let (number, offset) = (found.number.to_be_bytes(), found.offset.to_be_bytes());
    let child = [number, offset].concat();
    assert!(data.windows(child.len()).any(|window| window == child));
    assert!(last.is_err() || data.len() > 16);
}

fn node_seeds() -> Vec<Vec<u8>> {
    let mut tree = TreeBuilder::default();
    for number in 0..3 {
        let first = Bytes::from(format!("key-{number}").into_bytes());
        tree.entries(&first, ChunkPlace { number, offset: 63 + number * 100 });
    }
    tree.last().into_iter().map(|node| node.content).collect()
}

fn planned() -> FileEntry {
    FileEntry::new(1, Kind::Delta, (Lsn(1), Lsn(9)), KeyGeneration::FIRST, [9; 16])
}

fn genuine_entries() -> Vec<Entry> {
    let keys = ["a", "b", "c", "d"].map(|key| Bytes::from_static(key.as_bytes()));
    let values =
        [Some(Bytes::new()), None, Some(Bytes::from_static(b"value")), Some(Bytes::from(vec![7; 3000]))];
    keys.into_iter().zip(values).collect()
}

fn genuine_file() -> (FileEntry, Vec<u8>) {
    let disk = MemoryDisk::default();
    let path = Path::new(DIRECTORY).join(planned().name());
    let entries = genuine_entries().into_iter().map(Ok);
    let file = must(writer::write(&home(&disk), &path, planned(), entries));
    (file, disk.bytes(&path))
}

/// The entries up to the end or the first error, and whether there was none.
fn read(expected: &FileEntry, bytes: &[u8]) -> (Vec<Entry>, bool) {
    let directory = Path::new(DIRECTORY);
    let disk = MemoryDisk::with(&directory.join(expected.name()), bytes);
    let Ok(file) = CheckpointFile::open(&home(&disk), directory, expected) else {
        return (Vec::new(), false);
    };
    let (mut entries, mut whole) = (Vec::new(), true);
    for entry in file.entries() {
        match entry {
            Ok(entry) => entries.push(entry),
            Err(_) => whole = false,
        }
    }
    (entries, whole)
}

/// A chunk of any content, under a right seal and with right counts.
fn chunk(data: &[u8]) {
    let (disk, path) = (MemoryDisk::default(), Path::new(DIRECTORY).join(planned().name()));
    let home = home(&disk);
    let mut chunks = must(ChunkWriter::create(&home, &path, &planned()));
    must(chunks.entries_chunk(&first_key(data), data.to_vec()));
    let mut reader = Reader::new(data);
    let mut entries = 0;
    while decode_change(&mut reader).is_ok() {
        entries += 1;
    }
    let bytes = must(chunks.finish(entries));
    let (found, whole) = read(&FileEntry { bytes, entries, ..planned() }, &disk.bytes(&path));
    assert!(found.is_sorted_by(|one, other| one.0 < other.0));
    let mut again = Writer::new();
    for (key, value) in &found {
        encode_change(&mut again, key, value.as_ref());
    }
    assert!(data.starts_with(again.as_slice()));
    assert!(!whole || again.as_slice() == data);
}

fn first_key(entries: &[u8]) -> Bytes {
    let first = decode_change(&mut Reader::new(entries));
    first.map_or_else(|_| Bytes::new(), |(key, _)| Bytes::copy_from_slice(key))
}

fn chunk_seeds() -> Vec<Vec<u8>> {
    let mut content = Writer::new();
    for (key, value) in genuine_entries() {
        encode_change(&mut content, &key, value.as_ref());
    }
    vec![Vec::new(), content.into_vec()]
}

/// What is found key by key, through the tree: right, or an error.
fn look_up(expected: &FileEntry, bytes: &[u8]) {
    let directory = Path::new(DIRECTORY);
    let disk = MemoryDisk::with(&directory.join(expected.name()), bytes);
    let Ok(view) = CheckpointView::open(&home(&disk), directory, &[*expected], None, None) else { return };
    for (key, value) in genuine_entries() {
        if let Ok(found) = view.get(&key) {
            assert_eq!(found, value);
        }
    }
}

fn check_file(bytes: &[u8]) {
    let (expected, genuine) = genuine_file();
    look_up(&expected, bytes);
    let (entries, whole) = read(&expected, bytes);
    assert!(genuine_entries().starts_with(&entries));
    // The length is known, so that bytes behind the end are not looked at.
    assert_eq!(whole, bytes.starts_with(&genuine));
}

fn checkpoint_file(data: &[u8]) {
    check_file(data);
}

fn damage(data: &[u8]) {
    check_file(&Input::new(data).damage(&genuine_file().1));
}
