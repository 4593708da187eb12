//! One pass: everything that is due now, or what was read while it was cold.

use engine::{DueCursor, Environment, InodeId, Requests, Tier, Timestamp};
use tokio::sync::watch;

use super::{Ending, Mover, Next, PassSummary, Progress};
use crate::decide::{Decision, cutoff, decide, decide_after_cold_read};
use crate::error::Result;
use crate::files::TieredFiles;
use crate::plan::Planner;
use crate::policy::Policy;
use crate::time::rfc3339;

/// Files looked at in one go.
const PAGE_FILES: usize = 1_000;

/// What a pass works with.
pub(crate) struct Context<'a> {
    pub(crate) environment: &'a Environment,
    /// Content of one batch at most.
    pub(crate) batch_bytes: u64,
    pub(crate) bytes_per_second: Option<u64>,
    pub(crate) stop: watch::Receiver<bool>,
    pub(crate) report: &'a watch::Sender<Option<Progress>>,
}

/// Moves every file that is due at the start of the pass to Infrequent Access, oldest first.
pub(crate) async fn aging_pass<F: TieredFiles>(
    files: &F,
    policy: Policy,
    context: &Context<'_>,
) -> Result<PassSummary> {
    let start = Start::take(files, context)?;
    let mut mover = Mover::new(files, context, Tier::InfrequentAccess);
    let mut next = Next::Continue;
    if let Some(age) = policy.to_ia {
        let before = cutoff(age, start.now);
        next = move_due(files, &policy, before, &start, context, &mut mover).await?;
    }
    start.summary(files, context, mover.progress(), next)
}

async fn move_due<F: TieredFiles>(
    files: &F,
    policy: &Policy,
    before: Timestamp,
    start: &Start,
    context: &Context<'_>,
    mover: &mut Mover<'_, F>,
) -> Result<Next> {
    let mut planner = Planner::new(context.batch_bytes);
    let mut cursor = Some(DueCursor::default());
    while let Some(after) = cursor {
        let page = files.due(before, &after, PAGE_FILES)?;
        for facts in &page.files {
            let Decision::Move { .. } = decide(facts, policy, start.now) else { continue };
            if let Some(batch) = planner.add_due(facts)
                && let Next::Stop(reason) = mover.run(batch).await
            {
                return Ok(Next::Stop(reason));
            }
        }
        cursor = page.next;
        tokio::task::yield_now().await;
    }
    match planner.finish() {
        Some(batch) => Ok(mover.run(batch).await),
        None => Ok(Next::Continue),
    }
}

/// Moves files whose cold data was read back to Standard.
pub(crate) async fn promotion_pass<F: TieredFiles>(
    files: &F,
    policy: Policy,
    read: &[InodeId],
    context: &Context<'_>,
) -> Result<PassSummary> {
    let start = Start::take(files, context)?;
    let mut mover = Mover::new(files, context, Tier::Standard);
    let mut planner = Planner::new(context.batch_bytes);
    let mut next = Next::Continue;
    for inode in read {
        let facts = match files.facts(*inode) {
            Ok(facts) => facts,
            // Removed meanwhile.
            Err(engine::Error::Stale | engine::Error::NotFound | engine::Error::WrongType) => continue,
            Err(error) => return Err(error.into()),
        };
        let Decision::Move { .. } = decide_after_cold_read(&facts, &policy) else { continue };
        if let Some(batch) = planner.add(*inode, facts.infrequent_access_bytes) {
            next = mover.run(batch).await;
        }
        if next != Next::Continue {
            break;
        }
    }
    if next == Next::Continue
        && let Some(batch) = planner.finish()
    {
        next = mover.run(batch).await;
    }
    start.summary(files, context, mover.progress(), next)
}

/// How things stood when a pass began.
struct Start {
    now: Timestamp,
    monotonic: std::time::Duration,
    requests: Requests,
}

impl Start {
    fn take<F: TieredFiles>(files: &F, context: &Context<'_>) -> Result<Start> {
        let clock = &context.environment.clock;
        Ok(Start { now: clock.now(), monotonic: clock.monotonic(), requests: files.requests()? })
    }

    fn summary<F: TieredFiles>(
        &self,
        files: &F,
        context: &Context<'_>,
        progress: &Progress,
        next: Next,
    ) -> Result<PassSummary> {
        let (ending, reason) = match next {
            Next::Continue => (Ending::Complete, progress.last_error.clone()),
            Next::Stop(reason) => (Ending::Stopped, Some(reason)),
        };
        let seconds = context.environment.clock.monotonic().saturating_sub(self.monotonic).as_secs_f64();
        Ok(PassSummary {
            started: rfc3339(self.now),
            files: progress.files,
            bytes: progress.bytes,
            objects: progress.objects,
            skipped: progress.skipped,
            failed: progress.failed,
            seconds,
            requests: since(files.requests()?, self.requests),
            ending,
            reason,
        })
    }
}

fn since(now: Requests, then: Requests) -> Requests {
    Requests {
        put: now.put.saturating_sub(then.put),
        get: now.get.saturating_sub(then.get),
        list: now.list.saturating_sub(then.list),
        delete: now.delete.saturating_sub(then.delete),
        failed: now.failed.saturating_sub(then.failed),
        bytes_sent: now.bytes_sent.saturating_sub(then.bytes_sent),
        bytes_received: now.bytes_received.saturating_sub(then.bytes_received),
    }
}
