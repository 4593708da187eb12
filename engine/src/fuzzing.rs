//! What the fuzz targets of `fuzz/` call: a function for each decoder, which checks more than that nothing panics.
//!
//! Decoders that are private to a room stand in the room (`journal::fuzzing`, …); all are listed here, by family. A family is one target:
//! each of its decoders is given each input, so that ten minutes of a target are ten minutes of each decoder. As a unit test each
//! decoder runs over the seeds of its family and over damaged copies of its own. An input that was found becomes a test with a name of
//! its own.

pub(crate) mod input;
pub(crate) mod memory;
mod records;

use std::sync::Arc;
use std::time::Duration;

use crate::attributes::Timestamp;
use crate::environment::{Clock, Entropy, Environment};
use crate::home::Home;
use crate::identity::FileSystemId;
use crate::keys::{DataKey, KeyRing};
use memory::MemoryDisk;

/// A decoder under test.
#[derive(Debug, Clone, Copy)]
pub struct Decoder {
    /// For people and directories.
    pub name: &'static str,
    /// Panics if the decoder does not keep a promise.
    pub run: fn(&[u8]),
    /// Inputs that reach far: real encodings.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

/// All decoders of the engine, by family.
pub fn families() -> Vec<(&'static str, Vec<Decoder>)> {
    vec![
        (
            "records",
            [
                records::DECODERS,
                crate::tiers::cold::fuzzing::DECODERS,
                crate::upkeep::scrub::fuzzing::DECODERS,
            ]
            .concat(),
        ),
        ("keys", crate::keys::fuzzing::DECODERS.to_vec()),
        ("journal", crate::journal::fuzzing::DECODERS.to_vec()),
        ("checkpoint", crate::metadata::fuzzing::CHECKPOINT.to_vec()),
        ("index", crate::metadata::fuzzing::INDEX.to_vec()),
        (
            "segments",
            [crate::data::format::fuzzing::DECODERS, crate::data::standard::fuzzing::DECODERS].concat(),
        ),
    ]
}

/// The value of what must succeed whatever the input is.
#[expect(clippy::panic, reason = "a panic is how a target reports what it found")]
pub(crate) fn must<T, E: std::fmt::Debug>(result: Result<T, E>) -> T {
    match result {
        Ok(value) => value,
        Err(error) => panic!("this must succeed: {error:?}"),
    }
}

/// The same clock and the same numbers in every run.
pub(crate) fn environment() -> Environment {
    Environment { clock: Arc::new(Still), entropy: Arc::new(Still), ..Environment::system() }
}

/// A home on a disk in memory, with a known key.
pub(crate) fn home(disk: &MemoryDisk) -> Home {
    Home {
        disk: Arc::new(disk.clone()),
        environment: environment(),
        keys: KeyRing::of(DataKey::from_bytes([2; 32])),
        file_system: FileSystemId::from_random([1; 16]),
    }
}

struct Still;

impl Clock for Still {
    fn now(&self) -> Timestamp {
        Timestamp { seconds: 1_700_000_000, nanoseconds: 1 }
    }

    fn monotonic(&self) -> Duration {
        Duration::from_secs(1)
    }
}

impl Entropy for Still {
    fn fill(&self, buffer: &mut [u8]) {
        buffer.fill(9);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_decoder_accepts_the_seeds_of_its_family_and_damaged_copies_of_its_own() {
        let mut names = BTreeSet::new();
        for (_, decoders) in families() {
            let seeds: Vec<_> = decoders.iter().flat_map(|decoder| (decoder.seeds)()).collect();
            for decoder in decoders {
                assert!(names.insert(decoder.name), "{} is there twice", decoder.name);
                (decoder.run)(&[]);
                seeds.iter().for_each(|seed| (decoder.run)(seed));
                for seed in (decoder.seeds)() {
                    for damaged in input::damaged_copies(&seed) {
                        (decoder.run)(&damaged);
                    }
                }
            }
        }
    }
}
