//! `tidefs.toml`.

use std::net::SocketAddr;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use engine::{Budgets, ColdStoreConfig, FileSystemId};
use serde::Deserialize;
use toml::Spanned;

use super::{MountTarget, size};

/// What the file says, or the defaults.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ConfigFile {
    pub(crate) data: Option<PathBuf>,
    pub(crate) key_file: Option<PathBuf>,
    pub(crate) listen: SocketAddr,
    pub(crate) cold: ColdSection,
    pub(crate) mount_targets: Vec<MountTarget>,
    pub(crate) budgets: Budgets,
    pub(crate) lease: Duration,
    pub(crate) connections_max: usize,
    pub(crate) lifecycle_bytes_per_second: Option<u64>,
}

/// Why settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    #[error("cannot read {}: {source}; name an existing file with --config", path.display())]
    Unreadable { path: PathBuf, source: std::io::Error },
    #[error("{} line {line}: {what}", path.display())]
    Bad { path: PathBuf, line: usize, what: String },
    #[error("`{bucket}` is not a bucket; give it as s3://NAME or s3://NAME/PREFIX")]
    BadBucket { bucket: String },
    #[error("both a bucket and a directory are given for the cold tier; choose one of them")]
    TwoColdStores,
    #[error(
        "the key file {} lies below the data directory {}, so that whoever takes the disk has both; choose another \
         --key-file",
        key_file.display(),
        data.display()
    )]
    KeyBesideData { key_file: PathBuf, data: PathBuf },
    #[error("HOME is not set; say where the data and the key are with --data and --key-file")]
    NoHome,
    #[error("the path {} cannot be used: {source}", path.display())]
    BadPath { path: PathBuf, source: std::io::Error },
}

/// The section `[cold]`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ColdSection {
    pub(crate) bucket: Option<String>,
    pub(crate) endpoint: Option<String>,
    pub(crate) region: Option<String>,
    pub(crate) directory: Option<PathBuf>,
}

