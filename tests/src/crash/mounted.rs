//! The load comes through the mount of a real Linux client, while the server is killed and started again under it.
//!
//! In the guest, `tidefs-crash-on-mount` runs several workers as this process would, and prints how many operations of each were
//! acknowledged. What they were follows from the seed, so that this process does them again in its model. At the end of a guest's life
//! first the server is killed and then the guest, in the middle of what it does; the next server is asked natively what is there.
//!
//! What the kernel has in its memory and nobody has synced may be there or not, page by page.

mod guest;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use super::dice::Dice;
use super::lane::{BUDGETS, Means, check_worker, paths_of_files};
use super::leaks;
use super::report::Report;
use super::worker::Worker;
use crate::deadline::poll_until;
use crate::guest::{Guest, RunningGuest};
use crate::lossy::{IndexFate, Lie, cut_power, run_on_lossy_disk};
use crate::prerequisites::guest_binary;
use crate::process::Log;
use crate::server::{Cold, Server, ServerSettings};

pub use guest::work_on_mount;

/// What is to be done.
#[derive(Debug, Clone, Copy)]
pub struct MountedPlan {
    /// How the server dies.
    pub means: Means,
    /// What its disk lies about, if it loses its power.
    pub lie: Option<Lie>,
    /// How often the server is killed.
    pub kills: u32,
    /// All choices are made by it; only the moments are up to the machine.
    pub seed: u64,
}

/// Kills in the life of one guest; the last one takes the guest along.
const KILLS_PER_GUEST: u32 = 5;
const WORKERS: usize = 3;
/// Operations between a restart and the next kill at least: the load has come back.
const OPERATIONS_MIN: u64 = 20;
const LOAD_MS_MAX: u64 = 1500;
/// A restart may cost a grace period, and the client backs off before it connects again.
const PROGRESS_LIMIT: Duration = Duration::from_secs(240);
const SILENCE: Duration = Duration::from_secs(1);
const SCRIPT: &str = "exec \"$@\"";

/// Does all kills.
pub fn run_mounted(plan: &MountedPlan) -> Result<Report> {
    let mut report = Report::default();
    if plan.kills == 0 {
        return Ok(report);
    }
    let mut lane = MountedLane::start(plan)?;
    while report.crashes < u64::from(plan.kills) && report.is_clean() {
        let left = plan.kills - u32::try_from(report.crashes)?;
        // With a lie the oracle shall see it first, not the client.
        let kills = if plan.lie.is_some() { 1 } else { KILLS_PER_GUEST };
        let wrong = lane.guest_life(left.min(kills), &mut report);
        report.lost.extend(wrong.unwrap_or_else(|error| vec![format!("{error:#}")]));
    }
    if report.is_clean() {
        let files = lane.files()?;
        report.leaked = leaks::leaks(&lane.server, &lane.server.work().join("cold"), &files)?;
    }
    if !report.is_clean() {
        let kept = match plan.lie {
            // It was expected.
            Some(_) => String::new(),
            None => format!(", kept in {}", lane.server.keep().display()),
        };
        let kept = format!("; seed {}, through the mount{kept}", plan.seed);
        report.lost.iter_mut().chain(&mut report.leaked).for_each(|text| text.push_str(&kept));
    }
    Ok(report)
}

struct MountedLane {
    means: Means,
    server: Server,
    dice: Dice,
    start: Instant,
    /// Of all guests that there were: what the former ones did must stay.
    workers: Vec<Worker>,
}

impl MountedLane {
    fn start(plan: &MountedPlan) -> Result<MountedLane> {
        let work = tempfile::Builder::new().prefix("tidefs-crash-").tempdir()?;
        let config = work.path().join("tidefs.toml");
        std::fs::write(&config, BUDGETS)?;
        let mut settings = ServerSettings::within(work.path(), Cold::Directory)?;
        settings.log = Log::Kept;
        settings.arguments.extend(["--config".into(), config.into()]);
        if plan.means == Means::PowerLoss {
            run_on_lossy_disk(&mut settings, &work.path().join("undo"), plan.lie)?;
        }
        let server = Server::start_with(work, settings)?;
        server.command(&["lifecycle", "set", "--to-ia", "2s"])?.succeeded()?;
        let (means, dice) = (plan.means, Dice::new(plan.seed));
        Ok(MountedLane { means, server, dice, start: Instant::now(), workers: Vec::new() })
    }

