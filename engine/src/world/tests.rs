//! The simulated world, as part of the tests and at length.

mod cases;
mod making;

use super::explore::{explore, try_run};
use super::plan::Plan;
use crate::broken::Broken;

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

/// Rules that the engine breaks on purpose, each of which is noticed.
const RULES: [Broken; 24] = [
    Broken::SegmentNotSynced,
    Broken::SegmentNameNotSynced,
    Broken::ObjectNotVerified,
    Broken::TrimmedBeforeCheckpoint,
    Broken::PassedTooEarly,
    Broken::CheckpointNotSynced,
    Broken::PublishedNotSynced,
    Broken::PublishedNameNotSynced,
    Broken::DeletedBeforeDurable,
    Broken::DeletedWhileLive,
    Broken::NoteNotAwaited,
    Broken::DurableBeforeWritten,
    Broken::CommitWithoutFlush,
    Broken::JournalNameNotSynced,
    Broken::RecycledNotSynced,
    Broken::FailedSyncIgnored,
    Broken::ReplayNotSynced,
    Broken::IndexTrusted,
    Broken::UploadNotAnnounced,
    Broken::OrphanNotNoted,
    Broken::ContentNotReleased,
    Broken::CounterNotMoved,
    Broken::TruncationNotNoticed,
    Broken::ListTrusted,
];

#[test]
fn every_broken_rule_is_noticed() {
    let mut unnoticed = Vec::new();
    for rule in RULES {
        let found = (0..3000).find_map(|seed| {
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
