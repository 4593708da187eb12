//! `tidefs.toml`. Keys are read by hand, so that every problem has its line and an unknown key its nearest real name.

use std::path::PathBuf;
use std::time::Duration;

use engine::FileSystemId;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::layer::{BudgetLayer, ColdChoice, KeyChoice, Layer, ScrubLayer};
use super::values::{BucketAddress, ByteSize, parse_endpoint, parse_listen};
use super::{ConfigError, MountTarget, Surroundings};

const TOP: &[&str] =
    &["data", "listen", "key_file", "passphrase_file", "log", "cold", "budgets", "scrub", "mount_target"];
const COLD: &[&str] = &["directory", "bucket", "endpoint", "region"];
const BUDGETS: &[&str] =
    &["journal", "overlay", "index_cache", "write_buffer", "block_cache", "segment", "object"];
const SCRUB: &[&str] = &["every", "bytes_per_second"];
const MOUNT_TARGET: &[&str] = &["file_system", "listen"];

/// Smaller budgets do not work: below this nothing is gained, and a segment would hold no block.
const BUDGET_MIN: ByteSize = ByteSize(1 << 20);
const BUDGET_MAX: ByteSize = ByteSize(1 << 40);

/// More often only wears the disk.
const EVERY_MIN: Duration = Duration::from_secs(3600);

/// Reads a configuration file.
pub(crate) fn parse(text: &str, surroundings: &Surroundings) -> Result<Layer, ConfigError> {
    let reader = Reader { text, surroundings };
    let table = DeTable::parse(text).map_err(|error| ConfigError::Syntax {
        line: reader.line(error.span().map_or(0, |span| span.start)),
        message: error.message().to_owned(),
    })?;
    reader.top(table.get_ref())
}

struct Reader<'a> {
    text: &'a str,
    surroundings: &'a Surroundings,
}

/// A key with its value, and where it stands.
struct Item<'a, 'i> {
    /// With the name of its table.
    key: String,
    name: &'a str,
    line: usize,
    value: &'a DeValue<'i>,
}

impl Reader<'_> {
    fn top(&self, table: &DeTable<'_>) -> Result<Layer, ConfigError> {
        let mut layer = Layer::default();
        for item in self.items(table, "", TOP)? {
            match item.name {
                "data" => layer.data = Some(self.path(&item)?),
                "listen" => layer.listen = Some(item.text(parse_listen)?),
                "key_file" => self.key(&item, KeyChoice::KeyFile, &mut layer)?,
                "passphrase_file" => self.key(&item, KeyChoice::PassphraseFile, &mut layer)?,
                "log" => layer.log = Some(item.text(|text| Ok(text.to_owned()))?),
                "cold" => self.cold(&item, &mut layer)?,
                "budgets" => layer.budgets = self.budgets(&item)?,
                "scrub" => layer.scrub = self.scrub(&item)?,
                _ => layer.mount_targets = self.mount_targets(&item)?,
            }
        }
        Ok(layer)
    }

    fn key(
        &self,
        item: &Item<'_, '_>,
        choice: impl FnOnce(PathBuf) -> KeyChoice,
        layer: &mut Layer,
    ) -> Result<(), ConfigError> {
        if layer.key.replace(choice(self.path(item)?)).is_some() {
            return Err(
                item.bad("`key_file` and `passphrase_file` are both set; keep one of the two".to_owned())
            );
        }
        Ok(())
    }

    fn cold(&self, cold: &Item<'_, '_>, layer: &mut Layer) -> Result<(), ConfigError> {
        for item in self.items(cold.table()?, "cold.", COLD)? {
            let choice = match item.name {
                "directory" => ColdChoice::Directory(self.path(&item)?),
                "bucket" => ColdChoice::Bucket(item.text(str::parse::<BucketAddress>)?),
                "endpoint" => {
                    layer.endpoint = Some(item.text(parse_endpoint)?);
                    continue;
                }
                _ => {
                    layer.region = Some(item.text(|text| Ok(text.to_owned()))?);
                    continue;
                }
            };
            if layer.cold.replace(choice).is_some() {
                return Err(item.bad("`bucket` and `directory` are both set; keep one of the two".to_owned()));
            }
        }
        Ok(())
    }

    fn budgets(&self, budgets: &Item<'_, '_>) -> Result<BudgetLayer, ConfigError> {
        let mut layer = BudgetLayer::default();
        for item in self.items(budgets.table()?, "budgets.", BUDGETS)? {
            let bytes = Some(item.size()?);
            match item.name {
                "journal" => layer.journal = bytes,
                "overlay" => layer.overlay = bytes,
                "index_cache" => layer.index_cache = bytes,
                "write_buffer" => layer.write_buffer = bytes,
                "block_cache" => layer.block_cache = bytes,
                "segment" => layer.segment = bytes,
                _ => layer.object = bytes,
            }
        }
        Ok(layer)
    }

    fn scrub(&self, scrub: &Item<'_, '_>) -> Result<ScrubLayer, ConfigError> {
        let mut layer = ScrubLayer::default();
        for item in self.items(scrub.table()?, "scrub.", SCRUB)? {
            match item.name {
                "every" => layer.every = Some(item.text(parse_every)?),
                _ => layer.bytes_per_second = Some(item.size()?),
            }
        }
        Ok(layer)
    }

    fn mount_targets(&self, targets: &Item<'_, '_>) -> Result<Vec<MountTarget>, ConfigError> {
        let Some(rows) = targets.value.as_array() else {
            return Err(targets.bad("write it as a table: [[mount_target]]".to_owned()));
        };
        rows.iter().map(|row| self.mount_target(row)).collect()
    }

    fn mount_target(&self, row: &Spanned<DeValue<'_>>) -> Result<MountTarget, ConfigError> {
        let line = self.line(row.span().start);
        let item = Item { key: "mount_target".to_owned(), name: "mount_target", line, value: row.get_ref() };
        let (mut file_system, mut listen) = (None, None);
        for item in self.items(item.table()?, "mount_target.", MOUNT_TARGET)? {
            match item.name {
                "file_system" => file_system = Some(item.text(parse_file_system)?),
                _ => listen = Some(item.text(parse_listen)?),
            }
        }
        let missing = |key, example| ConfigError::MissingKey { line, key, example };
        Ok(MountTarget {
            file_system: file_system
                .ok_or_else(|| missing("file_system", "file_system = \"fs-0123456789abcdef0\""))?,
            listen: listen.ok_or_else(|| missing("listen", "listen = \"127.0.0.1:2050\""))?,
        })
    }

    /// The keys of a table, all of them known, in the order of their lines.
    fn items<'a, 'i>(
        &self,
        table: &'a DeTable<'i>,
        prefix: &str,
        known: &[&str],
    ) -> Result<Vec<Item<'a, 'i>>, ConfigError> {
        let mut items: Vec<_> = table
            .iter()
            .map(|(key, value)| Item {
                key: format!("{prefix}{}", key.get_ref()),
                name: key.get_ref(),
                line: self.line(key.span().start),
                value: value.get_ref(),
            })
            .collect();
        items.sort_by_key(|item| item.line);
        match items.iter().find(|item| !known.contains(&item.name)) {
            None => Ok(items),
            Some(unknown) => Err(ConfigError::UnknownKey {
                line: unknown.line,
                key: unknown.key.clone(),
                nearest: nearest(unknown.name, prefix, known),
                known: known.join(", "),
            }),
        }
    }

    fn path(&self, item: &Item<'_, '_>) -> Result<PathBuf, ConfigError> {
        let surroundings = self.surroundings;
        item.text(|text| match text {
            "" => Err("it is empty; give a path, or leave the line out".to_owned()),
            text => Ok(surroundings.expand(text)),
        })
    }

    fn line(&self, offset: usize) -> usize {
        let before = self.text.as_bytes().get(..offset).unwrap_or(self.text.as_bytes());
        before.iter().filter(|byte| **byte == b'\n').count() + 1
    }
}

