//! Clients that work on the file system and tell the model what they were told.

mod contents;

use std::cell::RefCell;
use std::time::Duration;

pub(super) use contents::read_all;

use super::life::verify;
use super::machine::Machine;
use super::model::Model;
use super::plan::{Chance, Op};
use super::tree::{self, Kind, Node, Tree};
use super::{Result, lost};
use crate::attributes::{SetAttributes, SetTime, Timestamp};
use crate::credential::Credential;
use crate::error::{self, Error, ErrorKind};
use crate::file_system::{Authority, CreateMode, Created, Entry, FileSystem, Pin};
use crate::identity::InodeId;
use crate::journal::{Pending, Ticket};
use crate::tiering::Tier;
use crate::verify::Depth;

/// One client. Its files are those whose inode numbers are its own, so that it knows what is in them.
pub(super) struct Client<'a> {
    pub(super) fs: &'a FileSystem,
    pub(super) machine: &'a Machine,
    pub(super) model: &'a RefCell<Model>,
    pub(super) number: u64,
    pub(super) clients: u64,
    pub(super) chance: Chance,
    /// Files that are kept open.
    pub(super) open: Vec<Pin>,
    /// Whether the store of objects, the disk, or the clock may be in the way.
    pub(super) trouble: Trouble,
}

/// What a plan puts in the way.
#[derive(Debug, Clone, Copy)]
pub(super) struct Trouble {
    pub(super) storm: bool,
    pub(super) full: bool,
    pub(super) syncs_fail: bool,
}

/// Whether a client can go on.
enum Next {
    GoOn,
    /// The power is off, or the file system stopped.
    End,
}

