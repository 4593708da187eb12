//! Runs batches under a budget, and one whole pass of them.
//!
//! A batch that fails is halved until the file that cannot be moved stands alone, so that one damaged file does not keep
//! thousands of others in Standard. If more than half of the last outcomes are failures, the pass stops by itself. An object
//! store that is away is no failure of a file: the pass waits as long as the engine says, a bounded number of times.

mod pass;
mod progress;
mod window;

use std::time::Duration;

use engine::{Environment, Error, ErrorKind, Tier};
use tokio::sync::watch;

use crate::files::TieredFiles;
use crate::plan::Batch;

pub(crate) use pass::{Context, aging_pass, promotion_pass};
pub use progress::{Ending, PassSummary, Phase, Progress};
use window::Window;

/// Waits in a row for an object store that is away before a pass gives up.
const PAUSES_MAX: u32 = 20;
/// The engine's retry times are taken within these bounds.
const PAUSE_MIN: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// Whether the pass goes on after a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Next {
    /// With the next batch.
    Continue,
    /// Not at all, for this reason.
    Stop(String),
}

/// Moves batches and counts what became of them.
pub(crate) struct Mover<'a, F> {
    files: &'a F,
    environment: &'a Environment,
    bytes_per_second: Option<u64>,
    to: Tier,
    stop: watch::Receiver<bool>,
    report: &'a watch::Sender<Option<Progress>>,
    progress: Progress,
    window: Window,
}

impl<'a, F: TieredFiles> Mover<'a, F> {
    pub(crate) fn new(files: &'a F, context: &Context<'a>, to: Tier) -> Self {
        let progress = Progress::default();
        context.report.send_replace(Some(progress.clone()));
        Mover {
            files,
            environment: context.environment,
            bytes_per_second: context.bytes_per_second,
            to,
            stop: context.stop.clone(),
            report: context.report,
            progress,
            window: Window::default(),
        }
    }

    /// What was done so far.
    pub(crate) fn progress(&self) -> &Progress {
        &self.progress
    }

    /// Moves a batch, halving it where it fails.
    pub(crate) async fn run(&mut self, batch: Batch) -> Next {
        let mut open = vec![batch];
        while let Some(batch) = open.pop() {
            if *self.stop.borrow() {
                return Next::Stop("the server is shutting down".to_owned());
            }
            let started = self.environment.clock.monotonic();
            match self.attempt(&batch).await {
                Ok(()) => {
                    self.window.succeeded();
                    self.publish(Phase::Moving);
                    self.keep_to_budget(&batch, started).await;
                }
                Err(Failure::Final(reason)) => return Next::Stop(reason),
                Err(Failure::OfTheBatch(_)) if batch.files.len() > 1 => {
                    let (first, second) = batch.split();
                    open.push(second);
                    open.push(first);
                }
                Err(Failure::OfTheBatch(error)) => {
                    self.progress.failed += 1;
                    self.progress.last_error = Some(error.to_string());
                    // Damage is of one file, and says nothing of the others, however many are damaged together.
                    if error.kind() != ErrorKind::Corrupt {
                        self.window.failed();
                    }
                    self.publish(Phase::Moving);
                    if self.window.mostly_failures() {
                        return Next::Stop(format!(
                            "more than half of the moves failed, the last one with: {error}"
                        ));
                    }
                }
            }
        }
        Next::Continue
    }

    /// Moves a batch as it is, waiting for a store that is away.
    async fn attempt(&mut self, batch: &Batch) -> Result<(), Failure> {
        let mut pauses = 0;
        loop {
            let error = match self.files.transition(&batch.files, self.to).await {
                Ok(done) => {
                    self.progress.files += done.files;
                    self.progress.bytes += done.bytes;
                    self.progress.objects += done.objects;
                    self.progress.skipped += done.skipped;
                    return Ok(());
                }
                Err(error) => error,
            };
            match error.kind() {
                ErrorKind::Retry(_) if pauses >= PAUSES_MAX => return Err(Failure::Final(error.to_string())),
                ErrorKind::Retry(delay) => {
                    pauses += 1;
                    self.progress.last_error = Some(error.to_string());
                    self.publish(Phase::Waiting);
                    self.pause(delay.clamp(PAUSE_MIN, PAUSE_MAX)).await?;
                }
                ErrorKind::Refused | ErrorKind::Corrupt => return Err(Failure::OfTheBatch(error)),
                ErrorKind::NoSpace | ErrorKind::Fatal => return Err(Failure::Final(error.to_string())),
            }
        }
    }

    async fn pause(&mut self, delay: Duration) -> Result<(), Failure> {
        tokio::select! {
            () = tokio::time::sleep(delay) => Ok(()),
            _ = self.stop.wait_for(|stop| *stop) => {
                Err(Failure::Final("the server is shutting down".to_owned()))
            }
        }
    }

    /// Waits until the batch has taken as long as the budget asks for.
    async fn keep_to_budget(&mut self, batch: &Batch, started: Duration) {
        let Some(rate) = self.bytes_per_second.filter(|rate| *rate > 0) else { return };
        let milliseconds = batch.bytes.saturating_mul(1_000) / rate;
        let spent = self.environment.clock.monotonic().saturating_sub(started);
        let rest = Duration::from_millis(milliseconds).saturating_sub(spent);
        // A stop is noticed before the next batch.
        let _ = self.pause(rest).await;
    }

    fn publish(&mut self, phase: Phase) {
        self.progress.phase = phase;
        self.report.send_replace(Some(self.progress.clone()));
    }
}

/// Why an attempt failed.
enum Failure {
    /// Because of a file in the batch.
    OfTheBatch(Error),
    /// Because of something that would hit every batch.
    Final(String),
}

#[cfg(test)]
mod tests;
