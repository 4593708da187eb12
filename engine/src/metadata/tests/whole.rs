//! Ordinary life: commit, read, fold, close, open again.

use super::support::{BUDGETS, Bench, files, joined, put, text, wait};
use crate::error::{Error, OpenError};
use crate::identity::{Epoch, Lsn};
use crate::limits::RECORD_BYTES_MAX;
use crate::metadata::StoreBudgets;
use crate::metadata::{Indexes, MetaStore, SledIndexes};

#[test]
fn a_transaction_reads_its_own_writes_and_an_abort_leaves_nothing() {
    let bench = Bench::on_real_disk();
    bench.create().unwrap();
    let store = bench.open().unwrap();
    wait(put(&store, &[("a", Some("1")), ("b", Some("2")), ("c", Some("3"))]).durable()).unwrap();
    wait(store.fold()).unwrap();
    let _ = put(&store, &[("d", Some("4")), ("b", None)]);
    let mut transaction = store.begin().unwrap();
    transaction.delete(b"a".to_vec());
    transaction.put(b"e".to_vec(), b"5".to_vec());
    assert_eq!(transaction.get(b"a").unwrap(), None);
    assert_eq!(joined(transaction.scan(b"a", b"z", 2).unwrap()), "c=3 d=4");
    assert_eq!(joined(transaction.scan(b"a", b"e", 9).unwrap()), "c=3 d=4");
    assert_eq!(joined(transaction.scan(b"a", b"z", 9).unwrap()), "c=3 d=4 e=5");
    drop(transaction);
    assert_eq!(joined(store.scan(b"a", b"z", 9).unwrap()), "a=1 c=3 d=4");
    assert_eq!(text(&store, "b"), None);
}

#[test]
fn the_last_of_a_range_is_found_in_whichever_layer_it_is() {
    let bench = Bench::on_real_disk();
    bench.create().unwrap();
    let store = bench.open().unwrap();
    let last = |from: &str, upto: &str| {
        let scanned = store.scan(from.as_bytes(), format!("{upto}\0").as_bytes(), 9).unwrap().pop();
        let found = store.last(from.as_bytes(), upto.as_bytes()).unwrap();
        assert_eq!(found, scanned, "{from} to {upto}");
        joined(found.into_iter().collect())
    };
    let _ = put(&store, &[("a", Some("1")), ("b", Some("2")), ("d", Some("4"))]);
    assert_eq!((last("a", "c"), last("b", "b"), last("e", "z")), ("b=2".into(), "b=2".into(), "".into()));
    wait(store.fold()).unwrap();
    assert_eq!((last("a", "c"), last("c", "c"), last("a", "z")), ("b=2".into(), "".into(), "d=4".into()));
    // What is deleted above hides what is below, and shows what is before it.
    let _ = put(&store, &[("d", None), ("b", Some("3"))]);
    assert_eq!((last("a", "z"), last("a", "a"), last("c", "z")), ("b=3".into(), "a=1".into(), "".into()));
}

#[test]
fn everything_is_there_after_a_clean_close() {
    let bench = Bench::on_real_disk();
    bench.create().unwrap();
    let store = bench.open().unwrap();
    assert_eq!(store.epoch(), Epoch(1));
    let ticket = put(&store, &[("a", Some("1"))]);
    assert_eq!(ticket.lsn(), Lsn(1));
    wait(store.close()).unwrap();
    assert!(store.get(b"a").is_err());
    assert!(matches!(store.begin(), Err(Error::Halted { .. })));
    drop(store);

    let store = bench.open().unwrap();
    assert!(store.epoch() > Epoch(1));
    assert_eq!(text(&store, "a").as_deref(), Some("1"));
    assert_eq!((store.committed(), store.durable(), store.checkpointed()), (Lsn(1), Lsn(1), Lsn(1)));
    assert_eq!(store.statistics().journal_bytes, 0);
}

