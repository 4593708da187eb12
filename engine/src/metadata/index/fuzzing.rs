//! For fuzzing: pages of the index, and its marker.

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
    Decoder { name: "index-page", run: page, seeds: || vec![sealed(b"value"), sealed(b"")] },
    Decoder { name: "index-page-content", run: page_content, seeds: page_content_seeds },
    Decoder { name: "index-bundle", run: any_bundle, seeds: bundle_seeds },
    Decoder { name: "index-page-damage", run: page_damage, seeds: damages },
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

    fn last_key(&self) -> Result<Option<Bytes>> {
        Ok(self.0.lock().keys().next_back().map(|key| Bytes::copy_from_slice(key)))
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

/// The store of an index with one entry: the root, and this leaf.
fn with_entry(value: &[u8]) -> Rows {
    let rows = Rows::default();
    let entry = (Bytes::from_static(KEY), Some(Bytes::copy_from_slice(value)));
    must(index(&rows).apply([Ok(entry)].into_iter(), Lsn(1)));
    rows
}

const ROOT: [u8; 8] = 0_u64.to_be_bytes();
const LEAF: [u8; 8] = (1_u64 << 8).to_be_bytes();

/// A leaf with one entry, as it stands in the store.
fn sealed(value: &[u8]) -> Vec<u8> {
    with_entry(value).0.lock().get(LEAF.as_slice()).cloned().unwrap_or_default()
}

/// What a store with these bytes for one of its pages says of the key.
fn open(page: [u8; 8], stored: &[u8]) -> Option<Bytes> {
    let rows = with_page(page, stored);
    let value = index(&rows).get(KEY).ok().flatten();
    let ranged = index(&rows).with_range(b"\0", b"\xff", |mut entries| Ok(entries.next()));
    let ranged = ranged.ok().flatten().and_then(|entry| entry.ok()?.1);
    assert_eq!(ranged, value, "a scan finds what a lookup finds");
    value
}

fn with_page(page: [u8; 8], stored: &[u8]) -> Rows {
    let rows = with_entry(b"other");
    rows.0.lock().insert(page.to_vec(), stored.to_vec());
    rows
}

fn page(data: &[u8]) {
    if let Some(value) = open(LEAF, data) {
        assert_eq!(sealed(&value), data);
    }
}

/// A page of any content, under a right seal: the leaf or the root. Whatever it says, everything ends.
fn page_content(data: &[u8]) {
    for page in [LEAF, ROOT] {
        let sealed = must(index(&Rows::default()).seal(&page, data));
        let rows = with_page(page, &sealed);
        let _ = index(&rows).get(KEY);
        let _ = index(&rows).last(b"\0", b"\xff");
        let _ =
            index(&rows).with_range(b"\0", b"\xff", |entries| Ok(entries.take_while(Result::is_ok).count()));
        let entry = (Bytes::from_static(KEY), Some(Bytes::from_static(b"new")));
        let gone = (Bytes::from_static(b"kez"), None);
        let _ = index(&rows).apply([Ok(entry), Ok(gone)].into_iter(), Lsn(2));
    }
}

fn page_content_seeds() -> Vec<Vec<u8>> {
    let row = |key: &'static [u8], value: &'static [u8]| (Bytes::from_static(key), Bytes::from_static(value));
    let leaf = bundle::encode(None, &[row(b"aa", b"1"), row(KEY, b"2")]);
    let end = bundle::encode(Some(&Bytes::from_static(b"l")), &[]);
    let root = bundle::encode(None, &[row(bundle::LOWEST, &[1, 0]), row(b"l", &[1, 0])]);
    [(0, leaf), (0, end), (1, root)].map(|(level, bundle)| [[level].as_slice(), &bundle].concat()).to_vec()
}

/// A value of any bytes comes back, but not from another place and not after any change.
fn page_damage(data: &[u8]) {
    let mut input = Input::new(data);
    let value = input.short();
    let genuine = sealed(value);
    assert_eq!(open(LEAF, &genuine).as_deref(), Some(value));
    assert_eq!(open(ROOT, &genuine), None);
    let damaged = input.damage(&genuine);
    assert_eq!(open(LEAF, &damaged).is_some(), damaged == genuine);
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

fn markers() -> [Marker; 3] {
    let in_use = MarkerState::InUse(BootId::of("a-boot"));
    let state = [in_use, MarkerState::Closed { applied: Lsn(7) }, MarkerState::Older];
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
