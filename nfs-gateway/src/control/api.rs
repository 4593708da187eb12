//! What is said over the control socket, by both sides.

use lifecycle::{LifecycleStatus, PassSummary, Progress};
use serde::{Deserialize, Serialize};

use crate::config::KeyChoice;
use crate::server::NfsStatus;

/// The server as a whole.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct ServerStatus {
    pub(crate) version: String,
    pub(crate) process: u32,
    pub(crate) data: String,
    /// Ids of the file systems.
    pub(crate) file_systems: Vec<String>,
}

/// A file system: what the engine says, and what is around it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct FileSystemStatus {
    #[serde(flatten)]
    pub(crate) engine: engine::Status,
    pub(crate) mount_targets: Vec<MountTargetStatus>,
    pub(crate) lifecycle: LifecycleStatus,
}

/// Where a file system is served, and to whom.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct MountTargetStatus {
    /// Address and port.
    pub(crate) listen: String,
    pub(crate) nfs: Nfs,
}

/// The state of an NFS server.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Nfs {
    pub(crate) clients: usize,
    pub(crate) sessions: usize,
    pub(crate) connections: usize,
    pub(crate) opens: usize,
    pub(crate) locks: usize,
    pub(crate) in_grace: bool,
    pub(crate) operations: u64,
}

impl From<NfsStatus> for Nfs {
    fn from(status: NfsStatus) -> Self {
        let NfsStatus { clients, sessions, connections, opens, locks, in_grace, operations } = status;
        Nfs { clients, sessions, connections, opens, locks, in_grace, operations }
    }
}

/// How a pass is to be run.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct RunRequest {
    /// As fast as it goes if absent.
    pub(crate) bytes_per_second: Option<u64>,
}

/// How a key is to be rotated. Secrets are not sent: the server reads the file.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct RotateRequest {
    /// What wraps the keys from now on; as before if absent.
    pub(crate) new_key: Option<KeyChoice>,
}

/// One line of the answer to a run.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub(crate) enum RunEvent {
    /// What was done so far.
    Progress(Progress),
    /// The end.
    Summary(PassSummary),
    /// The end, if there is no summary.
    Error(ApiError),
}

/// Why a request failed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct ApiError {
    /// For programs: `not-found`, `invalid`, `unavailable`, `failed`.
    pub(crate) error: String,
    /// For people: what is wrong and what to do.
    pub(crate) message: String,
}
