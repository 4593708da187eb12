//! The cases that break others, each by name, with a crash at every step of it.

use super::super::explore::{steps_of, try_run};
use super::super::plan::{Crash, End, IndexFate, Life, Op, Plan};
use crate::file_system::Stability;
use crate::tiering::Tier;

const FILE: Op = Op::Create { directory: 0, name: 0 };
const LARGE: Op = Op::Write { file: 0, offset: 0, length: 200_000, stability: Stability::Unstable };
const SMALL: Op = Op::Write { file: 0, offset: 5000, length: 700, stability: Stability::FileSync };
const COMMIT: Op = Op::Commit { file: 0 };
const AGE: Op = Op::Transition { files: 0, to: Tier::InfrequentAccess };
const RECALL: Op = Op::Transition { files: 0, to: Tier::Standard };
const REMOVE: Op = Op::Remove { directory: 0, name: 0 };
const CUT: Op = Op::Truncate { file: 0, size: 70_000 };
const LATER: Op = Op::Sleep { milliseconds: 30_000 };

fn life(clients: &[&[Op]]) -> Life {
    Life {
        clients: clients.iter().map(|operations| operations.to_vec()).collect(),
        end: End { step: u64::MAX, how: Crash::PowerFailure, index: IndexFate::Stays },
        storm_percent: 0,
        lag_percent: 0,
        sync_fails_at: None,
        room_bytes: None,
        full_at: None,
        clock_back: 0,
        settles: false,
    }
}

fn plan(seed: u64, lives: Vec<Life>) -> Plan {
    Plan { seed, broken: None, lives }
}

fn check(plan: &Plan) {
    if let Err(failure) = try_run(plan) {
        panic!("{failure:?} with {plan:#?}");
    }
}

/// Crashes at every step of a life, by a loss of power and by a kill.
fn crash_at_every_step(before: &[&[Op]], script: &[&[Op]]) {
    let before = Life { end: End { how: Crash::Stop, ..life(before).end }, ..life(before) };
    let whole = plan(1, vec![before, life(script)]);
    let steps = steps_of(&whole, 1);
    assert!(steps > 20, "{steps}");
    for step in 1..=steps {
        for how in [Crash::PowerFailure, Crash::Kill] {
            let mut crashed = plan(step, whole.lives.clone());
            crashed.lives[1].end = End { step, how, index: IndexFate::Stays };
            check(&crashed);
        }
    }
}

/// Each operation that no case with a name of its own has.
#[test]
fn a_crash_at_every_step_of_the_other_operations() {
    let at = |name| Op::Create { directory: 0, name };
    let directory = |directory, name| Op::MakeDirectory { directory, name };
    let before: &[Op] = &[FILE, SMALL, at(1), directory(0, 2), directory(1, 0)];
    let names = [
        directory(0, 3),
        Op::MakeSymlink { directory: 1, name: 1 },
        Op::Link { file: 0, directory: 1, name: 2 },
        // A directory goes into another one, and one goes.
        Op::Rename { from: 1, name: 0, to: 0, new: 4 },
        Op::Rename { from: 0, name: 3, to: 1, new: 0 },
        Op::Remove { directory: 0, name: 4 },
        Op::Remove { directory: 0, name: 0 },
    ];
    crash_at_every_step(&[before], &[&names]);
    let attributes = [
        Op::SetMode { node: 0, mode: 0o750 },
        Op::SetMode { node: 1, mode: 0o604 },
        Op::Note { key: 0, value: 7 },
        Op::Truncate { file: 0, size: 150_000 },
        Op::Write { file: 0, offset: 140_000, length: 5000, stability: Stability::FileSync },
        Op::Note { key: 0, value: 8 },
        Op::Verify,
    ];
    crash_at_every_step(&[before], &[&attributes]);
}

#[test]
fn a_crash_between_upload_and_extent_swing() {
    crash_at_every_step(&[&[FILE, LARGE, COMMIT]], &[&[SMALL, AGE]]);
}

