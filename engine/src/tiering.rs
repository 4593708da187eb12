//! What the lifecycle daemon sees and does: facts about files, transitions between tiers, status.
use serde::{Deserialize, Serialize};

use crate::attributes::Timestamp;
use crate::identity::InodeId;
use crate::keys::KeyStatus;

/// A storage class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Tier {
    /// The local disk.
    #[serde(rename = "standard")]
    Standard,
    /// Object storage for files that are rarely read.
    #[serde(rename = "infrequent-access")]
    InfrequentAccess,
}

/// What a policy decides on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileFacts {
    /// The file.
    pub inode: InodeId,
    /// Logical size in bytes.
    pub size: u64,
    /// When its data was last read or written.
    pub last_access: Timestamp,
    /// Bytes of content in Standard.
    pub standard_bytes: u64,
    /// Bytes of content in Infrequent Access.
    pub infrequent_access_bytes: u64,
}

/// A position in the age index: where the next call of `due` goes on.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DueCursor(pub(crate) Vec<u8>);

/// Files that are due, oldest first.
#[derive(Debug, Clone)]
pub struct DuePage {
    /// The files.
    pub files: Vec<FileFacts>,
    /// Where to go on; `None` at the end.
    pub next: Option<DueCursor>,
}

/// What a transition did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Transitioned {
    /// Files whose data now stands in the target tier.
    pub files: u64,
    /// Bytes of content moved.
    pub bytes: u64,
    /// Objects written.
    pub objects: u64,
    /// Files that were changed or removed meanwhile, and stay as they are.
    pub skipped: u64,
}

/// The state of a file system, as `tidefs status` shows it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Status {
    /// The file system's id.
    pub id: String,
    /// One row for each tier.
    pub tiers: Vec<TierStatus>,
    /// The journal.
    pub journal: JournalStatus,
    /// Work that is put off.
    pub backlog: Backlog,
    /// Requests to the object store since the start.
    pub requests: Requests,
    /// The keys.
    pub keys: KeyStatus,
    /// Whether something needs attention.
    pub health: Health,
}

/// One tier.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TierStatus {
    /// Which.
    pub name: Tier,
    /// Bytes of content.
    pub bytes: u64,
    /// Files with all (for Standard: any) of their content there; empty files are in Standard.
    pub files: u64,
    /// Bytes on the disk or in the bucket, with overhead and garbage.
    pub stored_bytes: u64,
    /// Segments: local files, or objects.
    pub segments: u64,
}

/// The journal.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct JournalStatus {
    /// Bytes of records that no checkpoint covers yet.
    pub bytes: u64,
    /// Bytes at which writers are slowed.
    pub bytes_max: u64,
}

/// Work that is put off.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Backlog {
    /// UNSTABLE data in memory.
    pub unflushed_bytes: u64,
    /// Small writes in the journal that are not yet in blocks.
    pub piece_bytes: u64,
    /// Removed files whose data is still being released.
    pub orphans: u64,
    /// Segments with nothing live that wait for their deletion.
    pub dead_segments: u64,
    /// About how many entries of the metadata index are still to be built anew; until it is there, look-ups read the checkpoints.
    #[serde(default)]
    pub index_entries: u64,
}

/// Requests to the object store.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Requests {
    /// PUT and multipart requests.
    pub put: u64,
    /// GET and HEAD requests.
    pub get: u64,
    /// LIST requests.
    pub list: u64,
    /// DELETE requests.
    pub delete: u64,
    /// Requests that failed, retried ones included.
    pub failed: u64,
    /// Bytes sent.
    pub bytes_sent: u64,
    /// Bytes received.
    pub bytes_received: u64,
}

/// Whether something needs attention.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Health {
    /// `ok`, `degraded` (works, but something is away) or `halted` (no more changes are taken).
    pub state: HealthState,
    /// What is wrong, in sentences.
    pub reasons: Vec<String>,
}

/// The three states.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HealthState {
    /// All is well.
    Ok,
    /// Works, but something is away or full.
    Degraded,
    /// Takes no more changes.
    Halted,
}
