//! How a file system is opened.

use std::path::PathBuf;

use crate::budgets::Budgets;
use crate::environment::Environment;
use crate::keys::KeySource;

/// How a file system is opened.
#[derive(Debug, Clone)]
pub struct OpenOptions {
    /// Where the key-encryption key comes from.
    pub key: KeySource,
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
