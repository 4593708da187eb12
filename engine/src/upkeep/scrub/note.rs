//! What the scrub keeps between starts.
//!
//! # Format
//! The note `scrub` is JSON, in this order and without spaces:
//!
//! ```json
//! {"version":1,"started":1700000000,"position":"0a0b…","damaged":{"0a0b…":["/directory/file"]}}
//! ```
//!
//! | field | meaning |
//! |---|---|
//! | `version` | 1; a greater one is refused. Without it, as it was first, the rest is the same |
//! | `started` | when the round began, in seconds since 1970; 0 before the first one |
//! | `position` | the segment of this round that was read last, in 32 hexadecimal digits; `null` if the round is over |
//! | `damaged` | the segments that were damaged when they were read last, each with files that it hits: paths, or `inode N` |
//!
//! Of the names as many are kept as [`DAMAGED_NAMES_BYTES_MAX`] takes, so that the note always is one record. Nothing is lost with a
//! note that cannot be read: a new round finds the damage again.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::limits::{DAMAGED_NAMES_BYTES_MAX, DAMAGED_SEGMENTS_KEPT, STATUS_FILES_NAMED};

/// What is kept.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct State {
    /// When the round began, in seconds since 1970.
    pub(super) started: i64,
    /// The last segment that was read in this round; none if the round is over.
    pub(super) position: Option<String>,
    /// What was found when a segment was last read: its files by the name of the segment.
    damaged: BTreeMap<String, Vec<String>>,
}

/// Why a note cannot be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoteError {
    #[error("it has version {found}, but this tidefs knows up to {VERSION}")]
    Newer { found: u32 },
    #[error("it is not what a scrub writes: {0}")]
    Malformed(#[from] serde_json::Error),
}

#[derive(Deserialize)]
struct Header {
    #[serde(default)]
    version: u32,
}

#[derive(Serialize, Deserialize)]
struct Stored {
    #[serde(default)]
    version: u32,
    started: i64,
    position: Option<String>,
    damaged: BTreeMap<String, Vec<String>>,
}

const VERSION: u32 = 1;

impl State {
    /// The note.
    pub(super) fn encode(&self) -> Result<Vec<u8>, NoteError> {
        let State { started, position, damaged } = self.clone();
        Ok(serde_json::to_vec(&Stored { version: VERSION, started, position, damaged })?)
    }

    /// Reads a note.
    pub(super) fn decode(note: &[u8]) -> Result<State, NoteError> {
        // Of a newer format nothing else may be assumed.
        let Header { version } = serde_json::from_slice(note)?;
        if version > VERSION {
            return Err(NoteError::Newer { found: version });
        }
        let Stored { started, position, damaged, .. } = serde_json::from_slice(note)?;
        Ok(State { started, position, damaged })
    }

    /// Notes what was found in a segment; true if that is news. Beyond the number of segments that are kept nothing is.
    pub(super) fn note_damage(&mut self, segment: &str, mut files: Vec<String>) -> bool {
        if self.damaged.len() >= DAMAGED_SEGMENTS_KEPT && !self.damaged.contains_key(segment) {
            return false;
        }
        keep_some(&mut files);
        self.damaged.insert(segment.to_owned(), files.clone()).as_ref() != Some(&files)
    }

    /// The segment reads well.
    pub(super) fn note_whole(&mut self, segment: &str) {
        self.damaged.remove(segment);
    }

    /// Forgets the segments that are gone.
    pub(super) fn retain(&mut self, segments: &[String]) {
        self.damaged.retain(|segment, _| segments.contains(segment));
    }

    /// What `tidefs status` says.
    pub(super) fn reason(&self) -> Option<String> {
        if self.damaged.is_empty() {
            return None;
        }
        let mut files: Vec<&String> = self.damaged.values().flatten().collect();
        files.sort();
        files.dedup();
        let named: Vec<&str> = files.iter().take(STATUS_FILES_NAMED).map(|file| file.as_str()).collect();
        let more = files.len().saturating_sub(STATUS_FILES_NAMED);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let segments = self.damaged.len();
        Some(format!(
            "the scrub found damage in {segments} segments, which hits {}{more}: run tidefs verify --deep, and restore from a backup",
            if named.is_empty() { "no file".to_owned() } else { named.join(", ") }
        ))
    }
}

