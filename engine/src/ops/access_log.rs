//! When data was last accessed, in memory, until it is folded into the inodes.
//!
//! # Crash consistency
//! A crash loses what was not folded: files then look older by some minutes at most. Writes record their access in
//! the inode at once.

use std::collections::{BTreeMap, BTreeSet};

use parking_lot::Mutex;

use crate::attributes::Timestamp;
use crate::identity::InodeId;

/// Reads since the last fold, and cold reads since they were last taken.
#[derive(Debug, Default)]
pub(crate) struct AccessLog {
    accesses: Mutex<BTreeMap<InodeId, Timestamp>>,
    cold_reads: Mutex<BTreeSet<InodeId>>,
}

/// Files whose access is held in memory at once; more are dropped.
const ACCESSES_MAX: usize = 100_000;
/// Files from which on their accesses are folded early.
const ACCESSES_MANY: usize = ACCESSES_MAX / 4;
/// Files whose cold read is remembered for promotion; more are forgotten until they are read again.
const COLD_READS_MAX: usize = 10_000;

impl AccessLog {
    /// Notes an access to data; true if that made them many.
    pub(crate) fn touch(&self, inode: InodeId, now: Timestamp) -> bool {
        let mut accesses = self.accesses.lock();
        if let Some(last) = accesses.get_mut(&inode) {
            *last = now;
            return false;
        }
        if accesses.len() < ACCESSES_MAX {
            accesses.insert(inode, now);
        }
        accesses.len() == ACCESSES_MANY
    }

    /// Whether there are so many that they should be folded before their time.
    pub(crate) fn has_many(&self) -> bool {
        self.accesses.lock().len() >= ACCESSES_MANY
    }

    /// The last access that is not folded yet.
    pub(crate) fn last(&self, inode: InodeId) -> Option<Timestamp> {
        self.accesses.lock().get(&inode).copied()
    }

    /// Takes up to `limit` accesses out, to be folded.
    pub(crate) fn take(&self, limit: usize) -> Vec<(InodeId, Timestamp)> {
        let mut accesses = self.accesses.lock();
        let taken: Vec<_> = accesses.iter().take(limit).map(|(inode, time)| (*inode, *time)).collect();
        for (inode, _) in &taken {
            accesses.remove(inode);
        }
        taken
    }

    /// Notes that cold data was read.
    pub(crate) fn note_cold_read(&self, inode: InodeId) {
        let mut reads = self.cold_reads.lock();
        if reads.len() < COLD_READS_MAX {
            reads.insert(inode);
        }
    }

    /// Takes up to `limit` files whose cold data was read.
    pub(crate) fn take_cold_reads(&self, limit: usize) -> Vec<InodeId> {
        let mut reads = self.cold_reads.lock();
        let taken: Vec<_> = reads.iter().take(limit).copied().collect();
        for inode in &taken {
            reads.remove(inode);
        }
        taken
    }

    /// Forgets a file that is gone.
    pub(crate) fn forget(&self, inode: InodeId) {
        self.accesses.lock().remove(&inode);
        self.cold_reads.lock().remove(&inode);
    }
}
