//! Refuses new data before the disk is full, so that what is already taken in can always be made durable and files can
//! always be removed.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use crate::disk::Disk;
use crate::environment::Clock;
use crate::error::{Error, Result};

/// Watches the free space of the data directory.
pub(crate) struct SpaceGuard {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    clock: Arc<dyn Clock>,
    /// Kept free for checkpoints, the index and the folding of what is in memory.
    reserve_bytes: u64,
    sample: Mutex<Option<Sample>>,
}

struct Sample {
    taken: Duration,
    /// Free bytes when it was taken, less what was granted since.
    free_bytes: u64,
}

/// How long a look at the disk is believed.
const SAMPLE_AGE_MAX: Duration = Duration::from_millis(50);

impl SpaceGuard {
    pub(crate) fn new(disk: Arc<dyn Disk>, path: PathBuf, clock: Arc<dyn Clock>, reserve_bytes: u64) -> Self {
        SpaceGuard { disk, path, clock, reserve_bytes, sample: Mutex::new(None) }
    }

    /// Grants room for new data, beside data that is in memory and still needs its own room.
    pub(crate) fn grant(&self, new_bytes: u64, buffered_bytes: u64) -> Result<()> {
        let now = self.clock.monotonic();
        let mut sample = self.sample.lock();
        let fresh = match sample.take() {
            Some(fresh) if now.saturating_sub(fresh.taken) < SAMPLE_AGE_MAX => fresh,
            _ => {
                let free = self
                    .disk
                    .free_bytes(&self.path)
                    .map_err(Error::io("cannot look at the free space of", &self.path))?;
                Sample { taken: now, free_bytes: free }
            }
        };
        let needed = self.reserve_bytes.saturating_add(buffered_bytes).saturating_add(new_bytes);
        let enough = fresh.free_bytes >= needed;
        let granted = if enough { new_bytes } else { 0 };
        *sample = Some(Sample { free_bytes: fresh.free_bytes.saturating_sub(granted), ..fresh });
        if enough { Ok(()) } else { Err(Error::NoSpace) }
    }

    /// Grants room for copies that upkeep makes: a fold of what is in the overlay has room beside them, in a checkpoint and in the index.
    pub(crate) fn grant_copies(&self, bytes: u64, overlay_bytes: u64) -> Result<()> {
        let kept = overlay_bytes.saturating_mul(2).min(self.reserve_bytes / 2);
        let free = self.disk.free_bytes(&self.path);
        let free = free.map_err(Error::io("cannot look at the free space of", &self.path))?;
        if free >= kept.saturating_add(bytes) { Ok(()) } else { Err(Error::NoSpace) }
    }

    /// Whether new data would be refused now.
    pub(crate) fn is_full(&self) -> bool {
        matches!(self.grant(0, 0), Err(Error::NoSpace))
    }
}
