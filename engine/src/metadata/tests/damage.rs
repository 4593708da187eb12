//! Files that were changed behind our back, and disks that fail.

use std::io::ErrorKind;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use super::support::{Bench, files, joined, put, text, wait};
use crate::disk::simulated::SimulatedDisk;
use crate::error::{Error, OpenError};
use crate::identity::Lsn;

const FRAME: u64 = 4096;

/// A store with five records, each in its own frame, that was not closed.
fn five_frames() -> Bench {
    let bench = Bench::on_real_disk();
    bench.create().unwrap();
    let store = bench.open().unwrap();
    for number in 1..=5 {
        wait(put(&store, &[(&format!("k{number}"), Some("v"))]).durable()).unwrap();
    }
    bench
}

fn flip(path: &Path, offset: u64) {
    let file = std::fs::File::options().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, offset).unwrap();
    file.write_all_at(&[byte[0] ^ 1], offset).unwrap();
}

fn damaged(bench: &Bench) -> (String, String) {
    match bench.open() {
        Err(Error::Open(OpenError::Damaged { path, what })) => {
            (path.file_name().unwrap().to_string_lossy().into_owned(), what)
        }
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("it opened"),
    }
}

#[test]
fn a_torn_tail_is_the_end_of_the_journal() {
    let bench = five_frames();
    flip(&bench.file("journal/00000001.journal"), 5 * FRAME + 30);
    for round in 0..3 {
        // Opened again, the torn file is not the last one any more, and still no damage.
        let store = bench.open().unwrap();
        assert_eq!(joined(store.scan(b"k", b"l", 9).unwrap()), "k1=v k2=v k3=v k4=v");
        assert_eq!(store.committed(), Lsn(4 + round));
        wait(put(&store, &[("round", Some("x"))]).durable()).unwrap();
    }
}

#[test]
fn the_last_frame_is_known_to_have_been_whole_when_the_end_was_marked() {
    let bench = Bench::on_real_disk();
    bench.create().unwrap();
    let store = bench.open().unwrap();
    wait(put(&store, &[("k", Some("v"))]).durable()).unwrap();
    let path = bench.file("journal/00000001.journal");
    let mut mark = [0; 4];
    while &mark != b"tjfr" {
        let file = std::fs::File::open(&path).unwrap();
        file.read_exact_at(&mut mark, 2 * FRAME).unwrap();
        std::thread::yield_now();
    }
    drop(store);
    let whole = bench.open().unwrap();
    assert_eq!(text(&whole, "k").as_deref(), Some("v"));
    drop(whole);
    flip(&path, FRAME + 30);
    assert!(damaged(&bench).1.contains("frame 0 at offset 4096"));
}

#[test]
fn a_bad_frame_before_a_good_one_is_damage_and_is_named() {
    // In the clear header, in the records, and in the tag's neighbourhood.
    for offset in [0, 13, 30] {
        let bench = five_frames();
        flip(&bench.file("journal/00000001.journal"), 3 * FRAME + offset);
        let (file, what) = damaged(&bench);
        assert_eq!(file, "00000001.journal");
        assert!(what.contains("frame 2 at offset 12288"), "{what}");
    }
}

#[test]
fn a_file_that_does_not_go_on_where_the_last_one_ended_is_damage() {
    let bench = five_frames();
    let store = bench.open().unwrap();
    wait(put(&store, &[("k6", Some("v"))]).durable()).unwrap();
    drop(store);
    flip(&bench.file("journal/00000001.journal"), 5 * FRAME + 30);
    let (file, what) = damaged(&bench);
    assert_eq!(file, "00000002.journal");
    assert!(what.contains("begins with record 6"), "{what}");
}

#[test]
fn a_bad_header_or_checkpoint_or_manifest_is_damage() {
    let bench = five_frames();
    flip(&bench.file("journal/00000001.journal"), 30);
    assert_eq!(damaged(&bench).0, "00000001.journal");

    let bench = five_frames();
    wait(bench.open().unwrap().close()).unwrap();
    std::fs::remove_file(bench.file("index.marker")).unwrap();
    let delta = files(&bench.file("checkpoint"), "delta").remove(0);
    flip(&delta, 70);
    assert_eq!(damaged(&bench), ("00000001.delta".to_owned(), "chunk 0 does not authenticate".to_owned()));

    let bench = five_frames();
    flip(&bench.file("checkpoint/MANIFEST"), 60);
    assert_eq!(damaged(&bench).0, "MANIFEST");
}

#[test]
fn a_failed_write_halts_for_good_and_reads_go_on() {
    let disk = SimulatedDisk::new(1);
    let bench = Bench::on(Arc::new(disk.clone()));
    bench.create().unwrap();
    let store = bench.open().unwrap();
    wait(put(&store, &[("a", Some("1"))]).durable()).unwrap();
    disk.fail_writes_to(".journal", ErrorKind::Other);
    let lost = put(&store, &[("b", Some("2"))]);
    assert!(matches!(wait(lost.durable()), Err(Error::Halted { .. })));
    assert!(matches!(store.begin(), Err(Error::Halted { .. })));
    assert!(matches!(wait(store.checkpoint()), Err(Error::Halted { .. })));
    assert!(store.halted().unwrap().contains("journal"));
    disk.repair();
    assert!(store.begin().is_err(), "a halt is final");
    assert_eq!(text(&store, "a").as_deref(), Some("1"));
    drop(store);
    let store = bench.open().unwrap();
    assert_eq!((text(&store, "a").as_deref(), text(&store, "b")), (Some("1"), None));
}

#[test]
fn a_full_disk_is_not_the_end() {
    let disk = SimulatedDisk::new(1);
    let bench = Bench::on(Arc::new(disk.clone()));
    bench.create().unwrap();
    let store = bench.open().unwrap();
    wait(put(&store, &[("a", Some("1"))]).durable()).unwrap();
    disk.fail_writes_to(".delta", ErrorKind::StorageFull);
    // Whoever waits for the fold is told; it is tried again by itself.
    assert!(matches!(wait(store.checkpoint()), Err(Error::NoSpace)));
    disk.repair();
    while let Err(error) = wait(store.checkpoint()) {
        assert!(matches!(error, Error::NoSpace), "{error}");
    }
    assert_eq!(store.checkpointed(), Lsn(1));
    wait(put(&store, &[("b", Some("2"))]).durable()).unwrap();
}

#[test]
fn nothing_is_on_the_disk_in_clear() {
    let disk = SimulatedDisk::new(1);
    let bench = Bench::on(Arc::new(disk.clone()));
    bench.create().unwrap();
    let store = bench.open().unwrap();
    wait(put(&store, &[("key in clear", Some("value in clear"))]).durable()).unwrap();
    assert!(!disk.contains(b"in clear"));
    wait(store.close()).unwrap();
    assert!(!disk.contains(b"in clear"));
    for entry in std::fs::read_dir(bench.file("index")).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            let bytes = std::fs::read(&path).unwrap();
            assert!(!bytes.windows(14).any(|window| window == b"value in clear"), "{}", path.display());
        }
    }
}
