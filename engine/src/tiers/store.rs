//! The stack over `object_store`.
//!
//! A [`Request`] is a whole, bounded piece of work (a body is read to its end before the answer is there), so each
//! decorator is one method: it can time, count, repeat or refuse a request without knowing what it is.
//!
//! Time is tokio's here, because the waiting is, and tests can hold it.

mod circuit;
mod concurrency;
mod direct;
#[cfg(test)]
pub(crate) mod fault;
mod line;
mod meter;
mod retry;
#[cfg(test)]
mod tests;
mod time_limit;

use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore, PutPayload};

use crate::environment::Environment;
use circuit::Circuit;
use concurrency::Concurrency;
use direct::Direct;
use line::{Line, OnLine};
use meter::Meter;
use retry::Retry;
use time_limit::TimeLimit;

/// One request to the object store.
#[derive(Debug, Clone)]
pub(super) enum Request {
    /// Makes an object; refused if there is one of that name.
    Create { path: Path, content: PutPayload },
    /// Reads part of an object: up to its end, if that comes first.
    Get { path: Path, range: Range<u64> },
    /// Removes an object; a missing one may be an error or not.
    Delete { path: Path },
    /// All objects below a prefix.
    List { prefix: Path },
}

/// The answer to a [`Request`] of the same name.
#[derive(Debug, Clone)]
pub(super) enum Reply {
    Created,
    Content { bytes: Bytes, object_bytes: u64 },
    Deleted,
    Objects(Vec<ObjectMeta>),
}

/// Why the store did not do it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum StoreError {
    /// There is no such object.
    #[error("no such object")]
    NotFound,
    /// There is an object of that name.
    #[error("the object exists")]
    AlreadyExists,
    /// The range starts behind the end of the object.
    #[error("the object is shorter than that")]
    TooShort,
    /// The credentials are missing, wrong, or do not allow it.
    #[error("access denied: {0}")]
    Denied(String),
    /// There is no such bucket.
    #[error("no such bucket: {0}")]
    NoBucket(String),
    /// The local directory that stands for a bucket is full.
    #[error("no space left")]
    NoSpace,
    /// Repeating may help: no connection, no answer in time, 429, 5xx, half a body.
    #[error("{0}")]
    Transient(String),
    /// It did not help to repeat it, or it was not even tried because the store is away.
    #[error("{reason}")]
    Unavailable { reason: String, retry_after: Duration },
    /// Anything else; repeating will not help.
    #[error("{0}")]
    Refused(String),
}

/// A decorator, or what is below all of them.
#[async_trait]
pub(super) trait Store: Send + Sync + 'static {
    /// Does the request.
    async fn call(&self, request: &Request) -> Result<Reply, StoreError>;
}

/// The assembled stack.
#[derive(Clone)]
pub(super) struct Stack {
    /// For all work.
    pub(super) store: Arc<dyn Store>,
    /// Without patience: says at once what is wrong. For the probe at start.
    pub(super) impatient: Arc<dyn Store>,
    /// Counts the requests of both.
    pub(super) meter: Arc<Meter>,
    /// Knows whether the store is away.
    pub(super) circuit: Arc<Circuit>,
}

impl Stack {
    /// Stacks the decorators, the outermost last.
    pub(super) fn new(objects: Arc<dyn ObjectStore>, environment: &Environment) -> Stack {
        let line = Arc::new(Line::default());
        let meter = Arc::new(Meter::new(Arc::new(Direct::new(objects, Arc::clone(&line)))));
        let impatient: Arc<dyn Store> = Arc::new(TimeLimit::new(meter.clone(), Arc::clone(&line)));
        let retry = Retry::new(Arc::clone(&impatient), Arc::clone(&line), environment.clone());
        let circuit = Arc::new(Circuit::new(Arc::new(retry)));
        let limited = Concurrency::new(circuit.clone(), Arc::clone(&line));
        let store = Arc::new(OnLine::new(Arc::new(limited), line));
        Stack { store, impatient, meter, circuit }
    }
}

impl Request {
    /// Bytes that go over the wire, which the time limits allow for.
    fn transfer_bytes(&self) -> u64 {
        match self {
            Request::Create { content, .. } => content.content_length() as u64,
            Request::Get { range, .. } => range.end.saturating_sub(range.start),
            Request::Delete { .. } | Request::List { .. } => 0,
        }
    }

    /// What its transfer takes on the slowest line.
    fn transfer_allowance(&self, line: &Line) -> Duration {
        match self {
            // One request for each 1,000 objects, so its size is not known before.
            Request::List { .. } => LIST_ALLOWANCE,
            // What is sent is not seen to move.
            Request::Create { .. } => line.allowance().max(transfer_time(self.transfer_bytes())),
            _ => transfer_time(self.transfer_bytes()),
        }
    }
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Request::Create { path, .. } => write!(f, "PUT {path}"),
            Request::Get { path, range } => write!(f, "GET {path} bytes {}..{}", range.start, range.end),
            Request::Delete { path } => write!(f, "DELETE {path}"),
            Request::List { prefix } => write!(f, "LIST {prefix}"),
        }
    }
}

/// What a transfer takes on the slowest line.
fn transfer_time(bytes: u64) -> Duration {
    Duration::from_millis(bytes / SLOWEST_BYTES_PER_MILLISECOND)
}

/// Of one try, besides the transfer.
const TRY_LIMIT: Duration = Duration::from_secs(4);
/// Of all tries, besides the transfer: less than the Linux client waits before it complains.
const CALL_LIMIT: Duration = Duration::from_secs(10);
/// 1 MiB/s: a line slower than that cannot hold a cold tier.
const SLOWEST_BYTES_PER_MILLISECOND: u64 = 1049;
/// For the transfer of a listing: some 100,000 objects from a slow store.
const LIST_ALLOWANCE: Duration = Duration::from_secs(120);
/// Requests under way at once: enough to fill a line with 64 KiB reads, few enough not to be throttled.
const CONCURRENT_MAX: usize = 16;
/// When to try again after an outage was seen, and how often one request goes through to see whether it is over.
const RETRY_AFTER: Duration = Duration::from_secs(1);

const _: () = assert!(TRY_LIMIT.as_millis() < CALL_LIMIT.as_millis());