#[test]
fn everything_durable_is_there_after_the_process_died() {
    let bench = Bench::on_real_disk();
    bench.create().unwrap();
    for round in 0..4 {
        let store = bench.open().unwrap();
        for earlier in 0..round {
            assert_eq!(text(&store, &format!("key {earlier}")), Some(format!("value {earlier}")));
        }
        let ticket = put(&store, &[(&format!("key {round}"), Some(&format!("value {round}")))]);
        wait(ticket.durable()).unwrap();
        if round == 1 {
            wait(store.fold()).unwrap();
        }
    }
}

#[test]
fn small_budgets_fold_rotate_and_trim_by_themselves() {
    let budgets = StoreBudgets { journal_bytes: 4 << 20, overlay_bytes: 1 << 20, ..BUDGETS };
    let mut bench = Bench::on_real_disk();
    bench.budgets = budgets;
    bench.create().unwrap();
    let store = bench.open().unwrap();
    let value = "x".repeat(50_000);
    for number in 0..400 {
        wait(store.admit()).unwrap();
        let _ = put(&store, &[(&format!("{number:04}"), Some(&value)), ("last", Some(&number.to_string()))]);
    }
    wait(store.everything().durable()).unwrap();
    let statistics = store.statistics();
    assert!(statistics.overlay_bytes <= 2 << 20 && statistics.journal_bytes <= 6 << 20, "{statistics:?}");
    assert!(store.checkpointed() > Lsn(0));
    wait(store.fold()).unwrap();
    assert_eq!(store.statistics().overlay_bytes, 0);
    assert_eq!(files(&bench.file("journal"), "journal").len(), 1);
    drop(store);
    let store = bench.open().unwrap();
    assert_eq!(text(&store, "last").as_deref(), Some("399"));
    assert_eq!(store.scan(b"0", b"1", usize::MAX).unwrap().len(), 400);
}

#[test]
fn a_transaction_that_is_no_record_is_refused_whole() {
    let bench = Bench::on_real_disk();
    bench.create().unwrap();
    let store = bench.open().unwrap();
    let refused = put(&store, &[("a", Some("1")), ("b", Some(&"x".repeat(RECORD_BYTES_MAX)))]);
    assert!(matches!(wait(refused.durable()), Err(Error::Invalid { .. })));
    let refused = put(&store, &[("", Some("1")), ("a", Some("1"))]);
    assert!(matches!(wait(refused.durable()), Err(Error::Invalid { .. })));
    assert_eq!((text(&store, "a"), store.committed()), (None, Lsn(0)));
    let largest = "x".repeat(RECORD_BYTES_MAX - 12 - 5 - 1 - 4);
    wait(put(&store, &[("a", Some(&largest))]).durable()).unwrap();
    assert_eq!(text(&store, "a").map(|value| value.len()), Some(largest.len()));
}

/// The number of the page that is made first.
const FIRST_LEAF: u64 = 1 << 8;

/// Removes the page with the lowest number but so many: the root, and then the lowest leaf.
fn remove_page(bench: &Bench, number: usize) {
    let raw = SledIndexes.open(&bench.file("index"), 1 << 20).unwrap();
    let key = raw.range(&[0], &[0xff; 9]).nth(number).unwrap().unwrap().0;
    assert_eq!(key.len(), 8);
    raw.apply(vec![(key, None)]).unwrap();
    raw.flush().unwrap();
}

#[test]
fn an_index_that_cannot_be_trusted_is_rebuilt() {
    type Damage = fn(&Bench);
    let deleted: Damage = |bench| SledIndexes.destroy(&bench.file("index")).unwrap();
    let garbage: Damage = |bench| {
        for entry in std::fs::read_dir(bench.file("index")).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() {
                std::fs::write(path, [0xa5; 9000]).unwrap();
            }
        }
    };
    let no_directory: Damage = |bench| {
        SledIndexes.destroy(&bench.file("index")).unwrap();
        std::fs::write(bench.file("index"), "not a directory").unwrap();
    };
    let unmarked: Damage = |bench| std::fs::remove_file(bench.file("index.marker")).unwrap();
    // Keys that nothing covers must not be found missing.
    let without_root: Damage = |bench| remove_page(bench, 0);
    let without_leaf: Damage = |bench| remove_page(bench, 1);
    for damage in [deleted, garbage, no_directory, unmarked, without_root, without_leaf] {
        let bench = Bench::on_real_disk();
        bench.create().unwrap();
        let store = bench.open().unwrap();
        let _ = put(&store, &[("a", Some("1")), ("b", Some("2"))]);
        wait(store.fold()).unwrap();
        let _ = put(&store, &[("a", None), ("c", Some("3"))]);
        wait(store.close()).unwrap();
        drop(store);
        damage(&bench);
        assert_eq!(joined(bench.open().unwrap().scan(b"a", b"z", 9).unwrap()), "b=2 c=3");
    }
}

