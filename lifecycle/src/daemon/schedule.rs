//! When the next pass is due: a pure function.
//!
//! A pass begins when the oldest file becomes due, but passes keep a distance that grows with the age that is asked for. Else
//! files that become due one by one would each get an object of their own.

use std::time::Duration;

use engine::Timestamp;

use super::TICK;
use crate::policy::Age;
use crate::time;

const LOOK_MAX: Duration = Duration::from_secs(3_600);
const SPACING_MAX: Duration = Duration::from_secs(15 * 60);
const BACKOFF_MIN: Duration = Duration::from_secs(5);
const BACKOFF_MAX: Duration = Duration::from_secs(300);

/// What the time of the next pass depends on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Situation {
    /// Wall-clock time.
    pub(super) now: Timestamp,
    /// The last access of the oldest file in Standard, if there is any.
    pub(super) oldest: Option<Timestamp>,
    /// Time since the last pass under this policy.
    pub(super) since_pass: Option<Duration>,
    /// Passes in a row that failed, or moved nothing of what was due.
    pub(super) fruitless: u32,
}

/// How long to wait for the next pass, and whether it begins then or only another look is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wait {
    /// A pass begins after this time.
    Pass(Duration),
    /// Nothing is due so soon: look again after this time.
    Look(Duration),
}

pub(super) fn wait(age: Age, situation: Situation) -> Wait {
    let look = (age.duration() / 4).clamp(TICK, LOOK_MAX);
    let Some(oldest) = situation.oldest else { return Wait::Look(look) };
    let until_due = time::between(situation.now, time::after(oldest, age.duration()));
    let until_allowed = match situation.since_pass {
        Some(since) => distance(age, situation.fruitless).saturating_sub(since),
        None => Duration::ZERO,
    };
    let wait = until_due.max(until_allowed);
    if wait > look { Wait::Look(look) } else { Wait::Pass(wait) }
}

/// The least time between two passes.
fn distance(age: Age, fruitless: u32) -> Duration {
    let spacing = (age.duration() / 16).clamp(TICK, SPACING_MAX);
    if fruitless == 0 {
        return spacing;
    }
    let doubled = BACKOFF_MIN.saturating_mul(2_u32.saturating_pow(fruitless - 1));
    spacing.max(doubled.min(BACKOFF_MAX))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn situation(now: i64, oldest: Option<i64>) -> Situation {
        let at = |seconds| Timestamp { seconds, nanoseconds: 0 };
        Situation { now: at(now), oldest: oldest.map(at), since_pass: None, fruitless: 0 }
    }

    fn seconds(count: u64) -> Duration {
        Duration::from_secs(count)
    }

    #[test]
    fn a_pass_begins_when_the_oldest_file_is_due() {
        let age: Age = "20s".parse().unwrap();
        assert_eq!(wait(age, situation(100, Some(82))), Wait::Pass(seconds(2)));
        assert_eq!(wait(age, situation(100, Some(10))), Wait::Pass(seconds(0)));
        assert_eq!(wait(age, situation(100, Some(99))), Wait::Look(seconds(5)));
        assert_eq!(wait(age, situation(100, None)), Wait::Look(seconds(5)));
        assert_eq!(wait(Age::days(30), situation(100, None)), Wait::Look(seconds(3_600)));
    }

    #[test]
    fn passes_keep_their_distance_and_more_so_after_failures() {
        let age: Age = "5s".parse().unwrap();
        let mut after = situation(100, Some(10));
        after.since_pass = Some(Duration::from_millis(400));
        assert_eq!(wait(age, after), Wait::Pass(Duration::from_millis(600)));
        after.fruitless = 2;
        assert_eq!(distance(age, 2), seconds(10));
        assert_eq!(wait(age, after), Wait::Look(Duration::from_millis(1_250)));
        assert_eq!(distance(age, u32::MAX), BACKOFF_MAX);
        assert_eq!(distance(Age::days(365), 0), SPACING_MAX);
    }

    proptest! {
        #[test]
        fn no_wait_is_longer_than_an_hour(
            age in 1..3_000_000_000_u64, now in any::<i64>(), oldest in proptest::option::of(any::<i64>()),
        ) {
            let age = Age::from_seconds(age).unwrap();
            let (Wait::Pass(time) | Wait::Look(time)) = wait(age, situation(now, oldest));
            prop_assert!(time <= LOOK_MAX);
        }
    }
}
