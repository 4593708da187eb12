//! Folds beside rows that pass.

use std::sync::Arc;
use std::time::Duration;

use super::support::{Bench, wait};
use crate::environment::StoppedClock;
use crate::identity::{BlockIndex, ContentId, Lsn};
use crate::metadata::{Haste, Store};
use crate::records::key;

/// A store without time, and the key of a piece that is in it.
fn store_with_piece() -> (Bench, Arc<Store>, Vec<u8>) {
    let mut bench = Bench::on_real_disk();
    bench.home.environment.clock = Arc::new(StoppedClock);
    bench.create().unwrap();
    let store = bench.open().unwrap();
    let piece = key::piece(ContentId(1), BlockIndex(0), Lsn(store.committed().0 + 1), 0);
    let mut transaction = store.begin().unwrap();
    transaction.put(piece.clone(), b"data".to_vec());
    wait(transaction.commit().durable()).unwrap();
    (bench, store, piece)
}

/// A fold at leisure, and what is done when it asks.
fn fold_at_leisure(store: &Store, asked: impl FnOnce()) {
    let told = store.passing();
    std::thread::scope(|scope| {
        let fold = scope.spawn(|| wait(store.checkpoint_with(Haste::None)).unwrap());
        let told = wait(async { tokio::time::timeout(Duration::from_secs(60), told.notified()).await });
        let asks = told.is_ok() && store.awaits_passing();
        if asks {
            asked();
        }
        if !asks {
            // Or a test that fails would never end.
            store.hasten();
        }
        fold.join().unwrap();
        assert!(asks, "the fold asks");
    });
    wait(store.after_fold());
    assert!(!store.awaits_passing());
}

#[test]
fn a_fold_at_leisure_asks_for_what_passes_and_leaves_it_out() {
    let (_bench, store, piece) = store_with_piece();
    fold_at_leisure(&store, || {
        let mut transaction = store.begin().unwrap();
        transaction.delete(piece.clone());
        let _ = transaction.commit();
    });
    assert!(!store.parts().passing.may_have(&piece, &piece), "it never was in the index");
    assert_eq!(store.get(&piece).unwrap(), None);
}

#[test]
fn a_fold_at_leisure_is_hastened() {
    let (_bench, store, piece) = store_with_piece();
    fold_at_leisure(&store, || store.hasten());
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
