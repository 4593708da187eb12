//! The names of the files that are hit.
//!
//! There is no way from an inode to its entries, nor from a content to its inode, but to look at all of them: once for all findings.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use super::problem::Problem;
use super::report::{Finding, VerifyReport};
use super::structure::{Found, each_row};
use crate::data::BlockAddress;
use crate::error::Result;
use crate::identity::{ContentId, InodeId, SegmentId};
use crate::limits::{FINDING_FILES_MAX, NAMED_DEPTH_MAX};
use crate::records::{Content, Dentry, Extent, Inode, key};
use crate::volume::Look;

/// The report.
pub(super) fn name(look: &(dyn Look + Sync), found: Found) -> VerifyReport {
    let problems: Vec<Problem> = found.suspicions.into_iter().map(|one| one.problem).collect();
    let mut names = Names::default();
    if !problems.is_empty() {
        // A file system of which the records cannot be read has no names either.
        let _ = names.gather(look, &problems);
    }
    let findings = problems.into_iter().map(|problem| {
        let files = names.of(look, &problem);
        Finding { problem, files }
    });
    VerifyReport {
        findings: findings.collect(),
        more: found.more,
        checked: found.checked,
        unsettled: found.unsettled,
        unused: found.unused,
        unread: found.unread,
        undecoded: found.undecoded,
    }
}

#[derive(Default)]
struct Names {
    /// The contents of which blocks stand in segments that are hit.
    contents_of: BTreeMap<SegmentId, BTreeSet<ContentId>>,
    /// The contents that show a block that is hit, by its segment and offset: clones do, too, and what it was sealed as may not any more.
    contents_at: BTreeMap<(SegmentId, u64), BTreeSet<ContentId>>,
    inode_of: BTreeMap<ContentId, InodeId>,
    /// One entry of each inode that is hit: where, and under which name.
    entry_of: BTreeMap<InodeId, (InodeId, Bytes)>,
}

impl Names {
    fn gather(&mut self, look: &(dyn Look + Sync), problems: &[Problem]) -> Result<()> {
        let segments: BTreeSet<SegmentId> = problems.iter().filter_map(Problem::segment).collect();
        let blocks = problems.iter().filter_map(Problem::damaged_block);
        self.contents_at = blocks.map(|block| (block, BTreeSet::new())).collect();
        if !segments.is_empty() || !self.contents_at.is_empty() {
            self.find_contents(look, &segments)?;
        }
        let shown = self.contents_of.values().chain(self.contents_at.values());
        let mut contents: BTreeSet<ContentId> = shown.flatten().copied().collect();
        contents.extend(problems.iter().filter_map(Problem::content));
        if !contents.is_empty() {
            each(look, b'i', |row, value| {
                if let (Some(inode), Ok(Inode { content: Content::File { id, .. }, .. })) =
                    (key::orphan_inode(row), Inode::decode(value))
                    && contents.contains(&id)
                {
                    self.inode_of.insert(id, inode);
                }
            })?;
        }
        let mut inodes: BTreeSet<InodeId> = self.inode_of.values().copied().collect();
        inodes.extend(problems.iter().flat_map(Problem::inodes));
        inodes.remove(&InodeId::ROOT);
        // Each round finds the entries of the directories that the last one came upon.
        while !inodes.is_empty() {
            self.find_entries(look, &inodes)?;
            let parents =
                inodes.iter().filter_map(|inode| self.entry_of.get(inode)).map(|(parent, _)| *parent);
            let parents: BTreeSet<InodeId> = parents.collect();
            inodes = parents.into_iter().filter(|parent| !self.entry_of.contains_key(parent)).collect();
            inodes.remove(&InodeId::ROOT);
            if inodes.len() <= NAMED_DEPTH_MAX {
                self.climb(look, std::mem::take(&mut inodes))?;
            }
        }
        Ok(())
    }

    /// The contents of which extents point into these segments, or to blocks that are hit.
    fn find_contents(&mut self, look: &(dyn Look + Sync), segments: &BTreeSet<SegmentId>) -> Result<()> {
        each(look, b'e', |row, value| {
            let (Some((content, _)), Ok(extent)) = (key::content_block(row), Extent::decode(value)) else {
                return;
            };
            let BlockAddress { segment, offset, .. } = extent.address;
            let of_segment =
                segments.contains(&segment).then(|| self.contents_of.entry(segment).or_default());
            let of_block = self.contents_at.get_mut(&(segment, offset));
            for contents in of_segment.into_iter().chain(of_block) {
                if contents.len() < FINDING_FILES_MAX {
                    contents.insert(content);
                }
            }
        })
    }

    fn find_entries(&mut self, look: &(dyn Look + Sync), inodes: &BTreeSet<InodeId>) -> Result<()> {
        each(look, b'd', |row, value| {
            if let (Some((directory, _)), Ok(dentry)) = (key::dentry_parts(row), Dentry::decode(value))
                && !dentry.is_tombstone()
                && inodes.contains(&dentry.inode)
            {
                self.entry_of.insert(dentry.inode, (directory, dentry.name));
            }
        })
    }

