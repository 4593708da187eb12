//! Golden files: the index's pages as sled gets them, and its marker.

use std::path::Path;

use ::golden::{Format, Row, join_rows, split_rows};
use bytes::Bytes;

use super::bundle::{self, LOWEST};
use super::{BootId, Index, Indexes, Marker, MarkerState, SledIndexes};
use crate::fuzzing::memory::MemoryDisk;
use crate::golden::fixed::{first_ring, home, ring, rotate};
use crate::identity::{Epoch, Lsn};

pub(crate) const FORMATS: &[Format] = &[
    Format { name: "index-pages", write: Some(write_pages), read: read_pages },
    Format {
        name: "index-pages-marker-in-use",
        write: Some(|| write_marker(&in_use())),
        read: |stored| read_marker(&in_use(), stored),
    },
    Format {
        name: "index-pages-marker-closed",
        write: Some(|| write_marker(&closed())),
        read: |stored| read_marker(&closed(), stored),
    },
    Format { name: "index-marker-in-use", write: None, read: |stored| read_marker(&older(), stored) },
    Format { name: "index-marker-closed", write: None, read: |stored| read_marker(&older(), stored) },
];

const ID: [u8; 16] = [0x1d; 16];
/// Where the second leaf begins.
const BOUND: &[u8] = b"dm";

/// Entries of the first leaf and of the second one.
fn entries() -> [Vec<bundle::Row>; 2] {
    let row = |key: &'static [u8], value: &'static [u8]| (Bytes::from_static(key), Bytes::from_static(value));
    let first = vec![row(b"da", b"1"), row(b"db", b""), row(b"dbcd", &[0xab; 200])];
    [first, vec![row(b"dm", b"m"), row(b"e", b"last")]]
}

/// The root and a leaf of the first epoch and key; a second leaf, and how far the index has got, of the second epoch and key.
fn write_pages() -> Vec<u8> {
    let (directory, home) = (tempfile::tempdir().unwrap(), home(MemoryDisk::default(), first_ring()));
    let store = SledIndexes.open(directory.path(), 1 << 20).unwrap();
    let [first, second] = entries();
    let (lowest, bound) = (Bytes::from_static(LOWEST), Bytes::from_static(BOUND));
    let index = Index::new(&home, ID, Epoch(1), store, 0);
    let both = vec![
        (lowest, Some(bundle::encode(Some(&bound), &first))),
        (bound.clone(), Some(bundle::encode(None, &[]))),
    ];
    index.write_leaves(both).unwrap();
    rotate(&home.keys);
    let index = Index::new(&home, ID, Epoch(2), index.into_store().unwrap(), 0);
    index.write_leaves(vec![(bound, Some(bundle::encode(None, &second)))]).unwrap();
    index.apply(std::iter::empty(), Lsn(9)).unwrap();
    let store = index.into_store().unwrap();
    let rows: Vec<Row> = store
        .range(b"", &[0xff; 9])
        .map(|row| row.map(|(key, value)| (hex::encode(key), value)).unwrap())
        .collect();
    assert_eq!(rows.len(), 4);
    join_rows(&rows)
}

fn read_pages(stored: &[u8]) {
    let directory = tempfile::tempdir().unwrap();
    let store = SledIndexes.open(directory.path(), 1 << 20).unwrap();
    let row = |(key, value): Row| (Bytes::from(hex::decode(key).unwrap()), Some(value));
    store.apply(split_rows(stored).into_iter().map(row).collect()).unwrap();
    let index = Index::new(&home(MemoryDisk::default(), ring()), ID, Epoch(3), store, 0);
    let found = index.with_range(b"\0", b"\xff", |rows| rows.collect::<Result<Vec<_>, _>>()).unwrap();
    let expected = entries().concat().into_iter().map(|(key, value)| (key, Some(value)));
    assert_eq!(found, expected.collect::<Vec<_>>());
    for (key, value) in entries().concat() {
        assert_eq!(index.get(&key).unwrap(), Some(value));
    }
    assert_eq!(index.applied().unwrap(), Some(Lsn(9)));
}

fn older() -> Marker {
    Marker { index: ID, state: MarkerState::Older }
}

fn in_use() -> Marker {
    let boot = BootId::of("01234567-89ab-cdef-0123-456789abcdef");
    Marker { index: ID, state: MarkerState::InUse(boot) }
}

fn closed() -> Marker {
    Marker { index: ID, state: MarkerState::Closed { applied: Lsn(9) } }
}

const MARKER: &str = "/fs/index.marker";

fn write_marker(marker: &Marker) -> Vec<u8> {
    let disk = MemoryDisk::default();
    marker.publish(&home(disk.clone(), ring()), Path::new(MARKER)).unwrap();
    disk.bytes(Path::new(MARKER))
}

fn read_marker(expected: &Marker, stored: &[u8]) {
    let disk = MemoryDisk::with(Path::new(MARKER), stored);
    assert_eq!(Marker::read(&home(disk, ring()), Path::new(MARKER)).as_ref(), Some(expected));
}
