//! `tidefs-crash`: kills the real server and cuts its power, and says what was lost.
use std::io::Write;
use std::process::ExitCode;
use std::thread::scope;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Result, anyhow};
use clap::Parser;
use harness::crash::{Directory, Means, MountedPlan, Plan, Report, run, run_mounted};
use harness::lossy::Lie;

/// Kills the real server under load, cuts its power, and checks what is there after each start.
#[derive(Debug, Parser)]
#[command(name = "tidefs-crash", version)]
struct Arguments {
    /// Rounds with `kill -9`.
    #[arg(long, default_value_t = 100)]
    kills: u32,
    /// Rounds with a power loss.
    #[arg(long, default_value_t = 100)]
    power_losses: u32,
    /// Kills under a load that comes through the mount of a Linux client.
    #[arg(long, default_value_t = 0)]
    mounted_kills: u32,
    /// What all choices are made by [default: another one each time].
    #[arg(long)]
    seed: Option<u64>,
    /// Rounds between two drains of the backlog, after which nothing may be left over.
    #[arg(long, default_value_t = 20)]
    rounds_between_drains: u32,
    /// Lets the disk lie about its syncs (segments, journal, last-record, checkpoints, names), which must be found out.
    #[arg(long)]
    lie: Option<String>,
    /// Ends early after so many findings.
    #[arg(long, default_value_t = 3)]
    findings_max: usize,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

fn main() -> Result<ExitCode> {
    let arguments = Arguments::parse();
    let seed = arguments.seed.unwrap_or_else(fresh_seed);
    let lie = arguments.lie.as_deref().map(|name| Lie::named(name).ok_or_else(|| anyhow!("no lie: {name}")));
    let plan = |means, rounds| Plan {
        means,
        rounds,
        seed,
        rounds_between_drains: arguments.rounds_between_drains.max(1),
        lie: None,
        findings_max: arguments.findings_max,
        directory: Directory::Kept,
    };
    let kills = plan(Means::Kill, arguments.kills);
    let losses = Plan { lie: lie.transpose()?, ..plan(Means::PowerLoss, arguments.power_losses) };
    let mounted = MountedPlan { means: Means::Kill, lie: None, kills: arguments.mounted_kills, seed };
    writeln!(
        std::io::stderr(),
        "seed {seed}: {} kills, {} kills under a mount and {} power losses",
        kills.rounds,
        mounted.kills,
        losses.rounds
    )?;
    let start = Instant::now();
    // All at once: each of them waits most of its time.
    let report = scope(|scope| {
        let kills = scope.spawn(|| run(&kills));
        let mounted = scope.spawn(|| run_mounted(&mounted));
        let losses = run(&losses);
        let mut report = kills.join().map_err(|_| anyhow!("the kills panicked"))??;
        report.add(losses?);
        report.add(mounted.join().map_err(|_| anyhow!("the kills under a mount panicked"))??);
        Ok::<Report, anyhow::Error>(report)
    })?;
    for (what, texts) in [("lost", &report.lost), ("leaked", &report.leaked)] {
        for text in texts {
            writeln!(std::io::stderr(), "{what}: {text}")?;
        }
    }
    let seconds = start.elapsed().as_secs();
    writeln!(std::io::stderr(), "{} acknowledged operations in {seconds} s", report.acknowledged)?;
    match arguments.json {
        true => println!("{}", serde_json::to_string(&report)?),
        false => println!("{report}"),
    }
    Ok(if report.is_clean() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

#[expect(clippy::disallowed_methods, reason = "a seed that is another one each time; it is printed")]
fn fresh_seed() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    since.as_secs() ^ u64::from(since.subsec_nanos()) << 20
}
