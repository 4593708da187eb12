//! The control API: HTTP with JSON over `DATA/control.sock`, and its client.
//!
//! | method and path                                   | answer                                             |
//! |---------------------------------------------------|----------------------------------------------------|
//! | `GET /v1/file-systems`                            | ids of the file systems                            |
//! | `GET /v1/file-systems/ID/status`                  | [`FileSystemReport`]                               |
//! | `GET`, `PUT /v1/file-systems/ID/lifecycle`        | the policy; PUT takes a `PolicyChange`             |
//! | `POST /v1/file-systems/ID/lifecycle/run`          | JSON lines: `progress` …, then `summary` or `error` |
//! | `GET /v1/file-systems/ID/lifecycle/explain?path=` | what holds for the file                            |
//!
//! An error is `{"error": CODE, "message": TEXT}` with a status of 400, 404, 409 or 500.

mod client;
mod routes;
mod server;

use gateway::NfsStatus;
use lifecycle::{LifecycleStatus, PassSummary, Progress};
use serde::{Deserialize, Serialize};

pub(crate) use client::Client;
pub(crate) use server::Server;

/// The socket's name in the data directory.
const SOCKET: &str = "control.sock";

/// Everything about one file system.
#[derive(Serialize)]
pub(crate) struct FileSystemReport {
    #[serde(flatten)]
    pub(crate) status: engine::Status,
    pub(crate) nfs: Option<NfsReport>,
    pub(crate) lifecycle: LifecycleStatus,
}

/// The NFS side.
#[derive(Serialize)]
pub(crate) struct NfsReport {
    pub(crate) listen: String,
    #[serde(flatten)]
    pub(crate) status: NfsStatus,
}

/// A line of the answer to `lifecycle/run`.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum RunLine {
    Progress(Progress),
    Summary(PassSummary),
    Error(Failure),
}

/// An error on its way to the client.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Failure {
    pub(crate) error: String,
    pub(crate) message: String,
}
