//! The daemon: passes on its own, at the right times, one at a time.
//!
//! # Crash consistency
//! Nothing here is durable but the policy, which is a note in the engine and durable before [`Lifecycle::set_policy`]
//! returns. A crash in the middle of a pass loses nothing: what has moved is not due any more, and the next pass goes on
//! with the rest. A crash forgets which cold files were read last; they come back with their next read.

mod aging;
mod promotion;
mod schedule;
mod status;

use std::sync::Arc;
use std::time::Duration;

use engine::Environment;
use parking_lot::Mutex;
use tokio::sync::{Mutex as AsyncMutex, watch};
use tokio::task::JoinHandle;

use crate::error::{Error, Result};
use crate::explain::{Explanation, explain};
use crate::files::TieredFiles;
use crate::mover::{Context, PassSummary, Progress, aging_pass};
use crate::policy::{NOTE_KEY, Policy, PolicyChange, decode, encode};
use status::Record;

pub use status::{LastError, LifecycleStatus, Promoted};

/// What can be chosen about the daemon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Content of one batch at most: the engine's `object_bytes`.
    pub batch_bytes: u64,
    /// Bytes per second that the daemon's own passes may move; `None`: as fast as it goes.
    pub bytes_per_second: Option<u64>,
}

/// The lifecycle of one file system: its policy, and the tasks that carry it out. Dropping it stops them.
pub struct Lifecycle<F> {
    shared: Arc<Shared<F>>,
    stop: watch::Sender<bool>,
    tasks: AsyncMutex<Vec<JoinHandle<()>>>,
}

/// What the tasks and the callers share.
struct Shared<F> {
    files: F,
    environment: Environment,
    options: Options,
    policy: watch::Sender<Policy>,
    /// Held while the policy is being changed, so that two changes cannot mix.
    changing: AsyncMutex<()>,
    /// Held during a pass.
    passing: AsyncMutex<()>,
    progress: watch::Sender<Option<Progress>>,
    record: Mutex<Record>,
    stop: watch::Receiver<bool>,
}

impl<F: TieredFiles> Lifecycle<F> {
    /// Reads the policy and starts the tasks. Must run inside a tokio runtime.
    pub fn start(files: F, environment: Environment, options: Options) -> Result<Self> {
        let policy = match files.note(NOTE_KEY)? {
            Some(note) => decode(&note)?,
            None => Policy::default(),
        };
        let (stop, stopping) = watch::channel(false);
        let shared = Arc::new(Shared {
            files,
            environment,
            options,
            policy: watch::Sender::new(policy),
            changing: AsyncMutex::new(()),
            passing: AsyncMutex::new(()),
            progress: watch::Sender::new(None),
            record: Mutex::new(Record::default()),
            stop: stopping,
        });
        let tasks = vec![
            tokio::spawn(aging::run(Arc::clone(&shared))),
            tokio::spawn(promotion::run(Arc::clone(&shared))),
        ];
        Ok(Lifecycle { shared, stop, tasks: AsyncMutex::new(tasks) })
    }

    /// The policy that holds.
    pub fn policy(&self) -> Policy {
        *self.shared.policy.borrow()
    }

    /// Changes the policy. It is durable when this returns, and the daemon acts on it at once.
    pub async fn set_policy(&self, change: PolicyChange) -> Result<Policy> {
        let _changing = self.shared.changing.lock().await;
        let policy = change.apply(self.policy());
        self.shared.files.set_note(NOTE_KEY, &encode(policy)?).await?;
        self.shared.policy.send_replace(policy);
        Ok(policy)
    }

    /// Moves everything that is due now, after the pass that is under way, if any. Its progress is seen by [`Self::progress`].
    pub async fn run(&self, bytes_per_second: Option<u64>) -> Result<PassSummary> {
        let _passing = self.shared.passing.lock().await;
        if *self.shared.stop.borrow() {
            return Err(Error::ShuttingDown);
        }
        self.shared.pass(bytes_per_second).await
    }

    /// Follows the progress of the pass that is under way; `None` between passes.
    pub fn progress(&self) -> watch::Receiver<Option<Progress>> {
        self.shared.progress.subscribe()
    }

    /// What holds for the file at an absolute path, and what comes next.
    pub fn explain(&self, path: &[u8]) -> Result<Explanation> {
        explain(&self.shared.files, path, self.policy(), self.shared.environment.clock.now())
    }

    /// How things stand.
    pub fn status(&self) -> LifecycleStatus {
        let record = self.shared.record.lock().clone();
        LifecycleStatus {
            policy: self.policy(),
            running: self.shared.progress.borrow().clone(),
            last_pass: record.last_pass,
            next_pass: record.next_pass.map(crate::time::rfc3339),
            promoted: record.promoted,
            last_error: record.last_error,
        }
    }

    /// Stops after the batch that is under way.
    pub async fn stop(&self) {
        self.stop.send_replace(true);
        for task in self.tasks.lock().await.drain(..) {
            if task.await.is_err() {
                tracing::error!("a task of the lifecycle daemon had panicked");
            }
        }
        // A pass that somebody asked for ends as well.
        drop(self.shared.passing.lock().await);
    }
}

impl<F: TieredFiles> Shared<F> {
    /// One pass; the caller holds `passing`.
    async fn pass(&self, bytes_per_second: Option<u64>) -> Result<PassSummary> {
        let policy = *self.policy.borrow();
        let context = self.context(bytes_per_second, &self.progress);
        let result = aging_pass(&self.files, policy, &context).await;
        self.progress.send_replace(None);
        let now = self.environment.clock.now();
        let mut record = self.record.lock();
        match &result {
            Ok(summary) => record.passed(summary, now),
            Err(error) => record.failed(error.to_string(), now),
        }
        result
    }

    fn context<'a>(
        &'a self,
        bytes_per_second: Option<u64>,
        report: &'a watch::Sender<Option<Progress>>,
    ) -> Context<'a> {
        Context {
            environment: &self.environment,
            batch_bytes: self.options.batch_bytes,
            bytes_per_second,
            stop: self.stop.clone(),
            report,
        }
    }
}

/// Waits until the daemon is to stop.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    // An error means that the handle was dropped, which is a stop too.
    let _ = stop.wait_for(|stop| *stop).await;
}

/// Waits for a change of the policy; for ever if there can be none any more.
async fn changed(policy: &mut watch::Receiver<Policy>) {
    if policy.changed().await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// The shortest time between two looks at the clock.
const TICK: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests;
