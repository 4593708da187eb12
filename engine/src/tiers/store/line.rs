//! The line to the store, which all requests share.
//!
//! A large body takes its time on a slow line, and the more bodies are under way the longer each of them takes. So whoever waits for one
//! may wait as long as the slowest line takes for all that is under way. A body of which nothing comes any more is given up as soon as if it
//! were alone on the line.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use tokio::time::{Instant, sleep_until};

use super::{Reply, Request, Store, StoreError, TRY_LIMIT, transfer_time};

/// What is known of the line.
#[derive(Debug, Default)]
pub(super) struct Line {
    /// Bytes of the bodies that are under way, or wait to be.
    under_way: AtomicU64,
    /// When something came last.
    moved: Mutex<Option<Instant>>,
}

/// A body under way, as long as this lives.
struct UnderWay<'a> {
    line: &'a Line,
    bytes: u64,
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.line.under_way.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

impl Line {
    /// Something came.
    pub(super) fn moved(&self) {
        *self.moved.lock() = Some(Instant::now());
    }

    fn begin(&self, bytes: u64) -> UnderWay<'_> {
        self.under_way.fetch_add(bytes, Ordering::Relaxed);
        UnderWay { line: self, bytes }
    }

    /// What all bodies take on the slowest line.
    pub(super) fn allowance(&self) -> Duration {
        transfer_time(self.under_way.load(Ordering::Relaxed))
    }

    /// Waits for work until `end` with its own `allowance` for the transfer, or what all bodies take, if that is longer; `None` if that is
    /// over. Whoever works sees to it that a connection that is dead is given up sooner.
    pub(super) async fn within<T>(
        &self,
        end: Instant,
        allowance: Duration,
        work: impl Future<Output = T>,
    ) -> Option<T> {
        self.while_alive(end, allowance, || true, work).await
    }

    /// Waits for a turn until `end`, and on as long as anything comes over the line.
    pub(super) async fn turn<T>(&self, end: Instant, work: impl Future<Output = T>) -> Option<T> {
        let moves = || self.moved.lock().is_some_and(|moved| moved.elapsed() < TRY_LIMIT);
        self.while_alive(end, Duration::ZERO, moves, work).await
    }

    async fn while_alive<T>(
        &self,
        end: Instant,
        allowance: Duration,
        is_alive: impl Fn() -> bool,
        work: impl Future<Output = T>,
    ) -> Option<T> {
        let mut work = std::pin::pin!(work);
        let mut until = end + allowance;
        loop {
            tokio::select! {
                biased;
                result = &mut work => return Some(result),
                () = sleep_until(until) => {}
            }
            let next = (until + TRY_LIMIT).min(end + self.allowance());
            if next <= until || !is_alive() {
                return None;
            }
            until = next;
        }
    }
}

/// Counts the bodies that are under way.
pub(super) struct OnLine {
    inner: Arc<dyn Store>,
    line: Arc<Line>,
}

impl OnLine {
    pub(super) fn new(inner: Arc<dyn Store>, line: Arc<Line>) -> Self {
        OnLine { inner, line }
    }
}

#[async_trait]
impl Store for OnLine {
    async fn call(&self, request: &Request) -> Result<Reply, StoreError> {
        let _under_way = self.line.begin(request.transfer_bytes());
        self.inner.call(request).await
    }
}
