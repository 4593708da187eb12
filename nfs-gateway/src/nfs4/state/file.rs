//! The opens and locks of one file.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;

use super::client::{Client, ClientId};
use super::ranges::{LockKind, Range, Ranges};
use super::stateid::{StateIndex, check_seqid, next_seqid};
use crate::nfs4::limits;
use crate::nfs4::status::Status;

/// `share_access` and `share_deny`: 1 is reading, 2 writing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Share {
    /// What the opener wants.
    pub(crate) access: u8,
    /// What others may not.
    pub(crate) deny: u8,
}

/// An OPEN.
#[derive(Debug, Clone)]
pub(crate) struct Opening {
    /// Whose.
    pub(crate) client: Arc<Client>,
    /// The open owner.
    pub(crate) owner: Bytes,
    /// How.
    pub(crate) share: Share,
}

/// Who locks: the lock owners of two clients are two, whatever their names.
#[derive(Debug, Clone)]
pub(crate) struct LockOwner {
    /// Of which client.
    pub(crate) client: Arc<Client>,
    /// Its name there.
    pub(crate) owner: Bytes,
}

/// What is to be locked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LockRequest {
    /// Which bytes.
    pub(crate) range: Range,
    /// How.
    pub(crate) kind: LockKind,
}

/// The lock that is in the way.
#[derive(Debug, Clone)]
pub(crate) struct Denied {
    /// What it holds.
    pub(crate) lock: LockRequest,
    /// Of which client.
    pub(crate) client: ClientId,
    /// Its owner.
    pub(crate) owner: Bytes,
}

/// Why not.
#[derive(Debug)]
pub(crate) enum Refused {
    /// It is wrong.
    Status(Status),
    /// Somebody else holds what it needs. If his lease is over, he is to give way.
    Held {
        /// Who.
        by: Arc<Client>,
        /// What to answer, if he does not.
        status: Status,
        /// Which lock, if it is one.
        denied: Option<Denied>,
    },
}

impl From<Status> for Refused {
    fn from(status: Status) -> Self {
        Refused::Status(status)
    }
}

/// The shares that were opened under one stateid: a bit for each pair of access and deny.
#[derive(Debug, Clone, Copy, Default)]
struct Shares(u16);

impl Shares {
    fn add(&mut self, share: Share) {
        self.0 |= 1 << (4 * share.access + share.deny);
    }

    fn union(self) -> Share {
        let mut union = Share { access: 0, deny: 0 };
        for bit in (0..16u8).filter(|bit| self.0 & (1 << bit) != 0) {
            union.access |= bit / 4;
            union.deny |= bit % 4;
        }
        union
    }

    /// What is left of the opens when only this may remain; nothing, if no set of opens makes exactly this.
    fn downgrade(self, to: Share) -> Option<Shares> {
        let inside = |bit: &u8| bit / 4 & !to.access == 0 && bit % 4 & !to.deny == 0;
        let rest = (0..16u8).filter(inside).fold(0, |bits, bit| bits | (self.0 & (1 << bit)));
        let rest = Shares(rest);
        (rest.union() == to).then_some(rest)
    }
}

#[derive(Debug)]
struct Open<P> {
    client: Arc<Client>,
    owner: Bytes,
    seqid: u32,
    shares: Shares,
    /// Keeps the file alive.
    pin: P,
}

#[derive(Debug)]
struct Locker {
    owner: LockOwner,
    open: StateIndex,
    seqid: u32,
    ranges: Ranges,
}

/// The opens and locks of one file. `P` keeps the file alive as long as it is open.
#[derive(Debug)]
pub(super) struct FileState<P> {
    opens: HashMap<StateIndex, Open<P>>,
    lockers: HashMap<StateIndex, Locker>,
}

impl<P> Default for FileState<P> {
    fn default() -> Self {
        FileState { opens: HashMap::new(), lockers: HashMap::new() }
    }
}

impl LockOwner {
    fn is(&self, other: &LockOwner) -> bool {
        self.client.id == other.client.id && self.owner == other.owner
    }
}

impl<P> FileState<P> {
    pub(super) fn is_empty(&self) -> bool {
        self.opens.is_empty() && self.lockers.is_empty()
    }

    /// The numbers of opens and of locked ranges.
    pub(super) fn counts(&self) -> (usize, usize) {
        (self.opens.len(), self.lockers.values().map(|locker| locker.ranges.len()).sum())
    }

