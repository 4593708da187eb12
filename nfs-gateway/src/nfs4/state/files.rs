//! The opens and locks of all files, by inode, in shards.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use engine::{Epoch, InodeId};
use parking_lot::{Mutex, MutexGuard};

use super::client::{Client, ClientId};
use super::file::{FileState, LockOwner, LockRequest, Opening, Refused, Share};
use super::ranges::Range;
use super::stateid::{Selector, StateIndex, Stateid};
use crate::nfs4::status::Status;

/// The opens and locks of all files. `P` keeps a file alive as long as it is open.
#[derive(Debug)]
pub(crate) struct Files<P> {
    epoch: Epoch,
    next_index: AtomicU64,
    shards: Vec<Shard<P>>,
}

type Shard<P> = Mutex<HashMap<InodeId, FileState<P>>>;

/// What is to be done with the data of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Intent {
    /// READ.
    Read,
    /// WRITE, or SETATTR of the size.
    Write,
}

/// On what ground data may be touched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Permission {
    /// The mode bits are to be asked.
    Mode,
    /// The client has opened the file so.
    Opened,
}

impl<P> Files<P> {
    /// Nothing is open.
    pub(crate) fn new(epoch: Epoch) -> Files<P> {
        let shards = (0..SHARDS).map(|_| Mutex::default()).collect();
        Files { epoch, next_index: AtomicU64::new(1), shards }
    }

    /// OPEN. The pin is dropped if the owner has the file open already.
    pub(crate) fn open(&self, inode: InodeId, opening: &Opening, pin: P) -> Result<Stateid, Refused> {
        self.with(inode, |file| {
            let fresh = || self.fresh(&opening.client, inode);
            let (index, seqid) = file.open(opening, pin, fresh)?;
            Ok(Stateid::new(self.epoch, index, seqid))
        })
    }

    /// OPEN_DOWNGRADE.
    pub(crate) fn downgrade(
        &self,
        inode: InodeId,
        stateid: &Stateid,
        client: ClientId,
        to: Share,
    ) -> Result<Stateid, Status> {
        let (index, seqid) = self.state(stateid)?;
        let seqid = self.with(inode, |file| file.downgrade(index, seqid, client, to))?;
        Ok(Stateid::new(self.epoch, index, seqid))
    }

    /// CLOSE.
    pub(crate) fn close(&self, inode: InodeId, stateid: &Stateid, client: &Client) -> Result<(), Status> {
        let (index, seqid) = self.state(stateid)?;
        // The pin is dropped after the shard is free again: that may release the file.
        let (gone, _pin) = self.with(inode, |file| file.close(index, seqid, client.id))?;
        gone.into_iter().for_each(|index| client.release(index));
        Ok(())
    }

    /// Whether data of the file may be touched under the stateid.
    pub(crate) fn permit(
        &self,
        inode: InodeId,
        stateid: &Stateid,
        client: ClientId,
        intent: Intent,
    ) -> Result<Permission, Refused> {
        let needed = match intent {
            Intent::Read => 1,
            Intent::Write => 2,
        };
        let selector = stateid.selector(self.epoch)?;
        self.with(inode, |file| match selector {
            Selector::Bypass if intent == Intent::Read => Ok(Permission::Mode),
            Selector::Anonymous | Selector::Bypass => match file.denies(needed) {
                None => Ok(Permission::Mode),
                Some(by) => Err(Refused::Held { by: Arc::clone(by), status: Status::LOCKED, denied: None }),
            },
            Selector::State { index, seqid } => {
                match (file.share_of(index, seqid, client)?.access & needed != 0, intent) {
                    (true, _) => Ok(Permission::Opened),
                    // A client that writes part of a page reads the rest of it first.
                    (false, Intent::Read) => Ok(Permission::Mode),
                    (false, Intent::Write) => Err(Status::OPENMODE.into()),
                }
            }
        })
    }

    /// LOCK by an owner under an open.
    pub(crate) fn lock_under_open(
        &self,
        inode: InodeId,
        who: &LockOwner,
        open: &Stateid,
        wanted: &LockRequest,
    ) -> Result<Stateid, Refused> {
        let open = self.state(open)?;
        self.with(inode, |file| {
            let fresh = || self.fresh(&who.client, inode);
            let (index, seqid) = file.lock_under_open(who, open, wanted, fresh)?;
            Ok(Stateid::new(self.epoch, index, seqid))
        })
    }

