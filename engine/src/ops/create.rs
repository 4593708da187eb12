//! OPEN with create, MKDIR, SYMLINK, MKNOD.

use bytes::Bytes;

use super::entries::{self, EntryDelta};
use super::{permission, truncate};
use crate::attributes::{DeviceNumber, FileKind, SetAttributes, SetTime, Timestamp};
use crate::credential::Credential;
use crate::error::{Error, Result};
use crate::file_system::{CreateMode, CreateOutcome, Created, DirectoryChange, Entry};
use crate::identity::{ContentId, Epoch, Generation, InodeId};
use crate::journal::Pending;
use crate::limits::{FILE_SIZE_MAX, LINKS_MAX, SYMLINK_BYTES_MAX};
use crate::records::{Content, Inode};
use crate::volume::{CHANGE_RESERVATION, Change, Volume, first_change};

/// What a new inode shall be.
pub(crate) enum NewContent<'a> {
    Directory,
    Symlink(&'a [u8]),
    Node(FileKind, DeviceNumber),
}

/// Room that a new inode may need on the disk before it is folded and checkpointed.
const INODE_ROOM_BYTES: u64 = 4096;

impl Volume {
    pub(crate) async fn create_file(
        &self,
        who: &Credential,
        entry: Entry<'_>,
        mode: CreateMode,
        set: &SetAttributes,
    ) -> Result<Pending<Created>> {
        entries::check_name(entry.name)?;
        self.store.admit().await?;
        let mut change = self.begin()?;
        let directory = change.stored_inode(entry.directory)?;
        permission::need_search(who, &directory)?;
        if let Some(found) = entries::find(&change, &self.names, entry.directory, entry.name)? {
            return self.open_existing(who, change, found.inode, &directory, mode, set);
        }
        permission::need_entry_write(who, &directory)?;
        self.space.grant(INODE_ROOM_BYTES, self.buffer.bytes())?;
        let inode = InodeId(change.new_id());
        let mut content = Content::empty_file(ContentId(change.new_id()));
        if let Content::File { size, verifier, .. } = &mut content {
            *size = set.size.unwrap_or(0);
            if *size > FILE_SIZE_MAX {
                return Err(Error::FileTooLarge);
            }
            if let CreateMode::Exclusive(given) = mode {
                *verifier = Some(given);
            }
        }
        self.finish_create(change, who, &directory, entry, (inode, content), set)
    }

    /// OPEN of a name that is there.
    fn open_existing(
        &self,
        who: &Credential,
        mut change: Change<'_>,
        inode: InodeId,
        directory: &Inode,
        mode: CreateMode,
        set: &SetAttributes,
    ) -> Result<Pending<Created>> {
        let record = change.inode(inode)?;
        let unchanged = DirectoryChange { before: directory.change, after: directory.change };
        let outcome = match mode {
            CreateMode::Guarded => return Err(Error::Exists),
            CreateMode::Exclusive(given) => match record.content {
                Content::File { verifier: Some(verifier), .. } if verifier == given => CreateOutcome::Created,
                _ => return Err(Error::Exists),
            },
            CreateMode::Unchecked => CreateOutcome::Existed,
        };
        if outcome == CreateOutcome::Existed && set.size == Some(0) && record.kind() == FileKind::Regular {
            permission::need(who, &record, crate::credential::Access::WRITE)?;
            truncate::truncate(self, &mut change, who, inode, 0)?;
        }
        let attributes = change.inode(inode)?.attributes(inode, 0);
        // Somebody else, or the same one before, may have made it a moment ago: it may not be durable yet.
        let ticket = change.commit().merge(self.store.everything());
        Ok(Pending::new(Created { attributes, outcome, directory: unchanged }, ticket))
    }

    pub(crate) async fn create_other(
        &self,
        who: &Credential,
        entry: Entry<'_>,
        new: NewContent<'_>,
        set: &SetAttributes,
    ) -> Result<Pending<Created>> {
        entries::check_name(entry.name)?;
        self.store.admit().await?;
        let mut change = self.begin()?;
        let directory = change.stored_inode(entry.directory)?;
        permission::need_search(who, &directory)?;
        if entries::find(&change, &self.names, entry.directory, entry.name)?.is_some() {
            return Err(Error::Exists);
        }
        permission::need_entry_write(who, &directory)?;
        self.space.grant(INODE_ROOM_BYTES, self.buffer.bytes())?;
        let content = match new {
            NewContent::Directory if directory.links >= LINKS_MAX => return Err(Error::TooManyLinks),
            NewContent::Directory => Content::Directory { parent: entry.directory, entries: 0 },
            NewContent::Symlink(target) => Content::Symlink { target: check_target(target)? },
            NewContent::Node(FileKind::Fifo, _) => Content::Fifo,
            NewContent::Node(FileKind::Socket, _) => Content::Socket,
            NewContent::Node(FileKind::BlockDevice, device) => need_root(who, Content::BlockDevice(device))?,
            NewContent::Node(FileKind::CharacterDevice, device) => {
                need_root(who, Content::CharacterDevice(device))?
            }
            NewContent::Node(..) => return Err(Error::WrongType),
        };
        let inode = InodeId(change.new_id());
        self.finish_create(change, who, &directory, entry, (inode, content), set)
    }

