//! A few crashes of the real server, of those that `make crash` makes in hundreds; and the proof that they would be noticed.
use std::thread::scope;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Result, anyhow, ensure};
use harness::crash::{Directory, Means, Plan, Report, run};
use harness::lossy::Lie;

const FIXED_SEED: u64 = 20_261_121;
const ROUNDS: u32 = 5;
/// Far more than a lie needs to be found out; the first finding ends it.
const LYING_ROUNDS: u32 = 40;

fn plan(means: Means, seed: u64) -> Plan {
    let directory = Directory::Kept;
    Plan { means, rounds: ROUNDS, seed, rounds_between_drains: ROUNDS, lie: None, findings_max: 1, directory }
}

fn all_at_once(plans: &[Plan]) -> Result<Vec<Report>> {
    scope(|scope| {
        let threads: Vec<_> = plans.iter().map(|plan| scope.spawn(|| run(plan))).collect();
        threads.into_iter().map(|thread| thread.join().map_err(|_| anyhow!("it panicked"))?).collect()
    })
}

#[expect(clippy::disallowed_methods, reason = "a seed that is another one each time; a finding names it")]
fn fresh_seed() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs() << 30 | u64::from(since.subsec_nanos()))
}

#[test]
fn crashes_of_the_real_server_lose_and_leak_nothing() -> Result<()> {
    let seeds = [FIXED_SEED, fresh_seed()];
    let plans = seeds.map(|seed| [plan(Means::Kill, seed), plan(Means::PowerLoss, seed)]).concat();
    for report in all_at_once(&plans)? {
        ensure!(report.is_clean(), "{report}\n{}\n{}", report.lost.join("\n"), report.leaked.join("\n"));
        ensure!(report.crashes >= u64::from(ROUNDS) && report.acknowledged > 0, "it did nothing: {report}");
    }
    Ok(())
}

#[test]
fn a_disk_that_lies_about_its_syncs_is_found_out() -> Result<()> {
    let plans = Lie::ALL.map(|lie| Plan {
        lie: Some(lie),
        rounds: LYING_ROUNDS,
        rounds_between_drains: LYING_ROUNDS,
        directory: Directory::Removed,
        ..plan(Means::PowerLoss, FIXED_SEED)
    });
    for (lie, report) in Lie::ALL.into_iter().zip(all_at_once(&plans)?) {
        ensure!(!report.lost.is_empty(), "a disk that lies about {} was believed: {report}", lie.name());
    }
    Ok(())
}
