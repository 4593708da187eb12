//! Readers and writers at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::gate::GatedDisk;
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
fn many_writers_at_once_all_become_durable() {
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

/// What 16 writers commit while a frame is being written goes into one frame, which is written, and so synced, once.
#[test]
fn many_writers_share_frames_and_all_become_durable() {
    const WRITERS: u64 = 16;
    let disk = GatedDisk::default();
    let bench = Bench::on(Arc::new(disk.clone()));
    bench.create().unwrap();
    let store = bench.open().unwrap();
    // So that there is a journal file, whose header is a write as well.
    wait(put(&store, &[("first", Some("value"))]).durable()).unwrap();
    let before = disk.written();
    disk.shut();
    let held_up = put(&store, &[("held up", Some("value"))]);
    disk.until_one_waits();
    let commit = |writer: u64| {
        let store = &store;
        move || put(store, &[(&format!("writer/{writer:02}"), Some("value"))])
    };
    let tickets: Vec<_> = std::thread::scope(|scope| {
        let writers: Vec<_> = (0..WRITERS).map(|writer| scope.spawn(commit(writer))).collect();
        writers.into_iter().map(|writer| writer.join().unwrap()).collect()
    });
    assert!(!held_up.is_durable() && tickets.iter().all(|ticket| !ticket.is_durable()));
    disk.open_up();
    for ticket in [&held_up].into_iter().chain(&tickets) {
        wait(ticket.durable()).unwrap();
    }
    // On a machine that stands still for a second there is a mark of the end among them, before or behind.
    let frames = disk.written() - before;
    assert!((1..=4).contains(&frames), "{frames} frames for {} records", WRITERS + 1);
    drop(store);
    assert_eq!(bench.open().unwrap().scan(b"writer/", b"writer0", 100).unwrap().len() as u64, WRITERS);
}
