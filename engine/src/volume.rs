//! The parts of an open file system, and how its records are read.

mod change;
mod locks;
mod look;
mod names;
mod pins;
mod space_guard;
mod uploads;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;

use crate::attributes::Attributes;
use crate::budgets::Budgets;
use crate::buffer::WriteBuffer;
use crate::data::{BlockCache, StandardTier};
use crate::environment::Environment;
use crate::error::{Error, Result};
use crate::identity::{Epoch, FileSystemId, InodeId, SegmentId};
use crate::journal::Ticket;
use crate::keys::{DirectoryLock, KeyKeeper};
use crate::metadata::Store;
use crate::ops::access_log::AccessLog;
use crate::ops::damage::MetDamage;
use crate::records::Inode;
use crate::tiers::ColdTier;
use crate::upkeep::{Collector, Reseal, Upkeep};

pub(crate) use change::{
    CHANGE_RESERVATION, Change, age_key, bump, decode_segment, first_change, is_cold, next_change,
};
pub(crate) use locks::{HeldLocks, InodeLocks};
pub(crate) use look::{Look, PieceRow, extent_of_unit, extent_row, piece_row};
pub(crate) use names::{COLLISIONS_MAX, NameHasher};
pub(crate) use pins::Pins;
pub(crate) use space_guard::SpaceGuard;
pub(crate) use uploads::{Upload, Uploads};

/// An open file system.
pub(crate) struct Volume {
    pub(crate) id: FileSystemId,
    pub(crate) epoch: Epoch,
    pub(crate) keys: Arc<KeyKeeper>,
    pub(crate) environment: Environment,
    pub(crate) budgets: Budgets,
    pub(crate) store: Arc<Store>,
    pub(crate) standard: StandardTier,
    pub(crate) cold: ColdTier,
    pub(crate) cache: BlockCache,
    pub(crate) buffer: WriteBuffer,
    pub(crate) locks: InodeLocks,
    pub(crate) pins: Pins,
    pub(crate) access_log: AccessLog,
    pub(crate) names: NameHasher,
    pub(crate) space: SpaceGuard,
    pub(crate) collector: Collector,
    /// Objects that are being uploaded.
    pub(crate) uploads: Uploads,
    /// Held for reading from before blocks are appended to Standard until extents point to them, so that whoever holds it for
    /// writing knows that no closed segment gets any more extents.
    pub(crate) data_writes: tokio::sync::RwLock<()>,
    /// Standard segments that blocks were appended to since the upkeep looked last.
    pub(crate) appended: parking_lot::Mutex<BTreeSet<SegmentId>>,
    /// Whether unlinked inodes are kept for clients that may reclaim their opens after a restart.
    pub(crate) keep_orphans: AtomicBool,
    /// Reservations of change numbers that may not be durable yet.
    pub(crate) reservations: parking_lot::Mutex<std::collections::BTreeMap<InodeId, Ticket>>,
    /// When segments were last released, in monotonic time.
    pub(crate) last_release: parking_lot::Mutex<Option<std::time::Duration>>,
    /// What it does by itself.
    pub(crate) upkeep: Upkeep,
    /// What reads could not read.
    pub(crate) damage: MetDamage,
    /// Reads all data now and then.
    pub(crate) scrub: crate::upkeep::Scrub,
    /// How far the sealing under a new key has got.
    pub(crate) reseal: parking_lot::Mutex<Reseal>,
    /// Set when the file system is being closed.
    pub(crate) closing: AtomicBool,
    /// Keeps other processes away.
    pub(crate) _lock: DirectoryLock,
}

/// How often an inode is looked at while files come into the write buffer, before changes are kept away.
const LOOKS_MAX: u32 = 4;

/// While there is one, nothing changes.
pub(crate) struct Still<'a> {
    _change: Option<Change<'a>>,
}

impl Volume {
    /// Begins a change: takes the sequencer.
    pub(crate) fn begin(&self) -> Result<Change<'_>> {
        Change::begin(self)
    }

    /// The attributes of an inode as its users see it now, or [`Error::Stale`].
    pub(crate) fn attributes(&self, inode: InodeId) -> Result<Attributes> {
        let (record, unflushed) = self.seen_inode(inode)?;
        Ok(record.attributes(inode, unflushed))
    }

    /// An inode as its users see it now, or [`Error::Stale`], and how many bytes of it are UNSTABLE.
    pub(crate) fn seen_inode(&self, inode: InodeId) -> Result<(Inode, u64)> {
        self.seen(inode, |buffer| buffer.view(inode).map_or(0, |view| view.bytes))
    }

    /// An inode as its users see it now, and what is found in the buffer at the same moment.
    pub(crate) fn seen<T: Default>(
        &self,
        inode: InodeId,
        find: impl FnOnce(&WriteBuffer) -> T,
    ) -> Result<(Inode, T)> {
        for _ in 0..LOOKS_MAX {
            let numbers = self.buffer.numbers();
            if self.buffer.holds(inode) {
                break;
            }
            let record = self.stored_inode(inode)?;
            // Else it may be a file whose data came meanwhile, and is in the record only in part.
            if self.buffer.numbers() == numbers {
                return Ok((record, T::default()));
            }
        }
        // What its users see stands partly in the buffer and partly in the record: both are looked at while nothing changes.
        let still = self.keep_still()?;
        self.seen_still(&still, inode, find)
    }

    /// As [`Volume::seen`], for somebody who sees to it that nothing changes.
    pub(crate) fn seen_still<T>(
        &self,
        _still: &Still<'_>,
        inode: InodeId,
        find: impl FnOnce(&WriteBuffer) -> T,
    ) -> Result<(Inode, T)> {
        let record = self.stored_inode(inode)?;
        let seen = match self.buffer.view(inode) {
            Some(view) => change::overlaid(record, view),
            None => record,
        };
        Ok((seen, find(&self.buffer)))
    }

    /// Keeps everybody from changing anything.
    pub(crate) fn keep_still(&self) -> Result<Still<'_>> {
        match self.begin() {
            // Nothing changes any more, but for what is under way.
            Err(Error::Halted { .. }) => {
                self.store.wait_for_change();
                Ok(Still { _change: None })
            }
            change => Ok(Still { _change: Some(change?) }),
        }
    }

    /// Whether unlinked inodes are kept whether or not somebody has them open now.
    pub(crate) fn orphans_are_kept(&self) -> bool {
        self.keep_orphans.load(Ordering::Acquire)
    }

    /// An inode's record, without what UNSTABLE data changes in it.
    pub(crate) fn stored_inode(&self, inode: InodeId) -> Result<Inode> {
        look::inode(self.store.as_ref(), self.epoch, inode)
    }
}

/// The inode of a record.
pub(crate) fn decode_inode(epoch: Epoch, inode: InodeId, bytes: &Bytes) -> Result<Inode> {
    let mut record =
        Inode::decode(bytes).map_err(|error| Error::corrupt(format!("inode {inode}: {error}")))?;
    if record.epoch != epoch {
        record.change = record.change.max(record.change_ceiling);
    }
    Ok(record)
}
