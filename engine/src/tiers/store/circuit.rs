//! Remembers that the store is away, so that callers learn it at once instead of waiting in turn.

use std::sync::Arc;

use async_trait::async_trait;
use parking_lot::Mutex;
use tokio::time::Instant;

use super::{RETRY_AFTER, Reply, Request, Store, StoreError};

/// Closed while the store answers. Open after an outage: then one request in [`RETRY_AFTER`] goes through, and its
/// success closes the circuit.
pub(in crate::tiers) struct Circuit {
    inner: Arc<dyn Store>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The last failure that is not answered by a success yet.
    failure: Option<String>,
    /// While open: when the next request may go through.
    open_until: Option<Instant>,
}

impl Circuit {
    pub(super) fn new(inner: Arc<dyn Store>) -> Self {
        Circuit { inner, state: Mutex::default() }
    }

    /// What is wrong with the store now, if anything.
    pub(in crate::tiers) fn failure(&self) -> Option<String> {
        self.state.lock().failure.clone()
    }

    fn admit(&self) -> Result<(), StoreError> {
        let mut state = self.state.lock();
        let now = Instant::now();
        match state.open_until {
            Some(until) if now < until => {
                let reason = state.failure.clone().unwrap_or_default();
                Err(StoreError::Unavailable { reason, retry_after: until - now })
            }
            Some(_) => {
                state.open_until = Some(now + RETRY_AFTER);
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn learn(&self, result: &Result<Reply, StoreError>) {
        use StoreError as E;
        let mut state = self.state.lock();
        match result {
            Ok(_) | Err(E::NotFound | E::AlreadyExists | E::TooShort) => {
                if state.failure.is_some() {
                    tracing::info!("the object store answers again");
                }
                *state = State::default();
            }
            Err(E::Unavailable { reason, .. } | E::Transient(reason)) => {
                if state.open_until.is_none() {
                    tracing::warn!(%reason, "the object store is away");
                }
                state.failure = Some(reason.clone());
                state.open_until = Some(Instant::now() + RETRY_AFTER);
            }
            // The store is there, but something is wrong: each request has to find out whether it still is.
            Err(error @ (E::Denied(_) | E::NoBucket(_) | E::NoSpace | E::Refused(_))) => {
                state.failure = Some(error.to_string());
                state.open_until = None;
            }
        }
    }
}

#[async_trait]
impl Store for Circuit {
    async fn call(&self, request: &Request) -> Result<Reply, StoreError> {
        self.admit()?;
        let result = self.inner.call(request).await;
        self.learn(&result);
        result
    }
}
