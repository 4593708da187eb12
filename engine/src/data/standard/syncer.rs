//! Writing sealed batches to their segments and making them durable: large ones on a thread of its own, while the next ones are
//! being sealed.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::threads::Mutex;
use tokio::sync::{mpsc, oneshot};

use super::files::SegmentFiles;
use super::sealed_bytes::SealedBytes;
use super::{State, Urgency};
use crate::broken::{Broken, broken};
use crate::data::block::BlockAddress;
use crate::disk::DiskFile;
use crate::error::{Error, Result};
use crate::identity::SegmentId;
use crate::threads;

/// Batches that are sealed and wait to be written: one more would only take memory.
pub(super) const SEALED_BATCHES_MAX: usize = 1;

/// Who waits for an append, and what it is answered.
pub(super) type Waiting = (Vec<BlockAddress>, oneshot::Sender<Result<Vec<BlockAddress>>>);

/// What the syncer is asked to do.
pub(super) enum Job {
    Write(SealedBatch),
    /// Everything before this is done.
    Done(oneshot::Sender<()>),
}

/// Bytes for the end of a segment.
pub(super) struct SealedBatch {
    pub(super) segment: SegmentId,
    pub(super) file: Arc<dyn DiskFile>,
    pub(super) offset: u64,
    pub(super) bytes: SealedBytes,
    pub(super) urgency: Urgency,
    pub(super) waiting: Vec<Waiting>,
}

/// Bytes that nobody waits for which are given to the disk at once: a journal write that comes meanwhile waits for as many.
const PIECE_BYTES: usize = 1024 * 1024;

pub(super) struct Syncer {
    files: Arc<SegmentFiles>,
    state: Arc<State>,
    /// The segment that was written last, and why it was given up.
    given_up: Option<(SegmentId, Error)>,
}

impl Syncer {
    pub(super) fn new(files: Arc<SegmentFiles>, state: Arc<State>) -> Self {
        Syncer { files, state, given_up: None }
    }

    /// Serves until the writer has ended. Only this thread has the lock while there are jobs.
    pub(super) fn run(shared: &Mutex<Self>, mut queue: mpsc::Receiver<Job>) {
        while let Some(job) = threads::block_on(queue.recv()) {
            match job {
                Job::Done(reply) => {
                    let _writer_may_be_gone = reply.send(());
                }
                Job::Write(batch) => shared.lock().serve(batch),
            }
        }
    }

    /// Writes a batch and answers those who wait. It is synced before the next one is written: of what a crash leaves, only the last batch
    /// may be unfinished.
    pub(super) fn serve(&mut self, batch: SealedBatch) {
        let result = match &self.given_up {
            Some((given_up, error)) if *given_up == batch.segment => Err(error.clone()),
            _ => self.state.check().and_then(|()| self.write(&batch)),
        };
        if let Err(error) = &result {
            self.give_up(&batch, error);
        }
        for (addresses, reply) in batch.waiting {
            let _caller_may_be_gone = reply.send(result.clone().map(|()| addresses));
        }
        self.state.give_back(batch.bytes);
    }

    /// Writes a batch and makes it durable.
    fn write(&self, batch: &SealedBatch) -> Result<()> {
        self.write_batch(batch)?;
        self.sync(batch.segment, batch.file.as_ref())?;
        if batch.offset == 0 && !broken(Broken::SegmentNameNotSynced) {
            self.files.sync_names().map_err(|error| self.state.halt(error.to_string()))?;
        }
        Ok(())
    }

    /// What nobody waits for is written in pieces, so that the writes of others come in between: what is synced is out of their way.
    fn write_batch(&self, batch: &SealedBatch) -> Result<()> {
        let mut offset = batch.offset;
        let mut rest = batch.bytes.as_slice();
        while !rest.is_empty() {
            let hurries = batch.urgency == Urgency::Waited || self.state.waited.load(Ordering::Relaxed) > 0;
            let length = if hurries { rest.len() } else { PIECE_BYTES };
            let (piece, behind) = rest.split_at_checked(length).unwrap_or((rest, &[]));
            let written = batch.file.write_all_at(piece, offset);
            written.map_err(|error| match error.kind() {
                io::ErrorKind::QuotaExceeded => Error::NoSpace,
                _ => Error::io("cannot write", self.files.path(batch.segment))(error),
            })?;
            offset += piece.len() as u64;
            rest = behind;
            if !rest.is_empty() {
                self.sync(batch.segment, batch.file.as_ref())?;
            }
        }
        Ok(())
    }

    /// A failed sync is final.
    fn sync(&self, segment: SegmentId, file: &dyn DiskFile) -> Result<()> {
        let synced = if broken(Broken::SegmentNotSynced) { Ok(()) } else { file.sync_data() };
        let path = self.files.path(segment);
        synced.map_err(|error| self.state.halt(format!("cannot sync {}: {error}", path.display())))
    }

    /// Gives up a segment after a failed write: the counters of the failed batch may be on the disk already, and what follows it would
    /// stand behind a hole. What is cut off here frees space; if that fails too, it is garbage that no reader takes for a batch.
    fn give_up(&mut self, batch: &SealedBatch, error: &Error) {
        let segment = batch.segment;
        let again = self.given_up.as_ref().is_some_and(|(given_up, _)| *given_up == segment);
        if !again && self.state.check().is_ok() {
            // Also of a file that goes altogether: its writer has it open for a while, and what is in it takes room as long.
            let cut = batch.file.set_length(batch.offset);
            let cut = cut.map_err(Error::io("cannot cut", self.files.path(segment)));
            let cut = if batch.offset == 0 { cut.and(self.files.remove(segment)) } else { cut };
            if let Err(error) = cut {
                tracing::warn!(%segment, %error, "an unfinished batch stays until its segment is collected");
            }
        }
        self.given_up = Some((segment, error.clone()));
        let mut active = self.state.active.lock();
        if *active == Some(segment) {
            *active = None;
        }
    }
}
