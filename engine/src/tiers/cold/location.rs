//! Where the objects of a file system are, and how they are named.

use std::fmt;
use std::sync::Arc;

use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey, S3ConditionalPut};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{ClientConfigKey, ObjectStore, RetryConfig};

use crate::disk::{RealDisk, make_directory};
use crate::error::{Error, OpenError, Result};
use crate::file_system::ColdStoreConfig;
use crate::identity::{FileSystemId, SegmentId};

const REGION_DEFAULT: &str = "us-east-1";

/// The place of a file system's objects.
#[derive(Debug, Clone)]
pub(super) struct Location {
    /// For messages.
    shown: String,
    /// All objects of the file system are below it.
    root: Path,
}

impl Location {
    pub(super) fn new(config: &ColdStoreConfig, file_system: FileSystemId) -> Self {
        let (shown, prefix) = match config {
            ColdStoreConfig::Directory(path) => (format!("directory {}", path.display()), ""),
            ColdStoreConfig::Bucket { name, prefix, endpoint, .. } => {
                let endpoint = endpoint.as_deref().map(|endpoint| format!(" at {endpoint}"));
                (format!("bucket {name}{}", endpoint.unwrap_or_default()), prefix.as_str())
            }
        };
        let root = Path::from(prefix).join(file_system.to_string());
        Location { shown, root }
    }

    /// The prefix of all objects of the file system.
    pub(super) fn everything(&self) -> Path {
        self.root.clone()
    }

    pub(super) fn segments(&self) -> Path {
        self.root.clone().join("segments")
    }

    pub(super) fn segment(&self, segment: SegmentId) -> Path {
        let name = segment.to_string();
        let shelf: String = name.chars().take(2).collect();
        self.segments().join(shelf).join(name)
    }

    pub(super) fn probes(&self) -> Path {
        self.root.clone().join("probes")
    }

    /// The segment whose object has this path; `None` for all other paths.
    pub(super) fn parse(&self, path: &Path) -> Option<SegmentId> {
        let mut id = [0; 16];
        hex::decode_to_slice(path.filename()?, &mut id).ok()?;
        let segment = SegmentId(id);
        (self.segment(segment) == *path).then_some(segment)
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

/// The store behind a configuration. Its own repetition is off: the stack above does that within a bound.
pub(super) fn open_store(config: &ColdStoreConfig) -> Result<Arc<dyn ObjectStore>> {
    let unusable = |error: object_store::Error| Error::Open(OpenError::ColdStore { what: error.to_string() });
    match config {
        ColdStoreConfig::Directory(path) => {
            make_directory(&RealDisk, path)?;
            let store = LocalFileSystem::new_with_prefix(path).map_err(unusable)?;
            Ok(Arc::new(store.with_fsync(true)))
        }
        ColdStoreConfig::Bucket { name, endpoint, region, .. } => {
            let once = RetryConfig { max_retries: 0, ..RetryConfig::default() };
            let client = AmazonS3ConfigKey::Client;
            let mut builder = AmazonS3Builder::from_env()
                .with_bucket_name(name)
                .with_conditional_put(S3ConditionalPut::ETagMatch)
                .with_config(client(ClientConfigKey::ConnectTimeout), "3 seconds")
                // Each try is timed by the stack, which knows how much it transfers.
                .with_config(client(ClientConfigKey::Timeout), "10 minutes")
                .with_retry(once);
            if let Some(region) = region {
                builder = builder.with_region(region);
            } else if builder.get_config_value(&AmazonS3ConfigKey::Region).is_none() {
                builder = builder.with_region(REGION_DEFAULT);
            }
            if let Some(endpoint) = endpoint {
                builder = builder.with_endpoint(endpoint).with_allow_http(endpoint.starts_with("http://"));
            }
            Ok(Arc::new(builder.build().map_err(unusable)?))
        }
    }
}
