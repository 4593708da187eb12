//! An index that is built anew while the store is used.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::{Condvar, Mutex};

use super::support::{Bench, files, joined, put, wait};
use crate::error::{Error, Result};
use crate::keys::DataKey;
use crate::metadata::index::BootId;
use crate::metadata::reseal::small_files;
use crate::metadata::{Indexes, MetaStore, SledIndexes, Store};

const HELD_MAX: Duration = Duration::from_secs(60);

/// sled, which takes in as many batches as a test lets it.
#[derive(Clone, Default)]
struct HeldIndexes(Arc<Hold>);

#[derive(Default)]
struct Hold {
    /// How many more; `None` is no limit.
    left: Mutex<Option<u32>>,
    changed: Condvar,
}

struct HeldStore {
    store: Box<dyn MetaStore>,
    hold: Arc<Hold>,
}

impl HeldIndexes {
    /// So many more from now on.
    fn let_through(&self, batches: Option<u32>) {
        *self.0.left.lock() = batches;
        self.0.changed.notify_all();
    }

    /// Waits until nothing more is taken in.
    fn until_held(&self) {
        self.0.changed.wait_while(&mut self.0.left.lock(), |left| *left != Some(0));
    }
}

impl Indexes for HeldIndexes {
    fn open(&self, directory: &Path, cache_bytes: u64) -> Result<Box<dyn MetaStore>> {
        let store = SledIndexes.open(directory, cache_bytes)?;
        Ok(Box::new(HeldStore { store, hold: Arc::clone(&self.0) }))
    }

    fn destroy(&self, directory: &Path) -> Result<()> {
        SledIndexes.destroy(directory)
    }
}

impl MetaStore for HeldStore {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        self.store.get(key)
    }

    fn last_key(&self) -> Result<Option<Bytes>> {
        self.store.last_key()
    }

    fn range<'a>(
        &'a self,
        from: &[u8],
        to: &[u8],
    ) -> Box<dyn Iterator<Item = Result<(Bytes, Vec<u8>)>> + 'a> {
        self.store.range(from, to)
    }

    fn apply(&self, batch: Vec<(Bytes, Option<Vec<u8>>)>) -> Result<()> {
        let mut left = self.hold.left.lock();
        // After an assertion that failed nobody lets it through.
        self.hold.changed.wait_while_for(&mut left, |left| *left == Some(0), HELD_MAX);
        if let Some(left) = &mut *left {
            *left = left.saturating_sub(1);
            self.hold.changed.notify_all();
        }
        drop(left);
        self.store.apply(batch)
    }

    fn flush(&self) -> Result<()> {
        self.store.flush()
    }
}

/// Values in three checkpoints, with deletions between them; the machine stopped, and the index is not built yet.
fn without_index() -> (HeldIndexes, Bench, Arc<Store>) {
    let indexes = HeldIndexes::default();
    let mut bench = Bench::on_real_disk();
    bench.home.environment.indexes = Arc::new(indexes.clone());
    bench.create().unwrap();
    let store = bench.open_at_once().unwrap();
    // Those behind the others make it take some batches.
    let keys = (0..600).map(|number| format!("k{number:03}"));
    let keys: Vec<String> = keys.chain((0..8000).map(|number| format!("z{number:04}"))).collect();
    let value = "v".repeat(200);
    let entries: Vec<_> = keys.iter().map(|key| (key.as_str(), Some(value.as_str()))).collect();
    drop(put(&store, &entries));
    wait(store.fold()).unwrap();
    drop(put(&store, &[("k001", Some("second")), ("k002", None), ("k599", None)]));
    wait(store.fold()).unwrap();
    drop(put(&store, &[("k000", None), ("k002", Some("third"))]));
    wait(store.fold()).unwrap();
    drop(store);
    bench.boot = BootId::of("another boot");
    indexes.let_through(Some(0));
    let store = bench.open_at_once().unwrap();
    (indexes, bench, store)
}

fn built(store: &Store) {
    assert!(wait(store.until_index_is_built()));
    assert_eq!(store.compare_index(|_| Ok(())).unwrap(), Some((0, String::new())));
}

