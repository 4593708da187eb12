//! Folds beside rows that pass.

use std::sync::Arc;
use std::time::Duration;

use super::support::{Bench, wait};
use crate::attributes::Timestamp;
use crate::environment::Clock;
use crate::identity::{BlockIndex, ContentId, Lsn};
use crate::metadata::{Haste, Store};
use crate::records::key;

/// A clock by which nothing takes any time: no wait ends because it was long.
struct Stopped;

impl Clock for Stopped {
    fn now(&self) -> Timestamp {
        Timestamp::default()
    }

    fn monotonic(&self) -> Duration {
        Duration::ZERO
    }
}

/// A store without time, and the key of a piece that is in it.
fn store_with_piece() -> (Bench, Arc<Store>, Vec<u8>) {
    let mut bench = Bench::on_real_disk();
    bench.home.environment.clock = Arc::new(Stopped);
    bench.create().unwrap();
    let store = bench.open().unwrap();
    let piece = key::piece(ContentId(1), BlockIndex(0), Lsn(store.committed().0 + 1), 0);
    let mut transaction = store.begin().unwrap();
    transaction.put(piece.clone(), b"data".to_vec());
    wait(transaction.commit().durable()).unwrap();
    (bench, store, piece)
}

#[test]
fn a_fold_at_leisure_asks_for_what_passes_and_leaves_it_out() {
    let (_bench, store, piece) = store_with_piece();
    let told = store.passing();
    std::thread::scope(|scope| {
        let fold = scope.spawn(|| wait(store.checkpoint_with(Haste::None)).unwrap());
        let told = async { tokio::time::timeout(Duration::from_secs(60), told.notified()).await };
        wait(told).expect("the fold asks");
        assert!(store.awaits_passing());
        let mut transaction = store.begin().unwrap();
        transaction.delete(piece.clone());
        let _ = transaction.commit();
        fold.join().unwrap();
    });
    wait(store.after_fold());
    assert!(!store.awaits_passing());
    assert!(!store.parts().passing.may_have(&piece, &piece), "it never was in the index");
    assert_eq!(store.get(&piece).unwrap(), None);
}

#[test]
fn a_fold_at_leisure_is_hastened() {
    let (_bench, store, piece) = store_with_piece();
    std::thread::scope(|scope| {
        let fold = scope.spawn(|| wait(store.checkpoint_with(Haste::None)).unwrap());
        wait(async { tokio::time::timeout(Duration::from_secs(60), store.passing().notified()).await })
            .expect("the fold asks");
        store.hasten();
        fold.join().unwrap();
    });
    wait(store.after_fold());
    assert!(!store.awaits_passing());
    assert!(store.parts().passing.may_have(&piece, &piece), "nobody took it away");
}

#[test]
fn a_fold_that_somebody_waits_for_waits_for_nothing() {
    let (_bench, store, piece) = store_with_piece();
    wait(store.checkpoint()).unwrap();
    wait(store.after_fold());
    assert!(store.parts().passing.may_have(&piece, &piece), "the index has it");
    assert_eq!(store.get(&piece).unwrap().unwrap(), b"data".as_slice());
}
