//! Keeping an inode alive while it is open.

use std::sync::Arc;

use crate::error::{Error, Result};
use crate::identity::InodeId;
use crate::volume::Volume;

/// Keeps an inode alive while it is open, though its last name may be removed. Dropping it lets go.
pub struct Pin {
    volume: Arc<Volume>,
    inode: InodeId,
}

impl Pin {
    pub(super) fn new(volume: &Arc<Volume>, inode: InodeId) -> Result<Self> {
        // Counted first, so that a removal either sees the pin or is over before the look.
        volume.pins.add(inode);
        let pin = Pin { volume: Arc::clone(volume), inode };
        volume.store.wait_for_change();
        volume.stored_inode(inode)?;
        Ok(pin)
    }

    /// The inode.
    pub fn inode(&self) -> InodeId {
        self.inode
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        if !self.volume.pins.remove(self.inode) {
            return;
        }
        // A removal that saw the pin left an orphan: here it is seen, or the removal does not see the pin.
        self.volume.store.wait_for_change();
        match self.volume.stored_inode(self.inode) {
            Ok(record) if record.links == 0 => {
                if let Err(error) = self.volume.release_orphan(self.inode) {
                    // It stays in the orphan set, and the next start releases it.
                    tracing::warn!(%error, "a removed file could not be released at its close");
                }
            }
            Ok(_) | Err(Error::Stale) => {}
            Err(error) => tracing::warn!(%error, "an inode could not be looked at when it was closed"),
        }
    }
}

impl std::fmt::Debug for Pin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pin").field("inode", &self.inode).finish_non_exhaustive()
    }
}
