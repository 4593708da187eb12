//! How far the store has got, for everybody who waits.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};

use parking_lot::Mutex;

use crate::error::{Error, Result};
use crate::identity::Lsn;

/// What waiters look at.
#[derive(Debug, Clone)]
pub(crate) struct State {
    /// All records up to here are on stable storage.
    pub(crate) durable: Lsn,
    /// All records up to here stand in durable checkpoints and in the index.
    pub(crate) checkpointed: Lsn,
    /// What the disk is too full for; it is tried again.
    pub(crate) starved: Vec<Starved>,
    /// Why no more changes are accepted.
    pub(crate) halted: Option<Arc<str>>,
}

/// What there is no space for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Starved {
    /// Another journal file: the last one is in use. A fold gives older ones back.
    Journal,
    /// Any journal file at all: what was committed waits to be written, or for a fold.
    Writer,
    /// A fold.
    Fold,
    /// Nothing, but no fold gives a journal file back at the moment.
    Trim,
}

/// The one place where durability is announced. Only the journal's writer advances it.
#[derive(Debug)]
pub(crate) struct Progress {
    durable: AtomicU64,
    /// Whether anything is starved: nearly always nothing is.
    starving: AtomicBool,
    shared: Mutex<Shared>,
}

#[derive(Debug)]
struct Shared {
    state: State,
    /// Who waits for a record to be durable: only they are woken by each write of the journal.
    records: BTreeMap<(Lsn, u64), Waker>,
    /// Who waits for anything else.
    others: BTreeMap<u64, Waker>,
    next_waiter: u64,
}

/// A place in the queue, given back when whoever waits gives up.
struct Waiter<'a> {
    progress: &'a Progress,
    record: Option<Lsn>,
    number: Option<u64>,
}

impl Progress {
    pub(crate) fn new(durable: Lsn, checkpointed: Lsn) -> Arc<Self> {
        let state = State { durable, checkpointed, starved: Vec::new(), halted: None };
        let (records, others) = (BTreeMap::new(), BTreeMap::new());
        let shared = Mutex::new(Shared { state, records, others, next_waiter: 0 });
        Arc::new(Progress { durable: AtomicU64::new(durable.0), starving: AtomicBool::new(false), shared })
    }

    pub(crate) fn durable(&self) -> Lsn {
        Lsn(self.durable.load(Ordering::Acquire))
    }

    pub(crate) fn checkpointed(&self) -> Lsn {
        self.shared.lock().state.checkpointed
    }

    /// The error of everything that comes after a halt.
    pub(crate) fn halted(&self) -> Option<Error> {
        self.shared.lock().state.halted_error()
    }

    pub(super) fn advance(&self, durable: Lsn) {
        let mut shared = self.shared.lock();
        shared.state.durable = durable;
        self.durable.store(durable.0, Ordering::Release);
        let waiting = shared.records.split_off(&(Lsn(durable.0.saturating_add(1)), 0));
        let reached = std::mem::replace(&mut shared.records, waiting);
        let others = std::mem::take(&mut shared.others);
        drop(shared);
        reached.into_values().chain(others.into_values()).for_each(Waker::wake);
    }

    pub(crate) fn set_checkpointed(&self, checkpointed: Lsn) {
        self.change(|state| state.checkpointed = checkpointed);
    }

    /// Says that there is no space for something. Whoever waits for room is told instead of waiting for a fold that cannot come.
    pub(crate) fn starve(&self, what: Starved) {
        self.change(|state| {
            let also = match what {
                // A writer without a file waits for a fold that gives one back: what the last one said is not true of it.
                Starved::Trim if state.starved.contains(&Starved::Writer) => return,
                Starved::Writer => {
                    state.starved.retain(|starved| *starved == Starved::Journal);
                    Some(Starved::Journal)
                }
                _ => None,
            };
            for what in also.into_iter().chain([what]) {
                if !state.starved.contains(&what) {
                    state.starved.push(what);
                }
            }
        });
    }

    /// Says that there is space again.
    pub(crate) fn relieve(&self, what: Starved) {
        self.change(|state| state.starved.retain(|starved| *starved != what));
    }

    /// Whether there is no space for it.
    pub(crate) fn is_starved(&self, what: Starved) -> bool {
        self.starving.load(Ordering::Acquire) && self.shared.lock().state.starved.contains(&what)
    }

    /// Stops everything for good. The first reason stays.
    pub(crate) fn halt(&self, reason: &str) {
        self.change(|state| {
            state.halted.get_or_insert_with(|| reason.into());
        });
        let records = std::mem::take(&mut self.shared.lock().records);
        records.into_values().for_each(Waker::wake);
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut shared = self.shared.lock();
        change(&mut shared.state);
        self.starving.store(!shared.state.starved.is_empty(), Ordering::Release);
        let others = std::mem::take(&mut shared.others);
        drop(shared);
        others.into_values().for_each(Waker::wake);
    }

    /// Waits until the state is as wanted; a halt ends the wait with an error.
    pub(crate) async fn until(&self, wanted: impl Fn(&State) -> bool) -> Result<()> {
        self.wait(None, wanted).await
    }

    /// Waits until all records up to this one are on stable storage.
    pub(crate) async fn reached(&self, lsn: Lsn) -> Result<()> {
        if self.durable() >= lsn {
            return Ok(());
        }
        self.wait(Some(lsn), |state| state.durable >= lsn).await
    }

    async fn wait(&self, record: Option<Lsn>, wanted: impl Fn(&State) -> bool) -> Result<()> {
        let mut waiter = Waiter { progress: self, record, number: None };
        poll_fn(|context| waiter.poll(context, &wanted)).await
    }
}

impl Waiter<'_> {
    fn poll(&mut self, context: &mut Context<'_>, wanted: impl Fn(&State) -> bool) -> Poll<Result<()>> {
        let mut shared = self.progress.shared.lock();
        if wanted(&shared.state) {
            return Poll::Ready(Ok(()));
        }
        if let Some(halted) = shared.state.halted_error() {
            return Poll::Ready(Err(halted));
        }
        let number = *self.number.get_or_insert_with(|| {
            shared.next_waiter += 1;
            shared.next_waiter
        });
        let waker = context.waker().clone();
        match self.record {
            Some(lsn) => shared.records.insert((lsn, number), waker),
            None => shared.others.insert(number, waker),
        };
        Poll::Pending
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        let Some(number) = self.number else { return };
        let mut shared = self.progress.shared.lock();
        match self.record {
            Some(lsn) => shared.records.remove(&(lsn, number)),
            None => shared.others.remove(&number),
        };
    }
}

impl State {
    fn halted_error(&self) -> Option<Error> {
        self.halted.as_ref().map(|reason| Error::Halted { reason: reason.to_string() })
    }
}
