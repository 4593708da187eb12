//! Golden files: a journal file.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ::golden::Format;
use bytes::Bytes;

use super::files::{self, Use};
use super::inbox::{Inbox, Queued};
use super::ledger::Ledger;
use super::record::{self, Changes};
use super::supply::Supply;
use super::writer::FrameWriter;
use super::{Place, Progress, audit, replay};
use crate::fuzzing::memory::MemoryDisk;
use crate::golden::fixed::{home, ring};
use crate::identity::Lsn;
use crate::threads::{self, block_on};

pub(crate) const FORMATS: &[Format] =
    &[Format { name: "journal-file", write: Some(journal_file), read: read_journal_file }];

const DIRECTORY: &str = "/journal";
/// The header, two frames of a block, one of two, the mark of an end, and a block that is not used.
const FILE_BYTES: u64 = 7 * 4096;

fn place(disk: &MemoryDisk) -> Place {
    Place {
        directory: DIRECTORY.into(),
        home: home(disk.clone(), ring()),
        file_bytes: FILE_BYTES,
        fold_bytes: 0,
    }
}

fn path() -> std::path::PathBuf {
    files::path(Path::new(DIRECTORY), 1, Use::Journal)
}

fn records() -> Vec<Changes> {
    let put = |value: &[u8]| Some(Bytes::copy_from_slice(value));
    vec![
        Changes::from([(Bytes::from_static(b"a"), put(b"first")), (Bytes::from_static(b"b"), put(b""))]),
        Changes::from([(Bytes::from_static(b"a"), None)]),
        Changes::from([(Bytes::from_static(b"c"), put(&[0xcc; 5000]))]),
        Changes::new(),
    ]
}

/// Two records in one frame, a long one, the mark of the end, and a record after it.
fn journal_file() -> Vec<u8> {
    let disk = MemoryDisk::default();
    let progress = Progress::new(Lsn(0), Lsn(0));
    let replayed = replay(&place(&disk), Lsn(0), |_, _| Ok(())).unwrap();
    let number = replayed.next_number;
    let (inbox, ledger) = (Arc::new(Inbox::default()), Arc::new(Ledger::new(replayed)));
    let (known, told) = (Arc::clone(&ledger), Arc::clone(&progress));
    let supply = Arc::new(Supply::open(&place(&disk), known, told, Box::new(|_| {})).unwrap());
    let push = |lsn: u64| {
        let record = record::encode(Lsn(lsn), &records()[usize::try_from(lsn).unwrap() - 1]);
        inbox.push(Queued { lsn: Lsn(lsn), record });
    };
    let durable = |lsn| block_on(progress.reached(Lsn(lsn))).unwrap();
    // Both are there before the writer looks.
    push(1);
    push(2);
    let (shared, fill) = (Arc::clone(&ledger), Arc::clone(&supply));
    let writer = FrameWriter::new(
        place(&disk),
        number,
        Arc::clone(&inbox),
        Arc::clone(&supply),
        shared,
        Arc::clone(&progress),
    );
    let spares = threads::spawn("golden-spares", move || fill.run()).unwrap();
    let writer = threads::spawn("golden-journal", move || writer.run()).unwrap();
    durable(2);
    push(3);
    durable(3);
    while ledger.uncovered_bytes() < 4 * 4096 {
        std::thread::sleep(Duration::from_millis(10));
    }
    push(4);
    durable(4);
    inbox.stop();
    supply.stop();
    writer.join();
    spares.join();
    disk.bytes(&path())
}

fn read_journal_file(stored: &[u8]) {
    let disk = MemoryDisk::with(&path(), stored);
    let mut found = Vec::new();
    let replayed = replay(&place(&disk), Lsn(0), |lsn, changes| {
        found.push((lsn, changes));
        Ok(())
    });
    let last = replayed.unwrap().last;
    assert_eq!(last, Lsn(4));
    assert_eq!(found, (1..).map(Lsn).zip(records()).collect::<Vec<_>>());
    let audit = audit(&place(&disk).home, Path::new(DIRECTORY), &path()).unwrap().unwrap();
    assert_eq!((audit.damage, audit.records, audit.end), (None, 1..5, FILE_BYTES - 4096));
}
