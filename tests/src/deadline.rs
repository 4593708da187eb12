//! Waiting for something to become true, for a bounded time.
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// Calls `attempt` until it gives a value; an error of it, or `limit` without a value, ends the wait.
pub fn poll_until<T>(
    what: &str,
    limit: Duration,
    mut attempt: impl FnMut() -> Result<Option<T>>,
) -> Result<T> {
    let start = Instant::now();
    loop {
        if let Some(value) = attempt()? {
            return Ok(value);
        }
        if start.elapsed() > limit {
            bail!("{what}: not within {limit:?}");
        }
        sleep(POLL_INTERVAL);
    }
}
