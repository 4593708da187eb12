//! Running plans, many of them, and shrinking those that fail.

use std::sync::atomic::{AtomicU64, Ordering};

use super::life::live;
use super::machine::Machine;
use super::plan::{Crash, End, IndexFate, Life, Plan};
use super::{Failure, Result};

/// What a run came to.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) crashes: u64,
    pub(super) lost: u64,
    pub(super) leaked: u64,
}

/// A life in which nobody does anything: a look at what is there, and at what is left over.
fn last_look() -> Life {
    Life {
        clients: Vec::new(),
        end: End { step: u64::MAX, how: Crash::Stop, index: IndexFate::Stays },
        storm_percent: 0,
        lag_percent: 0,
        sync_fails_at: None,
        room_bytes: None,
        full_at: None,
        clock_back: 0,
        settles: true,
    }
}

/// Runs a plan; returns a digest of all that was written.
pub(super) fn run(plan: &Plan) -> Result<u64> {
    let mut machine = Machine::new(plan.seed, plan.broken);
    let mut model = None;
    let mut trace = 0;
    let last = last_look();
    for (number, life) in plan.lives.iter().chain([&last, &last]).enumerate() {
        let seed = plan.seed ^ (number as u64) << 48;
        live(&mut machine, &mut model, life, seed)?;
        trace = machine.disk.trace();
    }
    Ok(trace)
}

/// How many steps of the disk there are in one life of a plan that is not crashed.
pub(super) fn steps_of(plan: &Plan, life: usize) -> u64 {
    let mut machine = Machine::new(plan.seed, plan.broken);
    let mut model = None;
    for (number, one) in plan.lives.iter().enumerate() {
        let before = machine.disk.clone();
        let seed = plan.seed ^ (number as u64) << 48;
        live(&mut machine, &mut model, one, seed).unwrap();
        if number == life {
            return before.steps();
        }
    }
    0
}

/// Runs a plan on a thread of its own, so that nothing of a failure is left over.
pub(super) fn try_run(plan: &Plan) -> Result<u64> {
    let mine = plan.clone();
    let ended = std::thread::spawn(move || run(&mine)).join();
    ended.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        Err(Failure::Lost(format!("panic: {}", text.unwrap_or_default())))
    })
}

/// A shorter plan that fails, too.
pub(super) fn shrink(plan: &Plan, failure: &Failure) -> Plan {
    let mut best = plan.clone();
    let mut tries_left = 400;
    let fails_so = |candidate: &Plan| try_run(candidate).is_err_and(|found| found.kind() == failure.kind());
    loop {
        let Some(better) = smaller(&best).into_iter().find(|candidate| {
            tries_left -= 1;
            tries_left > 0 && fails_so(candidate)
        }) else {
            return best;
        };
        best = better;
    }
}

/// Plans with something left out, the boldest first.
fn smaller(plan: &Plan) -> Vec<Plan> {
    let mut candidates = Vec::new();
    for number in 0..plan.lives.len() {
        let mut candidate = plan.clone();
        candidate.lives.remove(number);
        candidates.push(candidate);
    }
    let mut change = |number: usize, with: &dyn Fn(&mut Life)| {
        let mut candidate = plan.clone();
        with(&mut candidate.lives[number]);
        if candidate != *plan {
            candidates.push(candidate);
        }
    };
    for (number, life) in plan.lives.iter().enumerate() {
        change(number, &|life| life.storm_percent = 0);
        change(number, &|life| life.lag_percent = 0);
        change(number, &|life| life.room_bytes = None);
        change(number, &|life| life.full_at = None);
        change(number, &|life| life.sync_fails_at = None);
        change(number, &|life| life.clock_back = 0);
        change(number, &|life| life.settles = false);
        change(number, &|life| life.end.index = IndexFate::Stays);
        for client in 0..life.clients.len() {
            let count = life.clients[client].len();
            let mut length = count;
            while length > 0 {
                for start in (0..count).step_by(length) {
                    change(number, &|life| {
                        life.clients[client].drain(start..(start + length).min(count));
                    });
                }
                length /= 2;
            }
        }
    }
    candidates
}

/// Runs plans of seeds until there were so many crashes, on two threads. Failures are printed as they are found.
pub(super) fn explore(first_seed: u64, crashes: u64) -> Tally {
    let (next, done) = (AtomicU64::new(first_seed), AtomicU64::new(0));
    let (lost, leaked) = (AtomicU64::new(0), AtomicU64::new(0));
    let worker = || {
        while done.load(Ordering::Relaxed) < crashes
            && lost.load(Ordering::Relaxed) + leaked.load(Ordering::Relaxed) < 5
        {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            let plan = Plan::of(seed);
            match try_run(&plan) {
                Ok(_) => {
                    let ended = plan.lives.iter().filter(|life| life.end.how != Crash::Stop).count();
                    let before = done.fetch_add(ended as u64, Ordering::Relaxed);
                    let now = before + ended as u64;
                    if before / 1000 != now / 1000 {
                        eprintln!("{now} of {crashes}");
                    }
                }
                Err(failure) => {
                    let count = if matches!(failure, Failure::Leaked(_)) { &leaked } else { &lost };
                    count.fetch_add(1, Ordering::Relaxed);
                    report(&plan, &failure);
                }
            }
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(worker);
        scope.spawn(worker);
    });
    Tally { crashes: done.into_inner(), lost: lost.into_inner(), leaked: leaked.into_inner() }
}

fn report(plan: &Plan, failure: &Failure) {
    eprintln!("seed {}: {failure:?}; shrinking {} operations", plan.seed, plan.operations());
    let short = shrink(plan, failure);
    eprintln!("seed {}: {:?} with {short:#?}", plan.seed, try_run(&short));
}
