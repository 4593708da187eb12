//! Gives up a try that takes too long.

use std::sync::Arc;

use async_trait::async_trait;
use tokio::time::Instant;

use super::line::Line;
use super::{Reply, Request, Store, StoreError, TRY_LIMIT};

/// Limits the time of one try: a dead connection is noticed soon, and a large body gets its time on a slow line.
pub(super) struct TimeLimit {
    inner: Arc<dyn Store>,
    line: Arc<Line>,
}

impl TimeLimit {
    pub(super) fn new(inner: Arc<dyn Store>, line: Arc<Line>) -> Self {
        TimeLimit { inner, line }
    }
}

#[async_trait]
impl Store for TimeLimit {
    async fn call(&self, request: &Request) -> Result<Reply, StoreError> {
        let start = Instant::now();
        let allowance = request.transfer_allowance(&self.line);
        let tried = self.line.within(start + TRY_LIMIT, allowance, self.inner.call(request)).await;
        tried.unwrap_or_else(|| {
            Err(StoreError::Transient(format!("{request} was not answered within {:?}", start.elapsed())))
        })
    }
}
