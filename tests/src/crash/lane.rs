//! One server that crashes again and again, with one data directory.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{scope, sleep};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};

use super::dice::Dice;
use super::leaks;
use super::model::{Body, Model, Way};
use super::observe::{Observed, inodes, is_stale, observe};
use super::oracle::judge;
use super::report::Report;
use super::worker::Worker;
use crate::deadline::poll_until;
use crate::lossy::{IndexFate, Lie, cut_power, run_on_lossy_disk};
use crate::process::Log;
use crate::server::{Cold, Server, ServerSettings};

/// How a server dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Means {
    /// `kill -9`: what it has written is there.
    Kill,
    /// `kill -9`, and what it has not synced is there or not.
    PowerLoss,
}

/// What is to be done.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// How the server dies.
    pub means: Means,
    /// How often.
    pub rounds: u32,
    /// All choices are made by it; only the moments are up to the machine.
    pub seed: u64,
    /// Rounds from one drain of the backlog to the next; there is one at the end too.
    pub rounds_between_drains: u32,
    /// What the disk lies about.
    pub lie: Option<Lie>,
    /// After so many findings it ends early.
    pub findings_max: usize,
    /// What becomes of the directory of a finding.
    pub directory: Directory,
}

/// What becomes of the directory of a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Directory {
    /// It stays, for somebody to look at.
    Kept,
    /// It goes: the finding was expected.
    Removed,
}

const WORKERS: usize = 4;
const LOAD_MS_MIN: u64 = 20;
/// Small budgets: so much happens meanwhile in the background.
pub(super) const BUDGETS: &str = "[budgets]\njournal = \"16MiB\"\noverlay = \"2MiB\"\nindex_cache = \"8MiB\"\nwrite_buffer = \"8MiB\"\n\
                       block_cache = \"8MiB\"\nsegment = \"2MiB\"\nobject = \"1MiB\"\n";
/// Unlinked files go when the grace period is over.
const RELEASE_LIMIT: Duration = Duration::from_secs(20);

/// Rounds of one data directory: long enough to accumulate, short enough to see several first starts.
const LANE_ROUNDS_MAX: u32 = 40;
/// A server dies so soon, while it makes its file system.
const FIRST_START_MS_MAX: u64 = 150;

/// Does all rounds.
pub fn run(plan: &Plan) -> Result<Report> {
    let mut report = Report::default();
    let (mut dice, mut done) = (Dice::new(plan.seed), 0);
    while done < plan.rounds && report.lost.len() + report.leaked.len() < plan.findings_max {
        let mut lane = Lane::start(plan, dice.fork())?;
        let rounds = lane.rounds((plan.rounds - done).min(LANE_ROUNDS_MAX))?;
        done += rounds;
        let mut found = std::mem::take(&mut lane.report);
        if !found.is_clean() {
            let kept = match plan.directory {
                Directory::Kept => format!(", kept in {}", lane.keep()?.display()),
                Directory::Removed => String::new(),
            };
            let kept = format!("; seed {}, round {done}{kept}", plan.seed);
            found.lost.iter_mut().chain(&mut found.leaked).for_each(|text| text.push_str(&kept));
        }
        report.add(found);
    }
    Ok(report)
}

/// What is wrong.
enum Finding {
    Lost(String),
    Leaked(String),
}

/// How a round ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Crash,
    /// SIGTERM; what is acknowledged must be there too.
    Orderly,
}

struct Lane {
    plan: Plan,
    dice: Dice,
    server: Server,
    cold: PathBuf,
    workers: Vec<Worker>,
    /// Whether the index is as the last orderly stop left it.
    index: IndexFate,
    /// What happened to the disk, for the finding.
    story: Vec<String>,
    report: Report,
}

