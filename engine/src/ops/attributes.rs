//! SETATTR.

use super::permission;
use crate::attributes::{Attributes, FileKind, SetAttributes, SetTime, Timestamp};
use crate::credential::{Access, Credential};
use crate::error::{Error, Result};
use crate::file_system::Authority;
use crate::identity::InodeId;
use crate::journal::Pending;
use crate::limits::FILE_SIZE_MAX;
use crate::records::Inode;
use crate::volume::{CHANGE_RESERVATION, Change, Volume};

use super::truncate;

impl Volume {
    pub(crate) async fn set_attributes(
        &self,
        who: &Credential,
        inode: InodeId,
        set: &SetAttributes,
        authority: Authority,
    ) -> Result<Pending<Attributes>> {
        self.store.admit().await?;
        if set.mtime.is_some() && self.buffer.holds(inode) {
            // Else the time of the unflushed data would win over the one that is being set.
            let _: crate::journal::Ticket = self.flush(inode).await?;
        }
        if let Some(size) = set.size {
            self.truncate_in_steps(who, inode, (size, set), authority).await?;
        }
        let mut change = self.begin()?;
        let record = change.inode(inode)?;
        check(who, &record, set, authority)?;
        if let Some(size) = set.size {
            truncate::truncate(self, &mut change, who, inode, size)?;
        }
        let (old, mut new) = self.touch(&change, inode)?;
        let now = change.now();
        apply(who, &mut new, set, now);
        self.bump(inode, &mut new, now);
        change.update_inode(inode, &old, new);
        let unflushed = change.unstable(inode).map_or(0, |view| view.bytes);
        let attributes = change.inode(inode)?.attributes(inode, unflushed);
        Ok(Pending::new(attributes, change.commit()))
    }

    /// Cuts a very long file shorter in several records, so that none of them is too large. The last cut is the caller's; what else is to
    /// be set is checked before the first one.
    async fn truncate_in_steps(
        &self,
        who: &Credential,
        inode: InodeId,
        (size, set): (u64, &SetAttributes),
        authority: Authority,
    ) -> Result<()> {
        let record = self.stored_inode(inode)?;
        if size == 0 || record.kind() != FileKind::Regular || record.size() <= size {
            // The content is replaced as a whole, however long it is; or there is nothing to cut.
            return Ok(());
        }
        let mut points = self.cutting_points(inode, size)?;
        while let Some(point) = points.pop() {
            {
                let mut change = self.begin()?;
                let record = change.inode(inode)?;
                check(who, &record, set, authority)?;
                if record.size() <= point {
                    continue;
                }
                truncate::truncate(self, &mut change, who, inode, point)?;
                drop(change.commit().accepted()?);
            }
            self.store.admit().await?;
        }
        Ok(())
    }

    /// An inode's stored record, and a copy that goes on from the change number that users have seen.
    pub(super) fn touch(&self, change: &Change<'_>, inode: InodeId) -> Result<(Inode, Inode)> {
        let old = change.stored_inode(inode)?;
        let mut new = old.clone();
        if let Some(view) = self.buffer.view(inode) {
            new.change = new.change.max(view.change);
        }
        Ok((old, new))
    }

    /// Bumps the change number of a record that is about to be written.
    pub(super) fn bump(&self, inode: InodeId, record: &mut Inode, now: Timestamp) {
        crate::volume::bump(record, self.epoch, now);
        if self.buffer.holds(inode) && record.change >= record.change_ceiling {
            // A crash leaves the record without the data: another number must stand for that.
            record.change_ceiling = record.change + CHANGE_RESERVATION;
        }
        self.buffer.raise_change(inode, record.change);
    }
}

fn check(who: &Credential, record: &Inode, set: &SetAttributes, authority: Authority) -> Result<()> {
    let owner = permission::is_owner(who, record);
    let changes_time_to = |time: Option<SetTime>| matches!(time, Some(SetTime::To(_)));
    if (set.mode.is_some() || changes_time_to(set.atime) || changes_time_to(set.mtime)) && !owner {
        return Err(Error::NotPermitted);
    }
    if (set.atime.is_some() || set.mtime.is_some()) && !owner {
        permission::need(who, record, Access::WRITE)?;
    }
    if set.uid.is_some_and(|uid| uid != record.uid) && who.uid != 0 {
        return Err(Error::NotPermitted);
    }
    if let Some(gid) = set.gid {
        let allowed = who.uid == 0 || (owner && (gid == record.gid || who.in_group(gid)));
        if !allowed {
            return Err(Error::NotPermitted);
        }
    }
    if set.uid.is_some() && !owner {
        return Err(Error::NotPermitted);
    }
    if let Some(size) = set.size {
        check_size(who, record, size, authority)?;
    }
    Ok(())
}

fn check_size(who: &Credential, record: &Inode, size: u64, authority: Authority) -> Result<()> {
    match record.kind() {
        FileKind::Regular => {}
        FileKind::Directory => return Err(Error::IsDirectory),
        _ => return Err(Error::WrongType),
    }
    if size > FILE_SIZE_MAX {
        return Err(Error::FileTooLarge);
    }
    match authority {
        Authority::OpenForWriting => Ok(()),
        Authority::Mode => permission::need(who, record, Access::WRITE),
    }
}

fn apply(who: &Credential, record: &mut Inode, set: &SetAttributes, now: Timestamp) {
    if (set.uid.is_some() || set.gid.is_some()) && record.kind() == FileKind::Regular {
        // A change of ownership takes the set-id bits away, as on Linux, unless the mode is set with it.
        permission::drop_set_id(record);
    }
    record.uid = set.uid.unwrap_or(record.uid);
    record.gid = set.gid.unwrap_or(record.gid);
    if let Some(mode) = set.mode {
        record.mode = mode & permission::MODE_BITS;
        if who.uid != 0 && !who.in_group(record.gid) && record.kind() != FileKind::Directory {
            record.mode &= !permission::SET_GID;
        }
    }
    let time = |given: SetTime| match given {
        SetTime::Now => now,
        SetTime::To(time) => time,
    };
    record.atime = set.atime.map_or(record.atime, time);
    record.mtime = set.mtime.map_or(record.mtime, time);
}
