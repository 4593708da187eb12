//! Counts requests, each try by itself: that is what a provider bills. Bytes are those of requests that succeeded.

use std::sync::Arc;

use async_trait::async_trait;
use parking_lot::Mutex;

use super::{Reply, Request, Store, StoreError};
use crate::tiering::Requests;

/// S3 answers a LIST with at most so many objects, so a longer listing is several requests.
const LIST_PAGE_OBJECTS: u64 = 1000;

/// Counts.
pub(in crate::tiers) struct Meter {
    inner: Arc<dyn Store>,
    requests: Mutex<Requests>,
}

impl Meter {
    pub(super) fn new(inner: Arc<dyn Store>) -> Self {
        Meter { inner, requests: Mutex::default() }
    }

    /// The counts since the start.
    pub(in crate::tiers) fn requests(&self) -> Requests {
        *self.requests.lock()
    }
}

#[async_trait]
impl Store for Meter {
    async fn call(&self, request: &Request) -> Result<Reply, StoreError> {
        {
            let mut requests = self.requests.lock();
            match request {
                Request::Create { .. } => requests.put += 1,
                Request::Get { .. } => requests.get += 1,
                Request::Delete { .. } => requests.delete += 1,
                Request::List { .. } => requests.list += 1,
            }
        }
        let result = self.inner.call(request).await;
        let mut requests = self.requests.lock();
        match &result {
            Ok(Reply::Content { bytes, .. }) => requests.bytes_received += bytes.len() as u64,
            Ok(Reply::Objects(objects)) => {
                requests.list += (objects.len() as u64).saturating_sub(1) / LIST_PAGE_OBJECTS;
            }
            Ok(Reply::Created) => requests.bytes_sent += request.transfer_bytes(),
            // That something is there, or is not, is an answer.
            Ok(Reply::Deleted) | Err(StoreError::AlreadyExists | StoreError::NotFound) => {}
            Err(_) => requests.failed += 1,
        }
        result
    }
}
