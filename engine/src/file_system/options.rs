//! How a file system is opened.

use std::path::PathBuf;

use crate::environment::Environment;

/// How a file system is opened.
#[derive(Debug, Clone)]
pub struct OpenOptions {
    /// The file with the key-encryption key (`KeyFile::create` makes one; mode 0600).
    pub key_file: PathBuf,
    /// Where the cold tiers live.
    pub cold: ColdStoreConfig,
    /// Time and randomness.
    pub environment: Environment,
    /// Memory and disk budgets.
    pub budgets: Budgets,
}

/// Where the cold tiers live.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ColdStoreConfig {
    /// A local directory, through the same code as a bucket.
    Directory(PathBuf),
    /// An S3-compatible bucket; credentials from the usual `AWS_*` variables.
    Bucket {
        /// Bucket name.
        name: String,
        /// Key prefix without slashes at its ends; may be empty.
        prefix: String,
        /// Such as `http://127.0.0.1:9000`; `None` for AWS.
        endpoint: Option<String>,
        /// Region; `us-east-1` if not given.
        region: Option<String>,
    },
}

/// Memory and disk budgets, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budgets {
    /// Journal files on the disk.
    pub journal_bytes: u64,
    /// Recent metadata changes in memory.
    pub overlay_bytes: u64,
    /// sled's cache.
    pub index_cache_bytes: u64,
    /// UNSTABLE data in memory.
    pub write_buffer_bytes: u64,
    /// Opened blocks in memory.
    pub block_cache_bytes: u64,
    /// Size at which a Standard segment is closed.
    pub segment_bytes: u64,
    /// Size at which a cold object is closed.
    pub object_bytes: u64,
}

impl Default for Budgets {
    fn default() -> Self {
        const MIB: u64 = 1 << 20;
        Budgets {
            journal_bytes: 256 * MIB,
            overlay_bytes: 64 * MIB,
            index_cache_bytes: 128 * MIB,
            write_buffer_bytes: 256 * MIB,
            block_cache_bytes: 256 * MIB,
            segment_bytes: 128 * MIB,
            object_bytes: 32 * MIB,
        }
    }
}