impl Lane {
    fn start(plan: &Plan, mut dice: Dice) -> Result<Lane> {
        let work = tempfile::Builder::new().prefix("tidefs-crash-").tempdir()?;
        let config = work.path().join("tidefs.toml");
        std::fs::write(&config, BUDGETS)?;
        let mut settings = ServerSettings::within(work.path(), Cold::Directory)?;
        settings.log = Log::Kept;
        settings.arguments.extend(["--config".into(), config.into()]);
        if plan.means == Means::PowerLoss {
            run_on_lossy_disk(&mut settings, &work.path().join("undo"), plan.lie)?;
        }
        let cold = work.path().join("cold");
        let mut report = Report::default();
        while dice.percent(75) {
            let process = settings.spawn(work.path())?;
            sleep(Duration::from_millis(dice.below(FIRST_START_MS_MAX)));
            drop(process);
            report.crashes += 1;
            if plan.means == Means::PowerLoss {
                cut_power(&settings.data, &work.path().join("undo"), &mut dice, IndexFate::AtRisk)?;
            }
        }
        let server = Server::start_with(work, settings)?;
        let to_primary = if dice.percent(50) { "on-first-access" } else { "never" };
        server.command(&["lifecycle", "set", "--to-ia", "2s", "--to-primary", to_primary])?.succeeded()?;
        let start = Instant::now();
        let workers =
            (0..WORKERS).map(|number| Worker::new(number, Way::Native, dice.fork(), start)).collect();
        let (plan, story) = (*plan, Vec::new());
        let mut lane = Lane { plan, dice, server, cold, workers, index: IndexFate::Safe, story, report };
        lane.connect()?;
        lane.workers.iter_mut().try_for_each(Worker::settle)?;
        // All have met the shared directory now; its change attribute counts from here.
        lane.workers.iter_mut().try_for_each(Worker::settle)?;
        Ok(lane)
    }