    fn finish_create(
        &self,
        mut change: Change<'_>,
        who: &Credential,
        directory: &Inode,
        entry: Entry<'_>,
        (inode, content): (InodeId, Content),
        set: &SetAttributes,
    ) -> Result<Pending<Created>> {
        let now = change.now();
        let record = new_inode(who, directory, content, set, (now, self.epoch))?;
        let is_directory = record.kind() == FileKind::Directory;
        let attributes = record.attributes(inode, 0);
        change.insert_inode(inode, record);
        entries::insert(&mut change, &self.names, entry.directory, entry.name, inode)?;
        let delta = EntryDelta { entries: 1, subdirectories: i64::from(is_directory) };
        let directory = entries::update_directory(&mut change, entry.directory, delta, now)?;
        Ok(Pending::new(Created { attributes, outcome: CreateOutcome::Created, directory }, change.commit()))
    }
}

fn check_target(target: &[u8]) -> Result<Bytes> {
    if target.is_empty() || target.contains(&0) {
        return Err(Error::Invalid { what: "the target of a symbolic link is empty or has a NUL byte" });
    }
    if target.len() > SYMLINK_BYTES_MAX {
        return Err(Error::NameTooLong { max: SYMLINK_BYTES_MAX });
    }
    Ok(Bytes::copy_from_slice(target))
}

fn need_root(who: &Credential, content: Content) -> Result<Content> {
    if who.uid == 0 { Ok(content) } else { Err(Error::NotPermitted) }
}

/// The record of a new inode. Its group, and a directory's set-gid bit, are inherited from a set-gid directory.
fn new_inode(
    who: &Credential,
    directory: &Inode,
    content: Content,
    set: &SetAttributes,
    (now, epoch): (Timestamp, Epoch),
) -> Result<Inode> {
    let is_directory = matches!(content, Content::Directory { .. });
    let inherits = directory.mode & permission::SET_GID != 0;
    let uid = set.uid.unwrap_or(who.uid);
    let gid = set.gid.unwrap_or(if inherits { directory.gid } else { who.gid });
    let may_chown =
        who.uid == 0 || (uid == who.uid && (who.in_group(gid) || (inherits && gid == directory.gid)));
    if !may_chown {
        return Err(Error::NotPermitted);
    }
    let default_mode = match content {
        Content::Directory { .. } => 0o755,
        Content::Symlink { .. } => 0o777,
        _ => 0o644,
    };
    let mut mode = set.mode.unwrap_or(default_mode) & permission::MODE_BITS;
    if is_directory && inherits {
        mode |= permission::SET_GID;
    }
    if !is_directory && who.uid != 0 && !who.in_group(gid) {
        mode &= !permission::SET_GID;
    }
    let time = |given: Option<SetTime>| match given {
        Some(SetTime::To(time)) => time,
        Some(SetTime::Now) | None => now,
    };
    let first = first_change(epoch);
    Ok(Inode {
        epoch,
        // The number of an inode that a crash takes back is given out again.
        generation: Generation(epoch.0),
        mode,
        links: if is_directory { 2 } else { 1 },
        uid,
        gid,
        atime: time(set.atime),
        mtime: time(set.mtime),
        ctime: now,
        last_access: now,
        change: first,
        change_ceiling: first + CHANGE_RESERVATION,
        content,
    })
}

impl Volume {
    /// Writes the root directory of a new file system.
    pub(crate) fn make_root(&self) -> Result<crate::journal::Ticket> {
        let mut change = self.begin()?;
        change.start_ids_at(InodeId::ROOT.0 + 1);
        let now = change.now();
        change.insert_inode(InodeId::ROOT, Inode::directory(InodeId::ROOT, 0o755, now));
        Ok(change.commit())
    }
}
