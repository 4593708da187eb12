//! One lock for each inode against a second flush, fold or transition of the same file.
//!
//! The sequencer alone keeps the metadata right; these locks only keep two slow rewritings of one file apart. They are
//! taken before the sequencer, never while holding it.

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

const SHARDS: usize = 4096;

impl InodeLocks {
    pub(crate) fn new() -> Self {
        InodeLocks { shards: (0..SHARDS).map(|_| Arc::default()).collect() }
    }

    /// Waits for the lock. A caller that holds another one must not wait: see [`InodeLocks::try_lock`].
    pub(crate) async fn lock(&self, inode: InodeId) -> InodeGuard {
        self.shard(inode).lock_owned().await
    }

    /// The lock, unless somebody has it.
    pub(crate) fn try_lock(&self, inode: InodeId) -> Option<InodeGuard> {
        self.shard(inode).try_lock_owned().ok()
    }

    fn shard(&self, inode: InodeId) -> Arc<Mutex<()>> {
        let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one(inode);
        let index = usize::try_from(hash % SHARDS as u64).unwrap_or(0);
        self.shards.get(index).map(Arc::clone).unwrap_or_default()
    }
}
