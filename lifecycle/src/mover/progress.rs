//! What a pass has done so far, and in the end.

use engine::Requests;
use serde::{Deserialize, Serialize};

/// What a pass has done so far.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// What it does now.
    pub phase: Phase,
    /// Files moved.
    pub files: u64,
    /// Bytes of content moved.
    pub bytes: u64,
    /// Objects written.
    pub objects: u64,
    /// Files in use or changed meanwhile, which stay for the next pass.
    pub skipped: u64,
    /// Files that could not be moved.
    pub failed: u64,
    /// The last thing that went wrong.
    pub last_error: Option<String>,
}

/// What a pass does now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// It moves files.
    #[default]
    Moving,
    /// It waits for the object store, which is away.
    Waiting,
}

/// What a pass did.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PassSummary {
    /// When it began, as RFC 3339.
    pub started: String,
    /// Files moved.
    pub files: u64,
    /// Bytes of content moved.
    pub bytes: u64,
    /// Objects written.
    pub objects: u64,
    /// Files in use or changed meanwhile, which stay for the next pass.
    pub skipped: u64,
    /// Files that could not be moved.
    pub failed: u64,
    /// How long it took.
    pub seconds: f64,
    /// Requests to the object store meanwhile, those of reads and of the collector included.
    pub requests: Requests,
    /// Whether it came to its end.
    pub ending: Ending,
    /// What stopped it, or the last thing that went wrong.
    pub reason: Option<String>,
}

/// Whether a pass came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ending {
    /// Every file that was due was tried.
    Complete,
    /// It stopped before.
    Stopped,
}
