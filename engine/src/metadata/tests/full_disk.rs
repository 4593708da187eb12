//! Disks that are full.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;

use super::support::{Bench, joined, put, wait};
use crate::disk::Disk;
use crate::disk::simulated::SimulatedDisk;
use crate::error::{Error, Result};
use crate::identity::{BlockIndex, ContentId, Lsn};
use crate::journal::Ticket;
use crate::metadata::index::{BootId, SledIndexes};
use crate::metadata::{Indexes, MetaStore, Store, Transaction, offline};
use crate::records::key;

fn fill(store: &Store, number: usize) -> Result<Ticket> {
    wait(store.admit())?;
    let mut transaction = store.begin()?;
    transaction.put(format!("{:02}", number % 4).into_bytes(), vec![number as u8; 256 << 10]);
    Ok(transaction.commit())
}

/// A large journal beside a small overlay: all the files that it may have take more than the reserve of a nearly full disk.
fn large_journal() -> (SimulatedDisk, Bench, Arc<Store>) {
    nearly_full(64 << 20)
}

fn nearly_full(overlay_bytes: u64) -> (SimulatedDisk, Bench, Arc<Store>) {
    let disk = SimulatedDisk::new(1);
    let mut bench = Bench::on(Arc::new(disk.clone()));
    bench.budgets.journal_bytes = 256 << 20;
    bench.budgets.overlay_bytes = overlay_bytes;
    bench.create().unwrap();
    let store = bench.open_at_once().unwrap();
    wait(fill(&store, 0).unwrap().durable()).unwrap();
    // What is used does not change by itself any more when the next file is ready.
    while !disk.list(&bench.file("journal")).unwrap().iter().any(|name| name.ends_with(".spare")) {
        std::thread::yield_now();
    }
    (disk, bench, store)
}

#[test]
fn a_journal_without_room_for_another_file_has_older_ones_given_back() {
    let (disk, bench, store) = large_journal();
    disk.set_capacity(Some(disk.used_bytes() + (40 << 20)));
    for number in 0..600 {
        wait(fill(&store, number).unwrap().durable()).unwrap();
    }
    wait(store.close()).unwrap();
    assert_eq!(bench.open_at_once().unwrap().get(b"03").unwrap().unwrap()[0], 599_u32 as u8);
}

