//! How to undo changes of the names in a directory.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::crash::Dice;

/// A change, written down before it is made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum NameChange {
    /// A file or a directory was made; its inode is known from what happened to it later.
    Make { name: String },
    /// Within the directory.
    Rename { from: String, to: String, inode: u64, replaced: Option<u64> },
    /// Of a file.
    Remove { name: String, inode: u64 },
}

/// The log of one directory.
#[derive(Debug)]
pub(super) struct NameLog {
    log: File,
    changes: Vec<NameChange>,
}

impl NameLog {
    /// Goes on with the log that an earlier process left.
    pub(super) fn open(path: &Path) -> io::Result<NameLog> {
        let changes = parse(&fs::read(path).unwrap_or_default());
        let log = OpenOptions::new().create(true).append(true).open(path)?;
        Ok(NameLog { log, changes })
    }

    pub(super) fn add(&mut self, change: NameChange) -> io::Result<()> {
        let mut line = serde_json::to_vec(&change)?;
        line.push(b'\n');
        self.log.write_all(&line)?;
        self.changes.push(change);
        Ok(())
    }

    /// After a sync of the directory. Returns the inodes that only the log kept.
    pub(super) fn forget(&mut self) -> io::Result<BTreeSet<u64>> {
        let kept = kept(&self.changes);
        self.changes.clear();
        self.log.set_len(0)?;
        Ok(kept)
    }
}

fn kept(changes: &[NameChange]) -> BTreeSet<u64> {
    let inode = |change: &NameChange| match change {
        NameChange::Make { .. } => None,
        NameChange::Rename { replaced, .. } => *replaced,
        NameChange::Remove { inode, .. } => Some(*inode),
    };
    changes.iter().filter_map(inode).collect()
}

fn parse(log: &[u8]) -> Vec<NameChange> {
    let lines = log.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    // Only the last line can be torn, and then its change was not made.
    lines.map_while(|line| serde_json::from_slice(line).ok()).collect()
}

type View = BTreeMap<String, u64>;

/// Undoes the changes of names that do not survive. `kept` has the files that were removed. Returns how many were undone.
pub(super) fn undo(
    log: &[u8],
    directory: &Path,
    kept: &Path,
    dice: &mut Dice,
    survival_percent: u64,
) -> io::Result<u64> {
    let changes = parse(log);
    if changes.is_empty() {
        return Ok(0);
    }
    let now = view(directory)?;
    let mut then = now.clone();
    changes.iter().rev().for_each(|change| take_back(change, &mut then));
    let mut undone = 0;
    for (index, change) in changes.iter().enumerate() {
        if dice.percent(survival_percent) {
            let later = changes.get(index + 1..).unwrap_or_default();
            repeat(change, later, &now, &mut then);
        } else {
            undone += 1;
        }
    }
    become_view(directory, kept, &now, &then)?;
    Ok(undone)
}

fn view(directory: &Path) -> io::Result<View> {
    fs::read_dir(directory)?
        .map(|entry| {
            let entry = entry?;
            Ok((entry.file_name().to_string_lossy().into_owned(), fs::symlink_metadata(entry.path())?.ino()))
        })
        .collect()
}

fn take_back(change: &NameChange, names: &mut View) {
    match change {
        NameChange::Make { name } => {
            names.remove(name);
        }
        NameChange::Rename { from, to, inode, replaced } => {
            names.insert(from.clone(), *inode);
            match replaced {
                Some(replaced) => names.insert(to.clone(), *replaced),
                None => names.remove(to),
            };
        }
        NameChange::Remove { name, inode } => {
            names.insert(name.clone(), *inode);
        }
    }
}

fn repeat(change: &NameChange, later: &[NameChange], now: &View, names: &mut View) {
    match change {
        NameChange::Make { name } => {
            if let Some(inode) = inode_of_made(name, later, now) {
                names.insert(name.clone(), inode);
            }
        }
        NameChange::Rename { to, inode, .. } => {
            // A file has one name, whatever became of the earlier ones.
            names.retain(|_, other| other != inode);
            names.insert(to.clone(), *inode);
        }
        NameChange::Remove { name, .. } => {
            names.remove(name);
        }
    }
}

