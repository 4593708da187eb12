//! Small files of a person's own, with a secret in them: nobody else may be able to read them.
//!
//! They are read with the operating system's calls, since they live outside of the data directory and their mode matters.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use zeroize::Zeroizing;

use crate::limits::SECRET_FILE_BYTES_MAX;

/// Why such a file cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    Missing,
    ReadableByOthers(u32),
    Unusable(&'static str),
}

impl Fault {
    /// For people: what is wrong and what to do.
    pub(super) fn advice(self, path: &Path) -> String {
        match self {
            Fault::Missing => "it is missing".to_owned(),
            Fault::ReadableByOthers(mode) => {
                format!("it has mode {mode:04o} and can be read by others; run: chmod 600 {}", path.display())
            }
            Fault::Unusable(what) => what.to_owned(),
        }
    }
}

/// The content.
pub(super) fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, Fault> {
    let metadata = match std::fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Err(Fault::Missing),
        Err(_) => return Err(Fault::Unusable("it cannot be looked at")),
    };
    let mode = metadata.mode() & 0o7777;
    if !metadata.is_file() {
        return Err(Fault::Unusable("it is not a regular file"));
    }
    if mode & 0o077 != 0 {
        return Err(Fault::ReadableByOthers(mode));
    }
    if metadata.len() > SECRET_FILE_BYTES_MAX {
        return Err(Fault::Unusable("it is too long"));
    }
    std::fs::read(path).map(Zeroizing::new).map_err(|_| Fault::Unusable("it cannot be read"))
}
