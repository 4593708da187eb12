//! Inodes, directory entries, orphans and the age index.
//!
//! A pass takes as many inodes as the budget allows, and joins all entries, orphans and ages with them. So each entry is joined once
//! with the directory in which it stands and once with the inode that it names.

use bytes::Bytes;

use super::problem::{Counter, Problem};
use super::structure::{Anchor, Structure, digest};
use crate::attributes::FileKind;
use crate::error::Result;
use crate::identity::InodeId;
use crate::records::{Content, Dentry, Inode, Totals, key};
use crate::volume::{COLLISIONS_MAX, Look, age_key, is_cold};

/// What is known of an inode in a pass.
#[derive(Debug, Clone, Copy)]
pub(super) struct Node {
    inode: InodeId,
    digest: u64,
    kind: FileKind,
    links: u32,
    found_links: u32,
    /// Of a directory: what it says, and in which directory its last entry was.
    parent: InodeId,
    found_parent: InodeId,
    entries: u64,
    found_entries: u64,
    subdirectories: u32,
    orphan: bool,
    /// Of a file: where it must stand in the age index, whether it must, and whether it does.
    age_second: Option<u64>,
    has_local_data: bool,
    found_age: bool,
}

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

    /// Everything that concerns one inode is known.
    fn judge(&mut self, node: &Node) {
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

    fn judge_totals(&mut self, stored: &Totals, before: &Bytes, counted: &Totals) {
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
    fn check_next_number(&mut self, used: u64) -> Result<()> {
        let Some(after) = self.look.get(&key::totals())? else { return Ok(()) };
        if let Ok(Totals { next_id: next, .. }) = Totals::decode(&after)
            && next <= used
        {
            self.found.add(Problem::NextNumber { next, used }, Vec::new());
        }
        Ok(())
    }
}

impl Node {
    fn new(inode: InodeId, record: &Inode, digest: u64) -> Node {
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
    fn is_subdirectory(&self) -> bool {
        self.kind == FileKind::Directory && self.links > 0 && self.inode != InodeId::ROOT
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
