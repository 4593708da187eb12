//! Golden files: the index's values as sled gets them, and its marker.

use std::path::Path;

use ::golden::{Format, Row, join_rows, split_rows};
use bytes::Bytes;

use super::bundle::{self, LOWEST};
use super::{BootId, Index, Indexes, Marker, MarkerState, SledIndexes};
use crate::fuzzing::memory::MemoryDisk;
use crate::golden::fixed::{first_ring, home, ring, rotate};
use crate::identity::{Epoch, Lsn};

pub(crate) const FORMATS: &[Format] = &[
    Format { name: "index-values", write: Some(write_values), read: read_values },
    Format {
        name: "index-marker-in-use",
        write: Some(|| write_marker(&in_use())),
        read: |stored| read_marker(&in_use(), stored),
    },
    Format {
        name: "index-marker-closed",
        write: Some(|| write_marker(&closed())),
        read: |stored| read_marker(&closed(), stored),
    },
];

const ID: [u8; 16] = [0x1d; 16];
/// Where the second bundle begins.
const BOUND: &[u8] = b"dm";

/// Entries of the first bundle and of the second one.
fn entries() -> [Vec<bundle::Row>; 2] {
    let row = |key: &'static [u8], value: &'static [u8]| (Bytes::from_static(key), Bytes::from_static(value));
    let first = vec![row(b"da", b"1"), row(b"db", b""), row(b"dbcd", &[0xab; 200])];
    [first, vec![row(b"dm", b"m"), row(b"e", b"last")]]
}

/// A bundle of the first epoch and key; a second one, and how far the index has got, of the second epoch and key.
fn write_values() -> Vec<u8> {
    let (directory, home) = (tempfile::tempdir().unwrap(), home(MemoryDisk::default(), first_ring()));
    let store = SledIndexes.open(directory.path(), 1 << 20).unwrap();
    let [first, second] = entries();
    let index = Index::new(&home, ID, Epoch(1), store, 0);
    let first = index.seal(LOWEST, &bundle::encode(Some(&Bytes::from_static(BOUND)), &first)).unwrap();
    rotate(&home.keys);
    let index = Index::new(&home, ID, Epoch(2), index.into_store().unwrap(), 0);
    let second = index.seal(BOUND, &bundle::encode(None, &second)).unwrap();
    index.apply(std::iter::empty(), Lsn(9)).unwrap();
    let applied = index.into_store().unwrap().get(b"").unwrap().unwrap();
    let rows = [(b"".as_slice(), applied), (LOWEST, first), (BOUND, second)];
    join_rows(&rows.map(|(key, value)| (hex::encode(key), value)))
}

fn read_values(stored: &[u8]) {
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