    fn address(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.server.port()))
    }

    fn connect(&mut self) -> Result<()> {
        let address = self.address();
        self.workers.iter_mut().try_for_each(|worker| worker.connect(address))
    }

    /// Up to so many rounds, until something is found. Returns how many.
    fn rounds(&mut self, count: u32) -> Result<u32> {
        let mut round = 0;
        while round < count {
            // An orderly stop is no crash, and so no round of its own.
            let end = if self.dice.percent(8) { End::Orderly } else { End::Crash };
            round += u32::from(end == End::Crash);
            let drain = end == End::Crash
                && (round == count || round.is_multiple_of(self.plan.rounds_between_drains));
            let finding = match self.round(end, drain) {
                Ok(None) => continue,
                Ok(Some(finding)) => finding,
                Err(error) => Finding::Lost(format!("{error:#}")),
            };
            let story = self.story.join("; ");
            match finding {
                Finding::Lost(text) => self.report.lost.push(format!("{text}\n{story}")),
                Finding::Leaked(text) => self.report.leaked.push(format!("{text}\n{story}")),
            }
            return Ok(round);
        }
        Ok(count)
    }

    fn round(&mut self, end: End, drain: bool) -> Result<Option<Finding>> {
        self.story.clear();
        if let Err(error) = self.load_and_end(end) {
            return Ok(Some(Finding::Lost(format!("{error:#}"))));
        }
        self.cut()?;
        while end == End::Crash && self.dice.percent(20) {
            self.crash_while_starting()?;
            self.cut()?;
        }
        if let Err(error) = self.server.restart() {
            return Ok(Some(Finding::Lost(format!("it does not start: {error:#}"))));
        }
        self.index = IndexFate::AtRisk;
        self.connect()?;
        let reached = match self.check()? {
            Ok(reached) => reached,
            Err(lost) => return Ok(Some(Finding::Lost(lost))),
        };
        if let Some(leaked) = self.check_inodes(reached)? {
            return Ok(Some(Finding::Leaked(leaked)));
        }
        if drain {
            let files = self.files()?;
            let leaked = leaks::leaks(&self.server, &self.cold, &files)?;
            if !leaked.is_empty() {
                return Ok(Some(Finding::Leaked(leaked.join("\n"))));
            }
        }
        Ok(None)
    }

    /// Lets the workers work for a while, and ends the server under them.
    fn load_and_end(&mut self, end: End) -> Result<()> {
        let load = Duration::from_millis(
            LOAD_MS_MIN
                + match self.dice.below(10) {
                    0..4 => self.dice.below(150),
                    4..9 => self.dice.below(800),
                    _ => self.dice.below(4_000),
                },
        );
        let orderly = end == End::Orderly;
        let stop = AtomicBool::new(false);
        let before: u64 = self.workers.iter().map(|worker| worker.acknowledged).sum();
        let server = &mut self.server;
        let (workers, stop) = (&mut self.workers, &stop);
        let (ended, results) = scope(|scope| {
            let threads: Vec<_> =
                workers.iter_mut().map(|worker| scope.spawn(move || worker.work(stop))).collect();
            sleep(load);
            let ended = match server.ended() {
                Ok(None) if orderly => server.stop().map(|_| ()),
                Ok(None) => {
                    server.kill9();
                    Ok(())
                }
                Ok(Some(status)) => {
                    Err(anyhow!("the server ended by itself with {status}: {}", server.complaint()))
                }
                Err(error) => Err(error),
            };
            server.kill9();
            stop.store(true, Ordering::Release);
            let results: Vec<_> = threads
                .into_iter()
                .map(|thread| thread.join().map_err(|_| anyhow!("a worker panicked"))?)
                .collect();
            (ended, results)
        });
        let acknowledged: u64 = self.workers.iter().map(|worker| worker.acknowledged).sum();
        self.report.acknowledged += acknowledged - before;
        let way = if orderly { "stopped in order" } else { "killed" };
        self.story.push(format!(
            "{way} after {} ms and {} operations",
            load.as_millis(),
            acknowledged - before
        ));
        if orderly {
            self.index = IndexFate::Safe;
        } else {
            self.report.crashes += 1;
        }
        ended?;
        results.into_iter().collect()
    }

    /// Starts the server and kills it before, or soon after, it is ready.
    fn crash_while_starting(&mut self) -> Result<()> {
        let after = Duration::from_millis(self.dice.below(250));
        let process = self.server.settings().spawn(self.server.work())?;
        sleep(after);
        drop(process);
        self.report.crashes += 1;
        self.story.push(format!("killed {} ms after a start", after.as_millis()));
        Ok(())
    }

    fn cut(&mut self) -> Result<()> {
        if self.plan.means == Means::PowerLoss {
            let undo = self.server.work().join("undo");
            self.story.push(cut_power(&self.server.settings().data, &undo, &mut self.dice, self.index)?);
        }
        Ok(())
    }

    /// Reads everything back. Returns how many inodes were reached, or what is wrong.
    fn check(&mut self) -> Result<Result<u64, String>> {
        let results: Vec<Result<(Observed, Vec<String>)>> = scope(|scope| {
            let threads: Vec<_> =
                self.workers.iter_mut().map(|worker| scope.spawn(move || check_worker(worker))).collect();
            threads
                .into_iter()
                .map(|thread| thread.join().map_err(|_| anyhow!("a check panicked"))?)
                .collect()
        });
        let (mut reached, mut wrong) = (2, Vec::new());
        for (worker, result) in self.workers.iter().zip(results) {
            let (observed, found) = match result {
                Ok(result) => result,
                Err(error) => (Observed::default(), vec![format!("cannot be read: {error:#}")]),
            };
            reached += observed.nodes.len() as u64;
            reached -= u64::from(observed.nodes.contains_key(&observed.shared));
            if !found.is_empty() {
                let history: Vec<&str> = worker.history().map(String::as_str).collect();
                wrong.push(format!(
                    "worker {}: {}\n  {}",
                    worker.number,
                    found.join("; "),
                    history.join("\n  ")
                ));
            }
        }
        Ok(if wrong.is_empty() { Ok(reached) } else { Err(wrong.join("\n")) })
    }

    /// The server must count what can be reached, and know nothing under the handles of what was removed.
    fn check_inodes(&mut self, reached: u64) -> Result<Option<String>> {
        let mut last = 0;
        let session = self.workers.first_mut().context("no worker")?.session()?;
        let agreed = poll_until("inodes are released", RELEASE_LIMIT, || {
            last = inodes(session)?;
            Ok((last == reached).then_some(()))
        });
        if agreed.is_err() {
            return Ok(Some(format!("{last} inodes are counted, {reached} can be reached")));
        }
        for worker in &mut self.workers {
            for handle in std::mem::take(&mut worker.model.gone) {
                if !is_stale(worker.session()?, &handle)? {
                    return Ok(Some(format!(
                        "worker {}: a file that was removed is still there",
                        worker.number
                    )));
                }
            }
        }
        Ok(None)
    }

    /// A path of each regular file.
    fn files(&self) -> Result<Vec<String>> {
        let mut files = Vec::new();
        for worker in &self.workers {
            files.extend(paths_of_files(&worker.model, &worker.directory())?);
        }
        Ok(files)
    }

    /// Ends the server and leaves its directory there.
    fn keep(self) -> Result<PathBuf> {
        Ok(self.server.keep())
    }
}

/// What there is of a worker, and what is wrong with it.
pub(super) fn check_worker(worker: &mut Worker) -> Result<(Observed, Vec<String>)> {
    let (own, prefix) = (worker.directory(), worker.prefix());
    let observed = observe(worker.session()?, &own, &prefix)?;
    let in_flight = worker.in_flight.clone();
    let wrong = judge(&mut worker.model, in_flight.as_ref(), &observed)?;
    if wrong.is_empty() {
        worker.in_flight = None;
    }
    Ok((observed, wrong))
}

/// A path of each regular file.
pub(super) fn paths_of_files(model: &Model, own: &str) -> Result<Vec<String>> {
    let mut files = std::collections::BTreeMap::new();
    for (node, path) in model.paths(own)? {
        if matches!(model.node(node)?.body, Body::File(_)) {
            files.insert(node, path);
        }
    }
    Ok(files.into_values().collect())
}
