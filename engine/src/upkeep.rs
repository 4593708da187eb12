//! What an open file system does by itself: folding pieces, releasing what nobody refers to, writing back old data.

mod collector;
mod fold;
mod reclaim;
mod reseal;
pub(crate) mod scrub;
mod segments;
mod write_back;

use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tracing::warn;

use crate::error::{Error, Result};
use crate::identity::Lsn;
use crate::volume::Volume;
pub(crate) use collector::Collector;
#[cfg(test)]
pub(crate) use collector::plan;

pub(crate) use scrub::Scrub;
pub use scrub::ScrubOptions;

pub(crate) use reseal::Reseal;
pub(crate) use write_back::Busy;

/// How often upkeep looks around when nobody wakes it.
const ROUND: Duration = Duration::from_secs(1);

/// What wakes upkeep, and what it runs in.
#[derive(Debug)]
pub(crate) struct Upkeep {
    folding: Arc<Notify>,
    tidying: Arc<Notify>,
    tasks: parking_lot::Mutex<Vec<JoinHandle<()>>>,
}

impl Upkeep {
    /// Upkeep whose folding of pieces is woken by this.
    pub(crate) fn new(folding: Arc<Notify>) -> Self {
        Upkeep { folding, tidying: Arc::default(), tasks: parking_lot::Mutex::default() }
    }

    /// There are many pieces to fold.
    pub(crate) fn wake_folding(&self) {
        self.folding.notify_one();
    }

    /// Something waits to be released, collected or sealed anew.
    pub(crate) fn wake(&self) {
        self.tidying.notify_one();
    }

    /// Waits until it has noticed that the volume is closing.
    pub(crate) async fn stop(&self) {
        self.wake_folding();
        self.wake();
        let tasks = std::mem::take(&mut *self.tasks.lock());
        for task in tasks {
            // What it was at is finished or will be repeated; only its end matters here.
            let _ = task.await;
        }
    }
}

#[cfg(test)]
impl Upkeep {
    /// Ends it where it is.
    pub(crate) async fn abort(&self) {
        let tasks = std::mem::take(&mut *self.tasks.lock());
        for task in tasks {
            task.abort();
            let _cancelled = task.await;
        }
    }
}

/// Starts the upkeep of a volume. It ends when the volume is closed or dropped. Writers wait for folding when there are many pieces, so
/// that it does not stand behind the slower duties.
pub(crate) fn start(volume: &Arc<Volume>) {
    let (folding, tidying) = (Arc::clone(&volume.upkeep.folding), Arc::clone(&volume.upkeep.tidying));
    let tasks = vec![
        tokio::spawn(run(Arc::downgrade(volume), folding, fold_round)),
        tokio::spawn(run(Arc::downgrade(volume), tidying, tidy_round)),
    ];
    *volume.upkeep.tasks.lock() = tasks;
}

/// Does not keep the volume alive while it waits for work.
async fn run(volume: Weak<Volume>, work: Arc<Notify>, round: impl AsyncFn(&Volume, &mut Pace) -> Result<()>) {
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
                volume.heed_halt();
                return;
            }
        }
        let _ = tokio::time::timeout(ROUND, work.notified()).await;
    }
}

async fn fold_round(volume: &Volume, pace: &mut Pace) -> Result<()> {
    let all = pace.fold_is_due(volume.environment.clock.monotonic()) || volume.store.awaits_passing();
    volume.fold_pieces(all).await?;
    if pace.is_idle(volume.store.committed()) && volume.store.is_worth_a_fold() {
        let folded = volume.fold_pieces(true).await;
        // Also when a file cannot be read.
        volume.store.checkpoint().await?;
        folded?;
    }
    Ok(())
}

/// Does what is due. A duty that fails does not keep the others from their work: what one of them frees may be what another
/// one lacks. The first failure is returned.
async fn tidy_round(volume: &Volume, pace: &mut Pace) -> Result<()> {
    let now = volume.environment.clock.monotonic();
    let mut results = vec![volume.reclaim_contents().await];
    if pace.minute_is_over(now) {
        results.push(volume.write_back(Busy::Skipped, || true).await);
        results.push(volume.fold_accesses().await);
    } else if volume.access_log.has_many() {
        results.push(volume.fold_accesses().await);
    }
    results.push(volume.reseal(now).await);
    // Both look at all segments.
    if pace.segments_are_due(volume.store.committed()) {
        results.push(volume.collect_garbage().await);
        results.push(volume.release_segments(now).await);
    }
    results.into_iter().collect()
}

/// When the slower duties are due, and how failures are reported.
#[derive(Debug, Default)]
struct Pace {
    last_fold: Duration,
    last_minute: Duration,
    /// The last record in the last round.
    committed: Option<Lsn>,
    /// Rounds since the last one in which anything was changed.
    idle_rounds: u32,
    failing: bool,
    pause: Duration,
}

impl Pace {
    const FOLD_EVERY: Duration = Duration::from_secs(10);
    const IDLE_ROUNDS: u32 = 5;
    const MINUTE: Duration = Duration::from_secs(60);

    /// Whether few pieces are to be folded, too.
    fn fold_is_due(&mut self, now: Duration) -> bool {
        is_over(&mut self.last_fold, Self::FOLD_EVERY, now)
    }

    fn minute_is_over(&mut self, now: Duration) -> bool {
        is_over(&mut self.last_minute, Self::MINUTE, now)
    }

    /// Whether nothing was changed since the last round: what is folded then is in nobody's way, and the next burst has all the room.
    fn is_idle(&mut self, committed: Lsn) -> bool {
        self.committed.replace(committed) == Some(committed)
    }

    /// Whether segments are looked at: after each change, and now and then while nothing changes.
    fn segments_are_due(&mut self, committed: Lsn) -> bool {
        self.idle_rounds = if self.is_idle(committed) { self.idle_rounds + 1 } else { 0 };
        self.idle_rounds.is_multiple_of(Self::IDLE_ROUNDS)
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

fn is_over(last: &mut Duration, every: Duration, now: Duration) -> bool {
    let over = now.saturating_sub(*last) >= every;
    if over {
        *last = now;
    }
    over
}