impl<'i> Item<'_, 'i> {
    fn text<T>(&self, parse: impl FnOnce(&str) -> Result<T, String>) -> Result<T, ConfigError> {
        match self.value.as_str() {
            Some(text) => parse(text).map_err(|problem| self.bad(problem)),
            None => Err(self.bad(format!("it must be text in quotes, not {}", self.value.type_str()))),
        }
    }

    /// A size: text with a unit, or a plain number of bytes.
    fn size(&self) -> Result<u64, ConfigError> {
        let text = match (self.value.as_str(), self.value.as_integer()) {
            (Some(text), _) => text.to_owned(),
            (None, Some(number)) if number.radix() == 10 => number.as_str().replace('_', ""),
            _ => return Err(self.bad("it must be a size such as \"64MiB\", or a number of bytes".to_owned())),
        };
        let ByteSize(bytes) = text.parse().map_err(|problem| self.bad(problem))?;
        if (BUDGET_MIN.0..=BUDGET_MAX.0).contains(&bytes) {
            return Ok(bytes);
        }
        Err(self.bad(format!("`{text}` is out of range; it must be from {BUDGET_MIN} to {BUDGET_MAX}")))
    }

    fn table(&self) -> Result<&DeTable<'i>, ConfigError> {
        self.value.as_table().ok_or_else(|| self.bad(format!("write it as a table: [{}]", self.key)))
    }

    fn bad(&self, problem: String) -> ConfigError {
        ConfigError::BadValue { line: self.line, key: self.key.clone(), problem }
    }
}

/// A time, or never.
fn parse_every(text: &str) -> Result<Option<Duration>, String> {
    if text == "never" {
        return Ok(None);
    }
    let every = humantime::parse_duration(text).ok().filter(|every| *every >= EVERY_MIN);
    every.map(Some).ok_or_else(|| {
        format!("`{text}` is not a time of at least an hour, such as 30d or 12h; or say never")
    })
}

fn parse_file_system(text: &str) -> Result<FileSystemId, String> {
    FileSystemId::parse(text).ok_or_else(|| {
        format!("`{text}` is not the id of a file system; one looks like fs-0123456789abcdef0 (see `tidefs status`)")
    })
}

/// The real name that a wrong one is most like, if it is like one at all: in its table first, then in the others.
fn nearest(name: &str, prefix: &str, known: &[&str]) -> Option<String> {
    let here = known.iter().map(|known| ((*known), format!("{prefix}{known}")));
    let tables = [("", TOP), ("cold.", COLD), ("budgets.", BUDGETS), ("scrub.", SCRUB)];
    let elsewhere =
        tables.iter().flat_map(|(table, keys)| keys.iter().map(move |key| (*key, format!("{table}{key}"))));
    let similarity = |candidate: &str| strsim::jaro_winkler(name, candidate);
    here.map(|(key, full)| (similarity(key) + 0.01, full))
        .chain(elsewhere.map(|(key, full)| (similarity(key), full)))
        .filter(|(similarity, _)| *similarity > 0.75)
        .max_by(|(one, _), (other, _)| one.total_cmp(other))
        .map(|(_, full)| full)
}
