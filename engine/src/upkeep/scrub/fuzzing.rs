//! The note of the scrub, as a fuzz target gives it.

use super::note::{State, samples};
use crate::fuzzing::{Decoder, must};

pub(crate) const DECODERS: &[Decoder] = &[Decoder {
    name: "scrub-note",
    run,
    seeds: || samples().map(|(_, state)| must(state.encode())).to_vec(),
}];

fn run(data: &[u8]) {
    let Ok(state) = State::decode(data) else { return };
    assert_eq!(must(State::decode(&must(state.encode()))), state);
}