/// A change without asking whether there is room.
fn change(store: &Store, change: impl FnOnce(&mut Transaction<'_>)) -> Result<Ticket> {
    let mut transaction = store.begin()?;
    change(&mut transaction);
    Ok(transaction.commit())
}

/// More than two journal files take, all of it for a few keys, so that a checkpoint has room where another file has none.
fn more_than_two_files(store: &Store) -> impl Iterator<Item = Ticket> {
    let fill = move |number: u8| {
        change(store, |transaction| transaction.put(vec![b'0', number % 4], vec![number; 256 << 10]))
    };
    (0..160).map_while(move |number| fill(number).ok())
}

#[test]
fn what_the_last_journal_file_had_no_room_for_is_written_when_a_fold_gave_that_back() {
    let (disk, bench, store) = large_journal();
    for round in 0..4 {
        disk.set_capacity(Some(disk.used_bytes() + (8 << 20)));
        for ticket in more_than_two_files(&store).collect::<Vec<_>>() {
            wait(ticket.durable()).unwrap();
        }
        assert_eq!(store.audit_journal().unwrap(), Vec::new(), "round {round}");
    }
    wait(store.close()).unwrap();
    assert_eq!(bench.open_at_once().unwrap().get(&[b'0', 3]).unwrap().unwrap()[0], 159);
}

/// The checkpoint that gives a file back has records that the journal does not have. The deletion of a piece that was frozen is not among
/// them.
#[test]
fn a_loss_of_power_after_a_fold_of_what_the_journal_had_no_room_for() {
    let mut ahead = 0;
    // When the threads come to what is looked for depends on the machine: it is tried until it was met.
    for step in (0..600).step_by(3) {
        if step >= 90 && ahead > 0 {
            break;
        }
        let (disk, mut bench, store) = nearly_full(16 << 20);
        disk.set_capacity(Some(disk.used_bytes() + (24 << 20)));
        let lsn = Lsn(store.committed().0 + 1);
        let piece = key::piece(ContentId(1), BlockIndex(0), lsn, 0);
        let _ = change(&store, |transaction| transaction.put(piece.clone(), b"piece".to_vec())).unwrap();
        let large = |number: u8| {
            change(&store, |transaction| transaction.put(vec![b'1', number], vec![number; 256 << 10]))
                .unwrap()
        };
        let _ = (0..36).map(large).collect::<Vec<_>>();
        while !store.parts().overlay.is_folding() {
            std::thread::yield_now();
        }
        let filling = Lsn(store.committed().0 + 1);
        let _ = more_than_two_files(&store).collect::<Vec<_>>();
        let removed = Lsn(store.committed().0 + 1);
        let _ = change(&store, |transaction| transaction.delete(piece.clone())).unwrap();
        disk.fail_power_at(disk.steps() + step);
        // Without power nobody would notice that nothing more can be written: the disk is full.
        while store.durable() < removed && !disk.is_off() {
            std::thread::yield_now();
        }
        let durable = store.durable();
        drop(store);
        let disk = disk.after_power_failure();
        disk.set_capacity(None);
        bench.home.disk = Arc::new(disk);
        bench.boot = BootId::of("another boot");
        let manifest = offline::manifest(&bench.home, &bench.path).unwrap();
        let (journaled, audits) =
            (manifest.journaled(), offline::audit_journal(&bench.home, &bench.path).unwrap());
        let judged = offline::judge_journal(&audits, (journaled, manifest.covered()), journaled);
        assert_eq!(judged, Vec::new());
        let store = bench.open_at_once().unwrap();
        let there = store.committed();
        assert!(there >= durable, "{there} of {durable}");
        assert_eq!(store.get(&piece).unwrap().is_some(), (lsn..removed).contains(&there), "{there}");
        for key in 0..4 {
            // The last number of this key up to the last record that is there.
            let is_there = |number: &u8| filling.0 + u64::from(*number) <= there.0;
            let wanted = (0..160).rfind(|number| number % 4 == key && is_there(number));
            assert_eq!(
                store.get(&[b'0', key]).unwrap().map(|value| value[0]),
                wanted,
                "key {key} of {there}"
            );
        }
        ahead += u32::from(store.checkpointed() > durable);
        let more = change(&store, |transaction| transaction.put(b"more".to_vec(), Vec::new()));
        wait(more.unwrap().durable()).unwrap();
        drop(store);
        // The journal begins behind a gap now.
        let store = bench.open_at_once().unwrap();
        assert!(store.get(b"more").unwrap().is_some());
        assert_eq!(store.audit_journal().unwrap(), Vec::new());
    }
    assert!(ahead > 0, "no checkpoint was ahead of the journal");
}

/// Whatever waits for a file that the journal does not get: nobody waits for good, and space that comes back is found.
#[test]
fn a_journal_that_gets_no_file_at_all_holds_nobody_up_for_good() {
    let (disk, bench, store) = large_journal();
    disk.set_capacity(Some(0));
    // More than fits the file that there is.
    let tickets: Vec<_> = (0..200).map_while(|number| fill(&store, number).ok()).collect();
    assert!(!tickets.is_empty());
    assert!(matches!(wait(store.checkpoint()), Err(Error::NoSpace)));
    disk.set_capacity(None);
    for ticket in tickets {
        wait(ticket.durable()).unwrap();
    }
    disk.set_capacity(Some(0));
    let _waiting: Vec<_> = (0..200).map_while(|number| fill(&store, number).ok()).collect();
    drop(store);
    disk.set_capacity(None);
    assert!(bench.open_at_once().unwrap().get(b"00").unwrap().is_some());
}

/// sled on a disk that may be full: then it accepts nothing more until it is opened anew.
#[derive(Clone, Default)]
struct FillingIndexes {
    full: Arc<AtomicBool>,
    /// Whether nothing can be opened any more.
    gone: Arc<AtomicBool>,
}

struct FillingStore {
    store: Box<dyn MetaStore>,
    full: Arc<AtomicBool>,
    failed: AtomicBool,
}

impl FillingStore {
    fn check(&self) -> Result<()> {
        self.failed.fetch_or(self.full.load(Ordering::Relaxed), Ordering::Relaxed);
        if self.failed.load(Ordering::Relaxed) { Err(Error::NoSpace) } else { Ok(()) }
    }
}

impl Indexes for FillingIndexes {
    fn open(&self, directory: &Path, cache_bytes: u64) -> Result<Box<dyn MetaStore>> {
        if self.gone.load(Ordering::Relaxed) {
            return Err(Error::corrupt("an index that cannot be opened"));
        }
        let store = SledIndexes.open(directory, cache_bytes)?;
        Ok(Box::new(FillingStore { store, full: Arc::clone(&self.full), failed: AtomicBool::new(false) }))
    }

    fn destroy(&self, directory: &Path) -> Result<()> {
        SledIndexes.destroy(directory)
    }
}

impl MetaStore for FillingStore {
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
        self.check()?;
        self.store.apply(batch)
    }

    fn flush(&self) -> Result<()> {
        self.check()?;
        self.store.flush()
    }
}

