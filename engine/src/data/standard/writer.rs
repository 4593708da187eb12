//! The thread that seals segments. It takes all requests that wait, seals them as one batch, and hands that to the
//! [`Syncer`], or writes it itself if it is small.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::sync::{mpsc, oneshot};

use super::files::SegmentFiles;
use super::sealed_bytes::SealedBytes;
use super::syncer::{Job, SealedBatch, Syncer};
use super::{State, Urgency};
use crate::data::block::BlockAddress;
use crate::data::format::{PackedBlock, SegmentSealer};
use crate::disk::DiskFile;
use crate::environment::Environment;
use crate::error::{Error, Result};
use crate::identity::SegmentId;
use crate::limits::APPEND_BYTES_MAX;
use crate::threads::{self, Mutex};

/// Blocks in one request.
pub(super) const REQUEST_BLOCKS_MAX: usize = 1024;
/// Blocks after which a batch takes no further request.
const BATCH_BLOCKS: usize = 256;
/// Sealed bytes of a batch, if it is not one longer request.
const BATCH_BYTES_MAX: u64 = APPEND_BYTES_MAX;
/// Blocks from which on a batch is written while the next one is sealed: 2 MiB. Smaller ones wait for each other, so that as many as
/// possible share a sync, and do without the way to another thread.
const OVERLAP_BLOCKS: usize = 32;

/// What the writer is asked to do.
pub(super) enum Order {
    Append { blocks: Vec<PackedBlock>, urgency: Urgency, reply: oneshot::Sender<Result<Vec<BlockAddress>>> },
    Close { reply: oneshot::Sender<Result<()>> },
}

/// Requests that go into one batch: the blocks of all, and for each how many are its own and who waits.
struct Batch {
    urgency: Urgency,
    blocks: Vec<PackedBlock>,
    bytes: u64,
    waiting: Vec<(usize, oneshot::Sender<Result<Vec<BlockAddress>>>)>,
}

/// The segment that is being written.
struct Active {
    sealer: SegmentSealer,
    file: Arc<dyn DiskFile>,
    /// The header of the segment, until it goes to the disk with the first batch.
    header: Vec<u8>,
    /// Bytes that were handed to the syncer.
    handed_over: u64,
}

pub(super) struct Writer {
    files: Arc<SegmentFiles>,
    state: Arc<State>,
    environment: Environment,
    syncer: Arc<Mutex<Syncer>>,
    jobs: mpsc::Sender<Job>,
    /// Whether jobs were sent that may not be done.
    busy: bool,
    active: Option<Active>,
}

impl Writer {
    pub(super) fn new(
        files: Arc<SegmentFiles>,
        state: Arc<State>,
        environment: Environment,
        syncer: Arc<Mutex<Syncer>>,
        jobs: mpsc::Sender<Job>,
    ) -> Self {
        Writer { files, state, environment, syncer, jobs, busy: false, active: None }
    }

    /// Serves until the tier is dropped.
    pub(super) fn run(mut self, mut queue: mpsc::Receiver<Order>) {
        let mut next = threads::block_on(queue.recv());
        while let Some(order) = next.take() {
            match order {
                Order::Close { reply } => {
                    self.close();
                    let _caller_may_be_gone = reply.send(Ok(()));
                }
                Order::Append { blocks, urgency, reply } => {
                    let mut batch = Batch::new(urgency);
                    batch.add(blocks, reply);
                    next = batch.add_waiting(&mut queue);
                    if batch.blocks.len() < OVERLAP_BLOCKS && next.is_none() && self.busy {
                        self.wait_for_syncer();
                        next = batch.add_waiting(&mut queue);
                    }
                    self.serve(batch);
                }
            }
            if next.is_none() {
                next = threads::block_on(queue.recv());
            }
        }
    }

