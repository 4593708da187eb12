//! The namespace, as the model has it and as the file system shows it.

use std::collections::BTreeMap;

use crate::attributes::{Attributes, FileKind, Timestamp};
use crate::credential::Credential;
use crate::error;
use crate::file_system::{Cookie, FileSystem};
use crate::identity::InodeId;

/// All inodes that have a name.
pub(super) type Tree = BTreeMap<InodeId, Node>;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Node {
    pub(super) kind: Kind,
    pub(super) links: u32,
    pub(super) mode: u32,
    pub(super) owner: (u32, u32),
    pub(super) atime: Timestamp,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    File,
    Symlink(Vec<u8>),
    Directory { parent: InodeId, entries: BTreeMap<Vec<u8>, InodeId> },
}

impl Node {
    pub(super) fn entries(&self) -> Option<&BTreeMap<Vec<u8>, InodeId>> {
        match &self.kind {
            Kind::Directory { entries, .. } => Some(entries),
            _ => None,
        }
    }
}

pub(super) fn entries(tree: &Tree, directory: InodeId) -> &BTreeMap<Vec<u8>, InodeId> {
    tree[&directory].entries().unwrap()
}

fn entries_mut(tree: &mut Tree, directory: InodeId) -> &mut BTreeMap<Vec<u8>, InodeId> {
    match &mut tree.get_mut(&directory).unwrap().kind {
        Kind::Directory { entries, .. } => entries,
        _ => panic!("inode {directory} is no directory"),
    }
}

pub(super) fn add(tree: &mut Tree, (directory, name): (InodeId, &[u8]), inode: InodeId, node: Node) {
    if matches!(node.kind, Kind::Directory { .. }) {
        tree.get_mut(&directory).unwrap().links += 1;
    }
    tree.insert(inode, node);
    entries_mut(tree, directory).insert(name.to_vec(), inode);
}

pub(super) fn link(tree: &mut Tree, (directory, name): (InodeId, &[u8]), inode: InodeId) {
    tree.get_mut(&inode).unwrap().links += 1;
    entries_mut(tree, directory).insert(name.to_vec(), inode);
}

pub(super) fn remove(tree: &mut Tree, (directory, name): (InodeId, &[u8])) {
    let inode = entries_mut(tree, directory).remove(name).unwrap();
    let node = tree.get_mut(&inode).unwrap();
    if matches!(node.kind, Kind::Directory { .. }) {
        tree.remove(&inode);
        tree.get_mut(&directory).unwrap().links -= 1;
        return;
    }
    node.links -= 1;
    if node.links == 0 {
        tree.remove(&inode);
    }
}

pub(super) fn rename(tree: &mut Tree, from: (InodeId, &[u8]), to: (InodeId, &[u8])) {
    let inode = entries(tree, from.0)[from.1];
    if entries(tree, to.0).get(to.1) == Some(&inode) {
        return;
    }
    if entries(tree, to.0).contains_key(to.1) {
        remove(tree, to);
    }
    entries_mut(tree, from.0).remove(from.1);
    entries_mut(tree, to.0).insert(to.1.to_vec(), inode);
    if let Kind::Directory { parent, .. } = &mut tree.get_mut(&inode).unwrap().kind {
        *parent = to.0;
        tree.get_mut(&from.0).unwrap().links -= 1;
        tree.get_mut(&to.0).unwrap().links += 1;
    }
}

/// Whether a directory is the other one or above it.
pub(super) fn is_above(tree: &Tree, above: InodeId, below: InodeId) -> bool {
    let mut at = below;
    loop {
        if at == above {
            return true;
        }
        match &tree[&at].kind {
            Kind::Directory { parent, .. } if *parent != at => at = *parent,
            _ => return false,
        }
    }
}

/// The namespace as the file system shows it.
pub(super) fn read(fs: &FileSystem) -> error::Result<Tree> {
    let mut tree = Tree::new();
    let root = fs.attributes(InodeId::ROOT)?;
    let mut directories = vec![(InodeId::ROOT, root)];
    while let Some((parent, attributes)) = directories.pop() {
        let directory = attributes.inode;
        let mut entries = BTreeMap::new();
        let mut after = Cookie(0);
        loop {
            let page = fs.read_directory(&Credential::root(), directory, after, 3)?;
            for entry in &page.entries {
                after = entry.cookie;
                let attributes = &entry.attributes;
                let kind = match attributes.kind {
                    FileKind::Directory => {
                        directories.push((directory, attributes.clone()));
                        None
                    }
                    FileKind::Symlink => Some(Kind::Symlink(fs.read_link(attributes.inode)?.to_vec())),
                    _ => Some(Kind::File),
                };
                if let Some(kind) = kind {
                    tree.insert(attributes.inode, node(kind, attributes));
                }
                entries.insert(entry.name.to_vec(), attributes.inode);
            }
            if page.end {
                break;
            }
        }
        tree.insert(directory, node(Kind::Directory { parent, entries }, &attributes));
    }
    Ok(tree)
}

fn node(kind: Kind, attributes: &Attributes) -> Node {
    let owner = (attributes.uid, attributes.gid);
    let Attributes { links, mode, atime, .. } = *attributes;
    Node { kind, links, mode, owner, atime }
}
