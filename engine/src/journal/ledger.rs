//! Which journal files there are and what in them is not covered by a checkpoint.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};

use parking_lot::Mutex;

use super::format::FileHeader;
use super::replay::Replayed;
use crate::identity::{KeyGeneration, Lsn};

/// A file in use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LiveFile {
    pub(super) path: PathBuf,
    pub(super) first: Lsn,
    pub(super) generation: KeyGeneration,
}

impl LiveFile {
    pub(super) fn new(path: PathBuf, header: &FileHeader) -> Self {
        LiveFile { path, first: header.first, generation: header.generation }
    }
}

/// A frame: its last record and the bytes it takes on the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LiveFrame {
    pub(super) last: Lsn,
    pub(super) bytes: u64,
}

/// The files in use, oldest first, and the frames in them that no checkpoint covers.
#[derive(Debug)]
pub(super) struct Ledger(Mutex<State>);

#[derive(Debug)]
struct State {
    files: VecDeque<LiveFile>,
    frames: VecDeque<LiveFrame>,
    uncovered_bytes: u64,
    covered: Lsn,
    /// The record that the next file begins with, once the newest one takes no more.
    next: Option<Lsn>,
    /// What it will be sealed under.
    coming: Option<KeyGeneration>,
    /// Files that were given back and are being recycled.
    leaving: Vec<PathBuf>,
}

impl Ledger {
    pub(super) fn new(replayed: Replayed) -> Self {
        let uncovered_bytes = replayed.frames.iter().map(|frame| frame.bytes).sum();
        let Replayed { last, files, frames, .. } = replayed;
        // After a start nothing is written to older files.
        let next = Some(Lsn(last.0.saturating_add(1)));
        let (covered, coming, leaving) = (Lsn(0), None, Vec::new());
        Ledger(Mutex::new(State { files, frames, uncovered_bytes, covered, next, coming, leaving }))
    }

    pub(super) fn add_file(&self, file: LiveFile) {
        let mut state = self.0.lock();
        state.files.push_back(file);
        (state.next, state.coming) = (None, None);
    }

    /// The newest file takes no more: the next one, which may have to be waited for, begins with this record and is sealed so.
    pub(super) fn close_newest(&self, next: Lsn, generation: KeyGeneration) {
        let mut state = self.0.lock();
        (state.next, state.coming) = (Some(next), Some(generation));
    }

    pub(super) fn add_frame(&self, frame: LiveFrame) {
        let mut state = self.0.lock();
        if frame.last > state.covered {
            state.uncovered_bytes += frame.bytes;
            state.frames.push_back(frame);
        }
    }

    pub(super) fn files(&self) -> Vec<PathBuf> {
        self.0.lock().files.iter().map(|file| file.path.clone()).collect()
    }

    pub(super) fn file_count(&self) -> usize {
        self.0.lock().files.len()
    }

    /// Whether the file is in use, or given back and not yet recycled.
    pub(super) fn knows(&self, path: &Path) -> bool {
        let state = self.0.lock();
        state.files.iter().any(|file| file.path == path)
            || state.leaving.iter().any(|leaving| leaving == path)
    }

    /// A file that was given back has another name, or none.
    pub(super) fn recycled(&self, path: &Path) {
        self.0.lock().leaving.retain(|leaving| leaving != path);
    }

    pub(super) fn uncovered_bytes(&self) -> u64 {
        self.0.lock().uncovered_bytes
    }

    /// Whether there are files that are sealed under an older key than this one, or one is to come.
    pub(super) fn has_older_than(&self, generation: KeyGeneration) -> bool {
        let state = self.0.lock();
        let files = state.files.iter().map(|file| file.generation);
        files.chain(state.coming).any(|found| found < generation)
    }

    /// Forgets what is covered and returns the files that are no longer needed, oldest first. The one that is written now stays.
    pub(super) fn trim(&self, covered: Lsn) -> Vec<PathBuf> {
        let mut state = self.0.lock();
        state.covered = state.covered.max(covered);
        while let Some(frame) = state.frames.front().copied().filter(|frame| frame.last <= covered) {
            state.uncovered_bytes = state.uncovered_bytes.saturating_sub(frame.bytes);
            state.frames.pop_front();
        }
        let mut freed = Vec::new();
        // All records of a file come before the first one of the next file.
        let next = |state: &State| state.files.get(1).map_or(state.next, |next| Some(next.first));
        while next(&state).is_some_and(|next| next.0 <= covered.0.saturating_add(1)) {
            if state.files.is_empty() {
                break;
            }
            freed.extend(state.files.pop_front().map(|file| file.path));
        }
        state.leaving.extend(freed.iter().cloned());
        freed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_freed_when_all_its_records_are_covered() {
        let file = |number: u64, first| {
            let path = PathBuf::from(number.to_string());
            LiveFile { path, first: Lsn(first), generation: KeyGeneration::FIRST }
        };
        let frame = |last| LiveFrame { last: Lsn(last), bytes: 4096 };
        let ledger = Ledger::new(Replayed {
            last: Lsn(9),
            next_number: 4,
            files: [file(1, 1), file(2, 4), file(3, 8)].into(),
            frames: [frame(3), frame(7), frame(9)].into(),
        });
        assert_eq!(ledger.trim(Lsn(2)), Vec::<PathBuf>::new());
        assert_eq!(ledger.trim(Lsn(3)), vec![PathBuf::from("1")]);
        assert_eq!(ledger.uncovered_bytes(), 8192);
        assert_eq!(ledger.trim(Lsn(8)), vec![PathBuf::from("2")]);
        assert_eq!(ledger.trim(Lsn(12)), vec![PathBuf::from("3")], "nothing is written to it any more");
        assert_eq!((ledger.uncovered_bytes(), ledger.trim(Lsn(12))), (0, Vec::new()));
        ledger.add_file(file(4, 10));
        ledger.add_frame(frame(12));
        assert_eq!(ledger.uncovered_bytes(), 0, "a checkpoint was first");
        assert_eq!(ledger.trim(Lsn(12)), Vec::<PathBuf>::new(), "it is written");
        ledger.close_newest(Lsn(14), KeyGeneration::FIRST);
        assert_eq!(ledger.trim(Lsn(12)), Vec::<PathBuf>::new());
        assert_eq!(ledger.trim(Lsn(13)), vec![PathBuf::from("4")]);
        assert!(ledger.has_older_than(KeyGeneration(2)), "the writer may still wait for that file");
    }
}
