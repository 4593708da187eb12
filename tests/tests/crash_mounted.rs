//! A few kills of the server under a load that comes through the mount of a real Linux client; `make crash` does more of them.
use anyhow::{Result, ensure};
use harness::crash::{Means, MountedPlan, run_mounted};
use harness::lossy::Lie;

const SEED: u64 = 20_261_121;
const KILLS: u32 = 4;
/// Far more than are needed.
const LOSSES_MAX: u32 = 10;

#[test]
fn kills_under_a_mount_lose_and_leak_nothing() -> Result<()> {
    let report = run_mounted(&MountedPlan { means: Means::Kill, lie: None, kills: KILLS, seed: SEED })?;
    ensure!(report.is_clean(), "{report}\n{}\n{}", report.lost.join("\n"), report.leaked.join("\n"));
    ensure!(report.crashes == u64::from(KILLS) && report.acknowledged > 100, "it did too little: {report:?}");
    Ok(())
}

#[test]
fn a_disk_that_lies_is_found_out_through_a_mount() -> Result<()> {
    let lie = Some(Lie::LastRecord);
    let plan = MountedPlan { means: Means::PowerLoss, lie, kills: LOSSES_MAX, seed: SEED };
    let report = run_mounted(&plan)?;
    ensure!(!report.lost.is_empty(), "it was believed: {report}");
    println!("{}", report.lost.join("\n"));
    Ok(())
}
