//! What the settings take from the process: its environment and the places that follow from it.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// A copy of the environment, so that tests need not change the real one.
#[derive(Debug, Clone, Default)]
pub(crate) struct Surroundings {
    variables: HashMap<String, String>,
}

impl Surroundings {
    /// Those of this process. Variables that are not UTF-8 are no settings of ours.
    pub(crate) fn of_process() -> Self {
        let text = |value: std::ffi::OsString| value.into_string().ok();
        let variables = std::env::vars_os().filter_map(|(name, value)| Some((text(name)?, text(value)?)));
        Surroundings { variables: variables.collect() }
    }

    #[cfg(test)]
    pub(crate) fn of(variables: &[(&str, &str)]) -> Self {
        let owned = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Surroundings { variables: owned.collect() }
    }

    /// A variable; one that is empty counts as not set.
    pub(crate) fn variable(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// `$XDG_DATA_HOME/tidefs`, or `~/.local/share/tidefs`.
    pub(crate) fn default_data(&self) -> Option<PathBuf> {
        Some(self.place("XDG_DATA_HOME", ".local/share")?.join("tidefs"))
    }

    /// `$XDG_CONFIG_HOME/tidefs/tidefs.toml`, or `~/.config/tidefs/tidefs.toml`.
    pub(crate) fn default_config_file(&self) -> Option<PathBuf> {
        Some(self.place("XDG_CONFIG_HOME", ".config")?.join("tidefs/tidefs.toml"))
    }

    /// Beside the default configuration file.
    pub(crate) fn default_key_file(&self) -> Option<PathBuf> {
        Some(self.place("XDG_CONFIG_HOME", ".config")?.join("tidefs/tidefs.key"))
    }

    /// The path with a leading `~/` replaced by the home directory.
    pub(crate) fn expand(&self, path: &str) -> PathBuf {
        match (path.strip_prefix("~/"), self.variable("HOME")) {
            (Some(rest), Some(home)) => Path::new(home).join(rest),
            _ => PathBuf::from(path),
        }
    }

    fn place(&self, variable: &str, below_home: &str) -> Option<PathBuf> {
        // The XDG specification: a relative path is to be ignored.
        let named = self.variable(variable).map(PathBuf::from).filter(|path| path.is_absolute());
        named.or_else(|| Some(Path::new(self.variable("HOME")?).join(below_home)))
    }
}
