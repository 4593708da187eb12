//! Smooth backpressure: as the budgets fill, changes are held back more and more, so that their rate meets that of the fold before
//! anybody has to stop.

use std::time::Duration;

use parking_lot::Mutex;

/// What counts as full, in steps.
const FULL: u64 = 1024;
/// Below this nothing is held back: one frozen half, and half of the other.
const FREE: u64 = FULL / 4 * 3;
/// The time between two changes when everything is full.
const INTERVAL_MAX: Duration = Duration::from_millis(1);
/// A timer is not finer than this: less is owed until it adds up.
const SLEEP_MIN: Duration = Duration::from_millis(1);
/// Nobody is held back longer, whatever is owed.
const SLEEP_MAX: Duration = Duration::from_millis(20);

/// How much of a budget is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Fullness(u64);

impl Fullness {
    /// From here on changes are held back.
    pub(super) const PRESSED: Fullness = Fullness(FREE);

    pub(super) fn of(bytes: u64, budget_bytes: u64) -> Self {
        Fullness(bytes.saturating_mul(FULL) / budget_bytes.max(1))
    }

    /// The time between two changes: it grows with the third power, so that it is felt late and never at once.
    fn interval(self) -> Duration {
        let share = self.0.saturating_sub(FREE).min(FULL - FREE);
        let cube = |of: u64| u128::from(of).pow(3);
        let nanoseconds = INTERVAL_MAX.as_nanos() * cube(share) / cube(FULL - FREE);
        Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(u64::MAX))
    }
}

/// When the next change is due.
#[derive(Debug, Default)]
pub(super) struct Pace(Mutex<Duration>);

impl Pace {
    /// Takes a place in the row; returns how long to wait for it, in monotonic time.
    pub(super) fn step(&self, fullness: Fullness, now: Duration) -> Duration {
        let interval = fullness.interval();
        if interval.is_zero() {
            return Duration::ZERO;
        }
        let mut due = self.0.lock();
        // What was owed long ago is forgiven, and so is what nobody could wait for.
        *due = (*due).clamp(now, now.saturating_add(SLEEP_MAX)) + interval;
        let wait = due.saturating_sub(now);
        if wait < SLEEP_MIN { Duration::ZERO } else { wait.min(SLEEP_MAX) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(fullness: Fullness) -> u64 {
        let (pace, mut now, mut count) = (Pace::default(), Duration::ZERO, 0);
        while now < Duration::from_secs(1) {
            let wait = pace.step(fullness, now);
            now += wait.max(Duration::from_micros(10));
            count += 1;
        }
        count
    }

    #[test]
    fn changes_are_held_back_more_and_more_and_never_stopped() {
        assert_eq!(rate(Fullness::of(74, 100)), 100_000);
        let rates: Vec<u64> = [80, 85, 90, 95, 100].map(|full| rate(Fullness::of(full, 100))).to_vec();
        assert!(rates.windows(2).all(|pair| pair[0] > pair[1]), "{rates:?}");
        assert!(rates[0] > 50_000 && rates[4] >= 990, "{rates:?}");
    }

    #[test]
    fn many_at_once_wait_in_a_row() {
        let pace = Pace::default();
        let waits: Vec<_> = (0..10).map(|_| pace.step(Fullness(FULL), Duration::from_secs(7))).collect();
        assert!(waits.windows(2).all(|pair| pair[0] < pair[1]), "{waits:?}");
        assert!((0..100).all(|_| pace.step(Fullness(FULL), Duration::from_secs(7)) <= SLEEP_MAX));
    }
}