    /// OPEN: a second one of the same owner is merged into the first. `fresh` numbers a new state.
    pub(super) fn open(
        &mut self,
        opening: &Opening,
        pin: P,
        fresh: impl FnOnce() -> Result<StateIndex, Status>,
    ) -> Result<(StateIndex, u32), Refused> {
        let mine = |open: &Open<P>| open.client.id == opening.client.id && open.owner == opening.owner;
        let wanted = opening.share;
        for open in self.opens.values().filter(|open| !mine(open)) {
            let held = open.shares.union();
            if held.deny & wanted.access != 0 || wanted.deny & held.access != 0 {
                return Err(Refused::Held {
                    by: Arc::clone(&open.client),
                    status: Status::SHARE_DENIED,
                    denied: None,
                });
            }
        }
        if let Some((index, open)) = self.opens.iter_mut().find(|(_, open)| mine(open)) {
            open.shares.add(wanted);
            open.seqid = next_seqid(open.seqid);
            return Ok((*index, open.seqid));
        }
        let index = fresh()?;
        let mut shares = Shares::default();
        shares.add(wanted);
        let client = Arc::clone(&opening.client);
        self.opens.insert(index, Open { client, owner: opening.owner.clone(), seqid: 1, shares, pin });
        Ok((index, 1))
    }

    /// OPEN_DOWNGRADE.
    pub(super) fn downgrade(
        &mut self,
        index: StateIndex,
        seqid: u32,
        client: ClientId,
        to: Share,
    ) -> Result<u32, Status> {
        let open = self.opens.get_mut(&index).filter(|open| open.client.id == client);
        let open = open.ok_or(Status::BAD_STATEID)?;
        check_seqid(seqid, open.seqid)?;
        open.shares = open.shares.downgrade(to).ok_or(Status::INVAL)?;
        open.seqid = next_seqid(open.seqid);
        Ok(open.seqid)
    }

    /// CLOSE: the states that are gone, with the locks made under the open, and what kept the file alive.
    pub(super) fn close(
        &mut self,
        index: StateIndex,
        seqid: u32,
        client: ClientId,
    ) -> Result<(Vec<StateIndex>, Option<P>), Status> {
        let open = self.opens.get(&index).filter(|open| open.client.id == client);
        check_seqid(seqid, open.ok_or(Status::BAD_STATEID)?.seqid)?;
        let pin = self.opens.remove(&index).map(|open| open.pin);
        let under = |(_, locker): &(&StateIndex, &Locker)| locker.open == index;
        let mut gone: Vec<_> = self.lockers.iter().filter(under).map(|(locker, _)| *locker).collect();
        self.lockers.retain(|_, locker| locker.open != index);
        gone.push(index);
        Ok((gone, pin))
    }

    /// What a state allows, and whether the client knows its newest form.
    pub(super) fn share_of(&self, index: StateIndex, seqid: u32, client: ClientId) -> Result<Share, Status> {
        if let Some(locker) = self.lockers.get(&index).filter(|locker| locker.owner.client.id == client) {
            check_seqid(seqid, locker.seqid)?;
            let open = self.opens.get(&locker.open).ok_or(Status::BAD_STATEID)?;
            return Ok(open.shares.union());
        }
        let open = self.opens.get(&index).filter(|open| open.client.id == client);
        let open = open.ok_or(Status::BAD_STATEID)?;
        check_seqid(seqid, open.seqid)?;
        Ok(open.shares.union())
    }

    /// Whether somebody denies this access to those who have not opened the file.
    pub(super) fn denies(&self, access: u8) -> Option<&Arc<Client>> {
        let denying = |open: &&Open<P>| open.shares.union().deny & access != 0;
        self.opens.values().find(denying).map(|open| &open.client)
    }

    fn lock_conflict(&self, who: &LockOwner, wanted: &LockRequest) -> Option<Refused> {
        self.lockers.values().filter(|locker| !locker.owner.is(who)).find_map(|locker| {
            let held = locker.ranges.conflict(&wanted.range, wanted.kind)?;
            let denied = Denied {
                lock: LockRequest { range: held.range, kind: held.kind },
                client: locker.owner.client.id,
                owner: locker.owner.owner.clone(),
            };
            let by = Arc::clone(&locker.owner.client);
            Some(Refused::Held { by, status: Status::DENIED, denied: Some(denied) })
        })
    }

    /// LOCKT.
    pub(super) fn test_lock(&self, who: &LockOwner, wanted: &LockRequest) -> Result<(), Refused> {
        self.lock_conflict(who, wanted).map_or(Ok(()), Err)
    }

