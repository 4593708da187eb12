//! Settings: flags over `TIDEFS_*` variables over `tidefs.toml` over defaults.

mod example;
mod file;
mod paths;
mod size;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use engine::{Budgets, ColdStoreConfig, FileSystemId};

pub(crate) use example::EXAMPLE;
pub(crate) use file::{ConfigError, ConfigFile};
pub(crate) use paths::{default_config_file, default_data, default_key_file};

/// Everything that `tidefs serve` needs to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Settings {
    /// Where file systems live.
    pub(crate) data: PathBuf,
    /// Where the first file system is served.
    pub(crate) listen: SocketAddr,
    /// Further file systems and where they are served.
    pub(crate) mount_targets: Vec<MountTarget>,
    /// The key file.
    pub(crate) key_file: PathBuf,
    /// Where the cold tiers live.
    pub(crate) cold: ColdStoreConfig,
    /// Memory and disk.
    pub(crate) budgets: Budgets,
    /// NFS leases and the grace period.
    pub(crate) lease: Duration,
    /// Connections at once, for each mount target.
    pub(crate) connections_max: usize,
    /// Bytes per second that the lifecycle daemon's own passes may move.
    pub(crate) lifecycle_bytes_per_second: Option<u64>,
}

/// Where a file system is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct MountTarget {
    /// Which.
    pub(crate) file_system: FileSystemId,
    /// On which address and port.
    pub(crate) listen: SocketAddr,
}

/// What flags and variables say, which goes before the file.
#[derive(Debug, Clone, Default)]
pub(crate) struct Overrides {
    pub(crate) data: Option<PathBuf>,
    pub(crate) listen: Option<SocketAddr>,
    pub(crate) key_file: Option<PathBuf>,
    pub(crate) bucket: Option<String>,
    pub(crate) endpoint: Option<String>,
    pub(crate) region: Option<String>,
    pub(crate) cold_directory: Option<PathBuf>,
}

impl Settings {
    /// Puts settings together. `config_file` is where they were read from, if anywhere.
    pub(crate) fn resolve(file: ConfigFile, overrides: Overrides) -> Result<Settings, ConfigError> {
        let data = overrides.data.or(file.data).map_or_else(default_data, Ok)?;
        let key_file = overrides.key_file.or(file.key_file).map_or_else(default_key_file, Ok)?;
        let (data, key_file) = (paths::absolute(&data)?, paths::absolute(&key_file)?);
        if key_file.starts_with(&data) {
            return Err(ConfigError::KeyBesideData { key_file, data });
        }
        let cold = if overrides.bucket.is_some() || overrides.cold_directory.is_some() {
            file::ColdSection {
                bucket: overrides.bucket,
                directory: overrides.cold_directory,
                endpoint: overrides.endpoint.or(file.cold.endpoint),
                region: overrides.region.or(file.cold.region),
            }
        } else {
            file::ColdSection {
                endpoint: overrides.endpoint.or(file.cold.endpoint),
                region: overrides.region.or(file.cold.region),
                ..file.cold
            }
        };
        Ok(Settings {
            cold: cold.resolve(&data)?,
            data,
            key_file,
            listen: overrides.listen.unwrap_or(file.listen),
            mount_targets: file.mount_targets,
            budgets: file.budgets,
            lease: file.lease,
            connections_max: file.connections_max,
            lifecycle_bytes_per_second: file.lifecycle_bytes_per_second,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<ConfigFile, ConfigError> {
        ConfigFile::parse(text, "tidefs.toml".as_ref())
    }

    #[test]
    fn the_example_says_what_holds_without_a_file() {
        assert_eq!(parse(EXAMPLE).unwrap(), ConfigFile::default());
        let settings = |line: &str| line.starts_with("# ") && line.contains(" = ");
        let uncommented: String = EXAMPLE
            .lines()
            .map(|line| if settings(line) || line.starts_with("# [") { &line[2..] } else { line })
            .filter(|line| !line.starts_with("bucket") && !line.starts_with("file_system"))
            .fold(String::new(), |text, line| text + line + "\n");
        let end = uncommented.find("[[mount_target]]").unwrap();
        let parsed = parse(&uncommented[..end]).unwrap();
        let defaults = ConfigFile::default();
        assert_eq!(
            (parsed.budgets, parsed.lease, parsed.listen),
            (defaults.budgets, defaults.lease, defaults.listen)
        );
        assert_eq!(parsed.connections_max, defaults.connections_max);
    }

    #[test]
    fn an_unknown_name_is_reported_with_the_nearest_one_and_its_line() {
        let error = parse("data = \"/x\"\n\nlisen = \"127.0.0.1:1\"\n").unwrap_err().to_string();
        assert!(
            error.contains("line 3") && error.contains("`lisen`") && error.contains("`listen`"),
            "{error}"
        );
        let error = parse("[cold]\nbuckett = \"s3://x\"\n").unwrap_err().to_string();
        assert!(error.contains("line 2") && error.contains("`bucket`"), "{error}");
    }

    #[test]
    fn a_bad_value_is_reported_with_its_line() {
        for (text, words) in [
            ("\nlisten = \"nowhere\"\n", ["line 2", "listen", "127.0.0.1:2049"]),
            ("[budgets]\njournal = \"much\"\n", ["line 2", "journal", "256MiB"]),
            ("[nfs]\nlease_seconds = 0\n", ["line 2", "lease_seconds", "3600"]),
            ("[[mount_target]]\nfile_system = \"x\"\n", ["line 2", "file_system", "fs-"]),
            ("listen = 5\n", ["line 1", "listen", "string"]),
        ] {
            let error = parse(text).unwrap_err().to_string();
            assert!(words.iter().all(|word| error.contains(word)), "{error}");
        }
    }

    #[test]
    fn flags_go_before_the_file() {
        let file =
            parse("data = \"/file\"\nkey_file = \"/keys/k\"\n[cold]\nbucket = \"s3://b/p/\"\n").unwrap();
        let settings = Settings::resolve(file.clone(), Overrides::default()).unwrap();
        assert_eq!(settings.data, PathBuf::from("/file"));
        let ColdStoreConfig::Bucket { name, prefix, .. } = settings.cold else { panic!("a bucket") };
        assert_eq!((name.as_str(), prefix.as_str()), ("b", "p"));
        let overrides = Overrides {
            data: Some("/flag".into()),
            cold_directory: Some("/cold".into()),
            ..Overrides::default()
        };
        let settings = Settings::resolve(file, overrides).unwrap();
        assert_eq!(settings.data, PathBuf::from("/flag"));
        assert_eq!(settings.cold, ColdStoreConfig::Directory("/cold".into()));
    }

    #[test]
    fn a_key_below_the_data_is_refused() {
        let file = parse("data = \"/d\"\nkey_file = \"/d/key\"\n").unwrap();
        assert!(matches!(
            Settings::resolve(file, Overrides::default()),
            Err(ConfigError::KeyBesideData { .. })
        ));
    }
}
