//! What the fuzz targets of `fuzz/` call: a function for each decoder, which checks more than that nothing panics.
//!
//! Targets of decoders that are private to a room stand in the room (`journal::fuzzing`, …); all are listed here. As a unit test each
//! target runs over its seeds and over damaged copies of them. An input that was found becomes a test with a name of its own.

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
pub struct Target {
    /// For people and directories.
    pub name: &'static str,
    /// Panics if the decoder does not keep a promise.
    pub run: fn(&[u8]),
    /// Inputs that reach far: real encodings.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

/// All targets of the engine.
pub fn targets() -> Vec<Target> {
    [
        records::TARGETS,
        crate::keys::fuzzing::TARGETS,
        crate::journal::fuzzing::TARGETS,
        crate::metadata::fuzzing::CHECKPOINT,
        crate::metadata::fuzzing::INDEX,
        crate::data::format::fuzzing::TARGETS,
        crate::data::standard::fuzzing::TARGETS,
        crate::tiers::cold::fuzzing::TARGETS,
    ]
    .concat()
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
    fn every_target_accepts_its_seeds_and_damaged_copies_of_them() {
        let mut names = BTreeSet::new();
        for target in targets() {
            assert!(names.insert(target.name), "{} is there twice", target.name);
            (target.run)(&[]);
            for seed in (target.seeds)() {
                (target.run)(&seed);
                for damaged in input::damaged_copies(&seed) {
                    (target.run)(&damaged);
                }
            }
        }
    }
}
