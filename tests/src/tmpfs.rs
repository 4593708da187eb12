//! A small file system of its own, to be filled.
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, bail};
use tempfile::TempDir;

/// A mounted tmpfs; dropping it unmounts it.
#[derive(Debug)]
pub struct Tmpfs {
    work: TempDir,
    path: PathBuf,
}

impl Tmpfs {
    /// Mounts one of this size; needs root.
    pub fn mount(size_bytes: u64) -> Result<Tmpfs> {
        let work = tempfile::tempdir()?;
        let path = work.path().join("small");
        std::fs::create_dir(&path)?;
        let options = format!("size={size_bytes}");
        let status =
            Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tidefs-test"]).arg(&path).status()?;
        if !status.success() {
            bail!("cannot mount a tmpfs at {}; this needs root", path.display());
        }
        Ok(Tmpfs { work, path })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A directory beside it, on the ordinary disk.
    pub fn beside(&self) -> &Path {
        self.work.path()
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        // Lazily: what still uses it ends with the test.
        let unmounted = Command::new("umount").arg("--lazy").arg(&self.path).status();
        if !unmounted.is_ok_and(|status| status.success()) {
            println!("cannot unmount {}", self.path.display());
        }
    }
}
