//! How far the store has got, for everybody who waits.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::watch;

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
    /// The next journal file.
    Journal,
    /// A fold.
    Fold,
}

/// The one place where durability is announced. Only the journal's writer advances it.
#[derive(Debug)]
pub(crate) struct Progress {
    durable: AtomicU64,
    state: watch::Sender<State>,
}

impl Progress {
    pub(crate) fn new(durable: Lsn, checkpointed: Lsn) -> Arc<Self> {
        let state = State { durable, checkpointed, starved: Vec::new(), halted: None };
        Arc::new(Progress { durable: AtomicU64::new(durable.0), state: watch::Sender::new(state) })
    }

    pub(crate) fn durable(&self) -> Lsn {
        Lsn(self.durable.load(Ordering::Acquire))
    }

    pub(crate) fn checkpointed(&self) -> Lsn {
        self.state.borrow().checkpointed
    }

    /// The error of everything that comes after a halt.
    pub(crate) fn halted(&self) -> Option<Error> {
        let state = self.state.borrow();
        state.halted.as_ref().map(|reason| Error::Halted { reason: reason.to_string() })
    }

    pub(super) fn advance(&self, durable: Lsn) {
        self.durable.store(durable.0, Ordering::Release);
        self.state.send_modify(|state| state.durable = durable);
    }

    pub(crate) fn set_checkpointed(&self, checkpointed: Lsn) {
        self.state.send_modify(|state| state.checkpointed = checkpointed);
    }

    /// Says that there is no space for something. Whoever waits for room is told instead of waiting for a fold that cannot come.
    pub(crate) fn starve(&self, what: Starved) {
        self.state.send_if_modified(|state| {
            let news = !state.starved.contains(&what);
            if news {
                state.starved.push(what);
            }
            news
        });
    }

    /// Says that there is space again.
    pub(crate) fn relieve(&self, what: Starved) {
        self.state.send_if_modified(|state| {
            let before = state.starved.len();
            state.starved.retain(|starved| *starved != what);
            state.starved.len() != before
        });
    }

    /// Stops everything for good. The first reason stays.
    pub(crate) fn halt(&self, reason: &str) {
        self.state.send_if_modified(|state| {
            let first = state.halted.is_none();
            if first {
                state.halted = Some(reason.into());
            }
            first
        });
    }

    /// Waits until the state is as wanted; a halt ends the wait with an error.
    pub(crate) async fn until(&self, wanted: impl Fn(&State) -> bool) -> Result<()> {
        let mut receiver = self.state.subscribe();
        let reached = receiver.wait_for(|state| wanted(state) || state.halted.is_some()).await;
        let closed = || Error::Halted { reason: "the file system was closed".to_owned() };
        let state = reached.map_err(|_| closed())?.clone();
        if wanted(&state) {
            return Ok(());
        }
        Err(state.halted.map_or_else(closed, |reason| Error::Halted { reason: reason.to_string() }))
    }

    /// Waits until all records up to this one are on stable storage.
    pub(crate) async fn reached(&self, lsn: Lsn) -> Result<()> {
        if self.durable() >= lsn {
            return Ok(());
        }
        self.until(|state| state.durable >= lsn).await
    }
}
