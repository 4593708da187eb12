//! What the daemon remembers of itself, and tells.

use engine::Timestamp;
use serde::{Deserialize, Serialize};

use crate::mover::{Ending, PassSummary, Progress};
use crate::policy::Policy;
use crate::time::rfc3339;

/// The state of the lifecycle of a file system.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LifecycleStatus {
    /// The policy that holds.
    pub policy: Policy,
    /// The pass that is under way.
    pub running: Option<Progress>,
    /// The last pass that found something to do, or was asked for.
    pub last_pass: Option<PassSummary>,
    /// When the daemon's next pass begins, or its next look at the oldest files, as RFC 3339; nothing if the policy is off.
    pub next_pass: Option<String>,
    /// What came back to Standard since the start.
    pub promoted: Promoted,
    /// What went wrong last, if nothing went well since.
    pub last_error: Option<LastError>,
}

/// What came back to Standard since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Promoted {
    /// Files.
    pub files: u64,
    /// Bytes of content.
    pub bytes: u64,
}

/// What went wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastError {
    /// What.
    pub message: String,
    /// When, for the last time, as RFC 3339.
    pub at: String,
    /// How many times in a row.
    pub times: u64,
}

/// What the daemon remembers of itself.
#[derive(Debug, Clone, Default)]
pub(super) struct Record {
    pub(super) last_pass: Option<PassSummary>,
    pub(super) next_pass: Option<Timestamp>,
    pub(super) promoted: Promoted,
    pub(super) last_error: Option<LastError>,
}

impl Record {
    pub(super) fn passed(&mut self, summary: &PassSummary, now: Timestamp) {
        if summary.ending == Ending::Complete && summary.failed == 0 {
            self.last_error = None;
        } else {
            let reason = summary.reason.clone();
            self.failed(reason.unwrap_or_else(|| "some files could not be moved".to_owned()), now);
        }
        self.last_pass = Some(summary.clone());
    }

    /// Keeps an error, and logs it when it is a new one.
    pub(super) fn failed(&mut self, message: String, now: Timestamp) {
        let before = self.last_error.take().filter(|last| last.message == message);
        if before.is_none() {
            tracing::warn!(error = message, "the lifecycle daemon could not do its work and will try again");
        }
        let times = before.map_or(0, |last| last.times) + 1;
        self.last_error = Some(LastError { message, at: rfc3339(now), times });
    }
}
