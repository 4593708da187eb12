//! Writing back UNSTABLE data that nobody commits.

use crate::error::{Error, Result};
use crate::identity::InodeId;
use crate::volume::Volume;

/// What becomes of a file that somebody rewrites now, who may wait for the object store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Busy {
    /// Its turn comes again.
    Skipped,
    /// It is waited for.
    Awaited,
}

impl Volume {
    /// Flushes the files that have data in the buffer, one after the other, while that is wanted. One that cannot be flushed does not keep
    /// the others; the last failure is returned.
    pub(crate) async fn write_back(&self, busy: Busy, wanted: impl Fn() -> bool) -> Result<()> {
        let mut failure = None;
        for inode in self.buffer.inodes() {
            if !wanted() {
                break;
            }
            match self.write_back_one(inode, busy).await {
                Ok(()) | Err(Error::Stale) => {}
                Err(error @ (Error::Halted { .. } | Error::NoSpace)) => return Err(error),
                Err(error) => failure = Some(error),
            }
        }
        failure.map_or(Ok(()), Err)
    }

    async fn write_back_one(&self, inode: InodeId, busy: Busy) -> Result<()> {
        match busy {
            Busy::Skipped => self.flush_if_free(inode).await.map(drop),
            Busy::Awaited => self.flush(inode).await.map(drop),
        }
    }
}
