//! Small whole files: replaced atomically, read at once.

use std::io::ErrorKind;
use std::path::Path;

use super::{Disk, OpenHow};
use crate::broken::{Broken, broken};
use crate::error::{Error, Result};

/// Puts a file in place of an older one so that after a crash either the old or the new one is there, whole.
pub(crate) fn publish(disk: &dyn Disk, path: &Path, bytes: &[u8]) -> Result<()> {
    let fresh = path.with_extension("new");
    disk.remove(&fresh).map_err(Error::io("cannot remove", &fresh))?;
    let file = disk.open(&fresh, OpenHow::CreateNew).map_err(Error::io("cannot create", &fresh))?;
    file.write_all_at(bytes, 0).map_err(Error::io("cannot write", &fresh))?;
    if !broken(Broken::PublishedNotSynced) {
        file.sync_data().map_err(Error::io("cannot sync", &fresh))?;
    }
    disk.rename(&fresh, path).map_err(Error::io("cannot rename to", path))?;
    if broken(Broken::PublishedNameNotSynced) { Ok(()) } else { sync_parent(disk, path) }
}

/// Makes a directory, and those above it that are not there, so that a power failure leaves them.
pub(crate) fn make_directory(disk: &dyn Disk, path: &Path) -> Result<()> {
    disk.create_directory(path).map_err(Error::io("cannot make", path))?;
    keep_path(disk, path)
}

/// Makes a name and those of all directories above it durable: whoever made one of them may have been killed before he did so.
pub(crate) fn keep_path(disk: &dyn Disk, path: &Path) -> Result<()> {
    keep_names(disk, path.ancestors().filter(|name| name.file_name().is_some()))
}

/// Makes names durable, each in its own directory.
pub(crate) fn keep_names<'a>(disk: &dyn Disk, names: impl Iterator<Item = &'a Path>) -> Result<()> {
    for name in names {
        match sync_parent(disk, name) {
            // Nobody made anything lately in a directory that he may not read, or that cannot be written.
            Err(Error::Io { source, .. }) if cannot_sync(source.kind()) => {}
            result => result?,
        }
    }
    Ok(())
}

/// Whether a sync failed because there is nothing to sync there.
pub(crate) fn cannot_sync(kind: ErrorKind) -> bool {
    use ErrorKind::{InvalidInput, PermissionDenied, ReadOnlyFilesystem, Unsupported};
    matches!(kind, PermissionDenied | InvalidInput | ReadOnlyFilesystem | Unsupported)
}

/// Makes the name of a file durable.
pub(crate) fn sync_parent(disk: &dyn Disk, path: &Path) -> Result<()> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
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
