//! The routes.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, RawQuery, State};
use axum::response::Response;
use axum::routing::{get, post, put};
use axum::{Json, Router};
use engine::{Collected, CollectionPlan, FileSystemId, KeyStatus};
use lifecycle::{Explanation, LifecycleStatus, Policy, PolicyChange};
use percent_encoding::percent_decode_str;
use serde::de::DeserializeOwned;

use super::api::{FileSystemStatus, MountTargetStatus, RotateRequest, RunRequest, ServerStatus};
use super::error::Failure;
use super::run;
use super::verify::{self, VerifyRequest};
use crate::serve::{Served, Server};

type Answer<T> = Result<Json<T>, Failure>;
type Shared = State<Arc<Server>>;

/// The control interface of a server.
pub(super) fn router(server: Arc<Server>) -> Router {
    Router::new()
        .route("/v1/status", get(server_status))
        .route("/v1/file-systems/{id}/status", get(status))
        .route("/v1/file-systems/{id}/verify", post(run_verification))
        .route("/v1/file-systems/{id}/lifecycle", get(lifecycle_status).put(set_policy))
        .route("/v1/file-systems/{id}/lifecycle/run", post(run_pass))
        .route("/v1/file-systems/{id}/lifecycle/explain", get(explain))
        .route("/v1/file-systems/{id}/key", get(key_status))
        .route("/v1/file-systems/{id}/key/rotate", put(rotate_key))
        .route("/v1/file-systems/{id}/gc", get(collection_plan).post(collect))
        .fallback(async || Failure::not_found("there is no such path in the control interface".to_owned()))
        .with_state(server)
}

fn find(server: &Server, id: &str) -> Result<Arc<Served>, Failure> {
    let served = FileSystemId::parse(id).and_then(|id| server.file_system(id));
    served.cloned().ok_or_else(|| {
        let known: Vec<_> = server.ids().map(|id| id.to_string()).collect();
        Failure::not_found(format!("this server has no file system `{id}`; it has {}", known.join(", ")))
    })
}

async fn server_status(State(server): Shared) -> Json<ServerStatus> {
    Json(ServerStatus {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        process: std::process::id(),
        data: server.data().display().to_string(),
        file_systems: server.ids().map(|id| id.to_string()).collect(),
    })
}

async fn status(State(server): Shared, Path(id): Path<String>) -> Answer<FileSystemStatus> {
    let served = find(&server, &id)?;
    let mount_targets = served
        .nfs_status()
        .into_iter()
        .map(|(listen, nfs)| MountTargetStatus { listen: listen.to_string(), nfs: nfs.into() })
        .collect();
    Ok(Json(FileSystemStatus {
        engine: served.file_system.status()?,
        mount_targets,
        lifecycle: served.lifecycle.status(),
    }))
}

async fn lifecycle_status(State(server): Shared, Path(id): Path<String>) -> Answer<LifecycleStatus> {
    Ok(Json(find(&server, &id)?.lifecycle.status()))
}

async fn set_policy(State(server): Shared, Path(id): Path<String>, body: Bytes) -> Answer<Policy> {
    let served = find(&server, &id)?;
    let change: PolicyChange = read(&body)?;
    Ok(Json(served.lifecycle.set_policy(change).await?))
}

async fn run_pass(State(server): Shared, Path(id): Path<String>, body: Bytes) -> Result<Response, Failure> {
    let served = find(&server, &id)?;
    let request: RunRequest = if body.is_empty() { RunRequest::default() } else { read(&body)? };
    Ok(run::stream(served, request))
}

async fn run_verification(
    State(server): Shared,
    Path(id): Path<String>,
    body: Bytes,
) -> Result<Response, Failure> {
    let served = find(&server, &id)?;
    let request: VerifyRequest = if body.is_empty() { VerifyRequest::default() } else { read(&body)? };
    Ok(verify::stream(served, request))
}

async fn collection_plan(State(server): Shared, Path(id): Path<String>) -> Answer<CollectionPlan> {
    Ok(Json(find(&server, &id)?.file_system.collection_plan()?))
}

async fn collect(State(server): Shared, Path(id): Path<String>) -> Answer<Collected> {
    Ok(Json(find(&server, &id)?.file_system.collect().await?))
}

async fn explain(
    State(server): Shared,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Answer<Explanation> {
    let served = find(&server, &id)?;
    let path = path_of(query.as_deref().unwrap_or_default())?;
    Ok(Json(served.lifecycle.explain(&path)?))
}

async fn key_status(State(server): Shared, Path(id): Path<String>) -> Answer<KeyStatus> {
    Ok(Json(find(&server, &id)?.file_system.key_status()?))
}

async fn rotate_key(State(server): Shared, Path(id): Path<String>, body: Bytes) -> Answer<KeyStatus> {
    let served = find(&server, &id)?;
    let request: RotateRequest = read(&body)?;
    let source = request.new_key.map(|key| key.source()).transpose().map_err(engine::Error::Open)?;
    Ok(Json(served.file_system.rotate_key(source).await?))
}

/// The path in a query. File names are bytes, not text, so that the query cannot be read as text.
pub(super) fn path_of(query: &str) -> Result<Vec<u8>, Failure> {
    let encoded = query.split('&').find_map(|pair| pair.strip_prefix("path="));
    let path = encoded.map(|path| percent_decode_str(path).collect::<Vec<u8>>());
    path.filter(|path| path.starts_with(b"/")).ok_or_else(|| {
        Failure::invalid(
            "give ?path= with an absolute path within the file system, such as /photos/a.jpg".to_owned(),
        )
    })
}

pub(super) fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Failure> {
    serde_json::from_slice(body)
        .map_err(|error| Failure::invalid(format!("the body cannot be read: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_bytes_and_absolute() {
        assert_eq!(path_of("x=1&path=/a%20b%FF%26").unwrap(), b"/a b\xff&");
        for wrong in ["", "path=", "path=a", "p=/a"] {
            assert_eq!(path_of(wrong).unwrap_err().body.error, "invalid");
        }
    }
}
