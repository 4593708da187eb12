//! The simulated world, as part of the tests and at length.

use super::explore::{explore, try_run};
use super::plan::Plan;

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