impl Client<'_> {
    /// Works until it is done or the power is off.
    pub(super) async fn work(&mut self, operations: &[Op]) -> Result {
        for operation in operations {
            if self.machine.disk.is_off() {
                break;
            }
            match self.operation(*operation).await? {
                Next::GoOn => {}
                Next::End => break,
            }
        }
        self.open.clear();
        Ok(())
    }

    async fn operation(&mut self, operation: Op) -> Result<Next> {
        match operation {
            Op::Create { directory, name } => self.create(directory, name, Make::File).await,
            Op::MakeDirectory { directory, name } => self.create(directory, name, Make::Directory).await,
            Op::MakeSymlink { directory, name } => self.create(directory, name, Make::Symlink).await,
            Op::Link { file, directory, name } => self.link(file, directory, name).await,
            Op::Rename { from, name, to, new } => self.rename((from, name), (to, new)).await,
            Op::Remove { directory, name } => self.remove(directory, name).await,
            Op::SetMode { node, mode } => self.set_mode(node, mode).await,
            Op::Truncate { file, size } => self.truncate(file, size as usize).await,
            Op::Write { file, offset, length, stability } => {
                self.write(file, offset as usize, length as usize, stability).await
            }
            Op::Commit { file } => self.commit(file).await,
            Op::Read { file } => self.read(file).await,
            Op::Open { file } => {
                let pin = self.file(file).map(|inode| self.fs.pin(inode));
                match pin {
                    Some(Ok(pin)) => self.open.push(pin),
                    Some(Err(error)) => return self.refused(&error, false),
                    None => {}
                }
                Ok(Next::GoOn)
            }
            Op::CloseAll => {
                self.open.clear();
                Ok(Next::GoOn)
            }
            Op::Transition { files, to } => self.transition(files, to).await,
            Op::Checkpoint => match self.fs.volume().store.checkpoint().await {
                Ok(_) => Ok(Next::GoOn),
                Err(error) => self.refused(&error, false),
            },
            Op::Punch { file, offset, length } => self.punch(file, offset as usize, length as usize).await,
            Op::Clone { from, to, unit, units } => {
                self.clone_units((from, to), usize::from(unit), usize::from(units)).await
            }
            Op::RotateKey => match self.fs.rotate_key(None).await {
                Ok(_) => Ok(Next::GoOn),
                // Too many at once.
                Err(error) => self.refused(&error, true),
            },
            Op::Collect => match self.fs.collect().await {
                Ok(_) => Ok(Next::GoOn),
                Err(error) => self.refused(&error, false),
            },
            // What was being written when a sync failed lies about until the next start.
            Op::Verify if self.trouble.syncs_fail => Ok(Next::GoOn),
            Op::Verify => match verify(self.fs, Depth { local: false, bucket: true }).await {
                Ok(verified) => verified.map(|()| Next::GoOn),
                Err(error) => self.refused(&error, false),
            },
            Op::Note { key, value } => self.note(key, value).await,
            Op::Sleep { milliseconds } => {
                tokio::time::sleep(Duration::from_millis(u64::from(milliseconds))).await;
                Ok(Next::GoOn)
            }
        }
    }

    /// Sorts an error: `expected` says that the model would refuse it, too.
    fn refused(&self, error: &Error, expected: bool) -> Result<Next> {
        let halted = self.machine.disk.is_off() || self.trouble.syncs_fail;
        match error.kind() {
            ErrorKind::Refused if expected => Ok(Next::GoOn),
            ErrorKind::Fatal if halted => Ok(Next::End),
            ErrorKind::NoSpace if self.trouble.full || halted => Ok(Next::GoOn),
            // Of the object store.
            ErrorKind::Retry(_) if self.trouble.storm => Ok(Next::GoOn),
            _ => lost(format!("an operation failed: {error:?}")),
        }
    }

    async fn acknowledged(&self, ticket: &Ticket, sequence: u64) -> Result<Next> {
        match ticket.durable().await {
            Ok(_) => {
                self.model.borrow_mut().acknowledge(sequence);
                Ok(Next::GoOn)
            }
            Err(error) => self.refused(&error, false),
        }
    }

    fn directory(&self, number: u8) -> InodeId {
        let model = self.model.borrow();
        let directories: Vec<InodeId> = model
            .tree()
            .iter()
            .filter(|(_, node)| node.entries().is_some())
            .map(|(inode, _)| *inode)
            .collect();
        directories[usize::from(number) % directories.len()]
    }

    /// One of the files of this client: with a name, or kept open.
    fn file(&self, number: u8) -> Option<InodeId> {
        let model = self.model.borrow();
        let named = model.tree().iter().filter(|(_, node)| node.kind == Kind::File).map(|(inode, _)| *inode);
        let mut files: Vec<InodeId> = named
            .chain(self.open.iter().map(Pin::inode))
            .filter(|inode| inode.0 % self.clients == self.number)
            .collect();
        files.sort_unstable();
        files.dedup();
        (!files.is_empty()).then(|| files[usize::from(number) % files.len()])
    }

    /// Whether users can get at it.
    fn exists(&self, inode: InodeId) -> bool {
        self.model.borrow().tree().contains_key(&inode) || self.open.iter().any(|pin| pin.inode() == inode)
    }

    fn find(&self, directory: InodeId, name: &[u8]) -> Option<InodeId> {
        let model = self.model.borrow();
        model.tree().get(&directory)?.entries()?.get(name).copied()
    }

    async fn create(&self, directory: u8, name: u8, make: Make) -> Result<Next> {
        let (directory, name) = (self.directory(directory), name_of(name));
        let (who, entry) = (Credential::root(), Entry { directory, name: &name });
        let set = SetAttributes::default();
        let target = b"target".as_slice();
        let made: error::Result<Pending<Created>> = match make {
            Make::File => self.fs.create(&who, entry, CreateMode::Guarded, &set).await,
            Make::Directory => self.fs.make_directory(&who, entry, &set).await,
            Make::Symlink => self.fs.make_symlink(&who, entry, target, &set).await,
        };
        let possible = self.exists(directory) && self.find(directory, &name).is_none();
        let (created, ticket) = match made {
            Ok(pending) if possible => pending.into_parts(),
            Ok(_) => return lost("something was made that was there, or where nothing is"),
            Err(error) => return self.refused(&error, !possible),
        };
        let attributes = &created.attributes;
        let kind = match make {
            Make::File => Kind::File,
            Make::Directory => Kind::Directory { parent: directory, entries: Default::default() },
            Make::Symlink => Kind::Symlink(target.to_vec()),
        };
        let owner = (attributes.uid, attributes.gid);
        let (links, mode, atime) = (attributes.links, attributes.mode, attributes.atime);
        let node = Node { kind, links, mode, owner, atime };
        let inode = attributes.inode;
        let sequence = self.change(|tree| tree::add(tree, (directory, &name), inode, node));
        if matches!(make, Make::File) {
            self.model.borrow_mut().files.insert(inode, super::content::History::new(Vec::new()));
        }
        let next = self.acknowledged(&ticket, sequence).await?;
        self.told(&next, &[(directory, created.directory.after), (inode, attributes.change)]);
        Ok(next)
    }

    fn change(&self, change: impl FnOnce(&mut Tree)) -> u64 {
        self.model.borrow_mut().change_tree(change)
    }

    fn told(&self, next: &Next, changes: &[(InodeId, u64)]) {
        if let Next::GoOn = next {
            let mut model = self.model.borrow_mut();
            changes.iter().for_each(|(inode, change)| model.promised(*inode, *change));
        }
    }

    async fn link(&self, file: u8, directory: u8, name: u8) -> Result<Next> {
        let Some(inode) = self.file(file) else { return Ok(Next::GoOn) };
        let (directory, name) = (self.directory(directory), name_of(name));
        let linked = self.fs.link(&Credential::root(), inode, Entry { directory, name: &name }).await;
        let named = self.model.borrow().tree().contains_key(&inode);
        let possible = named && self.exists(directory) && self.find(directory, &name).is_none();
        match linked {
            Ok(pending) if possible => {
                let (linked, ticket) = pending.into_parts();
                let sequence = self.change(|tree| tree::link(tree, (directory, &name), inode));
                let next = self.acknowledged(&ticket, sequence).await?;
                self.told(&next, &[(directory, linked.directory.after)]);
                Ok(next)
            }
            Ok(_) => lost("a link was made that cannot be"),
            Err(error) => self.refused(&error, !possible),
        }
    }

    async fn rename(&self, (from, name): (u8, u8), (to, new): (u8, u8)) -> Result<Next> {
        let (from, name, to, new) = (self.directory(from), name_of(name), self.directory(to), name_of(new));
        let (source, target) = (Entry { directory: from, name: &name }, Entry { directory: to, name: &new });
        let renamed = self.fs.rename(&Credential::root(), source, target).await;
        let possible = can_rename(self.model.borrow().tree(), (from, &name), (to, &new));
        match renamed {
            Ok(pending) if possible => {
                let (renamed, ticket) = pending.into_parts();
                let sequence = self.change(|tree| tree::rename(tree, (from, &name), (to, &new)));
                let next = self.acknowledged(&ticket, sequence).await?;
                self.told(&next, &[(from, renamed.source.after), (to, renamed.target.after)]);
                Ok(next)
            }
            Ok(_) => lost("a rename was done that cannot be"),
            Err(error) => self.refused(&error, !possible),
        }
    }

    async fn remove(&self, directory: u8, name: u8) -> Result<Next> {
        let (directory, name) = (self.directory(directory), name_of(name));
        let removed = self.fs.remove(&Credential::root(), Entry { directory, name: &name }).await;
        let found = self.find(directory, &name);
        let possible = found.is_some_and(|inode| {
            self.model.borrow().tree()[&inode].entries().is_none_or(|entries| entries.is_empty())
        });
        match removed {
            Ok(pending) if possible => {
                let (removed, ticket) = pending.into_parts();
                if Some(removed.inode) != found {
                    return lost("something else was removed");
                }
                let sequence = self.change(|tree| tree::remove(tree, (directory, &name)));
                let next = self.acknowledged(&ticket, sequence).await?;
                self.told(&next, &[(directory, removed.directory.after)]);
                Ok(next)
            }
            Ok(_) => lost("something was removed that is not there, or not empty"),
            Err(error) => self.refused(&error, !possible),
        }
    }

    async fn set_mode(&self, node: u8, mode: u32) -> Result<Next> {
        let inode = {
            let model = self.model.borrow();
            let nodes: Vec<InodeId> = model.tree().keys().copied().collect();
            nodes[usize::from(node) % nodes.len()]
        };
        let owner = (mode % 7, mode / 7 % 5);
        let (uid, gid) = (Some(owner.0), Some(owner.1));
        let atime = Timestamp { seconds: i64::from(mode), nanoseconds: mode };
        let set = SetAttributes {
            mode: Some(mode),
            uid,
            gid,
            atime: Some(SetTime::To(atime)),
            ..SetAttributes::default()
        };
        let done = self.fs.set_attributes(&Credential::root(), inode, &set, Authority::Mode).await;
        let exists = self.model.borrow().tree().contains_key(&inode);
        match done {
            Ok(pending) => {
                let (attributes, ticket) = pending.into_parts();
                // It may be without a name and open elsewhere.
                let sequence = self.change(|tree| {
                    tree.entry(inode).and_modify(|node| {
                        (node.mode, node.owner, node.atime) = (mode, owner, atime);
                    });
                });
                let next = self.acknowledged(&ticket, sequence).await?;
                self.told(&next, &[(inode, attributes.change)]);
                Ok(next)
            }
            Err(error) => self.refused(&error, !exists),
        }
    }

    async fn transition(&self, first: u8, to: Tier) -> Result<Next> {
        let files: Vec<InodeId> = {
            let model = self.model.borrow();
            let files = model.tree().iter().filter(|(_, node)| node.kind == Kind::File);
            files.map(|(inode, _)| *inode).skip(usize::from(first) % 4).collect()
        };
        match self.fs.transition(&files, to).await {
            Ok(_) => Ok(Next::GoOn),
            Err(error) => self.refused(&error, false),
        }
    }

    async fn note(&self, key: u8, value: u8) -> Result<Next> {
        match self.fs.set_note(&format!("note/{key}"), Some(&[value])).await {
            Ok(ticket) => {
                let sequence = self.model.borrow_mut().set_note(key, value);
                self.acknowledged(&ticket, sequence).await
            }
            Err(error) => self.refused(&error, false),
        }
    }
}

#[derive(Debug, Clone, Copy)]
enum Make {
    File,
    Directory,
    Symlink,
}

fn name_of(number: u8) -> Vec<u8> {
    format!("n{number}").into_bytes()
}

fn can_rename(tree: &Tree, from: (InodeId, &[u8]), to: (InodeId, &[u8])) -> bool {
    let find = |(directory, name): (InodeId, &[u8])| tree.get(&directory)?.entries()?.get(name).copied();
    let Some(moved) = find(from) else { return false };
    if !tree.contains_key(&to.0) {
        return false;
    }
    let target = find(to);
    if target == Some(moved) {
        return true;
    }
    let is_directory = tree[&moved].entries().is_some();
    if is_directory && tree::is_above(tree, moved, to.0) {
        return false;
    }
    target.is_none_or(|target| match (is_directory, tree[&target].entries()) {
        (true, Some(entries)) => entries.is_empty(),
        (false, None) => true,
        _ => false,
    })
}