    fn serve(&mut self, batch: Batch) {
        let Batch { urgency, blocks, waiting, .. } = batch;
        let mut bytes = self.state.take_buffer();
        let sealed = self.state.check().and_then(|()| self.seal(&blocks, &mut bytes));
        let (addresses, offset) = match sealed {
            Ok(sealed) => sealed,
            Err(error) => {
                // Its counters may be used up: the segment ends with what was handed over.
                self.close();
                for (_, reply) in waiting {
                    let _caller_may_be_gone = reply.send(Err(error.clone()));
                }
                return;
            }
        };
        let Some(active) = &self.active else { return };
        let (segment, file) = (active.sealer.segment(), Arc::clone(&active.file));
        let mut addresses = addresses.into_iter();
        let waiting = waiting
            .into_iter()
            .map(|(count, reply)| (addresses.by_ref().take(count).collect(), reply))
            .collect();
        let small = blocks.len() < OVERLAP_BLOCKS;
        let batch = SealedBatch { segment, file, offset, bytes, urgency, waiting };
        if small {
            self.wait_for_syncer();
            self.syncer.lock().serve(batch);
        } else {
            self.hand_over(Job::Write(batch));
        }
        let closed_at = self.state.closed_at.load(Ordering::Relaxed);
        if self.active.as_ref().is_some_and(|active| active.handed_over >= closed_at) {
            self.close();
        }
    }

    /// Seals one batch; returns the addresses of its blocks, and where in the segment it goes.
    fn seal(&mut self, blocks: &[PackedBlock], bytes: &mut SealedBytes) -> Result<(Vec<BlockAddress>, u64)> {
        let newest = self.files.newest_generation();
        if self.active.as_ref().is_some_and(|active| active.sealer.segment().generation() != newest) {
            self.close();
        }
        let shared = *self.state.active.lock();
        // The syncer gives a segment up when it cannot be written.
        let mut active = self.active.take().filter(|active| shared == Some(active.sealer.segment()));
        if active.is_none() {
            let begun = begin(&self.files, &self.environment)?;
            *self.state.active.lock() = Some(begun.sealer.segment());
            active = Some(begun);
        }
        let active = match active {
            Some(active) => self.active.insert(active),
            None => return Err(Error::Halted { reason: "no segment".into() }),
        };
        let offset = active.handed_over;
        bytes.place(offset, active.header.len() + active.sealer.batch_bytes(blocks)?);
        bytes.tail().append(&mut active.header);
        let addresses = active.sealer.seal_batch(blocks, bytes.tail())?;
        active.handed_over = active.sealer.length();
        Ok((addresses, offset))
    }

    fn hand_over(&mut self, job: Job) {
        self.busy = true;
        // Without a syncer the replies are dropped with the job, which tells those who wait.
        let _ = threads::block_on(self.jobs.send(job));
    }

    /// Waits until nothing is being written.
    fn wait_for_syncer(&mut self) {
        if self.busy {
            let (reply, done) = oneshot::channel();
            self.hand_over(Job::Done(reply));
            let _syncer_may_be_gone = threads::block_on(done);
            self.busy = false;
        }
    }

    /// Ends the segment when all of it is durable.
    fn close(&mut self) {
        self.wait_for_syncer();
        self.active = None;
        *self.state.active.lock() = None;
    }
}

impl Batch {
    fn new(urgency: Urgency) -> Self {
        Batch { urgency, blocks: Vec::new(), bytes: 0, waiting: Vec::new() }
    }

    fn add(&mut self, blocks: Vec<PackedBlock>, reply: oneshot::Sender<Result<Vec<BlockAddress>>>) {
        self.waiting.push((blocks.len(), reply));
        self.bytes += bytes_of(&blocks);
        self.blocks.extend(blocks);
    }

    fn has_room(&self, order: &Order) -> bool {
        let Order::Append { blocks, .. } = order else { return false };
        self.bytes + bytes_of(blocks) <= BATCH_BYTES_MAX
    }

    /// Adds the requests that wait, as far as there is room; returns one that has none, or is of another kind.
    fn add_waiting(&mut self, queue: &mut mpsc::Receiver<Order>) -> Option<Order> {
        while self.blocks.len() < BATCH_BLOCKS {
            match queue.try_recv().ok()? {
                full @ Order::Append { .. } if !self.has_room(&full) => return Some(full),
                Order::Append { blocks, urgency, reply } => {
                    if urgency == Urgency::Waited {
                        self.urgency = urgency;
                    }
                    self.add(blocks, reply);
                }
                close @ Order::Close { .. } => return Some(close),
            }
        }
        None
    }
}

fn bytes_of(blocks: &[PackedBlock]) -> u64 {
    blocks.iter().map(|block| u64::from(block.sealed_bytes())).sum()
}

fn begin(files: &SegmentFiles, environment: &Environment) -> Result<Active> {
    let segment = SegmentId::generate(environment.entropy.as_ref(), files.newest_generation());
    let mut header = Vec::new();
    let sealer = files.begin(segment, &mut header)?;
    let file = files.create(segment)?;
    Ok(Active { sealer, file, header, handed_over: 0 })
}
