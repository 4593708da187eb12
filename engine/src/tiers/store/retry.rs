//! Repeats what may succeed the next time, with growing, random pauses and an end.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::{Instant, sleep};

use super::line::Line;
use super::{CALL_LIMIT, RETRY_AFTER, Reply, Request, Store, StoreError};
use crate::environment::Environment;

/// The longest first pause; it doubles with each try.
const FIRST_PAUSE_MAX: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// Repeats.
pub(super) struct Retry {
    inner: Arc<dyn Store>,
    line: Arc<Line>,
    environment: Environment,
}

impl Retry {
    pub(super) fn new(inner: Arc<dyn Store>, line: Arc<Line>, environment: Environment) -> Self {
        Retry { inner, line, environment }
    }

    /// Between half and all of the longest pause, so that callers that failed together do not come back together.
    fn pause(&self, tries: u32) -> Duration {
        let longest = FIRST_PAUSE_MAX.saturating_mul(1 << tries.min(10)).min(PAUSE_MAX);
        let mut random = [0; 2];
        self.environment.entropy.fill(&mut random);
        longest / 2 + (longest / 2).mul_f64(f64::from(u16::from_be_bytes(random)) / f64::from(u16::MAX))
    }
}

#[async_trait]
impl Store for Retry {
    async fn call(&self, request: &Request) -> Result<Reply, StoreError> {
        // No try begins after the deadline. One that moves much data may last beyond it, but a store that is gone is known
        // to be gone at the deadline, however large the request.
        let mut deadline = Instant::now() + CALL_LIMIT;
        let allowance = request.transfer_allowance(&self.line);
        let unavailable = |reason| StoreError::Unavailable { reason, retry_after: RETRY_AFTER };
        let mut tries = 0;
        let mut last = None;
        loop {
            let reason = match self.line.within(deadline, allowance, self.inner.call(request)).await {
                Some(Err(StoreError::Transient(reason))) => reason,
                Some(result) => return result,
                None => {
                    return Err(unavailable(last.unwrap_or_else(|| format!("{request} was not answered"))));
                }
            };
            let pause = self.pause(tries);
            if Instant::now() + pause >= deadline {
                if tries > 0 {
                    return Err(unavailable(reason));
                }
                // Much was under way, and one connection of several broke late: it has another try.
                deadline = Instant::now() + CALL_LIMIT;
            }
            tracing::debug!(%request, %reason, ?pause, "the object store failed; trying again");
            sleep(pause).await;
            last = Some(reason);
            tries += 1;
        }
    }
}