    /// LOCK by a lock stateid.
    pub(crate) fn lock_again(
        &self,
        inode: InodeId,
        client: ClientId,
        stateid: &Stateid,
        wanted: &LockRequest,
    ) -> Result<Stateid, Refused> {
        let state = self.state(stateid)?;
        let seqid = self.with(inode, |file| file.lock_again(client, state, wanted))?;
        Ok(Stateid::new(self.epoch, state.0, seqid))
    }

    /// LOCKT.
    pub(crate) fn test_lock(
        &self,
        inode: InodeId,
        who: &LockOwner,
        wanted: &LockRequest,
    ) -> Result<(), Refused> {
        self.with(inode, |file| file.test_lock(who, wanted))
    }

    /// LOCKU.
    pub(crate) fn unlock(
        &self,
        inode: InodeId,
        client: ClientId,
        stateid: &Stateid,
        range: Range,
    ) -> Result<Stateid, Status> {
        let state = self.state(stateid)?;
        let seqid = self.with(inode, |file| file.unlock(client, state, range))?;
        Ok(Stateid::new(self.epoch, state.0, seqid))
    }

    /// TEST_STATEID.
    pub(crate) fn test(&self, stateid: &Stateid, client: &Client) -> Result<(), Status> {
        let (index, seqid) = self.state(stateid)?;
        let inode = client.file_of(index).ok_or(Status::BAD_STATEID)?;
        self.with(inode, |file| file.share_of(index, seqid, client.id).map(|_| ()))
    }

    /// FREE_STATEID.
    pub(crate) fn free(&self, stateid: &Stateid, client: &Client) -> Result<(), Status> {
        let (index, _) = self.state(stateid)?;
        let inode = client.file_of(index).ok_or(Status::BAD_STATEID)?;
        self.with(inode, |file| file.free(index, client.id))?;
        client.release(index);
        Ok(())
    }

    /// Drops all states of a client, which gets no more.
    pub(crate) fn release_client(&self, client: &Client) {
        for (index, inode) in client.expire() {
            drop(self.with(inode, |file| file.drop_state(index)));
        }
    }

    /// The numbers of opens and of locked ranges.
    pub(crate) fn counts(&self) -> (usize, usize) {
        let mut sum = (0, 0);
        for shard in &self.shards {
            for file in shard.lock().values() {
                let (opens, locks) = file.counts();
                sum = (sum.0 + opens, sum.1 + locks);
            }
        }
        sum
    }

    fn fresh(&self, client: &Client, inode: InodeId) -> Result<StateIndex, Status> {
        let index = StateIndex(self.next_index.fetch_add(1, Ordering::Relaxed));
        client.hold(index, inode).map(|()| index)
    }

    fn state(&self, stateid: &Stateid) -> Result<(StateIndex, u32), Status> {
        match stateid.selector(self.epoch)? {
            Selector::State { index, seqid } => Ok((index, seqid)),
            Selector::Anonymous | Selector::Bypass => Err(Status::BAD_STATEID),
        }
    }

    fn with<T>(&self, inode: InodeId, act: impl FnOnce(&mut FileState<P>) -> T) -> T {
        let Some(mut shard) = self.shard(inode) else {
            return act(&mut FileState::default());
        };
        match shard.get_mut(&inode) {
            Some(file) => {
                let result = act(file);
                if file.is_empty() {
                    shard.remove(&inode);
                }
                result
            }
            None => {
                let mut file = FileState::default();
                let result = act(&mut file);
                if !file.is_empty() {
                    shard.insert(inode, file);
                }
                result
            }
        }
    }

    /// There is one for each inode; the type says that there might be none.
    fn shard(&self, inode: InodeId) -> Option<MutexGuard<'_, HashMap<InodeId, FileState<P>>>> {
        let index = usize::try_from(inode.0 % SHARDS).ok()?;
        self.shards.get(index).map(Mutex::lock)
    }
}

const SHARDS: u64 = 64;

#[cfg(test)]
mod tests;