/// A store whose index the disk had no room for.
fn incomplete() -> (FillingIndexes, Bench, Arc<Store>) {
    let indexes = FillingIndexes::default();
    let mut bench = Bench::on_real_disk();
    bench.home.environment.indexes = Arc::new(indexes.clone());
    bench.create().unwrap();
    let store = bench.open().unwrap();
    drop(put(&store, &[("a", Some("1")), ("b", Some("2"))]));
    wait(store.fold()).unwrap();
    assert_eq!(store.wants_space(), None);

    indexes.full.store(true, Ordering::Relaxed);
    drop(put(&store, &[("b", None), ("c", Some("3"))]));
    // The checkpoint does without the index: what it allows to delete may make the room.
    wait(store.checkpoint()).unwrap();
    while store.wants_space().is_none() {
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    (indexes, bench, store)
}

/// Changes are refused then, with the reason; what is read comes from the checkpoints.
#[test]
fn an_index_that_cannot_be_built_anew_is_waited_for_by_nobody() {
    let (indexes, bench, store) = incomplete();
    indexes.gone.store(true, Ordering::Relaxed);
    let reason = loop {
        assert_eq!(joined(store.scan(b"a", b"z", 9).unwrap()), "a=1 c=3");
        match store.halted() {
            Some(reason) => break reason,
            None => std::thread::sleep(std::time::Duration::from_millis(1)),
        }
    };
    assert!(reason.contains("the metadata index cannot be built anew"), "{reason}");
    assert_eq!(joined(store.scan(b"a", b"z", 9).unwrap()), "a=1 c=3");
    drop(store);
    indexes.gone.store(false, Ordering::Relaxed);
    indexes.full.store(false, Ordering::Relaxed);
    assert_eq!(joined(bench.open().unwrap().scan(b"a", b"z", 9).unwrap()), "a=1 c=3");
}

/// Until there is room, nothing waits for it.
#[test]
fn an_index_that_the_disk_had_no_room_for_is_built_anew_without_a_restart() {
    let (indexes, bench, store) = incomplete();
    wait(put(&store, &[("d", Some("4")), ("a", Some("5"))]).durable()).unwrap();
    wait(store.checkpoint()).unwrap();
    assert!(store.wants_space().is_some());
    assert_eq!(joined(store.scan(b"a", b"z", 9).unwrap()), "a=5 c=3 d=4");
    assert_eq!(store.compare_index(|_| Ok(())).unwrap(), None);
    indexes.full.store(false, Ordering::Relaxed);
    while store.wants_space().is_some() || store.rebuilding().is_some() {
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    assert_eq!(store.compare_index(|_| Ok(())).unwrap(), Some((0, String::new())));
    assert_eq!(joined(store.scan(b"a", b"z", 9).unwrap()), "a=5 c=3 d=4");
    drop(store);
    let store = bench.open().unwrap();
    assert_eq!(joined(store.scan(b"a", b"z", 9).unwrap()), "a=5 c=3 d=4");
}

/// Whoever reads, writes and folds meanwhile sees each moment whole.
#[test]
fn an_index_goes_and_comes_under_those_who_use_it() {
    let (indexes, bench, store) = incomplete();
    let done = AtomicBool::new(false);
    let write = |round: usize| {
        let value = format!("{round:05}");
        let (new, old) = (format!("x{}", round % 2), format!("x{}", (round + 1) % 2));
        put(&store, &[("r", Some(&value)), ("s", Some(&value)), (&new, Some(&value)), (&old, None)])
    };
    drop(write(0));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut last = 0;
            while !done.load(Ordering::Relaxed) {
                let found = store.scan(b"r", b"y", 9).unwrap();
                let rounds: Vec<usize> =
                    found.iter().map(|(_, value)| str::from_utf8(value).unwrap().parse().unwrap()).collect();
                assert!(rounds.len() == 3 && rounds.iter().all(|round| *round == rounds[0]), "{found:?}");
                assert!(rounds[0] >= last, "time goes forward");
                last = rounds[0];
                assert_eq!(store.get(b"a").unwrap().unwrap(), "1");
                assert_eq!(store.get(b"b").unwrap(), None);
                assert_eq!(store.last(b"b", b"q").unwrap().unwrap().0, "c");
            }
        });
        scope.spawn(|| {
            for round in 1.. {
                if done.load(Ordering::Relaxed) {
                    break;
                }
                wait(write(round).durable()).unwrap();
            }
        });
        for turn in 0..24 {
            let is_there = turn % 2 == 0;
            indexes.full.store(!is_there, Ordering::Relaxed);
            while store.rebuilding().is_none() != is_there {
                wait(store.checkpoint()).unwrap();
            }
        }
        done.store(true, Ordering::Relaxed);
    });
    indexes.full.store(false, Ordering::Relaxed);
    wait(store.checkpoint()).unwrap();
    while store.rebuilding().is_some() || store.parts().index.is_away() || store.parts().overlay.is_folding()
    {
        std::thread::yield_now();
    }
    assert_eq!(store.compare_index(|_| Ok(())).unwrap(), Some((0, String::new())));
    drop(store);
    assert_eq!(bench.open().unwrap().get(b"c").unwrap().unwrap(), "3");
}

