//! The scrub: all of the Standard tier is read and authenticated now and then, slowly, so that a disk that forgets is noticed while
//! there is still a backup.
//!
//! # Crash consistency
//! What is done is noted after each segment. A crash repeats the segment that was being read.

#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
#[cfg(test)]
pub(crate) mod golden;
mod note;

use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::error::{Error, Result};
use crate::identity::SegmentId;
use crate::verify::{Severity, VerifyProgress, VerifyReport, verify_segment};
use crate::volume::Volume;
use note::State;

/// How the scrub goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScrubOptions {
    /// From the start of one round to the start of the next.
    pub every: Duration,
    /// Bytes that are read in a second at most.
    pub bytes_per_second: u64,
}

impl Default for ScrubOptions {
    fn default() -> Self {
        ScrubOptions { every: Duration::from_secs(30 * 24 * 3600), bytes_per_second: 4 << 20 }
    }
}

/// Where the state is kept between starts.
const NOTE: &str = "scrub";
/// How often is looked whether a round is due.
const LOOK: Duration = Duration::from_secs(60);

/// The scrub of a volume.
#[derive(Debug, Default)]
pub(crate) struct Scrub {
    state: Mutex<State>,
    /// Ends what is being read.
    progress: Mutex<VerifyProgress>,
    stopped: Arc<Notify>,
    task: Mutex<Option<tokio::task::JoinHandle<()>>>,
}

impl Scrub {
    /// What `tidefs status` says.
    pub(crate) fn reason(&self) -> Option<String> {
        self.state.lock().reason()
    }

    /// Ends the scrub, and waits for it.
    pub(crate) async fn stop(&self) {
        self.progress.lock().cancel();
        self.stopped.notify_one();
        let task = self.task.lock().take();
        if let Some(task) = task {
            // What it was at is repeated.
            let _ = task.await;
        }
    }
}

impl Volume {
    /// Begins to scrub in the background, until the volume is closed or dropped.
    pub(crate) fn start_scrub(self: &Arc<Self>, options: ScrubOptions) -> Result<()> {
        if let Some(note) = self.note(NOTE)? {
            match State::decode(&note) {
                Ok(state) => *self.scrub.state.lock() = state,
                Err(error) => tracing::warn!(
                    %error,
                    "the note of the scrub cannot be read: a new round begins, which finds again what the last one had found"
                ),
            }
        }
        let mut task = self.scrub.task.lock();
        if task.is_none() {
            let stopped = Arc::clone(&self.scrub.stopped);
            *task = Some(tokio::spawn(run(Arc::downgrade(self), stopped, options)));
        }
        Ok(())
    }

    /// Reads the next segment if a round is due; `false` if none is.
    pub(crate) async fn scrub_next(&self, options: ScrubOptions) -> Result<bool> {
        let now = self.environment.clock.now().seconds;
        let mut state = self.scrub.state.lock().clone();
        let every = i64::try_from(options.every.as_secs()).unwrap_or(i64::MAX);
        if state.position.is_none() {
            // A clock that went back does not put it off.
            if state.started != 0 && (state.started..state.started.saturating_add(every)).contains(&now) {
                return Ok(false);
            }
            (state.started, state.position) = (now, Some(String::new()));
        }
        let mut segments: Vec<SegmentId> = self.standard.list()?.into_iter().map(|(id, _)| id).collect();
        segments.sort_unstable();
        let names: Vec<String> = segments.iter().map(SegmentId::to_string).collect();
        state.retain(&names);
        let after = state.position.take().unwrap_or_default();
        let next = segments.iter().zip(names).find(|(_, name)| *name > after);
        let more = next.is_some();
        if let Some((segment, name)) = next {
            let progress = VerifyProgress::default();
            *self.scrub.progress.lock() = progress.clone();
            if self.closing.load(Ordering::Acquire) {
                return Ok(false);
            }
            let report = verify_segment(self, *segment, options.bytes_per_second, &progress).await?;
            note_findings(&mut state, &name, &report);
            state.position = Some(name);
        }
        let note = state.encode().map_err(|_| Error::Invalid { what: "the state of the scrub" })?;
        *self.scrub.state.lock() = state;
        drop(self.set_note(NOTE, Some(&note)).await?.accepted()?);
        Ok(more)
    }
}

/// Says once what was found.
fn note_findings(state: &mut State, segment: &str, report: &VerifyReport) {
    let damage = report.findings.iter().filter(|finding| finding.problem.severity() == Severity::Damage);
    let mut files: Vec<String> = Vec::new();
    let mut first = None;
    for finding in damage {
        first = first.or(Some(finding));
        files.extend(finding.files.iter().cloned());
    }
    files.sort();
    files.dedup();
    let Some(first) = first else { return state.note_whole(segment) };
    if state.note_damage(segment, files.clone()) {
        tracing::error!(
            segment,
            problem = %first.problem,
            files = files.join(", "),
            "the scrub found damage; restore what is named from a backup"
        );
    }
}

/// Does not keep the volume alive while it waits.
async fn run(volume: Weak<Volume>, stopped: Arc<Notify>, options: ScrubOptions) {
    loop {
        let pause = {
            let Some(volume) = volume.upgrade() else { return };
            if volume.closing.load(Ordering::Acquire) {
                return;
            }
            match volume.scrub_next(options).await {
                Ok(true) => Duration::ZERO,
                Ok(false) => LOOK,
                Err(Error::Halted { .. }) => return,
                Err(error) => {
                    tracing::warn!(%error, "the scrub failed; it is tried again");
                    LOOK
                }
            }
        };
        if pause > Duration::ZERO && tokio::time::timeout(pause, stopped.notified()).await.is_ok() {
            return;
        }
    }
}
