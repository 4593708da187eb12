//! The directory tree of a simulated disk: as it is seen, and as it is on the disk.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Node {
    Directory,
    File(usize),
}

#[derive(Clone, Default)]
pub(super) struct Names {
    seen: BTreeMap<PathBuf, Node>,
    durable: BTreeMap<PathBuf, Node>,
    unsynced: Vec<Change>,
}

#[derive(Clone)]
enum Change {
    Make(PathBuf, Node),
    Rename(PathBuf, PathBuf, Node),
    Remove(PathBuf),
}

impl Names {
    pub(super) fn file(&self, path: &Path) -> io::Result<usize> {
        match self.seen.get(path) {
            Some(Node::File(inode)) => Ok(*inode),
            Some(Node::Directory) => Err(io::ErrorKind::IsADirectory.into()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    pub(super) fn exists(&self, path: &Path) -> bool {
        self.seen.contains_key(path)
    }

    pub(super) fn is_directory(&self, path: &Path) -> bool {
        path.parent().is_none() || self.seen.get(path) == Some(&Node::Directory)
    }

    pub(super) fn inside<'a>(&'a self, directory: &'a Path) -> impl Iterator<Item = &'a PathBuf> {
        self.seen.keys().filter(move |path| path.parent() == Some(directory))
    }

    pub(super) fn path_of(&self, inode: usize) -> Option<&Path> {
        self.seen.iter().find(|(_, node)| **node == Node::File(inode)).map(|(path, _)| path.as_path())
    }

    pub(super) fn inodes(&self) -> impl Iterator<Item = usize> {
        self.seen.values().filter_map(|node| match node {
            Node::File(inode) => Some(*inode),
            Node::Directory => None,
        })
    }

    /// The files that may be there after the next power failure, too.
    pub(super) fn reachable(&self) -> BTreeSet<usize> {
        let unsynced = self.unsynced.iter().filter_map(|change| match change {
            Change::Make(_, node) | Change::Rename(_, _, node) => Some(node),
            Change::Remove(_) => None,
        });
        let nodes = self.seen.values().chain(self.durable.values()).chain(unsynced);
        nodes
            .filter_map(|node| match node {
                Node::File(inode) => Some(*inode),
                Node::Directory => None,
            })
            .collect()
    }

    pub(super) fn make(&mut self, path: &Path, node: Node) {
        self.change(Change::Make(path.to_owned(), node));
    }

    /// Everything below a renamed directory goes with it.
    pub(super) fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        let node = *self.seen.get(from).ok_or(io::ErrorKind::NotFound)?;
        assert_eq!(from.parent(), to.parent(), "files are renamed within their directory");
        self.change(Change::Rename(from.to_owned(), to.to_owned(), node));
        Ok(())
    }

    pub(super) fn remove(&mut self, path: &Path) {
        self.change(Change::Remove(path.to_owned()));
    }

    fn change(&mut self, change: Change) {
        change.clone().apply(&mut self.seen);
        self.unsynced.push(change);
    }

    pub(super) fn sync(&mut self, directory: &Path) {
        for change in std::mem::take(&mut self.unsynced) {
            if change.directory() == Some(directory) {
                change.apply(&mut self.durable);
            } else {
                self.unsynced.push(change);
            }
        }
    }

    /// Leaves what a power failure leaves: of the names that were not synced any, and nothing whose directory is gone.
    pub(super) fn lose_power(&mut self, mut survives: impl FnMut() -> bool) {
        for change in std::mem::take(&mut self.unsynced) {
            if survives() {
                change.apply(&mut self.durable);
            }
        }
        let durable = std::mem::take(&mut self.durable);
        for (path, node) in durable {
            let parent = path.parent().unwrap_or(Path::new("/"));
            let root = parent.parent().is_none();
            if root || self.durable.get(parent) == Some(&Node::Directory) {
                self.durable.insert(path, node);
            }
        }
        self.seen.clone_from(&self.durable);
    }
}

impl Change {
    fn apply(self, names: &mut BTreeMap<PathBuf, Node>) {
        match self {
            Change::Make(path, node) => {
                names.insert(path, node);
            }
            Change::Rename(from, to, node) => {
                // The name may have been made without a sync, and may be known under the new name only.
                names.remove(&from);
                let below: Vec<PathBuf> =
                    names.keys().filter(|path| path.starts_with(&from)).cloned().collect();
                for old in below {
                    if let (Some(node), Ok(rest)) = (names.remove(&old), old.strip_prefix(&from)) {
                        names.insert(to.join(rest), node);
                    }
                }
                names.insert(to, node);
            }
            Change::Remove(path) => {
                names.remove(&path);
            }
        }
    }

    fn directory(&self) -> Option<&Path> {
        match self {
            Change::Make(path, _) | Change::Remove(path) => path.parent(),
            Change::Rename(_, to, _) => to.parent(),
        }
    }
}
