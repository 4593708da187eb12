//! A client: who it is, its lease, and an index of its states.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use engine::InodeId;
use parking_lot::Mutex;

use super::session::{SessionId, SessionRequest};
use super::stateid::StateIndex;
use crate::nfs4::limits;
use crate::nfs4::status::Status;
use crate::rpc::Principal;

/// `clientid4`: the epoch of the server and a number that is never used twice in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct ClientId(pub(crate) u64);

/// A client record.
#[derive(Debug)]
pub(crate) struct Client {
    /// Its id.
    pub(crate) id: ClientId,
    /// `co_ownerid`.
    pub(crate) owner: Bytes,
    /// `co_verifier`: another one is another life of the client.
    pub(crate) verifier: [u8; 8],
    /// Who made the record.
    pub(crate) principal: Principal,
    renewed_ns: AtomicU64,
    reclaim_complete: AtomicBool,
    recorded: AtomicBool,
    pub(super) create: Mutex<CreateSlot>,
    pub(super) sessions: Mutex<Vec<SessionId>>,
    held: Mutex<Held>,
}

/// The one slot of CREATE_SESSION (RFC 8881 §18.36.4).
#[derive(Debug)]
pub(super) struct CreateSlot {
    /// The sequence number that is expected.
    pub(super) next: u32,
    /// The answer to the one before.
    pub(super) last: Option<Result<(SessionId, SessionRequest), Status>>,
}

#[derive(Debug, Default)]
struct Held {
    expired: bool,
    states: HashMap<StateIndex, InodeId>,
}

impl Client {
    pub(super) fn new(
        id: ClientId,
        owner: Bytes,
        verifier: [u8; 8],
        principal: Principal,
        now: Duration,
    ) -> Client {
        Client {
            id,
            owner,
            verifier,
            principal,
            renewed_ns: AtomicU64::new(nanoseconds(now)),
            reclaim_complete: AtomicBool::new(false),
            recorded: AtomicBool::new(false),
            create: Mutex::new(CreateSlot { next: 1, last: None }),
            sessions: Mutex::new(Vec::new()),
            held: Mutex::new(Held::default()),
        }
    }

    /// Renews the lease.
    pub(crate) fn renew(&self, now: Duration) {
        self.renewed_ns.fetch_max(nanoseconds(now), Ordering::Relaxed);
    }

    /// Time since the lease was renewed.
    pub(crate) fn idle(&self, now: Duration) -> Duration {
        Duration::from_nanos(nanoseconds(now).saturating_sub(self.renewed_ns.load(Ordering::Relaxed)))
    }

    /// Whether RECLAIM_COMPLETE has come.
    pub(crate) fn is_reclaim_complete(&self) -> bool {
        self.reclaim_complete.load(Ordering::Acquire)
    }

    /// RECLAIM_COMPLETE comes; an error if it has before.
    pub(crate) fn complete_reclaim(&self) -> Result<(), Status> {
        match self.reclaim_complete.swap(true, Ordering::AcqRel) {
            false => Ok(()),
            true => Err(Status::COMPLETE_ALREADY),
        }
    }

    /// Whether its durable record stands (rule D5).
    pub(crate) fn is_recorded(&self) -> bool {
        self.recorded.load(Ordering::Acquire)
    }

    /// Its record is durable.
    pub(crate) fn set_recorded(&self) {
        self.recorded.store(true, Ordering::Release);
    }

    /// Whether it has opens or locks.
    pub(crate) fn has_state(&self) -> bool {
        !self.held.lock().states.is_empty()
    }

    /// Whether it has sessions.
    pub(crate) fn has_sessions(&self) -> bool {
        !self.sessions.lock().is_empty()
    }

    /// The file of a state.
    pub(crate) fn file_of(&self, index: StateIndex) -> Option<InodeId> {
        self.held.lock().states.get(&index).copied()
    }

    /// Enters a state; refused if the client is gone or has too many.
    pub(super) fn hold(&self, index: StateIndex, inode: InodeId) -> Result<(), Status> {
        let mut held = self.held.lock();
        if held.expired {
            return Err(Status::EXPIRED);
        }
        if held.states.len() >= limits::STATES_PER_CLIENT_MAX {
            return Err(Status::SERVERFAULT);
        }
        held.states.insert(index, inode);
        Ok(())
    }

    /// Strikes a state out.
    pub(super) fn release(&self, index: StateIndex) {
        self.held.lock().states.remove(&index);
    }

    /// Ends it: no state can be entered any more. The states that it had.
    pub(super) fn expire(&self) -> HashMap<StateIndex, InodeId> {
        let mut held = self.held.lock();
        held.expired = true;
        std::mem::take(&mut held.states)
    }

    /// Whether it has been ended.
    pub(crate) fn is_expired(&self) -> bool {
        self.held.lock().expired
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
