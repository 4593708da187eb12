//! For fuzzing: values of the index, and its marker.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;

use super::bundle;
use super::marker::{self, BootId};
use super::{Index, Marker, MarkerState, MetaStore};
use crate::error::Result;
use crate::fuzzing::input::{Input, damages};
use crate::fuzzing::memory::MemoryDisk;
use crate::fuzzing::{Decoder, home, must};
use crate::identity::{Epoch, Lsn};

pub(crate) const DECODERS: &[Decoder] = &[
    Decoder { name: "index-value", run: value, seeds: || vec![sealed(b"value"), sealed(b"")] },
    Decoder { name: "index-bundle", run: any_bundle, seeds: bundle_seeds },
    Decoder { name: "index-value-damage", run: value_damage, seeds: damages },
    Decoder { name: "index-applied", run: applied, seeds: || vec![7_u64.to_be_bytes().to_vec()] },
    Decoder { name: "index-marker", run: index_marker, seeds: index_marker_seeds },
    Decoder { name: "index-marker-file", run: marker_file, seeds: marker_file_seeds },
];

const KEY: &[u8] = b"key";
const PATH: &str = "/index.marker";

/// A store in memory.
#[derive(Clone, Default)]
struct Rows(Arc<Mutex<BTreeMap<Vec<u8>, Vec<u8>>>>);

impl MetaStore for Rows {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        Ok(self.0.lock().get(key).cloned())
    }

    fn range<'a>(
        &'a self,
        from: &[u8],
        to: &[u8],
    ) -> Box<dyn Iterator<Item = Result<(Bytes, Vec<u8>)>> + 'a> {
        let rows = self.0.lock();
        let found = rows.iter().filter(|(key, _)| (from..to).contains(&key.as_slice()));
        let found: Vec<_> =
            found.map(|(key, value)| Ok((Bytes::copy_from_slice(key), value.clone()))).collect();
        Box::new(found.into_iter())
    }

    fn floor(&self, key: &[u8]) -> Result<Option<(Bytes, Vec<u8>)>> {
        let rows = self.0.lock();
        let found = rows.range(..=key.to_vec()).next_back();
        Ok(found.map(|(key, value)| (Bytes::copy_from_slice(key), value.clone())))
    }

    fn apply(&self, batch: Vec<(Bytes, Option<Vec<u8>>)>) -> Result<()> {
        let mut rows = self.0.lock();
        for (key, value) in batch {
            match value {
                Some(value) => rows.insert(key.to_vec(), value),
                None => rows.remove(key.as_ref()),
            };
        }
        Ok(())
    }

    fn flush(&self) -> Result<()> {
        Ok(())
    }
}

fn index(rows: &Rows) -> Index {
    Index::new(&home(&MemoryDisk::default()), [3; 16], Epoch(2), Box::new(rows.clone()), 1 << 20)
}

/// A bundle of one entry, as it stands in the store.
fn sealed(value: &[u8]) -> Vec<u8> {
    let rows = Rows::default();
    let entry = (Bytes::from_static(KEY), Some(Bytes::copy_from_slice(value)));
    must(index(&rows).apply([Ok(entry)].into_iter(), Lsn(1)));
    rows.0.lock().get(bundle::LOWEST).cloned().unwrap_or_default()
}

/// What a store with these bytes for its only bundle says of the key.
fn open(lower: &[u8], stored: &[u8]) -> Option<Bytes> {
    let rows = Rows::default();
    rows.0.lock().insert(lower.to_vec(), stored.to_vec());
    let value = index(&rows).get(KEY).ok().flatten();
    let ranged = index(&rows).with_range(b"\0", b"\xff", |mut entries| Ok(entries.next()));
    let ranged = ranged.ok().flatten().and_then(|entry| entry.ok()?.1);
    assert_eq!(ranged, value, "a scan finds what a lookup finds");
    value
}

fn value(data: &[u8]) {
    if let Some(value) = open(bundle::LOWEST, data) {
        assert_eq!(sealed(&value), data);
    }
}

/// A value of any bytes comes back, but not from another place and not after any change.
fn value_damage(data: &[u8]) {
    let mut input = Input::new(data);
    let value = input.short();
    let genuine = sealed(value);
    assert_eq!(open(bundle::LOWEST, &genuine).as_deref(), Some(value));
    assert_eq!(open(b"a", &genuine), None);
    let damaged = input.damage(&genuine);
    assert_eq!(open(bundle::LOWEST, &damaged).is_some(), damaged == genuine);
}

/// A bundle of any content, behind the seal.
fn any_bundle(data: &[u8]) {
    let Ok(found) = bundle::decode(&Bytes::copy_from_slice(data)) else { return };
    let again = bundle::encode(found.upper.as_ref(), &found.rows);
    assert_eq!(must(bundle::decode(&again.into())), found);
}

fn bundle_seeds() -> Vec<Vec<u8>> {
    let row = |key: &'static [u8], value: &'static [u8]| (Bytes::from_static(key), Bytes::from_static(value));
    let rows = [row(b"aa", b"1"), row(b"ab", b""), row(b"b", &[7; 200])];
    vec![bundle::encode(None, &rows), bundle::encode(Some(&Bytes::from_static(b"c")), &rows)]
}

/// The position of any content, under a right seal.
fn applied(data: &[u8]) {
    let rows = Rows::default();
    let sealed = must(index(&rows).seal(b"", data));
    rows.0.lock().insert(Vec::new(), sealed);
    match index(&rows).applied() {
        Ok(lsn) => assert_eq!(lsn.map(|lsn| lsn.0.to_be_bytes().to_vec()).as_deref(), Some(data)),
        Err(_) => assert_ne!(data.len(), 8),
    }
}

/// The content of a marker, under a right seal.
fn index_marker(data: &[u8]) {
    let Ok(marker) = Marker::decode(data) else { return };
    let (disk, path) = (MemoryDisk::default(), Path::new(PATH));
    must(marker.publish(&home(&disk), path));
    let again = Marker::read(&home(&disk), path);
    let content = must(marker::FILE.read(&home(&disk), path));
    // A boot id that is not text, or longer than any is, vouches for nothing; it need not come back.
    assert!(again.is_some_and(|again| again == marker) || data.len() > 1024);
    assert!(content.is_some());
}

fn index_marker_seeds() -> Vec<Vec<u8>> {
    let (disk, path) = (MemoryDisk::default(), Path::new(PATH));
    let content = |marker: Marker| {
        must(marker.publish(&home(&disk), path));
        must(marker::FILE.read(&home(&disk), path)).unwrap_or_default()
    };
    markers().map(content).to_vec()
}

fn markers() -> [Marker; 2] {
    let state = [MarkerState::InUse(BootId::of("a-boot")), MarkerState::Closed { applied: Lsn(7) }];
    state.map(|state| Marker { index: [1; 16], state })
}

/// A marker of any bytes: only a real one is read.
fn marker_file(data: &[u8]) {
    let disk = MemoryDisk::with(Path::new(PATH), data);
    if let Some(marker) = Marker::read(&home(&disk), Path::new(PATH)) {
        assert!(markers().contains(&marker));
    }
}

fn marker_file_seeds() -> Vec<Vec<u8>> {
    let (disk, path) = (MemoryDisk::default(), Path::new(PATH));
    let file = |marker: Marker| {
        must(marker.publish(&home(&disk), path));
        disk.bytes(path)
    };
    markers().map(file).to_vec()
}
