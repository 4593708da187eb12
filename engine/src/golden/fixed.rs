//! The same keys, numbers and times in every run.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::attributes::Timestamp;
use crate::disk::Disk;
use crate::environment::{Clock, Entropy, Environment};
use crate::home::Home;
use crate::identity::{FileSystemId, KeyGeneration};
use crate::keys::{DataKey, KeyRing};

/// 14 November 2023.
pub(crate) const START: i64 = 1_700_000_000;

pub(crate) fn file_system() -> FileSystemId {
    FileSystemId::from_random([0x5a; 16])
}

/// The first data key alone.
pub(crate) fn first_ring() -> KeyRing {
    KeyRing::of_generation(KeyGeneration::FIRST, DataKey::from_bytes([1; 32]))
}

/// Adds the second one, which seals from then on.
pub(crate) fn rotate(ring: &KeyRing) {
    ring.add(DataKey::from_bytes([2; 32]));
}

/// Both data keys, of which the second one seals.
pub(crate) fn ring() -> KeyRing {
    let ring = first_ring();
    rotate(&ring);
    ring
}

/// A home with these keys on this disk.
pub(crate) fn home(disk: impl Disk, keys: KeyRing) -> Home {
    Home { disk: Arc::new(disk), environment: environment(), keys, file_system: file_system() }
}

/// Each has the same numbers and times, in the order in which it is asked for them.
pub(crate) fn environment() -> Environment {
    let (clock, entropy) = (Arc::new(FixedClock::default()), Arc::new(FixedEntropy::default()));
    Environment { clock, entropy, ..Environment::system() }
}

/// Goes on by a microsecond with each question.
#[derive(Default)]
struct FixedClock(AtomicU64);

impl FixedClock {
    fn step(&self) -> u64 {
        self.0.fetch_add(1, Ordering::Relaxed)
    }
}

impl Clock for FixedClock {
    fn now(&self) -> Timestamp {
        let since = Duration::from_micros(self.step());
        Timestamp {
            seconds: START + i64::try_from(since.as_secs()).unwrap(),
            nanoseconds: since.subsec_nanos(),
        }
    }

    fn monotonic(&self) -> Duration {
        Duration::from_micros(self.step())
    }
}

/// Bytes that look random and are never the same again.
#[derive(Default)]
struct FixedEntropy(AtomicU64);

impl Entropy for FixedEntropy {
    fn fill(&self, buffer: &mut [u8]) {
        for chunk in buffer.chunks_mut(8) {
            // splitmix64
            let mut number = self.0.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
            number = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            chunk.copy_from_slice(&(number ^ (number >> 31)).to_be_bytes()[..chunk.len()]);
        }
    }
}