    /// LOCK by an owner under an open; its lock state is made if there is none.
    pub(super) fn lock_under_open(
        &mut self,
        who: &LockOwner,
        open: (StateIndex, u32),
        wanted: &LockRequest,
        fresh: impl FnOnce() -> Result<StateIndex, Status>,
    ) -> Result<(StateIndex, u32), Refused> {
        let (index, seqid) = open;
        let found = self.opens.get(&index).filter(|open| open.client.id == who.client.id);
        let found = found.ok_or(Status::BAD_STATEID)?;
        check_seqid(seqid, found.seqid)?;
        check_mode(found.shares, wanted.kind)?;
        if let Some(refused) = self.lock_conflict(who, wanted) {
            return Err(refused);
        }
        let mine = |(_, locker): &(&StateIndex, &Locker)| locker.open == index && locker.owner.is(who);
        let existing = self.lockers.iter().find(mine).map(|(index, _)| *index);
        let state = match existing {
            Some(state) => state,
            None => {
                let state = fresh()?;
                let ranges = Ranges::default();
                self.lockers.insert(state, Locker { owner: who.clone(), open: index, seqid: 0, ranges });
                state
            }
        };
        Ok((state, self.hold_range(state, wanted)?))
    }

    /// LOCK by a lock state.
    pub(super) fn lock_again(
        &mut self,
        client: ClientId,
        state: (StateIndex, u32),
        wanted: &LockRequest,
    ) -> Result<u32, Refused> {
        let (index, seqid) = state;
        let locker = self.lockers.get(&index).filter(|locker| locker.owner.client.id == client);
        let locker = locker.ok_or(Status::BAD_STATEID)?;
        check_seqid(seqid, locker.seqid)?;
        let open = self.opens.get(&locker.open).ok_or(Status::BAD_STATEID)?;
        check_mode(open.shares, wanted.kind)?;
        if let Some(refused) = self.lock_conflict(&locker.owner, wanted) {
            return Err(refused);
        }
        Ok(self.hold_range(index, wanted)?)
    }

    fn hold_range(&mut self, state: StateIndex, wanted: &LockRequest) -> Result<u32, Status> {
        let owner = self.lockers.get(&state).map(|locker| locker.owner.clone()).ok_or(Status::BAD_STATEID)?;
        // The same owner under another open has no second lock on the same bytes.
        for (index, other) in &mut self.lockers {
            if *index != state && other.owner.is(&owner) {
                other.ranges.clear(wanted.range);
            }
        }
        let locker = self.lockers.get_mut(&state).ok_or(Status::BAD_STATEID)?;
        if locker.ranges.len() >= limits::RANGES_PER_OWNER_MAX {
            return Err(Status::SERVERFAULT);
        }
        locker.ranges.set(wanted.range, wanted.kind);
        locker.seqid = next_seqid(locker.seqid);
        Ok(locker.seqid)
    }

    /// LOCKU.
    pub(super) fn unlock(
        &mut self,
        client: ClientId,
        state: (StateIndex, u32),
        range: Range,
    ) -> Result<u32, Status> {
        let (index, seqid) = state;
        let locker = self.lockers.get_mut(&index).filter(|locker| locker.owner.client.id == client);
        let locker = locker.ok_or(Status::BAD_STATEID)?;
        check_seqid(seqid, locker.seqid)?;
        locker.ranges.clear(range);
        locker.seqid = next_seqid(locker.seqid);
        Ok(locker.seqid)
    }

    /// FREE_STATEID: only of a lock owner without locks.
    pub(super) fn free(&mut self, index: StateIndex, client: ClientId) -> Result<(), Status> {
        if self.opens.get(&index).is_some_and(|open| open.client.id == client) {
            return Err(Status::LOCKS_HELD);
        }
        let locker = self.lockers.get(&index).filter(|locker| locker.owner.client.id == client);
        if !locker.ok_or(Status::BAD_STATEID)?.ranges.is_empty() {
            return Err(Status::LOCKS_HELD);
        }
        self.lockers.remove(&index);
        Ok(())
    }

    /// Drops a state whatever it is: what kept the file alive for it.
    pub(super) fn drop_state(&mut self, index: StateIndex) -> Option<P> {
        self.lockers.remove(&index);
        self.opens.remove(&index).map(|open| open.pin)
    }
}

fn check_mode(shares: Shares, kind: LockKind) -> Result<(), Status> {
    let needed = match kind {
        LockKind::Read => 1,
        LockKind::Write => 2,
    };
    if shares.union().access & needed == 0 {
        return Err(Status::OPENMODE);
    }
    Ok(())
}
