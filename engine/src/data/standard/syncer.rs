//! Writing sealed batches to their segments and making them durable: large ones on a thread of its own, while the next ones are
//! being sealed. It takes all batches of a segment that wait and syncs once.

use std::io;
use std::sync::Arc;

use crate::threads::Mutex;
use tokio::sync::{mpsc, oneshot};

use super::files::SegmentFiles;
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
    pub(super) bytes: Vec<u8>,
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
        let mut next = threads::block_on(queue.recv());
        while let Some(job) = next.take() {
            match job {
                Job::Done(reply) => {
                    let _writer_may_be_gone = reply.send(());
                }
                Job::Write(first) => {
                    let segment = first.segment;
                    let mut batches = vec![first];
                    while next.is_none() && batches.len() <= SEALED_BATCHES_MAX {
                        match queue.try_recv() {
                            Ok(Job::Write(batch)) if batch.segment == segment => batches.push(batch),
                            Ok(other) => next = Some(other),
                            Err(_) => break,
                        }
                    }
                    shared.lock().serve(segment, batches);
                }
            }
            if next.is_none() {
                next = threads::block_on(queue.recv());
            }
        }
    }

    /// Writes batches of a segment that follow each other, and answers those who wait.
    pub(super) fn serve(&mut self, segment: SegmentId, batches: Vec<SealedBatch>) {
        let result = match &self.given_up {
            Some((given_up, error)) if *given_up == segment => Err(error.clone()),
            _ => self.state.check().and_then(|()| self.write(segment, &batches)),
        };
        if let Err(error) = &result {
            self.give_up(segment, &batches, error);
        }
        for batch in batches {
            for (addresses, reply) in batch.waiting {
                let _caller_may_be_gone = reply.send(result.clone().map(|()| addresses));
            }
            self.state.give_back(batch.bytes);
        }
    }

    /// Writes batches that follow each other and makes them durable.
    fn write(&self, segment: SegmentId, batches: &[SealedBatch]) -> Result<()> {
        let path = self.files.path(segment);
        for batch in batches {
            let written = match batch.urgency {
                Urgency::Waited => batch.file.write_all_at(&batch.bytes, batch.offset),
                Urgency::Upkeep => write_in_pieces(batch),
            };
            written.map_err(|error| match error.kind() {
                io::ErrorKind::QuotaExceeded => Error::NoSpace,
                _ => Error::io("cannot write", &path)(error),
            })?;
        }
        let Some(first) = batches.first() else { return Ok(()) };
        let synced = if broken(Broken::SegmentNotSynced) { Ok(()) } else { first.file.sync_data() };
        synced.map_err(|error| self.state.halt(format!("cannot sync {}: {error}", path.display())))?;
        if first.offset == 0 && !broken(Broken::SegmentNameNotSynced) {
            self.files.sync_names().map_err(|error| self.state.halt(error.to_string()))?;
        }
        Ok(())
    }

    /// Gives up a segment after a failed write: the counters of the failed batch may be on the disk already, and what follows it would
    /// stand behind a hole. What is cut off here frees space; if that fails too, it is garbage that no reader takes for a batch.
    fn give_up(&mut self, segment: SegmentId, batches: &[SealedBatch], error: &Error) {
        let again = self.given_up.as_ref().is_some_and(|(given_up, _)| *given_up == segment);
        if let Some(first) = batches.first().filter(|_| !again && self.state.check().is_ok()) {
            let cut = match first.offset {
                0 => self.files.remove(segment),
                durable => {
                    first.file.set_length(durable).map_err(Error::io("cannot cut", self.files.path(segment)))
                }
            };
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

/// Writes a batch so that the writes of others come in between: what is synced is out of their way.
fn write_in_pieces(batch: &SealedBatch) -> io::Result<()> {
    let mut offset = batch.offset;
    let mut pieces = batch.bytes.chunks(PIECE_BYTES).peekable();
    while let Some(piece) = pieces.next() {
        batch.file.write_all_at(piece, offset)?;
        offset += piece.len() as u64;
        if pieces.peek().is_some() {
            batch.file.sync_data()?;
        }
    }
    Ok(())
}
