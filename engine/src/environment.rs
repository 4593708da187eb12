//! Time, randomness and the disk, injected: the engine asks nobody else for them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::attributes::Timestamp;
use crate::disk::{Disk, RealDisk};
use crate::metadata::{Indexes, SledIndexes};

/// The two clocks. Wall time goes into attributes and ages; monotonic time into delays and leases.
pub trait Clock: Send + Sync + 'static {
    /// Wall-clock time.
    fn now(&self) -> Timestamp;
    /// Time since an arbitrary start that never goes back.
    fn monotonic(&self) -> Duration;
}

/// A source of unpredictable bytes.
pub trait Entropy: Send + Sync + 'static {
    /// Fills the buffer.
    fn fill(&self, buffer: &mut [u8]);
}

/// What the engine gets from outside, besides the objects of the cold tiers.
#[derive(Clone)]
pub struct Environment {
    /// The clocks.
    pub clock: Arc<dyn Clock>,
    /// The source of ids and keys.
    pub entropy: Arc<dyn Entropy>,
    /// The disk with the data directory.
    pub disk: Arc<dyn Disk>,
    /// What holds the index of the metadata, beside that disk.
    pub(crate) indexes: Arc<dyn Indexes>,
}

impl Environment {
    /// The operating system's clocks, random numbers and disk.
    pub fn system() -> Self {
        Environment {
            clock: Arc::new(SystemClock { start: Instant::now() }),
            entropy: Arc::new(SystemEntropy),
            disk: Arc::new(RealDisk),
            indexes: Arc::new(SledIndexes),
        }
    }
}

impl std::fmt::Debug for Environment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Environment")
    }
}

struct SystemClock {
    start: Instant,
}

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the one place that asks the system")]
    fn now(&self) -> Timestamp {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Timestamp {
            seconds: i64::try_from(since.as_secs()).unwrap_or(i64::MAX),
            nanoseconds: since.subsec_nanos(),
        }
    }

    fn monotonic(&self) -> Duration {
        self.start.elapsed()
    }
}

/// A clock by which nothing takes any time: no wait ends because it was long.
#[cfg(test)]
pub(crate) struct StoppedClock;

#[cfg(test)]
impl Clock for StoppedClock {
    fn now(&self) -> Timestamp {
        Timestamp::default()
    }

    fn monotonic(&self) -> Duration {
        Duration::ZERO
    }
}

struct SystemEntropy;

impl Entropy for SystemEntropy {
    #[expect(clippy::disallowed_methods, clippy::panic, reason = "without random numbers no key may be made")]
    fn fill(&self, buffer: &mut [u8]) {
        if let Err(error) = getrandom::fill(buffer) {
            panic!("the operating system gives no random numbers: {error}");
        }
    }
}
