//! Small whole files: replaced atomically, read at once.

use std::path::Path;

use super::{Disk, OpenHow};
use crate::error::{Error, Result};

/// Puts a file in place of an older one so that after a crash either the old or the new one is there, whole.
pub(crate) fn publish(disk: &dyn Disk, path: &Path, bytes: &[u8]) -> Result<()> {
    let fresh = path.with_extension("new");
    disk.remove(&fresh).map_err(Error::io("cannot remove", &fresh))?;
    let file = disk.open(&fresh, OpenHow::CreateNew).map_err(Error::io("cannot create", &fresh))?;
    file.write_all_at(bytes, 0).map_err(Error::io("cannot write", &fresh))?;
    file.sync_data().map_err(Error::io("cannot sync", &fresh))?;
    disk.rename(&fresh, path).map_err(Error::io("cannot rename to", path))?;
    sync_parent(disk, path)
}

/// Makes the name of a file durable.
pub(crate) fn sync_parent(disk: &dyn Disk, path: &Path) -> Result<()> {
    let parent = path.parent().unwrap_or(Path::new("."));
    disk.sync_directory(parent).map_err(Error::io("cannot sync", parent))
}

/// Reads a small file; `None` if it is not there, and no more than `length_max` bytes and one, so that the caller sees the excess.
pub(crate) fn read_small(disk: &dyn Disk, path: &Path, length_max: usize) -> Result<Option<Vec<u8>>> {
    let file = match disk.open(path, OpenHow::Read) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::io("cannot open", path)(error)),
    };
    let mut bytes = vec![0; length_max.saturating_add(1)];
    let length = file.read_at(&mut bytes, 0).map_err(Error::io("cannot read", path))?;
    bytes.truncate(length);
    Ok(Some(bytes))
}
