//! Inodes, directory entries, orphans and the age index.
//!
//! A pass takes as many inodes as the budget allows, and joins all entries, orphans and ages with them. So each entry is joined once
//! with the directory in which it stands and once with the inode that it names.

use bytes::Bytes;

use super::node::Node;
use super::problem::Problem;
use super::structure::{Anchor, Structure, digest};
use crate::attributes::FileKind;
use crate::error::Result;
use crate::identity::InodeId;
use crate::records::{Content, Dentry, Inode, Totals, key};
use crate::volume::{COLLISIONS_MAX, Look, is_cold};

/// A range of inode numbers with the nodes in it, in their order.
struct Pass {
    nodes: Vec<Node>,
    from: InodeId,
    /// The last number, with it.
    last: InodeId,
}

impl Pass {
    fn contains(&self, inode: InodeId) -> bool {
        (self.from..=self.last).contains(&inode)
    }

    fn node(&mut self, inode: InodeId) -> Option<&mut Node> {
        let at = self.nodes.binary_search_by_key(&inode, |node| node.inode).ok()?;
        self.nodes.get_mut(at)
    }
}

/// What stands before an entry in the order of cookies.
#[derive(Default)]
struct Before {
    directory: Option<InodeId>,
    /// The first cookie of the hash, whether an entry or tombstone stands there, and which.
    first: u64,
    head: Option<bool>,
    /// A tombstone behind which nothing was seen yet.
    tombstone: Option<(InodeId, u64)>,
    names: Vec<Bytes>,
    /// Entries below something that is no directory.
    homeless: Option<(InodeId, u64, Vec<Anchor>)>,
}

