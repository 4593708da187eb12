//! The task that runs the passes to Infrequent Access.

use std::sync::Arc;
use std::time::Duration;

use engine::DueCursor;

use super::schedule::{Situation, Wait, wait};
use super::{Shared, TICK, changed, stopped};
use crate::decide::cutoff;
use crate::error::Result;
use crate::files::TieredFiles;
use crate::mover::{Ending, PassSummary};
use crate::policy::Age;
use crate::time::{FAR_FUTURE, after};

/// Files at the old end of the index that are looked at: an index entry may be older than the access that it stands for.
const OLDEST_FILES: usize = 32;
/// Pages of the index in which a file that is due is looked for.
const DUE_PAGES: usize = 8;

/// What the task knows of its passes.
#[derive(Default)]
struct History {
    last_pass: Option<Duration>,
    fruitless: u32,
}

pub(super) async fn run<F: TieredFiles>(shared: Arc<Shared<F>>) {
    let mut stop = shared.stop.clone();
    let mut policy = shared.policy.subscribe();
    let mut history = History::default();
    loop {
        let age = policy.borrow_and_update().to_ia;
        let wait = match age {
            Some(age) => plan(&shared, age, &history),
            None => None,
        };
        shared.record.lock().next_pass = wait.map(|wait| next_time(&shared, wait));
        let slept = async {
            match wait {
                Some(Wait::Pass(time) | Wait::Look(time)) => tokio::time::sleep(time).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = stopped(&mut stop) => return,
            () = changed(&mut policy) => {
                // The distance between passes was that of the old policy.
                history = History::default();
                continue;
            }
            () = slept => {}
        }
        if let Some(Wait::Pass(_)) = wait {
            pass(&shared, &mut history).await;
        }
    }
}

fn next_time<F: TieredFiles>(shared: &Shared<F>, wait: Wait) -> engine::Timestamp {
    let (Wait::Pass(time) | Wait::Look(time)) = wait;
    after(shared.environment.clock.now(), time)
}

/// What to wait for; an error of the engine is kept, and another look taken later.
fn plan<F: TieredFiles>(shared: &Shared<F>, age: Age, history: &History) -> Option<Wait> {
    let clock = &shared.environment.clock;
    let oldest = match oldest(&shared.files, cutoff(age, clock.now())) {
        Ok(oldest) => oldest,
        Err(error) => {
            shared.record.lock().failed(error.to_string(), clock.now());
            return Some(Wait::Look(TICK * 10));
        }
    };
    let since_pass = history.last_pass.map(|last| clock.monotonic().saturating_sub(last));
    Some(wait(age, Situation { now: clock.now(), oldest, since_pass, fruitless: history.fruitless }))
}

/// The last access of the oldest file, as far as it matters: of one that is due if there is any. Else the index is in order up to what is
/// due, and its old end tells when to look again.
fn oldest<F: TieredFiles>(files: &F, due: engine::Timestamp) -> Result<Option<engine::Timestamp>> {
    let mut cursor = Some(DueCursor::default());
    for _ in 0..DUE_PAGES {
        let Some(after) = cursor else { break };
        let page = files.due(due, &after, 1)?;
        if let Some(facts) = page.files.first() {
            return Ok(Some(facts.last_access));
        }
        cursor = page.next;
    }
    if cursor.is_some() {
        // A pass gets to the end of it.
        return Ok(Some(due));
    }
    let page = files.due(FAR_FUTURE, &DueCursor::default(), OLDEST_FILES)?;
    Ok(page.files.iter().map(|facts| facts.last_access).min())
}

async fn pass<F: TieredFiles>(shared: &Shared<F>, history: &mut History) {
    let _passing = shared.passing.lock().await;
    if *shared.stop.borrow() {
        return;
    }
    let result = shared.pass(shared.options.bytes_per_second).await;
    history.last_pass = Some(shared.environment.clock.monotonic());
    history.fruitless = match result {
        Ok(summary) if fruitful(&summary) => 0,
        _ => history.fruitless.saturating_add(1),
    };
}

/// Whether trying again soon makes sense.
fn fruitful(summary: &PassSummary) -> bool {
    summary.ending == Ending::Complete && summary.failed == 0 && (summary.files > 0 || summary.skipped == 0)
}
