//! The simulated world, as part of the tests and at length.

mod cases;
mod full_disk;
mod making;
mod store_away;

use super::explore::{explore, try_run};
use super::plan::Plan;
use crate::broken::Broken;
use crate::environment::Environment;

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().map_or(default, |text| text.parse().unwrap())
}

#[test]
fn one_seed_is_one_run() {
    for seed in 0..20 {
        let plan = Plan::of(seed);
        assert_eq!(try_run(&plan), try_run(&plan), "seed {seed}");
    }
}

/// `CRASHES` and `SEED` make it longer and another one.
#[test]
fn no_crash_loses_or_leaks_anything() {
    let tally = explore(number("SEED", 1), number("CRASHES", 300));
    println!("{} crashes, {} lost, {} leaked", tally.crashes, tally.lost, tally.leaked);
    assert_eq!((tally.lost, tally.leaked), (0, 0));
}

/// Seeds that nobody has tried. A failure prints its own.
#[test]
fn no_crash_of_a_fresh_seed_loses_or_leaks_anything() {
    let mut fresh = [0; 4];
    Environment::system().entropy.fill(&mut fresh);
    let tally = explore(u64::from(u32::from_be_bytes(fresh)) + 1_000_000, 300);
    assert_eq!((tally.lost, tally.leaked), (0, 0));
}

/// Rules that the engine breaks on purpose, each of which is noticed, and the first seed that noticed it when this was written: it is
/// tried first, as most change little from one day to the next.
const RULES: [(Broken, u64); 27] = [
    (Broken::SegmentNotSynced, 1),
    (Broken::SegmentNameNotSynced, 17),
    (Broken::ObjectNotVerified, 44),
    (Broken::TrimmedBeforeCheckpoint, 9),
    (Broken::PassedTooEarly, 2),
    (Broken::CheckpointNotSynced, 3),
    (Broken::PublishedNotSynced, 8),
    (Broken::PublishedNameNotSynced, 17),
    (Broken::DeletedBeforeDurable, 108),
    (Broken::DeletedWhileLive, 3),
    (Broken::NoteNotAwaited, 10),
    (Broken::DurableBeforeWritten, 12),
    (Broken::CommitWithoutFlush, 2),
    (Broken::JournalNameNotSynced, 12),
    (Broken::RecycledNotSynced, 65),
    (Broken::FailedSyncIgnored, 12),
    (Broken::ReplayNotSynced, 160),
    (Broken::IndexTrusted, 138),
    (Broken::UploadNotAnnounced, 44),
    (Broken::OrphanNotNoted, 5),
    (Broken::ContentNotReleased, 3),
    (Broken::CounterNotMoved, 2),
    (Broken::TruncationNotNoticed, 2385),
    (Broken::ListTrusted, 3),
    (Broken::WriteSplit, 193),
    (Broken::IndexTakenOverEarly, 26),
    (Broken::ChangeNotReserved, 1),
];

#[test]
fn every_broken_rule_is_noticed() {
    let mut unnoticed = Vec::new();
    for (rule, likely) in RULES {
        let found = std::iter::once(likely).chain(0..3000).find_map(|seed| {
            let failure = try_run(&Plan { broken: Some(rule), ..Plan::of(seed) }).err()?;
            Some((seed, failure))
        });
        match found {
            Some((seed, failure)) => println!("{rule:?}: seed {seed}: {failure:?}"),
            None => unnoticed.push(rule),
        }
    }
    assert!(unnoticed.is_empty(), "{unnoticed:?}");
}