    /// One guest, under which the server dies so often. Returns what is wrong.
    fn guest_life(&mut self, kills: u32, report: &mut Report) -> Result<Vec<String>> {
        let (first, seed) = (self.workers.len(), self.dice.number());
        let program = guest_binary("tidefs-crash-on-mount")?;
        let program = program.to_str().context("an odd path")?;
        let (first_text, seed_text, count) = (first.to_string(), seed.to_string(), WORKERS.to_string());
        let arguments = [program, "/mnt", &first_text, &count, &seed_text];
        let mut guest = self.guest().start(SCRIPT, &arguments)?;
        let mut story = Vec::new();
        for kill in 1..=kills {
            let before = total(&acknowledged(&guest)?);
            let what = format!("the load comes back after {} kills", kill - 1);
            poll_until(&what, PROGRESS_LIMIT, || {
                ensure!(!guest.has_ended()?, "the guest's work broke: {}", tail(&guest));
                Ok((total(&acknowledged(&guest)?) >= before + OPERATIONS_MIN).then_some(()))
            })?;
            sleep(Duration::from_millis(self.dice.below(LOAD_MS_MAX)));
            self.server.kill9();
            report.crashes += 1;
            story.push(format!("killed after {} operations", total(&acknowledged(&guest)?)));
            if kill < kills {
                self.cut(&mut story)?;
                self.server.restart()?;
            }
        }
        // What is on the way from the guest must be here before it goes, so that nothing counts as in flight that is not.
        let acknowledged = settled(&mut guest)?;
        drop(guest);
        report.acknowledged += total(&acknowledged);
        self.cut(&mut story)?;
        self.server.restart()?;
        // The guest comes back and reclaims nothing: the grace period is over, and nothing is kept for it any more.
        self.guest().run(PROGRESS_LIMIT, "true", &[])?;
        for (number, mut worker) in
            (first..first + WORKERS).zip(guest::workers(first, WORKERS, seed, self.start))
        {
            worker.replay(acknowledged.get(&number).copied().unwrap_or(0))?;
            self.workers.push(worker);
        }
        self.check(&story)
    }

    /// The one client that there is: under the name of the former guest.
    fn guest(&self) -> Guest {
        let port = self.server.port();
        Guest::on(port).named(&format!("tidefs-crash-{port}")).without_log()
    }

    /// What was not synced is lost, if the power is.
    fn cut(&mut self, story: &mut Vec<String>) -> Result<()> {
        if self.means == Means::PowerLoss {
            let (data, undo) = (&self.server.settings().data, self.server.work().join("undo"));
            story.push(cut_power(data, &undo, &mut self.dice, IndexFate::AtRisk)?);
        }
        Ok(())
    }

    fn check(&mut self, story: &[String]) -> Result<Vec<String>> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.server.port()));
        let mut wrong = Vec::new();
        for worker in &mut self.workers {
            worker.connect(address)?;
            let (_, found) =
                check_worker(worker).with_context(|| format!("worker {} cannot be read", worker.number))?;
            if !found.is_empty() {
                let history: Vec<&str> = worker.history().map(String::as_str).collect();
                let (found, history) = (found.join("; "), history.join("\n  "));
                wrong.push(format!("worker {}: {found}\n  {history}\n{}", worker.number, story.join("; ")));
            }
        }
        Ok(wrong)
    }

    fn files(&self) -> Result<Vec<String>> {
        let files = self.workers.iter().map(|worker| paths_of_files(&worker.model, &worker.directory()));
        Ok(files.collect::<Result<Vec<_>>>()?.concat())
    }
}

/// How many operations of each worker are acknowledged: the last of its lines `NUMBER COUNT`.
fn acknowledged(guest: &RunningGuest) -> Result<BTreeMap<usize, u64>> {
    let output = String::from_utf8(guest.output())?;
    // The last line may be half there.
    let complete = output.rsplit_once('\n').map_or("", |(complete, _)| complete);
    let mut counts = BTreeMap::new();
    for line in complete.lines() {
        let Some((worker, count)) = line.trim().split_once(' ') else { bail!("odd line {line:?}") };
        let (worker, count) = (worker.parse()?, count.parse().with_context(|| format!("odd line {line:?}"))?);
        let before = counts.insert(worker, count);
        ensure!(before.unwrap_or(0) + 1 == count, "worker {worker}: {count} follows {before:?}");
    }
    Ok(counts)
}

fn total(counts: &BTreeMap<usize, u64>) -> u64 {
    counts.values().sum()
}

/// What was acknowledged when nothing more comes: without a server each worker stops at the first thing that needs one.
fn settled(guest: &mut RunningGuest) -> Result<BTreeMap<usize, u64>> {
    let mut last = (guest.output().len(), Instant::now());
    poll_until("the guest falls silent without a server", PROGRESS_LIMIT, || {
        ensure!(!guest.has_ended()?, "the guest's work broke: {}", tail(guest));
        let length = guest.output().len();
        if length != last.0 {
            last = (length, Instant::now());
        }
        Ok((last.1.elapsed() > SILENCE).then_some(()))
    })?;
    acknowledged(guest)
}

/// The end of what the guest has said.
fn tail(guest: &RunningGuest) -> String {
    let said = guest.complaint();
    said.lines().rev().take(5).collect::<Vec<_>>().join(" | ")
}