/// Leaves out names that are too many, and the beginnings of those that are too long.
fn keep_some(files: &mut Vec<String>) {
    let mut room = DAMAGED_NAMES_BYTES_MAX;
    files.retain_mut(|file| {
        let excess = file.len().saturating_sub(NAME_BYTES_MAX);
        if excess > 0 {
            let start = (excess..file.len()).find(|at| file.is_char_boundary(*at)).unwrap_or(file.len());
            *file = format!("…{}", file.get(start..).unwrap_or_default());
        }
        let bytes = serde_json::to_vec(file).map_or(usize::MAX, |name| name.len() + ",".len());
        let left = room.checked_sub(bytes);
        room = left.unwrap_or(room);
        left.is_some()
    });
}

/// Bytes of a name that are kept. In JSON each may take six.
const NAME_BYTES_MAX: usize = 4096;

const _: () = assert!(6 * (NAME_BYTES_MAX + 8) <= DAMAGED_NAMES_BYTES_MAX, "one name always fits");

/// States of each kind.
#[cfg(any(test, fuzzing))]
pub(super) fn samples() -> [(&'static str, State); 3] {
    let (first, second) = ("0a".repeat(16), "0b".repeat(16));
    let mut found = State { started: 1_700_000_000, position: Some(second.clone()), ..State::default() };
    found.note_damage(&first, vec!["/directory/\"a\" file".to_owned(), "inode 7".to_owned()]);
    found.note_damage(&second, Vec::new());
    let over = State { started: 1_700_000_000, ..State::default() };
    [
        ("before the first round", State::default()),
        ("within a round, with damage", found),
        ("a round is over", over),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::RECORD_BYTES_MAX;

    #[test]
    fn the_first_notes_had_no_version_and_newer_ones_are_refused() {
        let first = br#"{"started":5,"position":null,"damaged":{"0a":["/file"]}}"#;
        let state = State::decode(first).unwrap();
        assert_eq!((state.started, state.reason().unwrap().contains("/file")), (5, true));
        let newer = br#"{"version":2,"rounds":[]}"#;
        assert!(matches!(State::decode(newer), Err(NoteError::Newer { found: 2 })));
        for nonsense in [&b""[..], b"{}", b"[]", b"\xff"] {
            assert!(matches!(State::decode(nonsense), Err(NoteError::Malformed(_))), "{nonsense:?}");
        }
    }

    #[test]
    fn whatever_is_damaged_the_note_is_one_record() {
        let mut state = State::default();
        for segment in 0..2 * DAMAGED_SEGMENTS_KEPT {
            // Of all bytes this one takes the most in JSON.
            let name = |number: usize| format!("/{number:05}{}", "\u{1}".repeat(6000));
            state.note_damage(&format!("{segment:032x}"), (0..50).map(name).collect());
        }
        let note = state.encode().unwrap();
        assert!(note.len() < RECORD_BYTES_MAX - 1024, "{} bytes", note.len());
        assert_eq!(State::decode(&note).unwrap(), state);
        assert!(
            state.damaged.len() == DAMAGED_SEGMENTS_KEPT
                && state.damaged.values().all(|files| !files.is_empty())
        );
    }

    #[test]
    fn what_was_found_before_is_no_news() {
        let mut state = State::default();
        assert!(state.note_damage("0a", vec!["/a".to_owned()]));
        assert!(!state.note_damage("0a", vec!["/a".to_owned()]));
        assert!(state.note_damage("0a", vec!["/b".to_owned()]));
        state.note_whole("0a");
        assert_eq!(state, State::default());
    }
}
