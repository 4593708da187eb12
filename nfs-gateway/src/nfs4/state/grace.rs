//! The grace period after a restart (RFC 8881 §8.4.2): who may reclaim, and when it ends.
//!
//! # Crash consistency
//! A client has a durable record before the first state of this server's life is granted to it (rule D5). After a restart only
//! those with a record may reclaim. The records of those that did not are dropped, durably, before the grace period ends and
//! anything that conflicts with what they held can be granted; so they cannot reclaim after another restart (§8.4.3).

use std::collections::HashSet;
use std::time::Duration;

/// Where a client's record is kept.
pub(crate) type RecordKey = String;

/// The grace period.
#[derive(Debug)]
pub(crate) struct Grace {
    phase: Phase,
    recorded: HashSet<RecordKey>,
    reclaimed: HashSet<RecordKey>,
    waiting: HashSet<RecordKey>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Active {
        until: Duration,
    },
    Ending,
    /// It is over, and what ends it is to be tried again.
    Failed,
    Ended,
}

impl Grace {
    /// Starts it, if there is anybody to wait for.
    pub(crate) fn start(recorded: HashSet<RecordKey>, now: Duration, lease: Duration) -> Grace {
        let phase = if recorded.is_empty() { Phase::Ended } else { Phase::Active { until: now + lease } };
        Grace { phase, waiting: recorded.clone(), recorded, reclaimed: HashSet::new() }
    }

    /// Whether only reclaims are accepted.
    pub(crate) fn is_active(&self) -> bool {
        self.phase != Phase::Ended
    }

    /// Whether the client of this record may reclaim now.
    pub(crate) fn may_reclaim(&self, key: &str) -> bool {
        matches!(self.phase, Phase::Active { .. }) && self.recorded.contains(key)
    }

    /// The client has reclaimed a state: its record stays.
    pub(crate) fn reclaimed(&mut self, key: &str) {
        if let Some(key) = self.recorded.get(key) {
            self.reclaimed.insert(key.clone());
        }
    }

    /// The client has reclaimed all it wants, or will never come.
    pub(crate) fn complete(&mut self, key: &str) {
        self.waiting.remove(key);
    }

    /// If it is over, the records to drop. When they are gone, durably, call [`Grace::end`].
    pub(crate) fn poll(&mut self, now: Duration) -> Option<Vec<RecordKey>> {
        match self.phase {
            Phase::Active { until } if now < until && !self.waiting.is_empty() => None,
            Phase::Active { .. } | Phase::Failed => {
                self.phase = Phase::Ending;
                Some(self.recorded.difference(&self.reclaimed).cloned().collect())
            }
            Phase::Ending | Phase::Ended => None,
        }
    }

    /// What ends it could not be done: the next poll says so again.
    pub(crate) fn failed(&mut self) {
        self.phase = Phase::Failed;
    }

    /// Normal operation.
    pub(crate) fn end(&mut self) {
        *self = Grace::start(HashSet::new(), Duration::ZERO, Duration::ZERO);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn two_clients() -> Grace {
        let keys = ["a", "b"].map(String::from);
        Grace::start(keys.into(), Duration::from_secs(100), Duration::from_secs(90))
    }

    #[test]
    fn without_records_there_is_no_grace_period() {
        let grace = Grace::start(HashSet::new(), Duration::ZERO, Duration::from_secs(90));
        assert!(!grace.is_active());
    }

    #[test]
    fn it_ends_early_when_all_have_reclaimed() {
        let mut grace = two_clients();
        assert!(grace.may_reclaim("a") && !grace.may_reclaim("stranger"));
        grace.reclaimed("a");
        grace.complete("a");
        assert_eq!(grace.poll(Duration::from_secs(101)), None);
        grace.complete("b");
        assert_eq!(grace.poll(Duration::from_secs(102)), Some(vec!["b".to_owned()]));
        assert!(grace.is_active(), "until the record is durably gone");
        assert!(!grace.may_reclaim("b"));
        assert_eq!(grace.poll(Duration::from_secs(103)), None);
        grace.failed();
        assert!(grace.is_active() && !grace.may_reclaim("b"));
        assert_eq!(grace.poll(Duration::from_secs(104)), Some(vec!["b".to_owned()]), "once more");
        grace.end();
        assert!(!grace.is_active());
    }

    #[test]
    fn it_ends_by_time_and_who_did_not_reclaim_loses_his_record() {
        let mut grace = two_clients();
        grace.reclaimed("a");
        assert_eq!(grace.poll(Duration::from_secs(189)), None);
        assert_eq!(grace.poll(Duration::from_secs(190)), Some(vec!["b".to_owned()]));
        assert_eq!(grace.poll(Duration::from_secs(191)), None);
    }
}
