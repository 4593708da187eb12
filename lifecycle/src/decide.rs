//! What is to be done with one file now: a pure function of facts, policy and time.

use engine::{FileFacts, Tier, Timestamp};

use crate::policy::{Age, Policy, ToPrimary};
use crate::time;

/// What is to be done with a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// It stays where it is.
    Keep {
        /// Why.
        reason: KeepReason,
        /// When time alone changes that; `None`: only an access or another policy does.
        until: Option<Timestamp>,
    },
    /// Its data moves.
    Move {
        /// Where to.
        to: Tier,
        /// Why.
        reason: MoveReason,
    },
}

/// Why a file stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeepReason {
    /// The policy moves nothing to Infrequent Access.
    PolicyIsOff,
    /// It has no data: there is nothing to move.
    NoData,
    /// All of its data is in Infrequent Access.
    AlreadyCold,
    /// It was accessed too recently.
    NotYetDue {
        /// The age that the policy asks for.
        after: Age,
    },
    /// Its last access lies in the future: the clock was set back. Until the clock has caught up, it counts as in use.
    AccessedInTheFuture {
        /// The age that the policy asks for.
        after: Age,
    },
}

/// Why a file moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MoveReason {
    /// It was not accessed for this age.
    NotAccessedFor(Age),
    /// Its cold data was read, and the policy brings such files back.
    ReadWhileCold,
}

/// Decides about a file by its age.
pub fn decide(facts: &FileFacts, policy: &Policy, now: Timestamp) -> Decision {
    let keep = |reason| Decision::Keep { reason, until: None };
    if facts.standard_bytes == 0 {
        return keep(if facts.infrequent_access_bytes > 0 {
            KeepReason::AlreadyCold
        } else {
            KeepReason::NoData
        });
    }
    let Some(after) = policy.to_ia else { return keep(KeepReason::PolicyIsOff) };
    let due = time::after(facts.last_access, after.duration());
    if due <= now {
        return Decision::Move { to: Tier::InfrequentAccess, reason: MoveReason::NotAccessedFor(after) };
    }
    let reason = if facts.last_access > now {
        KeepReason::AccessedInTheFuture { after }
    } else {
        KeepReason::NotYetDue { after }
    };
    Decision::Keep { reason, until: Some(due) }
}

/// Decides about a file whose cold data was just read.
pub fn decide_after_cold_read(facts: &FileFacts, policy: &Policy) -> Decision {
    let keep = |reason| Decision::Keep { reason, until: None };
    match policy.to_primary {
        _ if facts.infrequent_access_bytes == 0 => keep(KeepReason::NoData),
        ToPrimary::OnFirstAccess => Decision::Move { to: Tier::Standard, reason: MoveReason::ReadWhileCold },
        ToPrimary::Never => keep(KeepReason::AlreadyCold),
    }
}

/// The time at or before which a file must have been accessed last to be due now.
pub(crate) fn cutoff(age: Age, now: Timestamp) -> Timestamp {
    time::before(now, age.seconds())
}