#[test]
fn a_stop_of_the_machine_discards_an_index_in_use() {
    let mut bench = Bench::on_real_disk();
    bench.create().unwrap();
    let store = bench.open().unwrap();
    let _ = put(&store, &[("a", Some("1"))]);
    wait(store.fold()).unwrap();
    drop(store);
    // What sled has is not what it would have after a power failure; if it were used, the older value would be found.
    let lowest = || bytes::Bytes::copy_from_slice(&FIRST_LEAF.to_be_bytes());
    let with_sled = |with: &dyn Fn(&dyn MetaStore) -> Option<Vec<u8>>| {
        let raw = SledIndexes.open(&bench.file("index"), 1 << 20).unwrap();
        let value = with(raw.as_ref());
        // Without this sled may still be at work, and hold its lock, after it was dropped.
        raw.flush().unwrap();
        value
    };
    let older = with_sled(&|raw| raw.get(&lowest()).unwrap());
    let store = bench.open().unwrap();
    let _ = put(&store, &[("a", Some("2"))]);
    wait(store.fold()).unwrap();
    drop(store);
    with_sled(&|raw| {
        raw.apply(vec![(lowest(), older.clone())]).unwrap();
        None
    });
    assert_eq!(text(&bench.open().unwrap(), "a").as_deref(), Some("1"), "the same boot trusts it");
    bench.boot = crate::metadata::index::BootId::of("second boot");
    assert_eq!(text(&bench.open().unwrap(), "a").as_deref(), Some("2"));
}

#[test]
fn an_older_copy_of_the_index_is_brought_up_to_date() {
    let bench = Bench::on_real_disk();
    bench.create().unwrap();
    let store = bench.open().unwrap();
    let _ = put(&store, &[("a", Some("1")), ("b", Some("1"))]);
    wait(store.close()).unwrap();
    drop(store);
    let copy = bench.file("copy");
    std::fs::create_dir(&copy).unwrap();
    for name in ["conf", "db"] {
        std::fs::copy(bench.file("index").join(name), copy.join(name)).unwrap();
    }
    let store = bench.open().unwrap();
    let _ = put(&store, &[("a", None), ("c", Some("1"))]);
    wait(store.fold()).unwrap();
    drop(store);
    SledIndexes.destroy(&bench.file("index")).unwrap();
    std::fs::rename(&copy, bench.file("index")).unwrap();
    assert_eq!(joined(bench.open().unwrap().scan(b"a", b"z", 9).unwrap()), "b=1 c=1");
}

#[test]
fn another_key_does_not_open_the_store() {
    let mut bench = Bench::on_real_disk();
    bench.create().unwrap();
    bench.home.keys = crate::keys::KeyRing::of(crate::keys::DataKey::from_bytes([4; 32]));
    assert!(matches!(bench.open(), Err(Error::Open(OpenError::Damaged { .. }))));
}

#[test]
fn a_store_that_is_killed_again_and_again_does_not_pile_up_journal_files() {
    let bench = Bench::on_real_disk();
    bench.create().unwrap();
    for life in 0..40 {
        let store = bench.open().unwrap();
        wait(put(&store, &[("life", Some(&life.to_string()))]).durable()).unwrap();
        // Dropped without a close: killed.
    }
    let store = bench.open().unwrap();
    assert_eq!(text(&store, "life").as_deref(), Some("39"));
    let journal = files(&bench.file("journal"), "journal");
    assert!(journal.len() <= 16, "{journal:?}");
}
