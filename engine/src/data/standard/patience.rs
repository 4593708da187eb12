//! How often a read looks whether its bytes have come, before it hands itself to a thread that waits for them.
//!
//! To hand a read over and to wake its caller again costs more than to read 4 KiB from a fast disk. While many reads wait at a time, each
//! looks again when it is its turn, and by then a fast disk has answered. On a slow disk, or for a read that is alone, looking is in vain.

use std::sync::atomic::{AtomicU32, Ordering};

/// Looks at most.
const LOOKS_MAX: u32 = 64;
/// Turns between two looks: a look is a system call, and most are too early if each turn has one.
const TURNS: u32 = 3;
/// Reads that must wait at a time for more than one look.
const CROWD_MIN: u32 = 4;
/// Each read of that many looks as often as it may, to learn whether that pays again.
const PROBE_EVERY: u32 = 64;

/// What reads have learned.
#[derive(Debug)]
pub(super) struct Patience {
    waiting: AtomicU32,
    looks: AtomicU32,
    turns: AtomicU32,
}

impl Default for Patience {
    fn default() -> Self {
        Patience { waiting: 0.into(), looks: LOOKS_MAX.into(), turns: 0.into() }
    }
}

/// A read that waits, also for a thread that it was handed to, as long as this lives.
pub(super) struct Waiting<'a> {
    patience: &'a Patience,
    looks: u32,
    looked: u32,
}

impl Patience {
    /// A read begins.
    pub(super) fn wait(&self) -> Waiting<'_> {
        let crowd = self.waiting.fetch_add(1, Ordering::Relaxed) + 1;
        let probes = self.turns.fetch_add(1, Ordering::Relaxed).is_multiple_of(PROBE_EVERY);
        let looks = match (crowd < CROWD_MIN, probes) {
            (true, _) => 1,
            (false, true) => LOOKS_MAX,
            (false, false) => self.looks.load(Ordering::Relaxed),
        };
        Waiting { patience: self, looks, looked: 0 }
    }

    fn learn(&self, change: impl Fn(u32) -> u32) {
        let change = |looks| Some(change(looks).clamp(1, LOOKS_MAX));
        let _ = self.looks.fetch_update(Ordering::Relaxed, Ordering::Relaxed, change);
    }
}

impl Waiting<'_> {
    /// Whether to look once more.
    pub(super) fn looks_again(&mut self) -> bool {
        let again = self.looked < self.looks;
        if again {
            self.looked += 1;
        } else if self.looks > 1 {
            self.patience.learn(|looks| looks - 1);
        }
        again
    }

    /// How often others get their turn before the next look; never if there is none.
    pub(super) fn turns_before_next(&self) -> u32 {
        if self.looked < self.looks { TURNS } else { 0 }
    }

    /// The bytes were there.
    pub(super) fn found(&self) {
        // At the first look that says nothing about the disk.
        if self.looked > 1 {
            self.patience.learn(|looks| looks * 2);
        }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.patience.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn looks(waiting: &mut Waiting<'_>) -> u32 {
        let mut looks = 0;
        while waiting.looks_again() {
            looks += 1;
        }
        looks
    }

    #[test]
    fn a_read_that_is_alone_looks_once() {
        let patience = Patience::default();
        for _ in 0..200 {
            let mut waiting = patience.wait();
            assert_eq!((looks(&mut waiting), waiting.turns_before_next()), (1, 0));
        }
        assert_eq!(patience.waiting.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn a_crowd_looks_often_as_long_as_that_pays() {
        let patience = Patience::default();
        let _crowd: Vec<_> = (1..CROWD_MIN).map(|_| patience.wait()).collect();
        assert_eq!(looks(&mut patience.wait()), LOOKS_MAX);
        for _ in 0..LOOKS_MAX {
            looks(&mut patience.wait());
        }
        assert_eq!(looks(&mut patience.wait()), 1, "in vain too often");

        let first = || {
            let mut waiting = patience.wait();
            assert!(waiting.looks_again());
            waiting.found();
        };
        (0..PROBE_EVERY / 2).for_each(|_| first());
        assert_eq!(patience.looks.load(Ordering::Relaxed), 1, "what was in memory says nothing");

        let most = (0..PROBE_EVERY).map(|_| patience.wait().looks).max();
        assert_eq!(most, Some(LOOKS_MAX), "one of them tries");
        for _ in 0..10 * PROBE_EVERY {
            let mut waiting = patience.wait();
            if waiting.looks_again() && waiting.looks_again() {
                waiting.found();
            }
        }
        assert_eq!(patience.looks.load(Ordering::Relaxed), LOOKS_MAX, "it pays again");
    }
}
