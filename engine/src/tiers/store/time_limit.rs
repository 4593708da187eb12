//! Gives up a try that takes too long.

use std::sync::Arc;

use async_trait::async_trait;

use super::{Reply, Request, Store, StoreError};

/// Limits the time of one try.
pub(super) struct TimeLimit {
    inner: Arc<dyn Store>,
}

impl TimeLimit {
    pub(super) fn new(inner: Arc<dyn Store>) -> Self {
        TimeLimit { inner }
    }
}

#[async_trait]
impl Store for TimeLimit {
    async fn call(&self, request: &Request) -> Result<Reply, StoreError> {
        let limit = request.try_limit();
        match tokio::time::timeout(limit, self.inner.call(request)).await {
            Ok(result) => result,
            Err(_) => Err(StoreError::Transient(format!("{request} was not answered within {limit:?}"))),
        }
    }
}
