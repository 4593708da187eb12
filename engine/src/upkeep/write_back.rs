//! Writing back UNSTABLE data that nobody commits.

use crate::error::{Error, Result};
use crate::volume::Volume;

impl Volume {
    /// Flushes every file that has data in the buffer, but for those that are being rewritten: their turn comes again.
    pub(crate) async fn write_back(&self) -> Result<()> {
        let mut failure = None;
        for inode in self.buffer.inodes() {
            match self.flush_if_free(inode).await {
                Ok(ticket) => drop(ticket),
                Err(Error::Stale) => {}
                Err(error @ (Error::Halted { .. } | Error::NoSpace)) => return Err(error),
                Err(error) => failure = Some(error),
            }
        }
        failure.map_or(Ok(()), Err)
    }
}
