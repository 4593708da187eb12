//! The Standard tier: segments as local files.
//!
//! The directory holds one file for each segment, named by its id in 32 hexadecimal digits, with the bytes of
//! [`super::format`] and nothing else. Blocks are stored as they are: hot data is not worth the time to compress it. Those of more than a
//! page are sealed in cells, so that a page is read without the rest.
//!
//! # Crash consistency
//! [`StandardTier::append`] returns when the blocks are durable and so is the name of their file (rule D1: the caller
//! journals its extents only then). A crash can lose blocks that were not answered yet; nobody points to them.
//! It can leak a file without any block that is pointed to, or blocks at the end of a file: the collector finds both
//! by the live bytes of the segment, which are zero or too few. No segment is written to after a restart, and after a failed write the
//! segment is abandoned: its counters may have been used for bytes that are on the disk. A failed sync halts the tier,
//! because what the system still holds of the file is unknown then. [`StandardTier::remove`] can be repeated.
//!
//! Of a long batch the whole pages go past the page cache and what is before and behind them through it; the sync covers both. Each batch is
//! synced before the next one is written, so that only the last one of a file can be unfinished.

mod files;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
#[cfg(test)]
pub(crate) mod golden;
mod patience;
mod sealed_bytes;
mod syncer;
#[cfg(test)]
mod tests;
mod writer;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};

use super::audit::AuditStep;
use super::block::{BlockAddress, BlockIdentity, PlainBlock};
use super::format::{DirectoryEntry, PackedBlock};
use super::part::BlockPart;
use super::runs::{RunLimits, Wanted, runs};
use crate::disk::Disk;
use crate::environment::Environment;
use crate::error::{Error, Result};
use crate::identity::{FileSystemId, SegmentId};
use crate::keys::KeyRing;
use crate::threads::{self, blocking};
use files::SegmentFiles;
#[cfg(any(test, fuzzing))]
pub(crate) use files::parse_name;
use patience::{Patience, Waiting};
use sealed_bytes::SealedBytes;
use syncer::{SEALED_BATCHES_MAX, Syncer};
use writer::{Order, Writer};

/// Requests that wait for the writer before callers do.
const QUEUE_MAX: usize = 256;

/// Reading over a gap costs less than a second system call.
const RUN_LIMITS: RunLimits = RunLimits { gap_bytes_max: 64 * 1024, run_bytes_max: 2 << 20 };

/// The Standard tier of one file system.
pub(crate) struct StandardTier {
    files: Arc<SegmentFiles>,
    state: Arc<State>,
    orders: mpsc::Sender<Order>,
    patience: Patience,
}

/// Who waits for an append.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Urgency {
    /// A user: it is written as fast as can be.
    Waited,
    /// Nobody: it is written so that others can use the disk meanwhile.
    Upkeep,
}

/// What the writer and its callers share.
#[derive(Default)]
struct State {
    active: Mutex<Option<SegmentId>>,
    /// Bytes at which a segment is closed.
    closed_at: AtomicU64,
    /// Appends under way that somebody waits for.
    waited: AtomicUsize,
    halted: Mutex<Option<String>>,
    /// Buffers that were written: memory that is used again need not be made by the kernel again.
    buffers: Mutex<Vec<SealedBytes>>,
}

impl State {
    fn take_buffer(&self) -> SealedBytes {
        self.buffers.lock().pop().unwrap_or_default()
    }

    /// Keeps as many as are sealed and written at a time.
    fn give_back(&self, buffer: SealedBytes) {
        let mut buffers = self.buffers.lock();
        if buffers.len() < SEALED_BATCHES_MAX {
            buffers.push(buffer);
        }
    }

    fn check(&self) -> Result<()> {
        match &*self.halted.lock() {
            Some(reason) => Err(Error::Halted { reason: reason.clone() }),
            None => Ok(()),
        }
    }

    /// Accepts nothing more; the first reason stays.
    fn halt(&self, reason: String) -> Error {
        tracing::error!(%reason, "the Standard tier stopped accepting data");
        let mut halted = self.halted.lock();
        Error::Halted { reason: halted.get_or_insert(reason).clone() }
    }
}

/// An append that somebody waits for, as long as this lives.
struct Waited<'a>(&'a State);

impl<'a> Waited<'a> {
    fn new(state: &'a State) -> Self {
        state.waited.fetch_add(1, Ordering::Relaxed);
        Waited(state)
    }
}

impl Drop for Waited<'_> {
    fn drop(&mut self) {
        self.0.waited.fetch_sub(1, Ordering::Relaxed);
    }
}

impl StandardTier {
    /// Opens the tier, and makes the directory if there is none. A segment is closed when it has that many bytes.
    pub(crate) fn open(
        directory: &Path,
        disk: Arc<dyn Disk>,
        environment: Environment,
        keys: &KeyRing,
        file_system: FileSystemId,
        segment_bytes: u64,
    ) -> Result<StandardTier> {
        let files = Arc::new(SegmentFiles::open(directory, disk, keys.clone(), file_system)?);
        let state = Arc::new(State { closed_at: segment_bytes.into(), ..State::default() });
        let (orders, queue) = mpsc::channel(QUEUE_MAX);
        let (jobs, sealed) = mpsc::channel(SEALED_BATCHES_MAX);
        let syncer = Arc::new(threads::Mutex::new(Syncer::new(Arc::clone(&files), Arc::clone(&state))));
        let writer =
            Writer::new(Arc::clone(&files), Arc::clone(&state), environment, Arc::clone(&syncer), jobs);
        threads::spawn("segment-syncer", move || Syncer::run(&syncer, sealed))?;
        threads::spawn("segment-writer", move || writer.run(queue))?;
        Ok(StandardTier { files, state, orders, patience: Patience::default() })
    }

