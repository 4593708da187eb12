//! `tidefs lifecycle`.

use std::ffi::OsStr;
use std::io::{IsTerminal, Write};
use std::os::unix::ffi::OsStrExt;

use lifecycle::{Ending, Explanation, LifecycleStatus, PassSummary, Phase, Policy, PolicyChange, Progress};
use percent_encoding::{NON_ALPHANUMERIC, percent_encode};
use serde::Serialize;

use super::arguments::{ExplainCommand, LifecycleCommand, RunCommand, SetCommand, ShowCommand};
use super::place::Place;
use super::status::{lifecycle_rows, tier_name};
use super::table::{bytes, facts};
use super::{Failure, print, print_json};
use crate::config::Surroundings;
use crate::control::api::{ApiError, RunEvent, RunRequest};

pub(super) async fn run(command: LifecycleCommand, surroundings: &Surroundings) -> Result<(), Failure> {
    match command {
        LifecycleCommand::Show(command) => show(command, surroundings).await,
        LifecycleCommand::Set(command) => set(command, surroundings).await,
        LifecycleCommand::Run(command) => run_pass(command, surroundings).await,
        LifecycleCommand::Explain(command) => explain(command, surroundings).await,
    }
}

async fn show(command: ShowCommand, surroundings: &Surroundings) -> Result<(), Failure> {
    let place = Place::find(command.target, surroundings).await?;
    let status: LifecycleStatus = place.client.get(&place.address("lifecycle")?).await?;
    if place.json { print_json(&status) } else { print(&facts(lifecycle_rows(&status))) }
}

async fn set(command: SetCommand, surroundings: &Surroundings) -> Result<(), Failure> {
    let change = PolicyChange { to_ia: command.to_ia.map(|age| age.0), to_primary: command.to_primary };
    let place = Place::find(command.target, surroundings).await?;
    let policy: Policy = place.client.put(&place.address("lifecycle")?, &change).await?;
    if place.json {
        return print_json(&policy);
    }
    let to_ia = lifecycle::policy::print_to_ia(policy.to_ia);
    print(&format!("policy: to-ia {to_ia}, to-primary {}", policy.to_primary))
}

async fn run_pass(command: RunCommand, surroundings: &Surroundings) -> Result<(), Failure> {
    let place = Place::find(command.target, surroundings).await?;
    let request = RunRequest { bytes_per_second: command.bytes_per_second.map(|size| size.0) };
    let shown = ProgressLine::new(place.json);
    let mut end = None;
    let address = place.address("lifecycle/run")?;
    place
        .client
        .post_lines(&address, &request, |event: RunEvent| match event {
            RunEvent::Progress(progress) => shown.show(&progress),
            last => end = Some(last),
        })
        .await?;
    shown.clear();
    let summary = match end {
        Some(RunEvent::Summary(summary)) => summary,
        Some(RunEvent::Error(ApiError { message, .. })) => return Err(Failure::Failed(message)),
        Some(RunEvent::Progress(_)) | None => {
            let message = "the server ended before the pass did; start it again and run the pass again";
            return Err(Failure::Failed(message.to_owned()));
        }
    };
    if place.json {
        print_json(&summary)?;
    } else {
        print(&summary_line(&summary))?;
    }
    match (summary.ending, summary.failed) {
        (Ending::Complete, 0) => Ok(()),
        _ => Err(Failure::Failed(format!(
            "the pass did not move everything: {}. What did not move is where it was and will be tried again",
            summary.reason.as_deref().unwrap_or("the reason is in the log of the server")
        ))),
    }
}

/// What a pass did, in one line.
pub(super) fn summary_line(summary: &PassSummary) -> String {
    let mut line = format!(
        "{} files ({}) moved into {} objects in {:.1} s with {} requests",
        summary.files,
        bytes(summary.bytes),
        summary.objects,
        summary.seconds,
        summary.requests.put + summary.requests.get + summary.requests.list + summary.requests.delete
    );
    if summary.skipped > 0 {
        line.push_str(&format!(", {} skipped (in use)", summary.skipped));
    }
    if summary.failed > 0 {
        line.push_str(&format!(", {} failed", summary.failed));
    }
    if let (Ending::Stopped, Some(reason)) = (summary.ending, &summary.reason) {
        line.push_str(&format!("; stopped: {reason}"));
    }
    line
}

/// One line on a terminal that is written over and over.
struct ProgressLine {
    shown: bool,
    started: std::time::Instant,
}

impl ProgressLine {
    fn new(json: bool) -> Self {
        let shown = !json && std::io::stderr().is_terminal();
        ProgressLine { shown, started: std::time::Instant::now() }
    }

    fn show(&self, progress: &Progress) {
        if !self.shown {
            return;
        }
        let milliseconds = self.started.elapsed().as_millis().max(1);
        let rate = u128::from(progress.bytes) * 1_000 / milliseconds;
        let rate = bytes(u64::try_from(rate).unwrap_or(u64::MAX));
        let waits = if progress.phase == Phase::Waiting { ", waiting for the object store" } else { "" };
        let files = progress.files;
        let text = format!("\r\x1b[K{files} files, {} moved, {rate}/s{waits}", bytes(progress.bytes));
        // A terminal that has gone away shows nothing.
        let _ = std::io::stderr().write_all(text.as_bytes());
    }

    fn clear(&self) {
        if self.shown {
            let _ = std::io::stderr().write_all(b"\r\x1b[K");
        }
    }
}

/// An explanation with the path that was asked about.
#[derive(Serialize)]
struct Explained {
    path: String,
    #[serde(flatten)]
    explanation: Explanation,
}

async fn explain(command: ExplainCommand, surroundings: &Surroundings) -> Result<(), Failure> {
    if let Some(relative) = command.paths.iter().find(|path| !path.as_bytes().starts_with(b"/")) {
        return Err(Failure::Usage(format!(
            "`{}` is not absolute; PATH begins at the root of the file system, such as /photos/a.jpg",
            relative.display()
        )));
    }
    let place = Place::find(command.target, surroundings).await?;
    let mut all = Vec::new();
    for path in &command.paths {
        let explanation = place.client.get(&explain_address(&place, path)?).await.map_err(|error| {
            let failure = Failure::from(error);
            Failure::Failed(format!("{}: {failure}", path.display()))
        })?;
        all.push(Explained { path: path.display().to_string(), explanation });
    }
    match (place.json, all.as_slice()) {
        (true, [only]) => print_json(only),
        (true, several) => print_json(&several),
        (false, all) => print(&all.iter().map(told).collect::<Vec<_>>().join("\n\n")),
    }
}

fn explain_address(place: &Place, path: &OsStr) -> Result<String, Failure> {
    let path = percent_encode(path.as_bytes(), NON_ALPHANUMERIC);
    place.address(&format!("lifecycle/explain?path={path}"))
}

fn told(explained: &Explained) -> String {
    let Explained { path, explanation } = explained;
    let tiers =
        explanation.tiers.iter().map(|share| format!("{} ({})", tier_name(share.name), bytes(share.bytes)));
    let tiers: Vec<_> = tiers.collect();
    let mut rows = vec![("size", bytes(explanation.size))];
    if !tiers.is_empty() {
        rows.push(("tier", tiers.join(", ")));
    }
    rows.extend(explanation.last_access.clone().map(|time| ("last access", time)));
    rows.push(("rule", explanation.rule.clone()));
    rows.push(("next", explanation.next.clone()));
    rows.extend(explanation.when.clone().map(|time| ("when", time)));
    format!("{path}\n{}", facts(rows))
}
