//! The server is killed, or loses its power, under load: what was acknowledged is there, the rest is old or new, and the mount goes on.
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use harness::crash::Dice;
use harness::guest::RunningGuest;
use harness::lossy::{IndexFate, cut_power, run_on_lossy_disk};
use harness::{Cold, Guest, Server, ServerSettings, poll_until};

const STEPS: &str = include_str!("../guest/scripts/steps.sh");
/// A copy of the whole mount, for the host to look at.
const COLLECT: &str = "mkdir /run/share/found; cp /mnt/* /run/share/found/";
/// What is undone at a loss of power is chosen by it.
const SEED: u64 = 5;
const SLOTS: u64 = 8;
const KILLS: u32 = 4;
const STEPS_BETWEEN_KILLS: u64 = 25;
/// A restart may cost a grace period, and the client backs off before it connects again.
const PROGRESS_LIMIT: Duration = Duration::from_secs(240);
const CONSOLE_SILENCE: Duration = Duration::from_secs(1);
const COLLECT_LIMIT: Duration = Duration::from_secs(300);

/// The last step of each kind that the guest saw acknowledged.
#[derive(Debug, Default, Clone, Copy)]
struct Acknowledged {
    written: u64,
    renamed: u64,
    grown: u64,
}

impl Acknowledged {
    fn so_far(guest: &RunningGuest) -> Result<Acknowledged> {
        let mut acknowledged = Acknowledged::default();
        let output = String::from_utf8(guest.output())?;
        // The last line may be half there.
        let complete = output.rsplit_once('\n').map_or("", |(complete, _)| complete);
        for line in complete.lines() {
            let (kind, step) = line.split_once(' ').with_context(|| format!("odd line {line:?}"))?;
            let step = step.trim().parse()?;
            match kind {
                "written" => acknowledged.written = step,
                "renamed" => acknowledged.renamed = step,
                "grown" => acknowledged.grown = step,
                _ => bail!("odd line {line:?}"),
            }
        }
        Ok(acknowledged)
    }
}

#[test]
fn acknowledged_writes_survive_kills_and_the_mount_goes_on() -> Result<()> {
    survive(Server::start(Cold::Directory)?, |_| Ok(()))
}

#[test]
fn acknowledged_writes_survive_power_losses_and_the_mount_goes_on() -> Result<()> {
    let work = tempfile::tempdir()?;
    let undo = work.path().join("undo");
    let mut settings = ServerSettings::within(work.path(), Cold::Directory)?;
    run_on_lossy_disk(&mut settings, &undo, None)?;
    let data = settings.data.clone();
    let mut dice = Dice::new(SEED);
    survive(Server::start_with(work, settings)?, |killed| {
        println!("power loss {killed}: {}", cut_power(&data, &undo, &mut dice, IndexFate::AtRisk)?);
        Ok(())
    })
}

/// Kills the server again and again; `then` happens between the kill and the next start.
fn survive(mut server: Server, mut then: impl FnMut(u32) -> Result<()>) -> Result<()> {
    let mut guest = Guest::on(server.port()).start(STEPS, &[])?;
    let mut goal = STEPS_BETWEEN_KILLS;
    for kill in 0..KILLS {
        let what = format!("the same mount goes on after {kill} kills, to step {goal}");
        let reached = poll_until(&what, PROGRESS_LIMIT, || {
            ensure!(!guest.has_ended()?, "the guest's work broke after {kill} kills");
            let acknowledged = Acknowledged::so_far(&guest)?;
            Ok((acknowledged.grown >= goal).then_some(acknowledged.grown))
        })?;
        goal = reached + STEPS_BETWEEN_KILLS;
        server.kill9();
        then(kill)?;
        server.restart()?;
    }
    poll_until("the mount goes on after the last restart", PROGRESS_LIMIT, || {
        ensure!(!guest.has_ended()?, "the guest's work broke");
        Ok((Acknowledged::so_far(&guest)?.grown >= goal).then_some(()))
    })?;
    // Now both at once, so that nobody repeats what was not acknowledged.
    server.kill9();
    let acknowledged = settled(&guest)?;
    drop(guest);
    then(KILLS)?;
    server.restart()?;

    let share = tempfile::tempdir()?;
    Guest::on(server.port()).share(share.path()).run(COLLECT_LIMIT, COLLECT, &[])?;
    check(&share.path().join("found"), acknowledged)
}

/// What was acknowledged before the server's end, when nothing more comes through the guest's console.
fn settled(guest: &RunningGuest) -> Result<Acknowledged> {
    let mut last = (guest.output().len(), Instant::now());
    poll_until("the guest falls silent without a server", PROGRESS_LIMIT, || {
        let length = guest.output().len();
        if length != last.0 {
            last = (length, Instant::now());
        }
        Ok((last.1.elapsed() > CONSOLE_SILENCE).then_some(()))
    })?;
    Acknowledged::so_far(guest)
}

fn check(found: &Path, acknowledged: Acknowledged) -> Result<()> {
    let mut slots = BTreeMap::new();
    let mut unrenamed = Vec::new();
    for entry in fs::read_dir(found)? {
        let entry = entry?;
        let name = entry.file_name().into_string().ok().context("odd name")?;
        let content = fs::read(entry.path())?;
        if let Some(slot) = name.strip_prefix("slot.") {
            let step = step_of(&content).with_context(|| format!("{name} is torn"))?;
            ensure!(step % SLOTS == slot.parse::<u64>()?, "{name} has the content of step {step}");
            slots.insert(step % SLOTS, step);
        } else if let Some(step) = name.strip_prefix("new.") {
            unrenamed.push((step.parse::<u64>()?, content));
        } else {
            ensure!(name == "grown", "{name} was never made");
            check_grown(&content, acknowledged.grown)?;
        }
    }
    for slot in 0..SLOTS {
        let wanted = (acknowledged.renamed.saturating_sub(SLOTS - 1)..=acknowledged.renamed)
            .find(|step| step % SLOTS == slot);
        let (wanted, found) = (wanted.context("too few steps")?, slots.get(&slot).copied());
        let later = [wanted, wanted + SLOTS];
        ensure!(
            found.is_some_and(|step| later.contains(&step)),
            "slot {slot} must hold step {wanted} or the one after it, not {found:?}"
        );
    }
    for (step, content) in unrenamed {
        // Only the very last step may not have been renamed; if its fsync returned, it is whole.
        ensure!(step > acknowledged.renamed, "step {step} was renamed, yet its old name is there");
        if step <= acknowledged.written {
            ensure!(step_of(&content)? == step, "step {step} was fsynced, yet its content is not there");
        }
    }
    Ok(())
}

/// The step whose content this is, all of it.
fn step_of(content: &[u8]) -> Result<u64> {
    let first = content.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let step: u64 = std::str::from_utf8(first)?.parse().context("no step")?;
    let size = usize::try_from(step * 7919 % 150_000 + 1)?;
    let expected: Vec<u8> = format!("{step}\n").bytes().cycle().take(size).collect();
    ensure!(content == expected, "not the {size} bytes of step {step}, but {} bytes", content.len());
    Ok(step)
}

fn check_grown(content: &[u8], acknowledged: u64) -> Result<()> {
    let lines = |last: u64| -> String { (1..=last).map(|step| format!("line {step}\n")).collect() };
    let all = lines(acknowledged + 1);
    ensure!(all.as_bytes().starts_with(content), "the grown file is not a prefix of what was written");
    ensure!(content.len() >= lines(acknowledged).len(), "a line that was synced is not there");
    Ok(())
}
