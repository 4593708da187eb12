//! The first start: makes key and file system, and takes them back if the file system cannot be opened.
//!
//! # Crash consistency
//! The key is durable before anything is sealed with it, and a file system is whole or not there. A crash between the two
//! leaves a key that opens nothing yet, which the next start uses. What is taken back goes in the other order: first the file system is
//! durably none any more, then the key goes.

use std::path::{Path, PathBuf};

use engine::{FileSystem, FileSystemId, KeyFile, OpenOptions};

use super::ServeError;
use super::data_directory::DataDirectory;
use crate::config::{KeyChoice, Settings};

/// What this start has made.
#[derive(Debug, Default)]
pub(super) struct FirstStart {
    key: Option<PathBuf>,
    file_system: Option<FileSystemId>,
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
        if let KeyChoice::KeyFile(path) = &settings.key {
            let environment = &options.environment;
            if path.try_exists().unwrap_or(true) {
                KeyFile::keep(environment.disk.as_ref(), path)?;
            } else {
                KeyFile::create_on(environment.disk.as_ref(), path, environment.entropy.as_ref())?;
                made.key = Some(path.clone());
            }
        }
        match FileSystem::make(&settings.data, options) {
            Ok(id) => made.file_system = Some(id),
            Err(error) => {
                made.remove(&settings.data, options);
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
    pub(super) fn take_back(&self, directory: DataDirectory, options: &OpenOptions) {
        if self.happened() {
            self.remove(directory.path(), options);
            directory.take_back();
        }
    }

    fn remove(&self, data: &Path, options: &OpenOptions) {
        if let Some(id) = self.file_system {
            match FileSystem::take_back(data, id, options) {
                Ok(unfinished) => report(&unfinished, std::fs::remove_dir_all(&unfinished)),
                Err(error) => {
                    tracing::warn!(%error, "cannot take back what the failed first start made");
                    // It opens nothing but this file system, which is there.
                    return;
                }
            }
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
