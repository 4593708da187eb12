//! The first start: makes key and file system, and takes them back if the file system cannot be opened.
//!
//! # Crash consistency
//! The key is durable before anything is sealed with it, and a file system is whole or not there. A crash between the two
//! leaves a key that opens nothing yet, which the next start uses.

use std::path::{Path, PathBuf};

use engine::{FileSystem, KeyFile, OpenOptions};

use super::ServeError;
use super::data_directory::DataDirectory;
use crate::config::{KeyChoice, Settings};

/// What this start has made.
#[derive(Debug, Default)]
pub(super) struct FirstStart {
    key: Option<PathBuf>,
    file_system: Option<PathBuf>,
}

impl FirstStart {
    /// Makes what a first start needs. With a file system there, a key is never made: it could not open anything.
    pub(super) fn prepare(
        settings: &Settings,
        options: &OpenOptions,
        _locked: &DataDirectory,
    ) -> Result<FirstStart, ServeError> {
        let mut made = FirstStart::default();
        if !FileSystem::list(&settings.data)?.is_empty() {
            return Ok(made);
        }
        if let KeyChoice::KeyFile(path) = &settings.key
            && !path.try_exists().unwrap_or(true)
        {
            KeyFile::create(path, options.environment.entropy.as_ref())?;
            made.key = Some(path.clone());
        }
        match FileSystem::make(&settings.data, options) {
            Ok(id) => made.file_system = Some(settings.data.join(id.to_string())),
            Err(error) => {
                made.remove();
                return Err(error.into());
            }
        }
        Ok(made)
    }

    /// Whether this is the first start.
    pub(super) fn happened(&self) -> bool {
        self.file_system.is_some()
    }

    /// Removes what this start has made. It was never served, so that nobody's data can be in it.
    pub(super) fn take_back(&self, directory: DataDirectory) {
        if self.happened() {
            self.remove();
            directory.take_back();
        }
    }

    fn remove(&self) {
        if let Some(file_system) = &self.file_system {
            report(file_system, std::fs::remove_dir_all(file_system));
        }
        if let Some(key) = &self.key {
            report(key, std::fs::remove_file(key));
        }
    }
}

fn report(path: &Path, removed: std::io::Result<()>) {
    if let Err(error) = removed {
        tracing::warn!(path = %path.display(), %error, "cannot take back what the failed first start made");
    }
}
