//! The oracle: what a file system is, small enough to be obviously right, with all that a crash may leave.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::content::{History, Sequence};
use super::tree::Tree;
use super::{Result, lost};
use crate::identity::InodeId;

/// A file system as its users see it, and what they were promised.
#[derive(Debug, Clone)]
pub(super) struct Model {
    /// Changes so far, in the order of the journal.
    sequence: Sequence,
    /// All changes up to here were acknowledged, or stand before one that was.
    acknowledged: Sequence,
    /// The namespace after each change that may be the last one that is there.
    trees: Vec<(Sequence, Tree)>,
    /// The notes after each change of one.
    notes: Vec<(Sequence, BTreeMap<u8, u8>)>,
    /// The content of every file, those included whose removal may not be durable.
    pub(super) files: BTreeMap<InodeId, History>,
    /// The highest change number that somebody was told.
    changes: BTreeMap<InodeId, u64>,
    /// The highest change number that was shown of a file, and the content with it.
    shown: BTreeMap<InodeId, (u64, Arc<Vec<u8>>)>,
}

impl Model {
    pub(super) fn new(tree: Tree) -> Self {
        Model {
            sequence: 0,
            acknowledged: 0,
            trees: vec![(0, tree)],
            notes: vec![(0, BTreeMap::new())],
            files: BTreeMap::new(),
            changes: BTreeMap::new(),
            shown: BTreeMap::new(),
        }
    }

    /// The namespace as users see it.
    pub(super) fn tree(&self) -> &Tree {
        &self.trees.last().unwrap().1
    }

    /// A change of the namespace.
    pub(super) fn change_tree(&mut self, change: impl FnOnce(&mut Tree)) -> Sequence {
        let mut next = self.tree().clone();
        change(&mut next);
        self.sequence += 1;
        self.trees.push((self.sequence, next));
        self.sequence
    }

    /// A change of something else.
    pub(super) fn change(&mut self) -> Sequence {
        self.sequence += 1;
        self.sequence
    }

    pub(super) fn set_note(&mut self, key: u8, value: u8) -> Sequence {
        let mut next = self.notes.last().unwrap().1.clone();
        next.insert(key, value);
        self.sequence += 1;
        self.notes.push((self.sequence, next));
        self.sequence
    }

    /// Somebody was told that a change is durable; so are those before it.
    pub(super) fn acknowledge(&mut self, sequence: Sequence) {
        self.acknowledged = self.acknowledged.max(sequence);
        let keep = |times: &[Sequence]| times.iter().rposition(|time| *time <= sequence).unwrap_or(0);
        let trees: Vec<Sequence> = self.trees.iter().map(|(time, _)| *time).collect();
        self.trees.drain(..keep(&trees));
        let notes: Vec<Sequence> = self.notes.iter().map(|(time, _)| *time).collect();
        self.notes.drain(..keep(&notes));
    }

    pub(super) fn acknowledged(&self) -> Sequence {
        self.acknowledged
    }

    /// Somebody was told this change number, and that it is durable.
    pub(super) fn promised(&mut self, inode: InodeId, change: u64) {
        let known = self.changes.entry(inode).or_default();
        *known = change.max(*known);
    }

    /// Somebody was shown this change number of a file, with the content that it has now.
    pub(super) fn shown(&mut self, inode: InodeId, change: u64) -> Result {
        let now = Arc::clone(self.files[&inode].now());
        self.check_shown(inode, change, &now)?;
        let known = self.shown.entry(inode).or_insert_with(|| (change, Arc::clone(&now)));
        if change > known.0 {
            *known = (change, now);
        }
        Ok(())
    }

    /// A number stands for one content.
    pub(super) fn check_shown(&self, inode: InodeId, change: u64, content: &[u8]) -> Result {
        match self.shown.get(&inode) {
            Some((known, shown)) if *known == change && shown.as_slice() != content => {
                lost(format!("the change number {change} of inode {inode} was shown with another content"))
            }
            _ => Ok(()),
        }
    }

    /// What a change number is found to be.
    pub(super) fn check_change(&self, inode: InodeId, change: u64) -> Result {
        match self.changes.get(&inode) {
            Some(known) if change < *known => {
                lost(format!("the change number of inode {inode} went back from {known} to {change}"))
            }
            _ => Ok(()),
        }
    }

    /// Everything was made durable.
    pub(super) fn all_is_durable(&mut self) {
        let sequence = self.sequence;
        self.acknowledge(sequence);
        for history in self.files.values_mut() {
            *history = History::new(Vec::clone(history.now()));
        }
    }

    /// Finds out which of the changes survived a crash: at least all that were acknowledged, and then the first of the others.
    /// Returns the last one that is known to be there.
    pub(super) fn survived(&self, found: &Tree, notes: &BTreeMap<u8, u8>) -> Result<Sequence> {
        let matching: Vec<Sequence> =
            self.trees.iter().filter(|(_, tree)| tree == found).map(|(time, _)| *time).collect();
        if matching.is_empty() {
            let newest = self.tree();
            let difference: Vec<_> = newest
                .iter()
                .filter(|(inode, node)| found.get(*inode) != Some(*node))
                .map(|(inode, node)| format!("{inode}: {node:?} and not {:?}", found.get(inode)))
                .chain(
                    found
                        .keys()
                        .filter(|inode| !newest.contains_key(*inode))
                        .map(|inode| format!("{inode}: not there")),
                )
                .collect();
            let (states, text) = (self.trees.len(), difference.join("; "));
            return lost(format!("the namespace is none of {states} possible ones; the newest has {text}"));
        }
        // Each state lasts until the next change of the same thing.
        let noted = |time: Sequence, until: Sequence| {
            self.notes.iter().enumerate().any(|(at, (begun, state))| {
                let ended = self.notes.get(at + 1).map_or(Sequence::MAX, |(time, _)| *time);
                state == notes && *begun < until && time < ended
            })
        };
        for time in matching {
            let at = self.trees.iter().position(|(begun, _)| *begun == time).unwrap_or(0);
            let until = self.trees.get(at + 1).map_or(Sequence::MAX, |(time, _)| *time);
            if noted(time, until) {
                return Ok(time.max(self.acknowledged));
            }
        }
        lost(format!(
            "the notes {notes:?} do not belong to the namespace of the same moment: {:?}",
            self.notes
        ))
    }

    /// Goes on from what a crash left.
    pub(super) fn restart(
        &mut self,
        found: Tree,
        notes: BTreeMap<u8, u8>,
        contents: BTreeMap<InodeId, Vec<u8>>,
    ) {
        self.acknowledged = self.sequence;
        self.changes.retain(|inode, _| found.contains_key(inode));
        self.shown.retain(|inode, _| found.contains_key(inode));
        self.trees = vec![(self.sequence, found)];
        self.notes = vec![(self.sequence, notes)];
        self.files = contents.into_iter().map(|(inode, content)| (inode, History::new(content))).collect();
    }
}
