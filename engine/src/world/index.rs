//! An index in memory, in the place of sled: it outlives a crash as it was, older, damaged, or not at all.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use parking_lot::Mutex;

use super::plan::{Chance, IndexFate};
use crate::disk::Disk;
use crate::disk::simulated::SimulatedDisk;
use crate::error::{Error, Result};
use crate::metadata::{Indexes, MetaStore};

type Entries = BTreeMap<Bytes, Vec<u8>>;

/// The one index of a machine.
#[derive(Default)]
pub(super) struct SimulatedIndexes {
    disk: Option<SimulatedDisk>,
    entries: Arc<Mutex<Entries>>,
    older: Mutex<Entries>,
    unreadable: Mutex<bool>,
    /// Whether nobody has opened it since it was closed: then no loss of power damages it.
    closed: AtomicBool,
}

impl SimulatedIndexes {
    /// It needs some room on a disk for each write.
    pub(super) fn on(disk: SimulatedDisk) -> Self {
        SimulatedIndexes { disk: Some(disk), ..SimulatedIndexes::default() }
    }

    /// It was closed, and what it has is durable.
    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::Relaxed);
    }

    /// Keeps a copy to come back to.
    pub(super) fn copy(&self) {
        self.older.lock().clone_from(&self.entries.lock());
    }

    /// Leaves what the next start finds. Whoever still has the old one open changes it no longer.
    pub(super) fn crash(&mut self, disk: &SimulatedDisk, fate: IndexFate, chance: &mut Chance) {
        self.disk = Some(disk.clone());
        let closed = self.closed.load(Ordering::Relaxed);
        let fate = if closed && fate == IndexFate::Damaged { IndexFate::Stays } else { fate };
        let mut entries = match fate {
            IndexFate::Stays | IndexFate::Damaged => self.entries.lock().clone(),
            IndexFate::Older => self.older.lock().clone(),
            IndexFate::Gone => Entries::new(),
        };
        *self.unreadable.lock() = fate == IndexFate::Damaged && chance.one_in(3);
        if fate == IndexFate::Damaged {
            entries.retain(|_, _| !chance.one_in(4));
            for value in entries.values_mut().filter(|value| !value.is_empty()) {
                if chance.one_in(4) {
                    let length = u32::try_from(value.len()).unwrap();
                    value[chance.below(length) as usize] ^= 1 << chance.below(8);
                }
            }
        }
        self.entries = Arc::new(Mutex::new(entries));
    }
}

impl Indexes for SimulatedIndexes {
    fn open(&self, _directory: &Path, _cache_bytes: u64) -> Result<Box<dyn MetaStore>> {
        self.closed.store(false, Ordering::Relaxed);
        if *self.unreadable.lock() {
            return Err(Error::corrupt("a simulated damage"));
        }
        let entries = Arc::clone(&self.entries);
        Ok(Box::new(Store { entries, disk: self.disk.clone(), full: AtomicBool::new(false) }))
    }

    fn destroy(&self, _directory: &Path) -> Result<()> {
        *self.unreadable.lock() = false;
        self.entries.lock().clear();
        Ok(())
    }
}

struct Store {
    entries: Arc<Mutex<Entries>>,
    disk: Option<SimulatedDisk>,
    /// As sled, it accepts nothing more once the disk was full.
    full: AtomicBool,
}

/// What must be free on the disk.
const ROOM_BYTES: u64 = 256 << 10;

impl Store {
    fn check_room(&self) -> Result<()> {
        let free = self.disk.as_ref().and_then(|disk| disk.free_bytes(Path::new("/")).ok());
        if free.is_some_and(|free| free < ROOM_BYTES) {
            self.full.store(true, Ordering::Relaxed);
        }
        if self.full.load(Ordering::Relaxed) { Err(Error::NoSpace) } else { Ok(()) }
    }
}

/// Entries that a range takes out at a time.
const STEP: usize = 64;

impl MetaStore for Store {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        Ok(self.entries.lock().get(key).cloned())
    }

    fn last_key(&self) -> Result<Option<Bytes>> {
        Ok(self.entries.lock().keys().next_back().cloned())
    }

    fn range<'a>(
        &'a self,
        from: &[u8],
        to: &[u8],
    ) -> Box<dyn Iterator<Item = Result<(Bytes, Vec<u8>)>> + 'a> {
        let mut start = Bound::Included(Bytes::copy_from_slice(from));
        let end = Bytes::copy_from_slice(to.max(from));
        let steps = std::iter::from_fn(move || {
            if matches!(&start, Bound::Excluded(key) | Bound::Included(key) if *key >= end) {
                return None;
            }
            let entries = self.entries.lock();
            let step: Vec<_> = entries
                .range((start.clone(), Bound::Excluded(end.clone())))
                .take(STEP)
                .map(|(key, value)| (key.clone(), value.clone()))
                .collect();
            start = Bound::Excluded(step.last()?.0.clone());
            Some(step)
        });
        Box::new(steps.flatten().map(Ok))
    }

    fn apply(&self, batch: Vec<(Bytes, Option<Vec<u8>>)>) -> Result<()> {
        let mut entries = self.entries.lock();
        let full = self.check_room();
        // Nobody knows how much of it is there then.
        let some = if full.is_ok() { batch.len() } else { batch.len() / 2 };
        for (key, value) in batch.into_iter().take(some) {
            match value {
                Some(value) => entries.insert(key, value),
                None => entries.remove(&key),
            };
        }
        full
    }

    fn flush(&self) -> Result<()> {
        self.check_room()
    }
}
