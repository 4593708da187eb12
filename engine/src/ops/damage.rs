//! Damage that reads met. Their readers get an error, never other bytes; the operator is told once for each file in the log, and by the
//! status until the file is gone, was replaced, or reads well again.
//!
//! # Crash consistency
//! It is in memory only: a start forgets it, and the next read of the file or the scrub finds it again.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

use crate::error::{Error, Result};
use crate::identity::{ContentId, InodeId};
use crate::limits::{DAMAGED_FILES_KEPT, STATUS_FILES_NAMED};
use crate::records::Content;
use crate::volume::Volume;

/// What reads met since the start.
#[derive(Debug, Default)]
pub(crate) struct MetDamage {
    /// Whether there is any, so that reads that go well take no lock.
    any: AtomicBool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Reads that were answered with an error.
    reads: u64,
    /// The last files that were hit, the newest first.
    files: VecDeque<HitFile>,
    /// Whether there were more files than are kept.
    more: bool,
}

/// A file of which a read failed.
#[derive(Debug)]
struct HitFile {
    inode: InodeId,
    content: Option<ContentId>,
    /// What the last failed read wanted.
    range: Range<u64>,
}

impl MetDamage {
    /// Notes a failed read; true if it is the first one of the file.
    fn note(&self, hit: HitFile) -> bool {
        let mut state = self.state.lock();
        state.reads += 1;
        let known = state.files.iter().position(|file| file.inode == hit.inode);
        let known = known.and_then(|at| state.files.remove(at)).is_some();
        state.files.push_front(hit);
        if state.files.len() > DAMAGED_FILES_KEPT {
            state.files.truncate(DAMAGED_FILES_KEPT);
            state.more = true;
        }
        self.any.store(true, Ordering::Release);
        !known
    }

    /// Keeps only the files that are still hit.
    fn retain(&self, is_hit: impl FnMut(&HitFile) -> bool) {
        let mut state = self.state.lock();
        state.files.retain(is_hit);
        self.any.store(!state.files.is_empty(), Ordering::Release);
    }

    /// What `tidefs status` says.
    fn reason(&self) -> Option<String> {
        let state = self.state.lock();
        if state.files.is_empty() && !state.more {
            return None;
        }
        let named = state.files.iter().take(STATUS_FILES_NAMED).map(|file| format!("inode {}", file.inode));
        let mut files: Vec<String> = named.collect();
        if state.more || state.files.len() > STATUS_FILES_NAMED {
            files.push("others, which the log names".to_owned());
        }
        Some(format!(
            "{} reads since the start met data that is damaged or cannot be read, of {}: run tidefs verify --deep, which names them, and \
             restore them from a backup",
            state.reads,
            files.join(", ")
        ))
    }
}

impl Volume {
    /// Tells of a read that failed for good, and returns what its reader is told.
    pub(super) fn met_damage(&self, inode: InodeId, range: Range<u64>, error: Error) -> Error {
        let error = match error {
            Error::Corrupt { what } => Error::Corrupt { what: format!("inode {inode}: {what}") },
            other => other,
        };
        let content = self.content_of(inode).ok().flatten();
        let (offset, length) = (range.start, range.end - range.start);
        if self.damage.note(HitFile { inode, content, range }) {
            tracing::error!(
                %inode, offset, length, %error,
                "a read met data that is damaged or cannot be read, and was answered with an error, as all reads of it will be: \
                 `tidefs verify --deep` names the file, and so does `find MOUNT -inum INODE`; restore it from a backup"
            );
        }
        error
    }

    /// A read of the range went well.
    pub(super) fn met_no_damage(&self, inode: InodeId, range: &Range<u64>) {
        if self.damage.any.load(Ordering::Acquire) {
            let covers = |file: &HitFile| range.start <= file.range.start && file.range.end <= range.end;
            self.damage.retain(|file| file.inode != inode || !covers(file));
        }
    }

    /// What `tidefs status` says of damage that reads met.
    pub(super) fn damage_reason(&self) -> Option<String> {
        self.damage.retain(|file| match self.content_of(file.inode) {
            Ok(content) => content == file.content,
            Err(error) => !matches!(error, Error::Stale),
        });
        self.damage.reason()
    }

    fn content_of(&self, inode: InodeId) -> Result<Option<ContentId>> {
        Ok(match self.stored_inode(inode)?.content {
            Content::File { id, .. } => Some(id),
            _ => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hit(number: u64) -> HitFile {
        HitFile { inode: InodeId(number), content: None, range: 0..1 }
    }

    #[test]
    fn the_last_files_are_kept_and_each_is_new_once() {
        let damage = MetDamage::default();
        let files = DAMAGED_FILES_KEPT as u64;
        assert!((1..=files).all(|number| damage.note(hit(number))));
        assert!((1..=files).all(|number| !damage.note(hit(number))));
        let said = damage.reason().unwrap();
        assert!(said.starts_with(&format!("{} reads ", 2 * files)), "{said}");
        assert!(said.contains(&format!(", of inode {files}, inode {}, ", files - 1)), "{said}");
        assert!(said.contains("others, which the log names: "), "{said}");
        assert!(damage.note(hit(files + 1)) && damage.note(hit(1)), "the oldest one was forgotten");
        assert_eq!(damage.state.lock().files.len(), DAMAGED_FILES_KEPT);
        damage.retain(|_| false);
        assert!(damage.reason().is_some(), "what was forgotten may be there yet");
    }
}
