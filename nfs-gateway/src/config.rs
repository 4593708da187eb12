//! Settings: flags over `TIDEFS_*` over `tidefs.toml` over defaults.
//!
//! Each source makes a [`Layer`]; [`Settings::resolve`] puts them over each other and over the defaults. Nothing here opens a
//! port or makes a file. Credentials of a bucket are no settings: they come from the usual `AWS_*` variables.

mod error;
mod example;
mod file;
#[cfg(test)]
pub(crate) mod golden;
mod layer;
mod surroundings;
mod values;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use engine::{Budgets, ColdStoreConfig, FileSystemId, ScrubOptions};

pub(crate) use error::ConfigError;
pub(crate) use example::EXAMPLE;
pub(crate) use file::parse as parse_file;
pub(crate) use layer::{ColdChoice, KeyChoice, Layer};
pub(crate) use surroundings::Surroundings;
pub(crate) use values::{BucketAddress, ByteSize, parse_endpoint, parse_listen};

/// Where a first start listens: NFS's own port, for this machine only.
pub(crate) const DEFAULT_LISTEN: &str = "127.0.0.1:2049";
pub(crate) const DEFAULT_LOG: &str = "info";

/// What a server runs with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Settings {
    /// The data directory.
    pub(crate) data: PathBuf,
    /// Where the first file system is served.
    pub(crate) listen: SocketAddr,
    /// The key-encryption key.
    pub(crate) key: KeyChoice,
    /// The Infrequent Access tier.
    pub(crate) cold: ColdStoreConfig,
    /// Memory and disk budgets of each file system.
    pub(crate) budgets: Budgets,
    /// How all local data is read now and then; `None` for never.
    pub(crate) scrub: Option<ScrubOptions>,
    /// What is logged, as `tracing` filters have it.
    pub(crate) log: String,
    /// Where further file systems are served.
    pub(crate) mount_targets: Vec<MountTarget>,
    /// The file that was read, if any.
    pub(crate) config_file: Option<PathBuf>,
}

/// Where a file system is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct MountTarget {
    pub(crate) file_system: FileSystemId,
    pub(crate) listen: SocketAddr,
}

impl Settings {
    /// Reads the configuration file and the environment, and puts the flags over them.
    pub(crate) fn load(flags: Layer, surroundings: &Surroundings) -> Result<Settings, ConfigError> {
        let environment = Layer::from_environment(surroundings)?;
        let named = flags.config.clone().or_else(|| environment.config.clone());
        let (config_file, file) = match named {
            Some(path) => (Some(path.clone()), read_layer(&path, surroundings)?),
            None => match surroundings.default_config_file() {
                Some(path) if path.exists() => (Some(path.clone()), read_layer(&path, surroundings)?),
                _ => (None, Layer::default()),
            },
        };
        Settings::resolve(flags.over(environment).over(file), config_file, surroundings)
    }

    /// Fills what is not set with the defaults, and checks what must fit together.
    pub(crate) fn resolve(
        layer: Layer,
        config_file: Option<PathBuf>,
        surroundings: &Surroundings,
    ) -> Result<Settings, ConfigError> {
        let data = match layer.data {
            Some(data) => data,
            None => surroundings.default_data().ok_or(ConfigError::NoHome { what: "--data" })?,
        };
        let data = absolute(&data);
        let beside_config =
            config_file.as_deref().and_then(Path::parent).map(|parent| parent.join("tidefs.key"));
        let default_key =
            || beside_config.or_else(|| surroundings.default_key_file()).map(KeyChoice::KeyFile);
        let key = match layer.key.or_else(default_key) {
            Some(key) => key.at(absolute),
            None => return Err(ConfigError::NoHome { what: "--key-file" }),
        };
        if is_within(key.path(), &data) {
            let flag = match key {
                KeyChoice::KeyFile(_) => "--key-file",
                KeyChoice::PassphraseFile(_) => "--passphrase-file",
            };
            return Err(ConfigError::KeyInData { key_file: key.path().to_owned(), data, flag });
        }
        let cold = resolve_cold(layer.cold, layer.endpoint, layer.region, &data)?;
        let listen = match layer.listen {
            Some(listen) => listen,
            None => parse_listen(DEFAULT_LISTEN).map_err(ConfigError::Value)?,
        };
        check_mount_targets(listen, &layer.mount_targets)?;
        Ok(Settings {
            data,
            listen,
            key,
            cold,
            budgets: layer.budgets.over(Budgets::default()),
            scrub: layer.scrub.over(ScrubOptions::default()),
            log: layer.log.unwrap_or_else(|| DEFAULT_LOG.to_owned()),
            mount_targets: layer.mount_targets,
            config_file,
        })
    }
}

fn read_layer(path: &Path, surroundings: &Surroundings) -> Result<Layer, ConfigError> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| ConfigError::Unreadable { path: path.to_owned(), source })?;
    parse_file(&text, surroundings)
        .map_err(|problem| ConfigError::InFile { path: path.to_owned(), problem: Box::new(problem) })
}

fn resolve_cold(
    choice: Option<ColdChoice>,
    endpoint: Option<String>,
    region: Option<String>,
    data: &Path,
) -> Result<ColdStoreConfig, ConfigError> {
    match choice {
        Some(ColdChoice::Bucket(BucketAddress { name, prefix })) => {
            Ok(ColdStoreConfig::Bucket { name, prefix, endpoint, region })
        }
        Some(ColdChoice::Directory(directory)) => {
            let directory = absolute(&directory);
            if is_within(data, &directory) {
                return Err(ConfigError::ColdAroundData { directory, data: data.to_owned() });
            }
            Ok(ColdStoreConfig::Directory(directory))
        }
        None if endpoint.is_some() || region.is_some() => Err(ConfigError::EndpointWithoutBucket),
        None => Ok(ColdStoreConfig::Directory(data.join("cold"))),
    }
}

fn check_mount_targets(listen: SocketAddr, targets: &[MountTarget]) -> Result<(), ConfigError> {
    let mut addresses = vec![listen];
    for target in targets {
        if target.listen.port() != 0 && addresses.contains(&target.listen) {
            return Err(ConfigError::SameListen { listen: target.listen });
        }
        addresses.push(target.listen);
    }
    Ok(())
}

/// The path from the root, with its existing part free of symbolic links, so that two names of one place compare equal.
pub(crate) fn absolute(path: &Path) -> PathBuf {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let mut missing = Vec::new();
    let mut existing = path.as_path();
    loop {
        if let Ok(mut real) = existing.canonicalize() {
            real.extend(missing.iter().rev());
            return real;
        }
        match (existing.parent(), existing.file_name()) {
            (Some(parent), Some(name)) => {
                missing.push(name);
                existing = parent;
            }
            _ => return path,
        }
    }
}

pub(crate) fn is_within(path: &Path, directory: &Path) -> bool {
    path.starts_with(directory)
}

#[cfg(test)]
mod tests;
