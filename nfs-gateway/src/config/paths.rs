//! Where things are if nobody says.

use std::path::{Path, PathBuf};

use super::ConfigError;

/// `$XDG_DATA_HOME/tidefs`, or `~/.local/share/tidefs`.
pub(crate) fn default_data() -> Result<PathBuf, ConfigError> {
    base("XDG_DATA_HOME", ".local/share").map(|base| base.join("tidefs"))
}

/// `$XDG_CONFIG_HOME/tidefs/tidefs.toml`, or `~/.config/tidefs/tidefs.toml`.
pub(crate) fn default_config_file() -> Result<PathBuf, ConfigError> {
    base("XDG_CONFIG_HOME", ".config").map(|base| base.join("tidefs/tidefs.toml"))
}

/// Beside the default configuration file.
pub(crate) fn default_key_file() -> Result<PathBuf, ConfigError> {
    Ok(default_config_file()?.with_file_name("tidefs.key"))
}

fn base(variable: &'static str, below_home: &str) -> Result<PathBuf, ConfigError> {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    set(variable)
        .filter(|path| path.is_absolute())
        .or_else(|| set("HOME").map(|home| home.join(below_home)))
        .ok_or(ConfigError::NoHome)
}

/// The path without symbolic links as far as it exists, so that one place has one name.
pub(super) fn absolute(path: &Path) -> Result<PathBuf, ConfigError> {
    let absolute =
        std::path::absolute(path).map_err(|source| ConfigError::BadPath { path: path.into(), source })?;
    let mut existing = absolute.as_path();
    let mut missing = Vec::new();
    loop {
        if let Ok(real) = existing.canonicalize() {
            return Ok(missing.iter().rev().fold(real, |path, name| path.join(name)));
        }
        match (existing.parent(), existing.file_name()) {
            (Some(parent), Some(name)) => {
                missing.push(name.to_owned());
                existing = parent;
            }
            _ => return Ok(absolute),
        }
    }
}
