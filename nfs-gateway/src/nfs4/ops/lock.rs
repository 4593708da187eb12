//! LOCK, LOCKT, LOCKU.

use bytes::Bytes;
use engine::FileKind;

use super::OpResult;
use crate::nfs4::compound::Compound;
use crate::nfs4::limits::OPAQUE_BYTES_MAX;
use crate::nfs4::state::{LockKind, LockOwner, LockRequest, Range, Stateid};
use crate::nfs4::status::Status;
use crate::xdr::{Reader, Writer, XdrError};

/// Under which state is locked.
enum Locker {
    /// `open_to_lock_owner4`.
    UnderOpen { open: Stateid, owner: Bytes },
    /// `exist_lock_owner4`.
    Again { lock: Stateid },
}

impl Locker {
    fn decode(reader: &mut Reader) -> Result<Locker, XdrError> {
        if reader.bool()? {
            let _open_sequence = reader.u32()?;
            let open = Stateid::decode(reader)?;
            let _lock_sequence = reader.u32()?;
            Ok(Locker::UnderOpen { open, owner: decode_owner(reader)? })
        } else {
            let lock = Stateid::decode(reader)?;
            let _lock_sequence = reader.u32()?;
            Ok(Locker::Again { lock })
        }
    }
}

/// The name of a lock owner; which client it is says the session.
fn decode_owner(reader: &mut Reader) -> Result<Bytes, XdrError> {
    let _client = reader.u64()?;
    reader.opaque(OPAQUE_BYTES_MAX)
}

/// The blocking variants are the same: who waits asks again.
fn decode_kind(reader: &mut Reader) -> Result<LockKind, XdrError> {
    match reader.u32()? {
        1 | 3 => Ok(LockKind::Read),
        2 | 4 => Ok(LockKind::Write),
        other => Err(XdrError::UnknownValue(other)),
    }
}

fn decode_range(reader: &mut Reader) -> Result<(u64, u64), XdrError> {
    Ok((reader.u64()?, reader.u64()?))
}

fn range((offset, length): (u64, u64)) -> Result<Range, Status> {
    Range::new(offset, length).ok_or(Status::INVAL)
}

impl Compound<'_> {
    pub(super) async fn lock(&mut self, out: &mut Writer) -> OpResult {
        let kind = decode_kind(&mut self.args)?;
        let reclaim = self.args.bool()?;
        let bytes = decode_range(&mut self.args)?;
        let locker = Locker::decode(&mut self.args)?;
        let client = self.client()?;
        let inode = self.lockable()?;
        let wanted = LockRequest { range: range(bytes)?, kind };
        self.check_grant(&client, reclaim)?;
        self.record(&client).await?;
        let files = &self.service.files;
        let stateid = loop {
            let result = match &locker {
                Locker::UnderOpen { open, owner } => {
                    let who = LockOwner { client: client.clone(), owner: owner.clone() };
                    files.lock_under_open(inode, &who, &self.stateid(*open)?, &wanted)
                }
                Locker::Again { lock } => files.lock_again(inode, client.id, &self.stateid(*lock)?, &wanted),
            };
            match result {
                Ok(stateid) => break stateid,
                Err(refused) => self.service.give_way(refused).await?,
            }
        };
        self.set_stateid(stateid);
        stateid.encode(out);
        Ok(())
    }

    pub(super) async fn lockt(&mut self) -> OpResult {
        let kind = decode_kind(&mut self.args)?;
        let bytes = decode_range(&mut self.args)?;
        let owner = decode_owner(&mut self.args)?;
        let client = self.client()?;
        let inode = self.lockable()?;
        let wanted = LockRequest { range: range(bytes)?, kind };
        if self.service.in_grace() {
            return Err(Status::GRACE.into());
        }
        let who = LockOwner { client, owner };
        loop {
            match self.service.files.test_lock(inode, &who, &wanted) {
                Ok(()) => return Ok(()),
                Err(refused) => self.service.give_way(refused).await?,
            }
        }
    }

    pub(super) fn locku(&mut self, out: &mut Writer) -> OpResult {
        let _kind = decode_kind(&mut self.args)?;
        let _sequence = self.args.u32()?;
        let stateid = self.decode_stateid()?;
        let bytes = decode_range(&mut self.args)?;
        let (inode, client) = (self.lockable()?, self.client()?);
        let stateid = self.service.files.unlock(inode, client.id, &stateid, range(bytes)?)?;
        self.set_stateid(stateid);
        stateid.encode(out);
        Ok(())
    }

    fn lockable(&self) -> Result<engine::InodeId, Status> {
        let attributes = &self.current()?.attributes;
        match attributes.kind {
            FileKind::Regular => Ok(attributes.inode),
            FileKind::Directory => Err(Status::ISDIR),
            FileKind::Symlink => Err(Status::SYMLINK),
            FileKind::Fifo | FileKind::Socket | FileKind::BlockDevice | FileKind::CharacterDevice => {
                Err(Status::WRONG_TYPE)
            }
        }
    }
}