#[cfg(test)]
mod tests {
    use engine::InodeId;
    use proptest::prelude::*;

    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp { seconds, nanoseconds: 0 }
    }

    fn hot(last_access: Timestamp) -> FileFacts {
        FileFacts { inode: InodeId(2), size: 10, last_access, standard_bytes: 10, infrequent_access_bytes: 0 }
    }

    fn after(age: &str) -> Policy {
        Policy { to_ia: Some(age.parse().unwrap()), to_primary: ToPrimary::Never }
    }

    #[test]
    fn a_file_moves_exactly_when_it_has_the_age() {
        let policy = after("20s");
        let age = policy.to_ia.unwrap();
        assert_eq!(
            decide(&hot(at(100)), &policy, at(119)),
            Decision::Keep { reason: KeepReason::NotYetDue { after: age }, until: Some(at(120)) }
        );
        assert_eq!(
            decide(&hot(at(100)), &policy, at(120)),
            Decision::Move { to: Tier::InfrequentAccess, reason: MoveReason::NotAccessedFor(age) }
        );
    }

    #[test]
    fn a_clock_that_goes_back_moves_nothing() {
        let policy = after("20s");
        let decision = decide(&hot(at(1_000)), &policy, at(10));
        let reason = KeepReason::AccessedInTheFuture { after: policy.to_ia.unwrap() };
        assert_eq!(decision, Decision::Keep { reason, until: Some(at(1_020)) });
    }

    #[test]
    fn what_has_no_data_in_standard_stays() {
        let mut facts = hot(at(0));
        facts.standard_bytes = 0;
        let reason_of = |facts: &FileFacts| match decide(facts, &after("1s"), at(1_000)) {
            Decision::Keep { reason, until: None } => reason,
            other => panic!("{other:?}"),
        };
        assert_eq!(reason_of(&facts), KeepReason::NoData);
        facts.infrequent_access_bytes = 10;
        assert_eq!(reason_of(&facts), KeepReason::AlreadyCold);
    }

    #[test]
    fn a_cold_read_brings_back_only_where_the_policy_says_so() {
        let mut facts = hot(at(0));
        facts.infrequent_access_bytes = 5;
        let mut policy = after("1d");
        assert!(matches!(decide_after_cold_read(&facts, &policy), Decision::Keep { .. }));
        policy.to_primary = ToPrimary::OnFirstAccess;
        let back = Decision::Move { to: Tier::Standard, reason: MoveReason::ReadWhileCold };
        assert_eq!(decide_after_cold_read(&facts, &policy), back);
        facts.infrequent_access_bytes = 0;
        assert!(matches!(decide_after_cold_read(&facts, &policy), Decision::Keep { .. }));
    }

    fn any_time() -> impl Strategy<Value = Timestamp> {
        (any::<i64>(), 0..1_000_000_000_u32)
            .prop_map(|(seconds, nanoseconds)| Timestamp { seconds, nanoseconds })
    }

    fn any_policy() -> impl Strategy<Value = Policy> {
        (proptest::option::of(1..=36_500_u64 * 86_400), any::<bool>()).prop_map(|(age, back)| Policy {
            to_ia: age.and_then(Age::from_seconds),
            to_primary: if back { ToPrimary::OnFirstAccess } else { ToPrimary::Never },
        })
    }

    prop_compose! {
        fn any_facts()(last_access in any_time(), standard_bytes in 0..3_u64, infrequent_access_bytes in 0..3_u64)
            -> FileFacts {
            FileFacts { inode: InodeId(2), size: 4, last_access, standard_bytes, infrequent_access_bytes }
        }
    }

    proptest! {
        #[test]
        fn nothing_moves_before_its_age(facts in any_facts(), policy in any_policy(), now in any_time()) {
            if let Decision::Move { to, .. } = decide(&facts, &policy, now) {
                prop_assert_eq!(to, Tier::InfrequentAccess);
                prop_assert!(facts.standard_bytes > 0);
                prop_assert!(time::between(facts.last_access, now) >= policy.to_ia.unwrap().duration());
            }
        }

        #[test]
        fn a_kept_file_moves_when_its_time_has_come(facts in any_facts(), policy in any_policy(), now in any_time()) {
            if let Decision::Keep { until: Some(until), .. } = decide(&facts, &policy, now) {
                prop_assert!(until > now);
                let then = decide(&facts, &policy, until);
                prop_assert!(matches!(then, Decision::Move { .. }), "{:?}", then);
            }
        }

        #[test]
        fn more_time_never_takes_a_move_back(
            facts in any_facts(), policy in any_policy(), now in any_time(), later in 0..u64::MAX,
        ) {
            let later = time::after(now, std::time::Duration::from_secs(later));
            if let Decision::Move { .. } = decide(&facts, &policy, now) {
                let then = decide(&facts, &policy, later);
                prop_assert!(matches!(then, Decision::Move { .. }), "{:?}", then);
            }
        }

        #[test]
        fn the_cutoff_agrees_with_the_decision(
            seconds in -1_000_000_000_000..1_000_000_000_000_i64, ago in -200..200_i64, age in 1..150_u64,
        ) {
            let (now, age) = (at(seconds), Age::from_seconds(age).unwrap());
            let facts = hot(at(seconds - ago));
            let policy = Policy { to_ia: Some(age), to_primary: ToPrimary::Never };
            let moves = matches!(decide(&facts, &policy, now), Decision::Move { .. });
            prop_assert_eq!(moves, facts.last_access <= cutoff(age, now));
        }
    }
}
