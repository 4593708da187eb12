//! What each path answers.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use futures::stream;
use lifecycle::{Explanation, Policy, PolicyChange};
use serde::Deserialize;
use tokio::sync::mpsc;

use super::{Failure, FileSystemReport, NfsReport, RunLine};
use crate::serve::Hosted;

/// All file systems of the server.
type Hosts = Arc<[Hosted]>;

pub(super) fn router(hosted: Hosts) -> Router {
    Router::new()
        .route("/v1/file-systems", get(list))
        .route("/v1/file-systems/{id}/status", get(status))
        .route("/v1/file-systems/{id}/lifecycle", get(policy).put(set_policy))
        .route("/v1/file-systems/{id}/lifecycle/run", post(run))
        .route("/v1/file-systems/{id}/lifecycle/explain", get(explain))
        .fallback(async || Refusal::not_found("there is no such path in this API"))
        .with_state(hosted)
}

async fn list(State(hosted): State<Hosts>) -> Json<Vec<String>> {
    Json(hosted.iter().map(|one| one.file_system.id().to_string()).collect())
}

async fn status(
    State(hosted): State<Hosts>,
    Path(id): Path<String>,
) -> Result<Json<FileSystemReport>, Refusal> {
    let one = find(&hosted, &id)?;
    let nfs = match (one.address, one.nfs_status().await) {
        (Some(address), Some(status)) => Some(NfsReport { listen: address.to_string(), status }),
        _ => None,
    };
    let status = one.file_system.status()?;
    Ok(Json(FileSystemReport { status, nfs, lifecycle: one.lifecycle.status() }))
}

async fn policy(State(hosted): State<Hosts>, Path(id): Path<String>) -> Result<Json<Policy>, Refusal> {
    Ok(Json(find(&hosted, &id)?.lifecycle.policy()))
}

async fn set_policy(
    State(hosted): State<Hosts>,
    Path(id): Path<String>,
    body: Bytes,
) -> Result<Json<Policy>, Refusal> {
    let change: PolicyChange =
        serde_json::from_slice(&body).map_err(|error| Refusal::invalid(error.to_string()))?;
    Ok(Json(find(&hosted, &id)?.lifecycle.set_policy(change).await?))
}

#[derive(Deserialize)]
struct ExplainQuery {
    path: String,
}

async fn explain(
    State(hosted): State<Hosts>,
    Path(id): Path<String>,
    Query(query): Query<ExplainQuery>,
) -> Result<Json<Explanation>, Refusal> {
    let path = hex::decode(&query.path)
        .map_err(|_| Refusal::invalid("the path must be in hexadecimal".to_owned()))?;
    Ok(Json(find(&hosted, &id)?.lifecycle.explain(&path)?))
}

/// Runs a pass. A client that goes away does not end it.
async fn run(State(hosted): State<Hosts>, Path(id): Path<String>) -> Result<Response, Refusal> {
    find(&hosted, &id)?;
    let (lines, receiver) = mpsc::channel(16);
    tokio::spawn(async move {
        let Ok(one) = find(&hosted, &id) else { return };
        let mut progress = one.lifecycle.progress();
        let pass = one.lifecycle.run(None);
        tokio::pin!(pass);
        let last = loop {
            tokio::select! {
                result = &mut pass => break match result {
                    Ok(summary) => RunLine::Summary(summary),
                    Err(error) => RunLine::Error(Refusal::from(error).failure),
                },
                Ok(()) = progress.changed() => {
                    let now = progress.borrow_and_update().clone();
                    if let Some(now) = now {
                        // A slow reader misses steps, never the end.
                        let _ = lines.try_send(RunLine::Progress(now));
                    }
                }
            }
        };
        let _ = lines.send(last).await;
    });
    let body = Body::from_stream(stream::unfold(receiver, async |mut receiver| {
        let line = receiver.recv().await?;
        let text = serde_json::to_string(&line).map(|text| text + "\n");
        Some((text, receiver))
    }));
    Ok(([(header::CONTENT_TYPE, "application/jsonl")], body).into_response())
}

fn find<'a>(hosted: &'a [Hosted], id: &str) -> Result<&'a Hosted, Refusal> {
    hosted
        .iter()
        .find(|one| one.file_system.id().to_string() == id)
        .ok_or_else(|| Refusal::not_found("this server has no such file system"))
}

/// A request that is refused.
struct Refusal {
    status: StatusCode,
    failure: Failure,
}

impl Refusal {
    fn new(status: StatusCode, error: &str, message: String) -> Self {
        Refusal { status, failure: Failure { error: error.to_owned(), message } }
    }

    fn not_found(message: &str) -> Self {
        Refusal::new(StatusCode::NOT_FOUND, "NotFound", message.to_owned())
    }

    fn invalid(message: String) -> Self {
        Refusal::new(StatusCode::BAD_REQUEST, "Invalid", message)
    }
}

impl From<engine::Error> for Refusal {
    fn from(error: engine::Error) -> Self {
        lifecycle::Error::Engine(error).into()
    }
}

impl From<lifecycle::Error> for Refusal {
    fn from(error: lifecycle::Error) -> Self {
        let message = error.to_string();
        match error {
            lifecycle::Error::Engine(engine::Error::NotFound) => {
                Refusal::new(StatusCode::NOT_FOUND, "NotFound", message)
            }
            lifecycle::Error::Engine(error) if error.kind() == engine::ErrorKind::Refused => {
                Refusal::invalid(message)
            }
            lifecycle::Error::Policy(_) => Refusal::invalid(message),
            lifecycle::Error::ShuttingDown => Refusal::new(StatusCode::CONFLICT, "ShuttingDown", message),
            _ => Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "Failed", message),
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.status, Json(self.failure)).into_response()
    }
}
