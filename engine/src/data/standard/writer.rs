//! The one thread that writes segments. It takes all requests that wait, writes them as one batch and syncs once.

use std::io;
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use super::State;
use super::files::SegmentFiles;
use crate::broken::{Broken, broken};
use crate::data::block::BlockAddress;
use crate::data::format::{PackedBlock, SegmentSealer};
use crate::disk::DiskFile;
use crate::environment::Environment;
use crate::error::{Error, Result};
use crate::identity::SegmentId;
use crate::threads;

/// Blocks in one request.
pub(super) const REQUEST_BLOCKS_MAX: usize = 1024;
/// Blocks after which a batch takes no further request: 16 MiB, enough to hide the cost of a sync.
const BATCH_BLOCKS: usize = 256;

/// What the writer is asked to do.
pub(super) enum Order {
    Append { blocks: Vec<PackedBlock>, reply: oneshot::Sender<Result<Vec<BlockAddress>>> },
    Close { reply: oneshot::Sender<Result<()>> },
}

/// Requests that go into one batch: the blocks of all, and for each how many are its own and who waits.
#[derive(Default)]
struct Batch {
    blocks: Vec<PackedBlock>,
    waiting: Vec<(usize, oneshot::Sender<Result<Vec<BlockAddress>>>)>,
}

/// The segment that is being written.
struct Active {
    sealer: SegmentSealer,
    file: Arc<dyn DiskFile>,
    /// Bytes that are durable, and so is the name if there are any.
    durable_bytes: u64,
}

pub(super) struct Writer {
    files: Arc<SegmentFiles>,
    state: Arc<State>,
    environment: Environment,
    segment_bytes: u64,
    active: Option<Active>,
    buffer: Vec<u8>,
}

impl Writer {
    pub(super) fn new(
        files: Arc<SegmentFiles>,
        state: Arc<State>,
        environment: Environment,
        segment_bytes: u64,
    ) -> Self {
        Writer { files, state, environment, segment_bytes, active: None, buffer: Vec::new() }
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
                Order::Append { blocks, reply } => {
                    let mut batch = Batch::default();
                    batch.add(blocks, reply);
                    while batch.blocks.len() < BATCH_BLOCKS && next.is_none() {
                        match queue.try_recv() {
                            Ok(Order::Append { blocks, reply }) => batch.add(blocks, reply),
                            Ok(close) => next = Some(close),
                            Err(_) => break,
                        }
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
        let result = self.state.check().and_then(|()| self.write(&batch.blocks));
        let mut addresses = match result {
            Ok(addresses) => addresses.into_iter(),
            Err(error) => {
                self.abandon();
                for (_, reply) in batch.waiting {
                    let _caller_may_be_gone = reply.send(Err(error.clone()));
                }
                return;
            }
        };
        for (count, reply) in batch.waiting {
            let _caller_may_be_gone = reply.send(Ok(addresses.by_ref().take(count).collect()));
        }
        if self.active.as_ref().is_some_and(|active| active.durable_bytes >= self.segment_bytes) {
            self.close();
        }
    }

    /// Writes one batch and makes it durable.
    fn write(&mut self, blocks: &[PackedBlock]) -> Result<Vec<BlockAddress>> {
        self.buffer.clear();
        let newest = self.files.newest_generation();
        if self.active.as_ref().is_some_and(|active| active.sealer.segment().generation() != newest) {
            self.close();
        }
        let active = match &mut self.active {
            Some(active) => active,
            none => {
                let active = begin(&self.files, &self.environment, &mut self.buffer)?;
                *self.state.active.lock() = Some(active.sealer.segment());
                none.insert(active)
            }
        };
        let addresses = active.sealer.seal_batch(blocks, &mut self.buffer)?;
        let path = self.files.path(active.sealer.segment());
        let written = active.file.write_all_at(&self.buffer, active.durable_bytes);
        written.map_err(|error| match error.kind() {
            io::ErrorKind::QuotaExceeded => Error::NoSpace,
            _ => Error::io("cannot write", &path)(error),
        })?;
        let synced = if broken(Broken::SegmentNotSynced) { Ok(()) } else { active.file.sync_data() };
        synced.map_err(|error| self.state.halt(format!("cannot sync {}: {error}", path.display())))?;
        if active.durable_bytes == 0 && !broken(Broken::SegmentNameNotSynced) {
            self.files.sync_names().map_err(|error| self.state.halt(error.to_string()))?;
        }
        active.durable_bytes = active.sealer.length();
        Ok(addresses)
    }

    fn close(&mut self) {
        self.active = None;
        *self.state.active.lock() = None;
    }

    /// Gives up the segment after a failed write: the counters of the failed batch may be on the disk already. What is
    /// cut off here frees space; if that fails too, it is garbage that no reader takes for a batch.
    fn abandon(&mut self) {
        if let Some(active) = self.active.take().filter(|_| self.state.check().is_ok()) {
            let segment = active.sealer.segment();
            let cut = match active.durable_bytes {
                0 => self.files.remove(segment),
                durable => {
                    active.file.set_length(durable).map_err(Error::io("cannot cut", self.files.path(segment)))
                }
            };
            if let Err(error) = cut {
                tracing::warn!(%segment, %error, "an unfinished batch stays until its segment is collected");
            }
        }
        self.close();
    }
}

impl Batch {
    fn add(&mut self, blocks: Vec<PackedBlock>, reply: oneshot::Sender<Result<Vec<BlockAddress>>>) {
        self.waiting.push((blocks.len(), reply));
        self.blocks.extend(blocks);
    }
}

fn begin(files: &SegmentFiles, environment: &Environment, buffer: &mut Vec<u8>) -> Result<Active> {
    let segment = SegmentId::generate(environment.entropy.as_ref(), files.newest_generation());
    let sealer = files.begin(segment, buffer)?;
    let file = files.create(segment)?;
    Ok(Active { sealer, file, durable_bytes: 0 })
}