fn is_as_expected(store: &Store, first: &str) {
    is_as_expected_beside(store, first);
    assert_eq!(store.scan(b"a", b"z", usize::MAX).unwrap().len(), 598);
}

fn is_as_expected_beside(store: &Store, first: &str) {
    let short = |(key, value): (Bytes, Bytes)| (key, value.slice(..value.len().min(6)));
    let scan = |from: &[u8], to: &[u8], limit| {
        joined(store.scan(from, to, limit).unwrap().into_iter().map(short).collect())
    };
    assert_eq!(scan(b"a", b"z", 3), first);
    assert_eq!(scan(b"k597", b"l", 9), "k597=vvvvvv k598=vvvvvv");
    let get = |key: &str| store.get(key.as_bytes()).unwrap().map(|value| value.len());
    assert_eq!(
        (get("k000"), get("k300"), get("k599"), get("a"), get("zz")),
        (None, Some(200), None, None, None)
    );
    let last = |from: &[u8], upto: &[u8]| {
        store.last(from, upto).unwrap().map(|(key, _)| String::from_utf8(key.to_vec()).unwrap())
    };
    // What is deleted in a newer file hides what an older one has.
    assert_eq!(last(b"a", b"ky").as_deref(), Some("k598"));
    assert_eq!(last(b"k599", b"ky"), None);
    assert_eq!(last(b"a", b"k300x").as_deref(), Some("k300"));
    assert_eq!(last(b"a", b"k000"), None);
}

#[test]
fn everything_is_read_and_changed_while_the_index_is_built() {
    let (indexes, bench, store) = without_index();
    assert!(store.rebuilding().is_some());
    is_as_expected(&store, "k001=second k002=third k003=vvvvvv");
    indexes.let_through(Some(3));
    indexes.until_held();
    // What was brought in already, what comes later, and something new.
    drop(put(
        &store,
        &[("k001", Some("fourth")), ("k597", Some("vvvvvv")), ("k000", Some("0")), ("x", Some("x"))],
    ));
    wait(store.checkpoint()).unwrap();
    drop(put(&store, &[("k000", None), ("x", None)]));
    wait(store.checkpoint()).unwrap();
    while store.parts().overlay.is_folding() {
        std::thread::yield_now();
    }
    is_as_expected(&store, "k001=fourth k002=third k003=vvvvvv");
    assert!(store.rebuilding().is_some());
    indexes.let_through(None);
    built(&store);
    is_as_expected(&store, "k001=fourth k002=third k003=vvvvvv");
    wait(store.close()).unwrap();
    drop(store);
    let store = bench.open_at_once().unwrap();
    assert!(store.rebuilding().is_none(), "the next start has it");
    is_as_expected(&store, "k001=fourth k002=third k003=vvvvvv");
}

/// A base has no deletions: what was deleted after the building began would be there again.
#[test]
fn a_base_that_comes_while_the_index_is_built_brings_nothing_back() {
    let (indexes, _bench, store) = without_index();
    indexes.let_through(Some(3));
    indexes.until_held();
    drop(put(&store, &[("k001", None), ("k003", None)]));
    wait(store.checkpoint()).unwrap();
    let checkpoints = &store.parts().checkpoints;
    checkpoints.merge(&checkpoints.whole_plan(), 0, || true).unwrap();
    assert_eq!(store.get(b"k001").unwrap(), None);
    indexes.let_through(None);
    built(&store);
    assert_eq!(store.get(b"k001").unwrap(), None);
    assert_eq!(store.scan(b"a", b"z", usize::MAX).unwrap().len(), 596);
}

#[test]
fn a_start_after_one_that_did_not_end_building_begins_anew() {
    let (indexes, bench, store) = without_index();
    indexes.let_through(Some(3));
    indexes.until_held();
    std::thread::scope(|scope| {
        let closing = scope.spawn(|| wait(store.close()));
        while !store.parts().signal.stopping() {
            std::thread::yield_now();
        }
        indexes.let_through(None);
        closing.join().unwrap().unwrap();
    });
    drop(store);
    assert!(!bench.file("index.marker").exists());
    let store = bench.open_at_once().unwrap();
    built(&store);
    is_as_expected(&store, "k001=second k002=third k003=vvvvvv");
}