#[test]
fn a_crash_between_swing_and_release() {
    crash_at_every_step(&[&[FILE, LARGE, COMMIT]], &[&[AGE, LATER, RECALL, LATER]]);
}

#[test]
fn a_write_during_a_transition() {
    crash_at_every_step(&[&[FILE, LARGE, COMMIT]], &[&[SMALL, LARGE, COMMIT, SMALL], &[AGE, RECALL, AGE]]);
}

#[test]
fn a_removal_and_a_truncation_while_the_pack_is_written() {
    crash_at_every_step(&[&[FILE, LARGE, COMMIT]], &[&[SMALL, REMOVE, LATER], &[AGE, AGE]]);
    crash_at_every_step(&[&[FILE, LARGE, COMMIT]], &[&[SMALL, CUT, SMALL], &[AGE, AGE]]);
}

#[test]
fn a_removal_and_a_truncation_while_the_segment_is_collected() {
    let overwritten = &[FILE, LARGE, COMMIT, LARGE, COMMIT, AGE, LARGE, COMMIT];
    crash_at_every_step(&[overwritten], &[&[SMALL, REMOVE], &[Op::Collect, LATER, Op::Collect]]);
    crash_at_every_step(&[overwritten], &[&[CUT, SMALL], &[Op::Collect, LATER, Op::Collect]]);
}

#[test]
fn a_rename_over_an_open_file() {
    let two = &[FILE, LARGE, COMMIT, Op::Create { directory: 0, name: 1 }];
    let over = Op::Rename { from: 0, name: 1, to: 0, new: 0 };
    let script = &[Op::Open { file: 0 }, over, SMALL, Op::Read { file: 0 }, Op::CloseAll, LATER];
    crash_at_every_step(&[two], &[script]);
}

#[test]
fn a_clone_whose_source_is_overwritten_and_removed() {
    let two = &[FILE, LARGE, COMMIT, Op::Create { directory: 0, name: 1 }];
    let clone = Op::Clone { from: 0, to: 1, unit: 0, units: 20 };
    let punch = Op::Punch { file: 0, offset: 9000, length: 30_000 };
    crash_at_every_step(&[two], &[&[clone, SMALL, punch, REMOVE, Op::Collect, LATER]]);
}

#[test]
fn a_rotation_of_the_key_with_data_in_both_tiers() {
    let script = &[Op::RotateKey, SMALL, LATER, AGE, LATER];
    crash_at_every_step(&[&[FILE, LARGE, COMMIT, AGE, SMALL]], &[script]);
}

#[test]
fn a_crash_during_the_recovery_from_a_crash() {
    let first = life(&[&[FILE, LARGE, COMMIT, SMALL, AGE, SMALL, Op::Checkpoint, SMALL]]);
    let whole = plan(2, vec![first.clone(), life(&[])]);
    let steps = steps_of(&whole, 1);
    for step in 1..=steps {
        for how in [Crash::PowerFailure, Crash::Kill] {
            let mut crashed = plan(step, vec![first.clone(), life(&[]), life(&[])]);
            crashed.lives[1].end = End { step, how, index: IndexFate::Stays };
            crashed.lives[2].end = End { step: step / 2 + 1, how, index: IndexFate::Stays };
            check(&crashed);
        }
    }
}

/// Also when the crash before that one came at another moment.
#[test]
fn a_crash_during_the_recovery_from_a_crash_at_any_step() {
    let mut first = life(&[&[FILE, LARGE, COMMIT, SMALL, AGE, SMALL, Op::Checkpoint, REMOVE]]);
    let steps = steps_of(&plan(7, vec![first.clone()]), 0);
    for step in (1..=steps).step_by(3) {
        first.end.step = step;
        for (again, how) in
            [(3, Crash::Kill), (step % 23 + 1, Crash::PowerFailure), (step % 41 + 1, Crash::Kill)]
        {
            let mut crashed = plan(step, vec![first.clone(), life(&[]), life(&[])]);
            crashed.lives[1].end = End { step: again, how, index: IndexFate::Stays };
            check(&crashed);
        }
    }
}

