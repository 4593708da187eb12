//! Golden file: the note of the scrub.

use ::golden::{Format, join_rows, split_rows};

use super::note::{State, samples};

pub(crate) const FORMATS: &[Format] = &[Format { name: "scrub-note", write: Some(write), read }];

fn write() -> Vec<u8> {
    join_rows(&samples().map(|(name, state)| (name.to_owned(), state.encode().unwrap())))
}

fn read(stored: &[u8]) {
    let found = split_rows(stored).into_iter().map(|(name, note)| (name, State::decode(&note).unwrap()));
    assert!(found.eq(samples().map(|(name, state)| (name.to_owned(), state))));
}
