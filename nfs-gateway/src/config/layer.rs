//! The settings of one source; what a source does not say is `None`.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use engine::{Budgets, KeySource, Passphrase, ScrubOptions};
use serde::{Deserialize, Serialize};

use super::values::{BucketAddress, parse_endpoint, parse_listen};
use super::{ConfigError, MountTarget, Surroundings};

/// The settings of one source.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Layer {
    pub(crate) config: Option<PathBuf>,
    pub(crate) data: Option<PathBuf>,
    pub(crate) listen: Option<SocketAddr>,
    pub(crate) key: Option<KeyChoice>,
    pub(crate) cold: Option<ColdChoice>,
    pub(crate) endpoint: Option<String>,
    pub(crate) region: Option<String>,
    pub(crate) log: Option<String>,
    pub(crate) budgets: BudgetLayer,
    pub(crate) scrub: ScrubLayer,
    pub(crate) mount_targets: Vec<MountTarget>,
}

/// A key file or a file with a passphrase: a source that names one takes back the other of the sources below it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum KeyChoice {
    KeyFile(PathBuf),
    PassphraseFile(PathBuf),
}

impl KeyChoice {
    /// The file.
    pub(crate) fn path(&self) -> &Path {
        match self {
            KeyChoice::KeyFile(path) | KeyChoice::PassphraseFile(path) => path,
        }
    }

    /// What the engine opens file systems with.
    pub(crate) fn source(&self) -> Result<KeySource, engine::OpenError> {
        Ok(match self {
            KeyChoice::KeyFile(path) => KeySource::File(path.clone()),
            KeyChoice::PassphraseFile(path) => KeySource::Passphrase(Passphrase::from_file(path)?),
        })
    }

    pub(crate) fn at(self, place: impl FnOnce(&Path) -> PathBuf) -> KeyChoice {
        match self {
            KeyChoice::KeyFile(path) => KeyChoice::KeyFile(place(&path)),
            KeyChoice::PassphraseFile(path) => KeyChoice::PassphraseFile(place(&path)),
        }
    }
}

/// A bucket or a directory: a source that names one takes back the other of the sources below it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ColdChoice {
    Bucket(BucketAddress),
    Directory(PathBuf),
}

/// Budgets in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct BudgetLayer {
    pub(crate) journal: Option<u64>,
    pub(crate) overlay: Option<u64>,
    pub(crate) index_cache: Option<u64>,
    pub(crate) write_buffer: Option<u64>,
    pub(crate) block_cache: Option<u64>,
    pub(crate) segment: Option<u64>,
    pub(crate) object: Option<u64>,
}

/// How data is read in the background.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct ScrubLayer {
    /// `Some(None)` is never.
    pub(crate) every: Option<Option<Duration>>,
    pub(crate) bytes_per_second: Option<u64>,
}

impl ScrubLayer {
    /// `None` if there is to be no scrub.
    pub(super) fn over(self, below: ScrubOptions) -> Option<ScrubOptions> {
        let bytes_per_second = self.bytes_per_second.unwrap_or(below.bytes_per_second);
        let every = self.every.unwrap_or(Some(below.every))?;
        Some(ScrubOptions { every, bytes_per_second })
    }

    fn or(self, below: ScrubLayer) -> ScrubLayer {
        ScrubLayer {
            every: self.every.or(below.every),
            bytes_per_second: self.bytes_per_second.or(below.bytes_per_second),
        }
    }
}

impl BudgetLayer {
    pub(super) fn over(self, below: Budgets) -> Budgets {
        Budgets {
            journal_bytes: self.journal.unwrap_or(below.journal_bytes),
            overlay_bytes: self.overlay.unwrap_or(below.overlay_bytes),
            index_cache_bytes: self.index_cache.unwrap_or(below.index_cache_bytes),
            write_buffer_bytes: self.write_buffer.unwrap_or(below.write_buffer_bytes),
            block_cache_bytes: self.block_cache.unwrap_or(below.block_cache_bytes),
            segment_bytes: self.segment.unwrap_or(below.segment_bytes),
            object_bytes: self.object.unwrap_or(below.object_bytes),
        }
    }
}