/// What was made under a name is what the next change of that name speaks of, or what has it now.
fn inode_of_made(name: &str, later: &[NameChange], now: &View) -> Option<u64> {
    for change in later {
        match change {
            NameChange::Make { name: other } if other == name => return None,
            NameChange::Rename { from, inode, .. } if from == name => return Some(*inode),
            NameChange::Rename { to, replaced, .. } if to == name => return *replaced,
            NameChange::Remove { name: other, inode } if other == name => return Some(*inode),
            _ => {}
        }
    }
    now.get(name).copied()
}

/// Makes the names of a directory what they should be, by way of `kept`.
fn become_view(directory: &Path, kept: &Path, now: &View, then: &View) -> io::Result<()> {
    let changed: Vec<(&String, &u64)> =
        now.iter().filter(|(name, inode)| then.get(*name) != Some(inode)).collect();
    for (name, inode) in changed {
        let aside = kept.join(inode.to_string());
        if aside.exists() {
            fs::remove_file(directory.join(name))?;
        } else {
            fs::rename(directory.join(name), aside)?;
        }
    }
    for (name, inode) in then.iter().filter(|(name, inode)| now.get(*name) != Some(inode)) {
        fs::rename(kept.join(inode.to_string()), directory.join(name))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(directory: &Path) -> Vec<String> {
        view(directory).unwrap().into_keys().collect()
    }

    /// A file is made under one name, synced, renamed over another one, and a third one is removed.
    fn scene() -> (tempfile::TempDir, Vec<u8>) {
        let work = tempfile::tempdir().unwrap();
        let (directory, kept) = (work.path().join("d"), work.path().join("kept"));
        fs::create_dir(&directory).unwrap();
        fs::create_dir(&kept).unwrap();
        let mut log = NameLog::open(&work.path().join("log")).unwrap();
        for name in ["old", "gone"] {
            fs::write(directory.join(name), name).unwrap();
        }
        let before = view(&directory).unwrap();
        log.add(NameChange::Make { name: "new".to_owned() }).unwrap();
        fs::write(directory.join("new"), "new").unwrap();
        for name in ["old", "gone"] {
            fs::hard_link(directory.join(name), kept.join(before[name].to_string())).unwrap();
        }
        let inode = view(&directory).unwrap()["new"];
        let replaced = Some(before["old"]);
        let (from, to) = ("new".to_owned(), "old".to_owned());
        log.add(NameChange::Rename { from, to, inode, replaced }).unwrap();
        fs::rename(directory.join("new"), directory.join("old")).unwrap();
        log.add(NameChange::Remove { name: "gone".to_owned(), inode: before["gone"] }).unwrap();
        fs::remove_file(directory.join("gone")).unwrap();
        let log = fs::read(work.path().join("log")).unwrap();
        (work, log)
    }

    #[test]
    fn nothing_survives_or_everything_does() {
        for (percent, expected, content) in [(0, vec!["gone", "old"], "old"), (100, vec!["old"], "new")] {
            let (work, log) = scene();
            let (directory, kept) = (work.path().join("d"), work.path().join("kept"));
            undo(&log, &directory, &kept, &mut Dice::new(1), percent).unwrap();
            assert_eq!(names(&directory), expected);
            assert_eq!(fs::read_to_string(directory.join("old")).unwrap(), content);
        }
    }

    #[test]
    fn a_replaced_name_is_old_or_new_and_never_missing() {
        let mut seen = BTreeSet::new();
        for seed in 0..40 {
            let (work, log) = scene();
            let (directory, kept) = (work.path().join("d"), work.path().join("kept"));
            undo(&log, &directory, &kept, &mut Dice::new(seed), 50).unwrap();
            seen.insert((names(&directory), fs::read_to_string(directory.join("old")).unwrap()));
        }
        assert!(seen.len() >= 5, "{seen:?}");
    }
}
