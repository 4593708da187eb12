//! The journal: every change is one record in it, and nothing is acknowledged before its record is durable.
//!
//! Records are queued in the order of their LSNs; one thread seals all that are waiting into one frame and writes it (group
//! commit). Files are preallocated, used once under one key, and recycled when a checkpoint covers them.
//!
//! # Crash consistency
//! - A crash loses the records that were not durable: always a suffix. A record is replayed whole or not at all, because the frame
//!   that carries it authenticates as a whole.
//! - When nothing was written for a second, a frame without records marks the end, so that the frame before it is known to be whole.
//! - The end of the journal is the first frame that does not authenticate. If a valid frame follows it in the same file, or the next
//!   file does not go on with the next LSN, something durable was damaged, and the open fails instead of losing it. Records that a
//!   checkpoint covers may be missing: on a full disk the checkpoint may have been first.
//! - After a crash no old file is written again: the next record begins a new file under a new key, so that no nonce repeats.
//! - A crash can leak spare files; the next open takes or removes them.
//! - A failed write or sync halts the journal for good; nobody retries it, since the kernel may have dropped the bytes.

mod files;
mod format;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
#[cfg(test)]
pub(crate) mod golden;
mod inbox;
mod ledger;
mod progress;
pub(crate) mod record;
mod replay;
mod supply;
mod ticket;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use crate::disk::{Disk, OpenHow};
use crate::error::{Error, Result};
use crate::home::Home;
use crate::identity::{KeyGeneration, Lsn};
use crate::threads::{self, Thread};
use inbox::{Inbox, Queued};
use ledger::Ledger;
use supply::Supply;
use writer::FrameWriter;

pub(crate) use progress::{Progress, Starved, State};
pub(crate) use record::Changes;
pub(crate) use replay::{FileAudit, Replayed, audit, read, replay};
pub use ticket::{Durable, Pending, Ticket};

/// Where the journal is and how large its files are.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) directory: PathBuf,
    pub(crate) home: Home,
    pub(crate) file_bytes: u64,
    /// What a file leaves free on the disk, unless it is the only one or no fold has room: a fold, which would give files back, needs
    /// that itself.
    pub(crate) fold_bytes: u64,
}

/// Whether the journal makes files of this name in its directory.
pub(crate) fn makes(name: &str) -> bool {
    files::parse(name).is_some()
}

/// Whether a file with this name is one of the journal itself, not a spare one.
pub(crate) fn is_file(name: &str) -> bool {
    matches!(files::parse(name), Some((_, files::Use::Journal)))
}

/// The journal of an open file system.
pub(crate) struct Journal {
    inbox: Arc<Inbox>,
    supply: Arc<Supply>,
    ledger: Arc<Ledger>,
    progress: Arc<Progress>,
    given_back: AtomicU64,
    threads: Mutex<Vec<Thread>>,
}

impl Journal {
    /// Begins a new file after what was replayed. `scarce` is called when a full disk leaves it without a file to go on with
    /// ([`Starved::Journal`]), or to write to ([`Starved::Writer`]): a trim would give one back.
    pub(crate) fn start(
        place: Place,
        replayed: Replayed,
        progress: Arc<Progress>,
        scarce: impl Fn(Starved) + Send + Sync + 'static,
    ) -> Result<Self> {
        let inbox = Arc::new(Inbox::default());
        let next_number = replayed.next_number;
        let ledger = Arc::new(Ledger::new(replayed));
        let (known, told) = (Arc::clone(&ledger), Arc::clone(&progress));
        let supply = Arc::new(Supply::open(&place, known, told, Box::new(scarce))?);
        let writer = FrameWriter::new(
            place,
            next_number,
            Arc::clone(&inbox),
            Arc::clone(&supply),
            Arc::clone(&ledger),
            Arc::clone(&progress),
        );
        let (given_back, threads) = Default::default();
        let journal = Journal { inbox, supply: Arc::clone(&supply), ledger, progress, given_back, threads };
        journal.spawn("tidefs-spares", move || supply.run())?;
        journal.spawn("tidefs-journal", move || writer.run())?;
        Ok(journal)
    }

    fn spawn(&self, name: &str, body: impl FnOnce() + Send + 'static) -> Result<()> {
        self.threads.lock().push(threads::spawn(name, body)?);
        Ok(())
    }

    /// Queues an encoded record. The caller queues records in the order of their LSNs.
    pub(crate) fn append(&self, lsn: Lsn, record: Vec<u8>) -> Ticket {
        self.inbox.push(Queued { lsn, record });
        Ticket::at(Arc::clone(&self.progress), lsn)
    }

    /// Gives back the files whose records all stand in durable checkpoints (D3).
    pub(crate) fn trim(&self, covered: Lsn) {
        for path in self.ledger.trim(covered) {
            let given_back = self.supply.recycle(path.clone());
            self.ledger.recycled(&path);
            self.given_back.fetch_add(u64::from(given_back), Ordering::Relaxed);
        }
    }

    /// Counts the files that were given back.
    pub(crate) fn files_given_back(&self) -> u64 {
        self.given_back.load(Ordering::Relaxed)
    }

    /// The files in use, oldest first.
    pub(crate) fn files(&self) -> Vec<PathBuf> {
        self.ledger.files()
    }

    /// The names of files that the journal did not make, or that it would have recycled.
    pub(crate) fn strays(&self, directory: &Path, disk: &dyn Disk) -> Result<Vec<String>> {
        let names = disk.list(directory).map_err(Error::io("cannot list", directory))?;
        let stray = |name: &String| match files::parse(name) {
            Some((number, files::Use::Journal)) => {
                let path = files::path(directory, number, files::Use::Journal);
                !self.ledger.knows(&path) && disk.open(&path, OpenHow::Read).is_ok()
            }
            Some(_) => false,
            None => true,
        };
        Ok(names.into_iter().filter(stray).collect())
    }

    /// Whether there are files that are sealed under an older key than this one.
    pub(crate) fn has_older_than(&self, generation: KeyGeneration) -> bool {
        self.ledger.has_older_than(generation)
    }

    /// Removes the spare files that may have old frames in them.
    pub(crate) fn remove_used_spares(&self) -> Result<()> {
        self.supply.remove_used()
    }

    /// Files that no checkpoint covers: each start begins one, however little is in the last one.
    pub(crate) fn uncovered_files(&self) -> usize {
        self.ledger.file_count()
    }

    /// Bytes of frames that no checkpoint covers yet.
    pub(crate) fn uncovered_bytes(&self) -> u64 {
        self.ledger.uncovered_bytes()
    }

    /// Writes what is queued and ends. Later appends are never durable.
    pub(crate) fn stop(&self) {
        self.inbox.stop();
        self.supply.stop();
        for thread in std::mem::take(&mut *self.threads.lock()) {
            thread.join();
        }
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        self.stop();
    }
}