impl ColdSection {
    /// The store that the section means: without any, a directory beside the data.
    pub(super) fn resolve(self, data: &Path) -> Result<ColdStoreConfig, ConfigError> {
        let Some(bucket) = self.bucket else {
            let mut beside = data.file_name().unwrap_or("tidefs".as_ref()).to_owned();
            beside.push("-cold");
            let directory = self.directory.map(|directory| expand_home(&directory));
            return Ok(ColdStoreConfig::Directory(directory.unwrap_or_else(|| data.with_file_name(beside))));
        };
        if self.directory.is_some() {
            return Err(ConfigError::TwoColdStores);
        }
        let rest = bucket.strip_prefix("s3://").unwrap_or_default();
        let (name, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        if name.is_empty() {
            return Err(ConfigError::BadBucket { bucket });
        }
        Ok(ColdStoreConfig::Bucket {
            name: name.to_owned(),
            prefix: prefix.trim_matches('/').to_owned(),
            endpoint: self.endpoint,
            region: self.region,
        })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    data: Option<PathBuf>,
    key_file: Option<PathBuf>,
    listen: Option<Spanned<String>>,
    #[serde(default)]
    cold: ColdSection,
    #[serde(default)]
    nfs: RawNfs,
    #[serde(default)]
    lifecycle: RawLifecycle,
    #[serde(default)]
    budgets: RawBudgets,
    #[serde(default)]
    mount_target: Vec<RawMountTarget>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawNfs {
    lease_seconds: Option<Spanned<u64>>,
    connections_max: Option<Spanned<u64>>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawLifecycle {
    bytes_per_second: Option<Spanned<String>>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawBudgets {
    journal: Option<Spanned<String>>,
    overlay: Option<Spanned<String>>,
    index_cache: Option<Spanned<String>>,
    write_buffer: Option<Spanned<String>>,
    block_cache: Option<Spanned<String>>,
    segment: Option<Spanned<String>>,
    object: Option<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawMountTarget {
    file_system: Spanned<String>,
    listen: Option<Spanned<String>>,
}

impl Default for ConfigFile {
    fn default() -> Self {
        ConfigFile {
            data: None,
            key_file: None,
            listen: SocketAddr::from(([127, 0, 0, 1], 2049)),
            cold: ColdSection::default(),
            mount_targets: Vec::new(),
            budgets: Budgets::default(),
            lease: Duration::from_secs(90),
            connections_max: 4096,
            lifecycle_bytes_per_second: None,
        }
    }
}

impl ConfigFile {
    /// Reads a file.
    pub(crate) fn read(path: &Path) -> Result<ConfigFile, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| ConfigError::Unreadable { path: path.to_owned(), source })?;
        ConfigFile::parse(&text, path)
    }

    /// Reads the text of a file; the path is for messages.
    pub(crate) fn parse(text: &str, path: &Path) -> Result<ConfigFile, ConfigError> {
        let place = Place { text, path };
        let raw: Raw = toml::from_str(text).map_err(|error| place.of(&error))?;
        let defaults = ConfigFile::default();
        let rate = place.size("bytes_per_second", raw.lifecycle.bytes_per_second.as_ref(), 0, 0)?;
        let connections_max =
            place.number("connections_max", raw.nfs.connections_max.as_ref(), 4096, 1..65_536)?;
        let lease = place.number("lease_seconds", raw.nfs.lease_seconds.as_ref(), 90, 1..3601)?;
        Ok(ConfigFile {
            data: raw.data.map(|path| expand_home(&path)),
            key_file: raw.key_file.map(|path| expand_home(&path)),
            listen: raw.listen.map_or(Ok(defaults.listen), |listen| place.address(&listen))?,
            cold: raw.cold,
            mount_targets: raw
                .mount_target
                .iter()
                .map(|target| place.mount_target(target))
                .collect::<Result<_, _>>()?,
            budgets: place.budgets(&raw.budgets)?,
            lease: Duration::from_secs(lease),
            connections_max: usize::try_from(connections_max).unwrap_or(usize::MAX),
            lifecycle_bytes_per_second: (rate > 0).then_some(rate),
        })
    }
}

/// Makes errors that name the line.
struct Place<'a> {
    text: &'a str,
    path: &'a Path,
}

impl Place<'_> {
    fn bad(&self, span: Range<usize>, what: String) -> ConfigError {
        let line = self.text.get(..span.start).map_or(1, |before| before.matches('\n').count() + 1);
        ConfigError::Bad { path: self.path.to_owned(), line, what }
    }

    /// An error of the parser; an unknown name gets the nearest known one.
    fn of(&self, error: &toml::de::Error) -> ConfigError {
        let span = error.span().unwrap_or(0..0);
        let mut names = error.message().split('`').skip(1).step_by(2);
        let what = match names.next() {
            Some(unknown) if error.message().starts_with("unknown field") => {
                let nearest =
                    names.max_by(|a, b| strsim::jaro(unknown, a).total_cmp(&strsim::jaro(unknown, b)));
                let advice = nearest.map(|name| format!("; did you mean `{name}`?")).unwrap_or_default();
                format!("there is no setting `{unknown}`{advice} (`tidefs config example` shows all)")
            }
            _ => {
                let line =
                    self.text.get(..span.start).unwrap_or_default().rsplit('\n').next().unwrap_or_default();
                let rest = self.text.get(span.start..).unwrap_or_default().lines().next().unwrap_or_default();
                format!("{} in `{}`", error.message(), format!("{line}{rest}").trim())
            }
        };
        self.bad(span, what)
    }

    fn address(&self, listen: &Spanned<String>) -> Result<SocketAddr, ConfigError> {
        listen.get_ref().parse().map_err(|_| {
            let what = format!(
                "listen = \"{}\" is not an address and port such as \"127.0.0.1:2049\"",
                listen.get_ref()
            );
            self.bad(listen.span(), what)
        })
    }

    fn mount_target(&self, raw: &RawMountTarget) -> Result<MountTarget, ConfigError> {
        let file_system = FileSystemId::parse(raw.file_system.get_ref()).ok_or_else(|| {
            let what = format!(
                "file_system = \"{}\" is not an id such as \"fs-0123456789abcdef0\"",
                raw.file_system.get_ref()
            );
            self.bad(raw.file_system.span(), what)
        })?;
        let Some(listen) = &raw.listen else {
            return Err(self.bad(raw.file_system.span(), "a mount_target needs a `listen`".to_owned()));
        };
        Ok(MountTarget { file_system, listen: self.address(listen)? })
    }

    fn number(
        &self,
        name: &str,
        given: Option<&Spanned<u64>>,
        default: u64,
        allowed: Range<u64>,
    ) -> Result<u64, ConfigError> {
        match given {
            None => Ok(default),
            Some(given) if allowed.contains(given.get_ref()) => Ok(*given.get_ref()),
            Some(given) => {
                let what = format!(
                    "{name} = {} is out of range; it must be from {} to {}",
                    given.get_ref(),
                    allowed.start,
                    allowed.end - 1
                );
                Err(self.bad(given.span(), what))
            }
        }
    }

    fn size(
        &self,
        name: &str,
        given: Option<&Spanned<String>>,
        default: u64,
        least: u64,
    ) -> Result<u64, ConfigError> {
        let Some(given) = given else { return Ok(default) };
        let bad = |what: String| self.bad(given.span(), format!("{name} = \"{}\" {what}", given.get_ref()));
        match size::parse(given.get_ref()) {
            None => Err(bad("is not a size such as \"256MiB\"".to_owned())),
            Some(bytes) if bytes < least => {
                Err(bad(format!("is too small; it must be at least {least} bytes")))
            }
            Some(bytes) => Ok(bytes),
        }
    }

    fn budgets(&self, raw: &RawBudgets) -> Result<Budgets, ConfigError> {
        const MIB: u64 = 1 << 20;
        let defaults = Budgets::default();
        Ok(Budgets {
            journal_bytes: self.size("journal", raw.journal.as_ref(), defaults.journal_bytes, 16 * MIB)?,
            overlay_bytes: self.size("overlay", raw.overlay.as_ref(), defaults.overlay_bytes, 4 * MIB)?,
            index_cache_bytes: self.size(
                "index_cache",
                raw.index_cache.as_ref(),
                defaults.index_cache_bytes,
                MIB,
            )?,
            write_buffer_bytes: self.size(
                "write_buffer",
                raw.write_buffer.as_ref(),
                defaults.write_buffer_bytes,
                4 * MIB,
            )?,
            block_cache_bytes: self.size(
                "block_cache",
                raw.block_cache.as_ref(),
                defaults.block_cache_bytes,
                4 * MIB,
            )?,
            segment_bytes: self.size("segment", raw.segment.as_ref(), defaults.segment_bytes, MIB)?,
            object_bytes: self.size("object", raw.object.as_ref(), defaults.object_bytes, MIB)?,
        })
    }
}

fn expand_home(path: &Path) -> PathBuf {
    match (path.strip_prefix("~"), std::env::var_os("HOME")) {
        (Ok(rest), Some(home)) => PathBuf::from(home).join(rest),
        _ => path.to_owned(),
    }
}
