//! What is known of one inode, and what is wrong with it when all of it is known.

use bytes::Bytes;

use super::problem::{Counter, Problem};
use super::structure::{Anchor, Structure};
use crate::attributes::FileKind;
use crate::error::Result;
use crate::identity::InodeId;
use crate::records::{Content, Inode, Totals, key};
use crate::volume::{Look, age_key};

/// What is known of an inode in a pass.
#[derive(Debug, Clone, Copy)]
pub(super) struct Node {
    pub(super) inode: InodeId,
    pub(super) digest: u64,
    pub(super) kind: FileKind,
    pub(super) links: u32,
    pub(super) found_links: u32,
    /// Of a directory: what it says, and in which directory its last entry was.
    pub(super) parent: InodeId,
    pub(super) found_parent: InodeId,
    pub(super) entries: u64,
    pub(super) found_entries: u64,
    pub(super) subdirectories: u32,
    pub(super) orphan: bool,
    /// Of a file: where it must stand in the age index, whether it must, and whether it does.
    pub(super) age_second: Option<u64>,
    pub(super) has_local_data: bool,
    pub(super) found_age: bool,
}

impl Node {
    pub(super) fn new(inode: InodeId, record: &Inode, digest: u64) -> Node {
        let (parent, entries) = match &record.content {
            Content::Directory { parent, entries } => (*parent, *entries),
            _ => (InodeId(0), 0),
        };
        let (age_second, has_local_data) = match &record.content {
            Content::File { age_second, standard_bytes, piece_bytes, .. } => {
                (*age_second, *standard_bytes > 0 || *piece_bytes > 0)
            }
            _ => (None, false),
        };
        Node {
            inode,
            digest,
            kind: record.kind(),
            links: record.links,
            found_links: 0,
            parent,
            found_parent: InodeId(0),
            entries,
            found_entries: 0,
            subdirectories: 0,
            orphan: false,
            age_second,
            has_local_data,
            found_age: false,
        }
    }

    /// Whether its parent counts it among its links.
    pub(super) fn is_subdirectory(&self) -> bool {
        self.kind == FileKind::Directory && self.links > 0 && self.inode != InodeId::ROOT
    }
}

impl<L: Look + ?Sized> Structure<'_, L> {
    /// Everything that concerns one inode is known.
    pub(super) fn judge(&mut self, node: &Node) {
        let inode = node.inode;
        let own = || Anchor::kept(key::inode(inode), node.digest);
        if node.links == 0 && !node.orphan {
            self.found
                .add(Problem::UnlinkedNotOrphan { inode }, vec![own(), Anchor::absent(key::orphan(inode))]);
        }
        if node.links > 0 && node.orphan {
            let orphan = Anchor::on(key::orphan(inode), b"");
            self.found.add(Problem::OrphanLinked { inode }, vec![own(), orphan]);
        }
        if node.kind == FileKind::Directory {
            self.judge_directory(node);
        } else if node.links > 0 && node.found_links == 0 {
            self.found.add(Problem::Unreachable { inode }, vec![own()]);
        } else {
            let stored = u64::from(node.links);
            let counter = Counter { name: "links", stored, counted: u64::from(node.found_links) };
            self.judge_counter(node, counter);
        }
        if let Some(second) = node.age_second.filter(|_| !node.found_age) {
            let what = "the file is not there";
            let missing = Anchor::absent(age_key(second, inode));
            self.found.add(Problem::Age { inode, second: None, what }, vec![own(), missing]);
        }
        if node.age_second.is_some() != node.has_local_data {
            let what = if node.has_local_data {
                "a file with data in Standard is not in it"
            } else {
                "a file without data in Standard is in it"
            };
            self.found.add(Problem::Age { inode, second: node.age_second, what }, vec![own()]);
        }
    }

    fn judge_directory(&mut self, node: &Node) {
        let inode = node.inode;
        let own = || vec![Anchor::kept(key::inode(inode), node.digest)];
        let is_root = inode == InodeId::ROOT;
        let wanted = u32::from(!is_root && node.links > 0);
        if node.found_links < wanted {
            self.found.add(Problem::Unreachable { inode }, own());
        } else if node.found_links > wanted {
            let entries = u64::from(node.found_links);
            self.found.add(Problem::DirectoryLinked { directory: inode, entries }, own());
        } else {
            let found = if is_root { inode } else { node.found_parent };
            if (is_root || node.links > 0) && found != node.parent {
                let problem = Problem::Parent { directory: inode, stored: node.parent, found };
                self.found.add(problem, own());
            }
        }
        let counted = if node.links == 0 { 0 } else { u64::from(node.subdirectories) + 2 };
        self.judge_counter(node, Counter { name: "links", stored: u64::from(node.links), counted });
        let counted = node.found_entries;
        self.judge_counter(node, Counter { name: "entries", stored: node.entries, counted });
    }

    fn judge_counter(&mut self, node: &Node, counter: Counter) {
        if counter.stored != counter.counted {
            let anchors = vec![Anchor::kept(key::inode(node.inode), node.digest)];
            self.found.add(Problem::InodeCounter { inode: node.inode, counter }, anchors);
        }
    }

    pub(super) fn judge_totals(&mut self, stored: &Totals, before: &Bytes, counted: &Totals) {
        for (name, stored, counted) in [
            ("inodes", stored.inodes, counted.inodes),
            ("files", stored.files, counted.files),
            ("cold files", stored.cold_files, counted.cold_files),
            ("Standard bytes", stored.standard_bytes, counted.standard_bytes),
            ("cold bytes", stored.cold_bytes, counted.cold_bytes),
            ("bytes of pieces", stored.piece_bytes, counted.piece_bytes),
        ] {
            if stored != counted {
                let anchors = vec![Anchor::on(key::totals(), before)];
                self.found.add(Problem::Total(Counter { name, stored, counted }), anchors);
            }
        }
    }

    /// The totals are read after all numbers in use were seen: they only grow.
    pub(super) fn check_next_number(&mut self, used: u64) -> Result<()> {
        let Some(after) = self.look.get(&key::totals())? else { return Ok(()) };
        if let Ok(Totals { next_id: next, .. }) = Totals::decode(&after)
            && next <= used
        {
            self.found.add(Problem::NextNumber { next, used }, Vec::new());
        }
        Ok(())
    }
}
