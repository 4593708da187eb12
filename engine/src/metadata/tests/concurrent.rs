//! Readers and writers at once.

use std::sync::atomic::{AtomicBool, Ordering};

use super::support::{Bench, put, wait};
use crate::identity::Lsn;

const KEYS: usize = 20;
const FOLDS: u64 = 60;

#[test]
fn a_reader_never_sees_a_hole_or_half_a_transaction_while_folds_go_on() {
    let bench = Bench::on_real_disk();
    bench.create().unwrap();
    let store = bench.open().unwrap();
    let write = |round: usize| {
        let mut transaction = store.begin().unwrap();
        for key in 0..KEYS {
            // Half of the keys move to another place in the order with each round.
            let parity = if key % 2 == 0 { round % 2 } else { 0 };
            transaction.delete(format!("k{key:02}/{}", 1 - parity).into_bytes());
            transaction.put(format!("k{key:02}/{parity}").into_bytes(), format!("{round:05}").into_bytes());
        }
        transaction.commit()
    };
    let _ = write(0);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let mut last = 0;
                while !done.load(Ordering::Relaxed) {
                    let found = store.scan(b"k", b"l", 100).unwrap();
                    let rounds: Vec<usize> = found
                        .iter()
                        .map(|(_, value)| str::from_utf8(value).unwrap().parse().unwrap())
                        .collect();
                    assert_eq!(rounds, vec![rounds[0]; KEYS], "a scan sees one moment");
                    assert!(rounds[0] >= last, "time goes forward");
                    last = rounds[0];
                    assert!(store.get(b"k01/0").unwrap().is_some());
                    let (key, value) =
                        store.last(b"k04/", b"k04/9").unwrap().expect("it is at one of its places");
                    let round: usize = str::from_utf8(&value).unwrap().parse().unwrap();
                    assert!(
                        round >= last && key.ends_with(if round.is_multiple_of(2) { b"0" } else { b"1" })
                    );
                }
            });
        }
        scope.spawn(|| {
            for round in 1.. {
                if done.load(Ordering::Relaxed) {
                    break;
                }
                let _ = write(round);
            }
        });
        for _ in 0..FOLDS {
            let _ = wait(store.checkpoint()).unwrap();
        }
        done.store(true, Ordering::Relaxed);
    });
    assert!(store.checkpointed() >= Lsn(FOLDS), "folds went on meanwhile");
}

#[test]
fn many_writers_share_frames_and_all_become_durable() {
    let bench = Bench::on_real_disk();
    bench.create().unwrap();
    let store = bench.open().unwrap();
    std::thread::scope(|scope| {
        for writer in 0..8 {
            let store = &store;
            scope.spawn(move || {
                for number in 0..100 {
                    let ticket = put(store, &[(&format!("{writer}/{number}"), Some("value"))]);
                    wait(ticket.durable()).unwrap();
                }
            });
        }
    });
    assert_eq!((store.committed(), store.durable()), (Lsn(800), Lsn(800)));
    drop(store);
    assert_eq!(bench.open().unwrap().scan(b"0", b"9", 1000).unwrap().len(), 800);
}