    /// The entries of directories, by way of their parents: few enough to look into each of them.
    fn climb(&mut self, look: &(dyn Look + Sync), directories: BTreeSet<InodeId>) -> Result<()> {
        for mut directory in directories {
            for _ in 0..NAMED_DEPTH_MAX {
                if directory == InodeId::ROOT || self.entry_of.contains_key(&directory) {
                    break;
                }
                let record = look.get(&key::inode(directory))?;
                let Some(Ok(Inode { content: Content::Directory { parent, .. }, .. })) =
                    record.as_deref().map(Inode::decode)
                else {
                    break;
                };
                let mut name = None;
                each_row(look, &key::dentries(parent, 0, u64::MAX), |_, value| {
                    if let Ok(dentry) = Dentry::decode(value)
                        && dentry.inode == directory
                    {
                        name = Some(dentry.name);
                    }
                })?;
                let Some(name) = name else { break };
                self.entry_of.insert(directory, (parent, name));
                directory = parent;
            }
        }
        Ok(())
    }

    fn of(&self, look: &(dyn Look + Sync), problem: &Problem) -> Vec<String> {
        let mut inodes: BTreeSet<InodeId> = problem.inodes().into_iter().collect();
        let contents = problem.segment().and_then(|segment| self.contents_of.get(&segment));
        let at_block = problem.damaged_block().and_then(|block| self.contents_at.get(&block));
        let contents = contents.into_iter().chain(at_block).flatten().copied().chain(problem.content());
        inodes.extend(contents.filter_map(|content| self.inode_of.get(&content)));
        let mut files: Vec<String> =
            inodes.into_iter().take(FINDING_FILES_MAX).map(|inode| self.path(look, inode)).collect();
        if let Problem::EntryWithoutInode { directory, name, .. }
        | Problem::EntryMisplaced { directory, name, .. } = problem
        {
            let directory = self.path(look, *directory);
            files = vec![format!("{}/{}", directory.trim_end_matches('/'), String::from_utf8_lossy(name))];
        }
        files
    }

    fn path(&self, look: &(dyn Look + Sync), inode: InodeId) -> String {
        let mut parts = Vec::new();
        let mut at = inode;
        while at != InodeId::ROOT {
            match self.entry_of.get(&at) {
                Some((parent, name)) if parts.len() < NAMED_DEPTH_MAX => {
                    parts.push(String::from_utf8_lossy(name).into_owned());
                    at = *parent;
                }
                _ => {
                    let orphan = matches!(look.get(&key::orphan(inode)), Ok(Some(_)));
                    return format!("inode {inode}{}", if orphan { " (removed, still open)" } else { "" });
                }
            }
        }
        parts.reverse();
        format!("/{}", parts.join("/"))
    }
}

fn each(look: &(dyn Look + Sync), family: u8, with: impl FnMut(&Bytes, &Bytes)) -> Result<()> {
    each_row(look, &key::family(family, b""), with)
}

impl Problem {
    /// The inodes that it hits.
    fn inodes(&self) -> Vec<InodeId> {
        match self {
            Problem::EntryWithoutInode { directory, .. }
            | Problem::EntryMisplaced { directory, .. }
            | Problem::EntriesWithoutDirectory { directory, .. }
            | Problem::Tombstone { directory, .. }
            | Problem::DirectoryLinked { directory, .. }
            | Problem::Parent { directory, .. } => vec![*directory],
            Problem::Unreachable { inode }
            | Problem::Loop { inode }
            | Problem::UnlinkedNotOrphan { inode }
            | Problem::OrphanLinked { inode }
            | Problem::InodeCounter { inode, .. }
            | Problem::Age { inode, .. }
            | Problem::ContentDoomed { inode, .. }
            | Problem::PieceOwner { inode, .. }
            | Problem::BehindEnd { inode, .. } => vec![*inode],
            Problem::ContentTwice { first, second, .. } => vec![*first, *second],
            _ => Vec::new(),
        }
    }

    /// The segment whose blocks it hits.
    fn segment(&self) -> Option<SegmentId> {
        match self {
            Problem::SegmentUnknown { segment, .. }
            | Problem::SegmentTier { segment }
            | Problem::SegmentMissing { segment, .. }
            | Problem::SegmentShort { segment, .. } => Some(*segment),
            _ => None,
        }
    }

    /// The content that it hits.
    fn content(&self) -> Option<ContentId> {
        match self {
            Problem::Layout { content, .. } | Problem::ReferenceMissing { content, .. } => Some(*content),
            _ => None,
        }
    }

    /// The block that it hits: its segment and its offset there.
    fn damaged_block(&self) -> Option<(SegmentId, u64)> {
        match self {
            Problem::BlockDamaged { segment, offset, .. } => Some((*segment, *offset)),
            _ => None,
        }
    }
}
