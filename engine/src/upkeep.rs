//! What an open file system does by itself: folding pieces, releasing what nobody refers to, writing back old data.

mod collector;
mod fold;
mod reclaim;
mod reseal;
mod scrub;
mod segments;
mod write_back;

use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::Notify;
use tracing::warn;

use crate::error::{Error, Result};
use crate::volume::Volume;
pub(crate) use collector::Collector;
#[cfg(test)]
pub(crate) use collector::plan;

pub(crate) use scrub::Scrub;
pub use scrub::ScrubOptions;

pub(crate) use reseal::Reseal;

/// How often upkeep looks around when nobody wakes it.
const ROUND: Duration = Duration::from_secs(1);

/// Starts the upkeep of a volume. It ends when the volume is closed or dropped.
pub(crate) fn start(volume: &Arc<Volume>) {
    let task = tokio::spawn(run(Arc::downgrade(volume), Arc::clone(&volume.upkeep)));
    *volume.upkeep_task.lock() = Some(task);
}

/// Does not keep the volume alive while it waits for work.
async fn run(volume: Weak<Volume>, work: Arc<Notify>) {
    let mut pace = Pace::default();
    loop {
        tokio::time::sleep(pace.pause).await;
        {
            let Some(volume) = volume.upgrade() else { return };
            if volume.closing.load(Ordering::Acquire) {
                return;
            }
            let result = round(&volume, &mut pace).await;
            pace.note(&result);
            if let Err(Error::Halted { .. }) = result {
                return;
            }
        }
        let _ = tokio::time::timeout(ROUND, work.notified()).await;
    }
}

/// Does what is due. A duty that fails does not keep the others from their work: what one of them frees may be what another
/// one lacks. The first failure is returned.
async fn round(volume: &Volume, pace: &mut Pace) -> Result<()> {
    let now = volume.environment.clock.monotonic();
    pace.begin(now);
    let mut results = vec![volume.fold_pieces(pace.fold_all).await, volume.reclaim_contents().await];
    if pace.minute {
        results.push(volume.write_back().await);
        results.push(volume.fold_accesses().await);
    }
    results.push(volume.collect_garbage().await);
    results.push(volume.reseal(now).await);
    results.push(volume.release_segments(now).await);
    results.into_iter().collect()
}

/// When the slower duties are due, and how failures are reported.
#[derive(Debug, Default)]
struct Pace {
    last_fold: Duration,
    last_minute: Duration,
    fold_all: bool,
    minute: bool,
    failing: bool,
    pause: Duration,
}

impl Pace {
    const FOLD_EVERY: Duration = Duration::from_secs(10);
    const MINUTE: Duration = Duration::from_secs(60);

    fn begin(&mut self, now: Duration) {
        self.fold_all = now.saturating_sub(self.last_fold) >= Self::FOLD_EVERY;
        self.minute = now.saturating_sub(self.last_minute) >= Self::MINUTE;
        if self.fold_all {
            self.last_fold = now;
        }
        if self.minute {
            self.last_minute = now;
        }
    }

    /// Reports the first of a row of failures, and pauses before the next try.
    fn note(&mut self, result: &Result<()>) {
        match result {
            Ok(()) => {
                self.failing = false;
                self.pause = Duration::ZERO;
            }
            Err(error) => {
                if !self.failing {
                    warn!(%error, "background work failed; it will be tried again");
                }
                self.failing = true;
                self.pause = ROUND;
            }
        }
    }
}