impl Layer {
    /// What the `TIDEFS_*` variables say.
    pub(crate) fn from_environment(surroundings: &Surroundings) -> Result<Layer, ConfigError> {
        let bucket = read(surroundings, "TIDEFS_BUCKET", str::parse::<BucketAddress>)?;
        let directory = surroundings.variable("TIDEFS_COLD_DIR").map(PathBuf::from);
        let cold = match (bucket, directory) {
            (Some(_), Some(_)) => {
                let problem = "TIDEFS_BUCKET is set too; set one of the two".to_owned();
                return Err(ConfigError::InEnvironment { name: "TIDEFS_COLD_DIR", problem });
            }
            (Some(bucket), None) => Some(ColdChoice::Bucket(bucket)),
            (None, directory) => directory.map(ColdChoice::Directory),
        };
        let key_file = surroundings.variable("TIDEFS_KEY_FILE").map(PathBuf::from);
        let passphrase_file = surroundings.variable("TIDEFS_PASSPHRASE_FILE").map(PathBuf::from);
        let key = match (key_file, passphrase_file) {
            (Some(_), Some(_)) => {
                let problem = "TIDEFS_KEY_FILE is set too; set one of the two".to_owned();
                return Err(ConfigError::InEnvironment { name: "TIDEFS_PASSPHRASE_FILE", problem });
            }
            (key_file, passphrase_file) => {
                key_file.map(KeyChoice::KeyFile).or(passphrase_file.map(KeyChoice::PassphraseFile))
            }
        };
        Ok(Layer {
            config: surroundings.variable("TIDEFS_CONFIG").map(PathBuf::from),
            data: surroundings.variable("TIDEFS_DATA").map(PathBuf::from),
            listen: read(surroundings, "TIDEFS_LISTEN", parse_listen)?,
            key,
            cold,
            endpoint: read(surroundings, "TIDEFS_ENDPOINT", parse_endpoint)?,
            region: surroundings.variable("TIDEFS_REGION").map(str::to_owned),
            log: surroundings.variable("TIDEFS_LOG").map(str::to_owned),
            ..Layer::default()
        })
    }

    /// This source's settings, and where it is silent those of the one below.
    pub(crate) fn over(self, below: Layer) -> Layer {
        // Endpoint and region belong to a bucket: a source that chooses a directory takes them back too.
        let local = matches!(self.cold, Some(ColdChoice::Directory(_)));
        let unless_local = |below: Option<String>| below.filter(|_| !local);
        Layer {
            config: self.config.or(below.config),
            data: self.data.or(below.data),
            listen: self.listen.or(below.listen),
            key: self.key.or(below.key),
            endpoint: self.endpoint.or(unless_local(below.endpoint)),
            region: self.region.or(unless_local(below.region)),
            cold: self.cold.or(below.cold),
            log: self.log.or(below.log),
            budgets: self.budgets.or(below.budgets),
            scrub: self.scrub.or(below.scrub),
            mount_targets: if self.mount_targets.is_empty() {
                below.mount_targets
            } else {
                self.mount_targets
            },
        }
    }
}

impl BudgetLayer {
    fn or(self, below: BudgetLayer) -> BudgetLayer {
        BudgetLayer {
            journal: self.journal.or(below.journal),
            overlay: self.overlay.or(below.overlay),
            index_cache: self.index_cache.or(below.index_cache),
            write_buffer: self.write_buffer.or(below.write_buffer),
            block_cache: self.block_cache.or(below.block_cache),
            segment: self.segment.or(below.segment),
            object: self.object.or(below.object),
        }
    }
}

fn read<T>(
    surroundings: &Surroundings,
    name: &'static str,
    parse: impl FnOnce(&str) -> Result<T, String>,
) -> Result<Option<T>, ConfigError> {
    let parsed = surroundings.variable(name).map(parse).transpose();
    parsed.map_err(|problem| ConfigError::InEnvironment { name, problem })
}
