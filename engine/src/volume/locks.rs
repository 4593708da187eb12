//! One lock for each inode against a second flush, fold or transition of the same file.
//!
//! The sequencer alone keeps the metadata right; these locks only keep two slow rewritings of one file apart. They are
//! taken before the sequencer, never while holding it.

use std::collections::HashMap;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::sync::Arc;

use tokio::sync::{Mutex, OwnedMutexGuard};

use crate::identity::InodeId;

/// Locks, shared by inodes with the same hash.
pub(crate) struct InodeLocks {
    shards: Vec<Arc<Mutex<()>>>,
}

/// Held while a file is rewritten.
pub(crate) type InodeGuard = OwnedMutexGuard<()>;

/// The locks of several files, held while they are rewritten together.
#[derive(Debug, Default)]
pub(crate) struct HeldLocks(HashMap<usize, InodeGuard>);

const SHARDS: usize = 4096;

impl InodeLocks {
    pub(crate) fn new() -> Self {
        InodeLocks { shards: (0..SHARDS).map(|_| Arc::default()).collect() }
    }

    /// Waits for the lock. A caller that holds another one must not wait: see [`InodeLocks::try_add`].
    pub(crate) async fn lock(&self, inode: InodeId) -> InodeGuard {
        self.shard(shard_of(inode)).lock_owned().await
    }

    /// Adds the lock to those that are held, unless somebody else has it.
    pub(crate) fn try_add(&self, inode: InodeId, held: &mut HeldLocks) -> bool {
        let shard = shard_of(inode);
        if held.0.contains_key(&shard) {
            return true;
        }
        match self.shard(shard).try_lock_owned() {
            Ok(guard) => {
                held.0.insert(shard, guard);
                true
            }
            Err(_) => false,
        }
    }

    fn shard(&self, shard: usize) -> Arc<Mutex<()>> {
        self.shards.get(shard).map(Arc::clone).unwrap_or_default()
    }
}

fn shard_of(inode: InodeId) -> usize {
    let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one(inode);
    usize::try_from(hash % SHARDS as u64).unwrap_or(0)
}