    /// Stores blocks, at most 1,024 at once. They are durable when this returns. On [`Error::NoSpace`] nothing was stored,
    /// and the next call may succeed.
    pub(crate) async fn append(
        &self,
        blocks: Vec<PlainBlock>,
        urgency: Urgency,
    ) -> Result<Vec<BlockAddress>> {
        if blocks.is_empty() {
            return Ok(Vec::new());
        }
        if blocks.len() > writer::REQUEST_BLOCKS_MAX {
            return Err(Error::Invalid { what: "too many blocks in one append" });
        }
        let blocks = blocks.into_iter().map(PackedBlock::in_cells).collect::<Result<_>>()?;
        let _waited = (urgency == Urgency::Waited).then(|| Waited::new(&self.state));
        self.order(|reply| Order::Append { blocks, urgency, reply }).await
    }

    /// From now on a segment is closed when it has that many bytes.
    pub(crate) fn close_at(&self, segment_bytes: u64) {
        self.state.closed_at.store(segment_bytes, Ordering::Relaxed);
    }

    /// Closes the segment that is being written; the next append begins a new one.
    pub(crate) async fn close_active(&self) -> Result<()> {
        self.order(|reply| Order::Close { reply }).await
    }

    /// The segment that is being written, if any. It must not be removed.
    pub(crate) fn active(&self) -> Option<SegmentId> {
        *self.state.active.lock()
    }

    /// Reads a block. [`Error::Corrupt`] if the segment is gone or its bytes are not the ones that were stored.
    pub(crate) async fn read(&self, address: &BlockAddress, identity: BlockIdentity) -> Result<Bytes> {
        self.read_part(&BlockPart::whole(*address), identity).await
    }

    /// The same of a part of a block: the other parts are neither read nor looked at.
    pub(crate) async fn read_part(&self, part: &BlockPart, identity: BlockIdentity) -> Result<Bytes> {
        let mut waiting = self.patience.wait();
        if let Some(bytes) = self.read_here(part, identity, &mut waiting).await? {
            return Ok(bytes);
        }
        let (files, part) = (Arc::clone(&self.files), *part);
        blocking(move || files.read_part(&part, identity)).await
    }

    /// Reads a part of a block on the caller's thread, if the system has its bytes or gets them soon.
    async fn read_here(
        &self,
        part: &BlockPart,
        identity: BlockIdentity,
        waiting: &mut Waiting<'_>,
    ) -> Result<Option<Bytes>> {
        let Some(mut attempt) = self.files.attempt(part) else { return Ok(None) };
        while waiting.looks_again() {
            if let Some(bytes) = attempt.look(identity)? {
                waiting.found();
                return Ok(Some(bytes));
            }
            for _ in 0..waiting.turns_before_next() {
                tokio::task::yield_now().await;
            }
        }
        Ok(None)
    }

    /// Reads blocks, neighbours together, and returns them in the order asked for.
    pub(crate) async fn read_many(&self, wanted: &[Wanted]) -> Result<Vec<Bytes>> {
        let (files, wanted) = (Arc::clone(&self.files), wanted.to_vec());
        blocking(move || files.read_runs(&wanted, &runs(&wanted, RUN_LIMITS))).await
    }

    /// All segments with the lengths of their files.
    pub(crate) fn list(&self) -> Result<Vec<(SegmentId, u64)>> {
        self.files.list()
    }

    /// Unlinks a segment; one that is gone is no error.
    pub(crate) async fn remove(&self, segment: SegmentId) -> Result<()> {
        if self.active() == Some(segment) {
            return Err(Error::Invalid { what: "the segment is being written" });
        }
        self.state.check()?;
        let (files, state) = (Arc::clone(&self.files), Arc::clone(&self.state));
        blocking(move || {
            files.remove(segment)?;
            files.sync_names().map_err(|error| state.halt(error.to_string()))
        })
        .await
    }

    /// Every block that was ever synced into the segment, and perhaps some at its end that a crash left unfinished: nobody
    /// points to those. Damage before the last batch is [`Error::Corrupt`]; a last batch whose description is damaged looks
    /// like an unfinished one and is left out, so the caller compares with the live bytes that it knows of.
    pub(crate) async fn directory(&self, segment: SegmentId) -> Result<Vec<DirectoryEntry>> {
        let files = Arc::clone(&self.files);
        blocking(move || files.directory(segment)).await
    }

    /// One step through all of a segment, from the offset on. A segment that is gone is [`Error::Corrupt`].
    pub(crate) async fn audit(&self, segment: SegmentId, offset: u64) -> Result<AuditStep> {
        let files = Arc::clone(&self.files);
        blocking(move || files.audit(segment, offset)).await
    }

    /// Why nothing more is accepted, if so.
    pub(crate) fn halted(&self) -> Option<String> {
        self.state.halted.lock().clone()
    }

    async fn order<T>(&self, make: impl FnOnce(oneshot::Sender<Result<T>>) -> Order) -> Result<T> {
        self.state.check()?;
        let (reply, answer) = oneshot::channel();
        let gone = || Error::Halted { reason: "the segment writer ended".into() };
        self.orders.send(make(reply)).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }
}