/// An index takes about as much as the checkpoints, so that it is not begun without that.
#[test]
fn a_start_without_room_for_the_index_waits_for_none() {
    let disk = SimulatedDisk::new(1);
    let mut bench = Bench::on(Arc::new(disk.clone()));
    bench.create().unwrap();
    let store = bench.open().unwrap();
    for key in 0..4 {
        wait(fill(&store, key).unwrap().durable()).unwrap();
    }
    wait(store.fold()).unwrap();
    wait(store.close()).unwrap();
    drop(store);
    std::fs::remove_dir_all(bench.file("index")).unwrap();
    bench.boot = BootId::of("another boot");
    disk.set_capacity(Some(disk.used_bytes() + (1 << 20)));
    let store = bench.open_at_once().unwrap();
    while store.wants_space().is_none() {
        std::thread::yield_now();
    }
    assert!(!wait(store.until_index_is_built()) && store.halted().is_none());
    for key in 0..4_u8 {
        assert_eq!(store.get(&[b'0', b'0' + key]).unwrap().unwrap()[0], key);
    }
    disk.set_capacity(None);
    while store.rebuilding().is_some() {
        std::thread::yield_now();
    }
    assert!(wait(store.until_index_is_built()) && store.wants_space().is_none());
    assert_eq!(store.compare_index(|_| Ok(())).unwrap(), Some((0, String::new())));
}
