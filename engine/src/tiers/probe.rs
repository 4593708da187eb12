//! What a store must be able to do, tried out at start.

use std::time::Duration;

use object_store::path::Path;
use tokio::time::timeout;

use super::store::{Reply, Request, Store, StoreError};

/// All of the probe.
const PROBE_LIMIT: Duration = Duration::from_secs(10);
const CONTENT: &[u8] = b"tidefs probes this store";

/// What is wrong and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum ProbeFault {
    #[error("there is no such bucket; create it or correct the name ({0})")]
    NoBucket(String),
    #[error("access is denied; check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and the bucket's policy ({0})")]
    Denied(String),
    #[error("no credentials were found; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY ({0})")]
    NoCredentials(String),
    #[error("it cannot be reached; check that the endpoint is an S3 store and that it is running ({0})")]
    Unreachable(String),
    #[error("it has no space left")]
    NoSpace,
    #[error(
        "it overwrote an object although told not to (no conditional PUT); use a store that supports If-None-Match"
    )]
    NoConditionalPut,
    #[error(
        "it does not return the bytes that were stored when asked for a range; use a store that supports range reads"
    )]
    NoRangeReads,
    #[error("it refused to {0} an object: {1}")]
    Refused(&'static str, String),
}

/// Tries conditional PUT, ranged GET, LIST and DELETE with one small object of that name.
pub(super) async fn probe(store: &dyn Store, folder: Path, name: &str) -> Result<(), ProbeFault> {
    match timeout(PROBE_LIMIT, steps(store, folder, name)).await {
        Ok(result) => result,
        Err(_) => Err(ProbeFault::Unreachable(format!("no complete answer within {PROBE_LIMIT:?}"))),
    }
}

async fn steps(store: &dyn Store, folder: Path, name: &str) -> Result<(), ProbeFault> {
    let path = folder.clone().join(name);
    let create = Request::Create { path: path.clone(), content: CONTENT.into() };
    store.call(&create).await.map_err(|error| fault("create", error))?;
    let result = with_object(store, folder, &path, &create).await;
    let deleted = store.call(&Request::Delete { path }).await;
    for old in result? {
        // What another start left that was killed; the next one tries again.
        let _left_there = store.call(&Request::Delete { path: old }).await;
    }
    deleted.map(|_| ()).map_err(|error| fault("delete", error))
}

/// Returns the other objects of the folder.
async fn with_object(
    store: &dyn Store,
    folder: Path,
    path: &Path,
    create: &Request,
) -> Result<Vec<Path>, ProbeFault> {
    match store.call(create).await {
        Err(StoreError::AlreadyExists) => {}
        Ok(_) => return Err(ProbeFault::NoConditionalPut),
        Err(error) => return Err(fault("create", error)),
    }
    let range = 7..13;
    match store.call(&Request::Get { path: path.clone(), range: range.clone() }).await {
        Ok(Reply::Content { bytes, object_bytes }) => {
            let expected = CONTENT.get(7..13).unwrap_or_default();
            if bytes != expected || object_bytes != CONTENT.len() as u64 {
                return Err(ProbeFault::NoRangeReads);
            }
        }
        Ok(_) => return Err(ProbeFault::NoRangeReads),
        Err(StoreError::Refused(text)) if text.contains("answered with bytes") => {
            return Err(ProbeFault::NoRangeReads);
        }
        Err(error) => return Err(fault("read", error)),
    }
    // Whether the object is in the list already does not matter: nothing depends on fresh listings.
    match store.call(&Request::List { prefix: folder }).await {
        Ok(Reply::Objects(objects)) => {
            let others = objects.into_iter().map(|object| object.location).filter(|other| other != path);
            Ok(others.collect())
        }
        Ok(_) => Ok(Vec::new()),
        Err(error) => Err(fault("list", error)),
    }
}

fn fault(action: &'static str, error: StoreError) -> ProbeFault {
    match error {
        // The address at which a machine in a cloud asks for its credentials when it was given none.
        StoreError::Transient(text) | StoreError::Denied(text) | StoreError::Refused(text)
            if text.contains("169.254.169.254") =>
        {
            ProbeFault::NoCredentials(text)
        }
        StoreError::NoBucket(text) => ProbeFault::NoBucket(text),
        StoreError::Denied(text) => ProbeFault::Denied(text),
        StoreError::Transient(text) => ProbeFault::Unreachable(text),
        StoreError::Unavailable { reason, .. } => ProbeFault::Unreachable(reason),
        StoreError::NoSpace => ProbeFault::NoSpace,
        other @ (StoreError::NotFound | StoreError::AlreadyExists | StoreError::TooShort) => {
            ProbeFault::Refused(action, other.to_string())
        }
        StoreError::Refused(text) => ProbeFault::Refused(action, text),
    }
}
