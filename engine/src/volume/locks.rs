//! One lock for each inode against a second flush, fold or transition of the same file.
//!
//! The sequencer alone keeps the metadata right; these locks only keep two slow rewritings of one file apart. They are
//! taken before the sequencer, never while holding it. They may be held over requests to the object store, so that each is of one
//! file only: nobody waits for the store because of somebody else's file.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::{Mutex as Lock, OwnedMutexGuard};

use crate::identity::InodeId;

/// The locks of the inodes that are being rewritten, or waited for.
#[derive(Debug, Default)]
pub(crate) struct InodeLocks {
    table: Arc<Table>,
}

type Table = Mutex<HashMap<InodeId, Arc<Lock<()>>>>;

/// Held while a file is rewritten.
#[derive(Debug)]
pub(crate) struct InodeGuard {
    _held: OwnedMutexGuard<()>,
    _place: Place,
}

/// Keeps a lock in the table, for whoever has it or waits for it.
#[derive(Debug)]
struct Place {
    table: Arc<Table>,
    inode: InodeId,
    /// `None` only while it is dropped.
    lock: Option<Arc<Lock<()>>>,
}

impl Place {
    fn lock(&self) -> Arc<Lock<()>> {
        self.lock.as_ref().map(Arc::clone).unwrap_or_default()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut table = self.table.lock();
        self.lock = None;
        // Nobody but the table has it.
        if table.get(&self.inode).is_some_and(|lock| Arc::strong_count(lock) == 1) {
            table.remove(&self.inode);
        }
    }
}

/// The locks of several files, held while they are rewritten together.
#[derive(Debug, Default)]
pub(crate) struct HeldLocks(HashMap<InodeId, InodeGuard>);

impl InodeLocks {
    /// Waits for the lock. A caller that holds another one must not wait: see [`InodeLocks::try_add`].
    pub(crate) async fn lock(&self, inode: InodeId) -> InodeGuard {
        let place = self.place(inode);
        InodeGuard { _held: place.lock().lock_owned().await, _place: place }
    }

    /// Adds the lock to those that are held, unless somebody else has it.
    pub(crate) fn try_add(&self, inode: InodeId, held: &mut HeldLocks) -> bool {
        if held.0.contains_key(&inode) {
            return true;
        }
        let place = self.place(inode);
        match place.lock().try_lock_owned() {
            Ok(guard) => {
                held.0.insert(inode, InodeGuard { _held: guard, _place: place });
                true
            }
            Err(_) => false,
        }
    }

    fn place(&self, inode: InodeId) -> Place {
        let lock = Arc::clone(self.table.lock().entry(inode).or_default());
        Place { table: Arc::clone(&self.table), inode, lock: Some(lock) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn each_file_has_its_own_lock_and_none_stays() {
        let (locks, mut held) = (InodeLocks::default(), HeldLocks::default());
        for inode in 0..10_000 {
            assert!(locks.try_add(InodeId(inode), &mut held));
        }
        assert!(locks.try_add(InodeId(7), &mut held), "it is held already");
        assert!(!locks.try_add(InodeId(7), &mut HeldLocks::default()), "by somebody else");
        drop(locks.lock(InodeId(10_000)).await);
        let given_up = tokio::time::timeout(std::time::Duration::ZERO, locks.lock(InodeId(8))).await;
        assert!(given_up.is_err());
        let waits = locks.lock(InodeId(9));
        tokio::pin!(waits);
        assert!(futures::poll!(&mut waits).is_pending());
        drop(held);
        drop(waits.await);
        assert!(locks.table.lock().is_empty());
    }
}
