//! Lets only so many requests out at once.

use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::line::Line;
use super::{CALL_LIMIT, CONCURRENT_MAX, RETRY_AFTER, Reply, Request, Store, StoreError};

/// Limits the requests under way. Waiting has an end too, so that callers cannot pile up behind a slow store.
pub(super) struct Concurrency {
    inner: Arc<dyn Store>,
    line: Arc<Line>,
    permits: Semaphore,
}

impl Concurrency {
    pub(super) fn new(inner: Arc<dyn Store>, line: Arc<Line>) -> Self {
        Concurrency { inner, line, permits: Semaphore::new(CONCURRENT_MAX) }
    }
}

#[async_trait]
impl Store for Concurrency {
    async fn call(&self, request: &Request) -> Result<Reply, StoreError> {
        let end = Instant::now() + CALL_LIMIT;
        match self.line.turn(end, self.permits.acquire()).await {
            Some(Ok(_permit)) => self.inner.call(request).await,
            _ => Err(StoreError::Unavailable {
                reason: "too many requests wait for the object store".into(),
                retry_after: RETRY_AFTER,
            }),
        }
    }
}