#[test]
fn an_index_that_is_deleted_damaged_or_older_than_the_checkpoint() {
    let more = &[LARGE, COMMIT, SMALL, Op::Checkpoint, SMALL, Op::Checkpoint];
    for (how, index) in [
        (Crash::PowerFailure, IndexFate::Gone),
        (Crash::PowerFailure, IndexFate::Damaged),
        (Crash::PowerFailure, IndexFate::Older),
        (Crash::Kill, IndexFate::Gone),
        (Crash::Kill, IndexFate::Older),
        (Crash::Stop, IndexFate::Gone),
        (Crash::Stop, IndexFate::Older),
    ] {
        let mut lives = vec![life(&[&[FILE, SMALL, Op::Checkpoint]]), life(&[more]), life(&[more])];
        for life in &mut lives {
            life.end = End { step: u64::MAX, how, index };
            // Or there may be none yet that comes back.
            life.settles = true;
        }
        check(&plan(3, lives));
    }
}

#[test]
fn a_journal_that_is_full() {
    let writes = [Op::Write { file: 0, offset: 0, length: 120_000, stability: Stability::FileSync }; 90];
    let mut script = vec![FILE];
    script.extend(writes);
    let whole = plan(4, vec![life(&[&script])]);
    let steps = steps_of(&whole, 0);
    for step in (30..=steps).step_by(23) {
        let mut crashed = plan(step, whole.lives.clone());
        crashed.lives[0].end.step = step;
        check(&crashed);
    }
}

#[test]
fn a_disk_that_is_full_at_any_step() {
    let script: &[&[Op]] =
        &[&[FILE, LARGE, COMMIT, SMALL, Op::Checkpoint, AGE, LARGE, COMMIT, REMOVE, LATER]];
    let steps = steps_of(&plan(8, vec![life(script)]), 0);
    for step in 1..=steps {
        let full = Life { full_at: Some(step), ..life(script) };
        check(&plan(step, vec![full.clone(), Life { settles: true, ..life(&[]) }]));
        let mut stopped = full;
        stopped.end.how = Crash::Stop;
        check(&plan(step, vec![stopped]));
    }
}

#[test]
fn a_disk_with_any_room_left() {
    let script: &[&[Op]] =
        &[&[FILE, LARGE, COMMIT, SMALL, Op::Checkpoint, AGE, LARGE, COMMIT, REMOVE, LATER]];
    for room in (0..8 << 20).step_by(400 << 10) {
        let full = Life { room_bytes: Some(room), ..life(script) };
        check(&plan(room, vec![full.clone(), Life { settles: true, ..life(&[]) }]));
        let mut stopped = full;
        stopped.end.how = Crash::Stop;
        check(&plan(room + 1, vec![stopped]));
    }
}

#[test]
fn a_sync_that_fails_at_any_step() {
    let script: &[&[Op]] = &[&[FILE, LARGE, COMMIT, SMALL, Op::Checkpoint, AGE, SMALL, REMOVE]];
    let steps = steps_of(&plan(5, vec![life(script)]), 0);
    for step in 1..=steps {
        for how in [Crash::PowerFailure, Crash::Kill] {
            let mut failing = Life { sync_fails_at: Some(step), ..life(script) };
            failing.end.how = how;
            check(&plan(step, vec![failing, life(&[&[SMALL]]), life(&[])]));
        }
    }
}

#[test]
fn a_clock_that_goes_back() {
    let script: &[&[Op]] = &[&[FILE, LARGE, COMMIT, LATER, AGE, SMALL, LATER]];
    let back = Life { clock_back: 1_000_000, settles: true, ..life(script) };
    check(&plan(6, vec![life(script), back.clone(), back]));
}
