//! A fold that goes slowly while others write and there is room: what it reads, seals and syncs is in the way of the journal.

use std::time::Duration;

use super::store::Parts;
use crate::identity::Lsn;

/// Entries between two looks at the clock.
const ENTRIES_EACH_LOOK: u32 = 64;
/// Work between two rests.
const WORK: Duration = Duration::from_millis(10);
/// How many times as long as it worked a fold rests.
const REST_TIMES: u32 = 2;
/// Nobody rests longer at once: the budgets fill meanwhile.
const REST_MAX: Duration = Duration::from_millis(50);

/// The rests of one fold.
pub(super) struct Rests {
    entries: u32,
    working_since: Duration,
    /// The last record at the last look: who writes has committed more since.
    committed: Lsn,
}

impl Rests {
    pub(super) fn new(parts: &Parts) -> Self {
        Rests::at(now(parts), parts.overlay.committed())
    }

    fn at(working_since: Duration, committed: Lsn) -> Self {
        Rests { entries: 0, working_since, committed }
    }

    /// Called for each entry: rests when it is time to.
    pub(super) fn step(&mut self, parts: &Parts) {
        self.entries += 1;
        if self.entries < ENTRIES_EACH_LOOK {
            return;
        }
        self.entries = 0;
        if let Some(rest) = self.rest(now(parts), parts.overlay.committed(), parts.fold_is_wanted()) {
            // A stop is seen by whoever started the fold.
            parts.signal.pause(rest);
            self.working_since = now(parts);
        }
    }

    /// How long to rest now.
    fn rest(&mut self, now: Duration, committed: Lsn, awaited: bool) -> Option<Duration> {
        let worked = now.saturating_sub(self.working_since);
        if worked < WORK {
            return None;
        }
        let others_write = committed > self.committed;
        (self.committed, self.working_since) = (committed, now);
        (others_write && !awaited).then(|| (worked * REST_TIMES).min(REST_MAX))
    }
}

fn now(parts: &Parts) -> Duration {
    parts.home.environment.clock.monotonic()
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    #[test]
    fn a_fold_rests_while_others_write_and_nobody_waits_for_it() {
        let mut rests = Rests::at(ms(100), Lsn(5));
        assert_eq!(rests.rest(ms(109), Lsn(6), false), None, "it has not worked long enough");
        assert_eq!(rests.rest(ms(112), Lsn(6), false), Some(ms(24)));
        assert_eq!(rests.rest(ms(130), Lsn(6), false), None, "nobody writes");
        assert_eq!(rests.rest(ms(150), Lsn(7), true), None, "it is waited for");
        assert_eq!(rests.rest(ms(1150), Lsn(8), false), Some(REST_MAX));
    }
}