impl<L: Look + ?Sized> Structure<'_, L> {
    pub(super) fn check_namespace(&mut self, totals: Option<(Totals, Bytes)>) -> Result<()> {
        let mut counted = Totals::default();
        let mut from = InodeId(0);
        let mut used = 0;
        let mut only_pass = true;
        loop {
            let mut pass = self.take_nodes(from, &mut counted, &mut used)?;
            only_pass &= pass.last.0 == u64::MAX;
            self.count_subdirectories(&mut pass, only_pass)?;
            self.join_entries(&mut pass)?;
            self.join_orphans(&mut pass)?;
            self.join_ages(&mut pass)?;
            for node in &pass.nodes {
                self.judge(node);
            }
            match pass.last.0.checked_add(1) {
                Some(next) => from = InodeId(next),
                None => break,
            }
        }
        self.check_reach()?;
        if let Some((totals, before)) = totals {
            self.judge_totals(&totals, &before, &counted);
            self.check_next_number(used)?;
        }
        Ok(())
    }

    /// The inodes of a pass. Everything that needs one look at each inode is done here.
    fn take_nodes(&mut self, from: InodeId, counted: &mut Totals, used: &mut u64) -> Result<Pass> {
        let room = self.room_for::<Node>();
        let mut pass = Pass { nodes: Vec::new(), from, last: InodeId(u64::MAX) };
        let (mut start, end) = (key::inode(from), key::family(b'i', b"").1);
        while pass.nodes.len() < room {
            let rows = self.look.scan(&start, &end, 1024.min(room - pass.nodes.len()))?;
            self.progress.advance(rows.len() as u64)?;
            let Some((last, _)) = rows.last() else { return Ok(pass) };
            start = key::after(last);
            for (row, value) in &rows {
                let Some(inode) = key::orphan_inode(row) else {
                    self.bad_key(row, value);
                    continue;
                };
                self.found.checked.inodes += 1;
                *used = (*used).max(inode.0);
                if let Some(record) = self.decode(row, value, Inode::decode) {
                    count(counted, &record);
                    pass.nodes.push(Node::new(inode, &record, digest(value)));
                    if let Content::File { id, .. } = record.content {
                        *used = (*used).max(id.0);
                    }
                }
                pass.last = inode;
            }
        }
        Ok(pass)
    }

    fn count_subdirectories(&mut self, pass: &mut Pass, only_pass: bool) -> Result<()> {
        if only_pass {
            let parents: Vec<InodeId> =
                pass.nodes.iter().filter(|node| node.is_subdirectory()).map(|node| node.parent).collect();
            for parent in parents {
                if let Some(node) = pass.node(parent) {
                    node.subdirectories = node.subdirectories.saturating_add(1);
                }
            }
            return Ok(());
        }
        self.each(&key::family(b'i', b""), |_, row, value| {
            let (Some(inode), Ok(record)) = (key::orphan_inode(row), Inode::decode(value)) else {
                return Ok(());
            };
            let node = Node::new(inode, &record, 0);
            if let Some(parent) = pass.node(node.parent).filter(|_| node.is_subdirectory()) {
                parent.subdirectories = parent.subdirectories.saturating_add(1);
            }
            Ok(())
        })
    }

    fn join_entries(&mut self, pass: &mut Pass) -> Result<()> {
        let mut before = Before::default();
        self.each(&key::family(b'd', b""), |this, row, value| {
            let parts = key::dentry_parts(row);
            let dentry = this.decode(row, value, |_| Dentry::decode(value));
            let (Some((directory, cookie)), Some(dentry)) = (parts, dentry) else {
                if parts.is_none() {
                    this.bad_key(row, value);
                }
                return Ok(());
            };
            if pass.contains(directory) {
                this.join_directory(pass, &mut before, (directory, cookie), &dentry, (row, value));
            }
            if !dentry.is_tombstone() && pass.contains(dentry.inode) {
                this.join_named(pass, (directory, cookie), &dentry, (row, value));
            }
            Ok(())
        })?;
        self.end_of_hash(pass, &mut before);
        self.end_of_directory(&mut before);
        Ok(())
    }

    /// The inode that an entry names.
    fn join_named(
        &mut self,
        pass: &mut Pass,
        (directory, cookie): (InodeId, u64),
        dentry: &Dentry,
        (row, value): (&Bytes, &Bytes),
    ) {
        match pass.node(dentry.inode) {
            Some(node) => {
                node.found_links = node.found_links.saturating_add(1);
                node.found_parent = directory;
            }
            None => {
                let (name, inode) = (dentry.name.clone(), dentry.inode);
                let anchors = vec![Anchor::on(row.to_vec(), value), Anchor::absent(key::inode(inode))];
                self.found.add(Problem::EntryWithoutInode { directory, cookie, name, inode }, anchors);
            }
        }
    }

    /// The directory in which an entry stands, and its place there.
    fn join_directory(
        &mut self,
        pass: &mut Pass,
        before: &mut Before,
        (directory, cookie): (InodeId, u64),
        dentry: &Dentry,
        (row, value): (&Bytes, &Bytes),
    ) {
        self.found.checked.entries += 1;
        let first = cookie - cookie % COLLISIONS_MAX;
        if before.directory != Some(directory) || before.first != first {
            self.end_of_hash(pass, before);
            if before.directory != Some(directory) {
                self.end_of_directory(before);
            }
            *before = Before {
                directory: Some(directory),
                first,
                homeless: before.homeless.take(),
                ..Before::default()
            };
        }
        let anchor = Anchor::on(row.to_vec(), value);
        match pass.node(directory).filter(|node| node.kind == FileKind::Directory) {
            Some(node) => node.found_entries += u64::from(!dentry.is_tombstone()),
            None => {
                let known = pass.node(directory).map(|node| node.digest);
                let inode = match known {
                    Some(digest) => Anchor::kept(key::inode(directory), digest),
                    None => Anchor::absent(key::inode(directory)),
                };
                let homeless =
                    before.homeless.get_or_insert_with(|| (directory, 0, vec![inode, anchor.clone()]));
                homeless.1 += 1;
            }
        }
        if dentry.is_tombstone() {
            if cookie == first {
                before.head = Some(false);
                before.tombstone = Some((directory, cookie));
            } else {
                let anchors = vec![anchor];
                self.found.add(Problem::Tombstone { directory, cookie }, anchors);
            }
            return;
        }
        before.tombstone = None;
        let what = if self.names.first_cookie(directory, &dentry.name) != first {
            Some("its name hashes to another place")
        } else if cookie != first && before.head.is_none() {
            Some("nothing stands before it, so that it is not found")
        } else if before.names.contains(&dentry.name) {
            Some("the name is there twice")
        } else {
            None
        };
        before.head = before.head.or((cookie == first).then_some(true));
        before.names.push(dentry.name.clone());
        if let Some(what) = what {
            let name = dentry.name.clone();
            let anchors = vec![anchor, directory_anchor(pass, directory)];
            self.found.add(Problem::EntryMisplaced { directory, cookie, name, what }, anchors);
        }
    }

    /// All entries of one hash were seen.
    fn end_of_hash(&mut self, pass: &mut Pass, before: &mut Before) {
        if let Some((directory, cookie)) = before.tombstone.take() {
            let anchors = vec![directory_anchor(pass, directory)];
            self.found.add(Problem::Tombstone { directory, cookie }, anchors);
        }
    }

    /// All entries of one directory were seen.
    fn end_of_directory(&mut self, before: &mut Before) {
        if let Some((directory, entries, anchors)) = before.homeless.take() {
            self.found.add(Problem::EntriesWithoutDirectory { directory, entries }, anchors);
        }
    }

    fn join_orphans(&mut self, pass: &mut Pass) -> Result<()> {
        self.each(&key::family(b'o', b""), |this, row, value| {
            let Some(inode) = key::orphan_inode(row) else {
                this.bad_key(row, value);
                return Ok(());
            };
            let here = pass.contains(inode);
            match pass.node(inode) {
                Some(node) => node.orphan = true,
                None if here => {
                    let anchors = vec![Anchor::on(row.to_vec(), value), Anchor::absent(key::inode(inode))];
                    this.found.add(Problem::OrphanMissing { inode }, anchors);
                }
                None => {}
            }
            Ok(())
        })
    }

    fn join_ages(&mut self, pass: &mut Pass) -> Result<()> {
        self.each(&key::family(b'a', b""), |this, row, value| {
            let Some((second, inode)) = key::age_parts(row) else {
                this.bad_key(row, value);
                return Ok(());
            };
            let here = pass.contains(inode);
            let node = pass.node(inode);
            let known = node.as_ref().map(|node| node.digest);
            match node {
                Some(node) if node.age_second == Some(second) => node.found_age = true,
                None if !here => {}
                _ => {
                    let what = "it stands there under a time that the file does not know";
                    let file = key::inode(inode);
                    let file = known.map_or(Anchor::absent(file.clone()), |known| Anchor::kept(file, known));
                    let anchors = vec![Anchor::on(row.to_vec(), value), file];
                    this.found.add(Problem::Age { inode, second: Some(second), what }, anchors);
                }
            }
            Ok(())
        })
    }
}

fn directory_anchor(pass: &mut Pass, directory: InodeId) -> Anchor {
    match pass.node(directory) {
        Some(node) => Anchor::kept(key::inode(directory), node.digest),
        None => Anchor::absent(key::inode(directory)),
    }
}

fn count(totals: &mut Totals, record: &Inode) {
    totals.inodes += 1;
    if let Content::File { standard_bytes, cold_bytes, piece_bytes, .. } = &record.content {
        totals.files += 1;
        totals.cold_files += u64::from(is_cold(record));
        totals.standard_bytes = totals.standard_bytes.wrapping_add(*standard_bytes);
        totals.cold_bytes = totals.cold_bytes.wrapping_add(*cold_bytes);
        totals.piece_bytes = totals.piece_bytes.wrapping_add(*piece_bytes);
    }
}