/// The same directory, as a kill in the midst of the building leaves it.
#[test]
fn a_half_built_index_is_never_used() {
    let (indexes, bench, store) = without_index();
    indexes.let_through(Some(3));
    indexes.until_held();
    let copy = Bench { boot: bench.boot.clone(), ..Bench::on_real_disk() };
    let copied = std::process::Command::new("cp").arg("-r").arg(&bench.path).arg(&copy.path).status();
    assert!(copied.unwrap().success() && copy.file("index/db").exists());
    let killed = copy.open_at_once().unwrap();
    assert!(killed.rebuilding().is_some());
    built(&killed);
    is_as_expected(&killed, "k001=second k002=third k003=vvvvvv");
    indexes.let_through(None);
    built(&store);
}

#[test]
fn a_key_that_is_rotated_while_the_index_is_built_is_not_needed_afterwards() {
    let (indexes, bench, store) = without_index();
    let parts = store.parts();
    indexes.let_through(Some(3));
    indexes.until_held();
    parts.home.keys.add(DataKey::from_bytes([9; 32]));
    assert!(matches!(parts.index.reseal(&[]), Err(Error::Unavailable { .. })), "it is tried again later");
    assert!(small_files(parts).is_err());
    indexes.let_through(None);
    built(&store);
    let mut from = Some(Vec::new());
    while let Some(at) = from.take() {
        from = parts.index.reseal(&at).unwrap().next;
    }
    while store.reseal_checkpoints() > 0 {
        std::thread::yield_now();
    }
    drop(put(&store, &[("later", Some("x"))]));
    wait(store.fold()).unwrap();
    small_files(parts).unwrap();
    parts.home.keys.forget_older();
    store.forget_older_than(parts.home.keys.newest());
    is_as_expected_beside(&store, "k001=second k002=third k003=vvvvvv");
    assert_eq!(store.compare_index(|_| Ok(())).unwrap(), Some((0, String::new())));
    drop(store);
    is_as_expected_beside(&bench.open().unwrap(), "k001=second k002=third k003=vvvvvv");
}

/// What it has is the only truth: what can be read of it is, and the rest is an error.
#[test]
fn a_checkpoint_that_is_damaged_stops_changes_and_what_is_whole_of_it_is_read() {
    let (indexes, bench, store) = without_index();
    drop(store);
    let first = files(&bench.file("checkpoint"), "delta").remove(0);
    let mut bytes = std::fs::read(&first).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&first, &bytes).unwrap();
    indexes.let_through(None);
    let store = bench.open_at_once().unwrap();
    assert!(!wait(store.until_index_is_built()));
    let reason = store.halted().unwrap();
    assert!(reason.contains("the metadata index cannot be built anew") && reason.contains("00000001.delta"));
    is_as_expected(&store, "k001=second k002=third k003=vvvvvv");
    let (mut read, mut damaged) = (0, 0);
    for number in 0..8000 {
        match store.get(format!("z{number:04}").as_bytes()) {
            Ok(value) => {
                assert_eq!(value.unwrap().len(), 200);
                read += 1;
            }
            Err(Error::Corrupt { what }) => {
                assert!(what.contains("00000001.delta"), "{what}");
                damaged += 1;
            }
            Err(other) => panic!("{other}"),
        }
    }
    assert!(damaged > 0 && damaged < 200 && read > 7800, "{damaged} damaged, {read} read");
    assert!(matches!(store.scan(b"z", b"zz", 9000), Err(Error::Corrupt { .. })));
}

/// The files are not held open, and read, by a store that has its index.
#[test]
fn checkpoints_that_were_read_instead_are_let_go_of() {
    let (indexes, bench, store) = without_index();
    is_as_expected(&store, "k001=second k002=third k003=vvvvvv");
    let open = || {
        let links = std::fs::read_dir("/proc/self/fd").unwrap();
        let targets = links.filter_map(|link| std::fs::read_link(link.unwrap().path()).ok());
        targets.filter(|target| target.starts_with(bench.file("checkpoint"))).count()
    };
    assert!(open() >= files(&bench.file("checkpoint"), "delta").len());
    indexes.let_through(None);
    built(&store);
    assert_eq!(open(), 0);
}
