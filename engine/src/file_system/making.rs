//! Making, listing and taking back file systems.
//!
//! # Crash consistency
//! A new file system is built under another name and renamed when it is complete and durable, with all directories above it, so that a
//! crash leaves none or a whole one. What a crash left is emptied by the next making, which goes on in its directory. One that is taken
//! back gets the unfinished name again first, so that a crash leaves all of it or nothing that would be opened.

use std::path::{Path, PathBuf};

use super::open::store_budgets;
use super::options::OpenOptions;
use crate::disk::{Disk, make_directory};
use crate::environment::Environment;
use crate::error::{Error, Result};
use crate::identity::FileSystemId;
use crate::keys::KeyKeeper;
use crate::metadata::Store;

/// What a directory is called while its file system is being made.
const UNFINISHED: &str = ".unfinished";

pub(super) fn make(data: &Path, options: &OpenOptions) -> Result<FileSystemId> {
    let environment = &options.environment;
    let disk = &environment.disk;
    make_directory(disk.as_ref(), data)?;
    let mut random = [0; 16];
    environment.entropy.fill(&mut random);
    let id = FileSystemId::from_random(random);
    let unfinished = data.join(format!("{id}{UNFINISHED}"));
    take_over(environment, data, &unfinished)?;
    let keys = KeyKeeper::create(&unfinished, environment, &options.key, id)?;
    Store::create(&unfinished, disk, environment, keys.ring(), id, store_budgets(&options.budgets))?;
    disk.sync_directory(&unfinished).map_err(Error::io("cannot sync", &unfinished))?;
    let finished = data.join(id.to_string());
    disk.rename(&unfinished, &finished).map_err(Error::io("cannot rename", &unfinished))?;
    disk.sync_directory(data).map_err(Error::io("cannot sync", data))?;
    Ok(id)
}

/// Empties what makings left that were cut short, and gives the directory of one to this making.
fn take_over(environment: &Environment, data: &Path, unfinished: &Path) -> Result<()> {
    let disk = environment.disk.as_ref();
    let names = disk.list(data).map_err(Error::io("cannot list", data))?;
    let is_left =
        |name: &&String| name.strip_suffix(UNFINISHED).is_some_and(|id| FileSystemId::parse(id).is_some());
    let left: Vec<PathBuf> = names.iter().filter(is_left).map(|name| data.join(name)).collect();
    for directory in &left {
        environment.indexes.destroy(&directory.join("index"))?;
        empty(disk, directory)?;
    }
    if let Some(directory) = left.first() {
        disk.rename(directory, unfinished).map_err(Error::io("cannot rename", directory))?;
    }
    Ok(())
}

/// Removes all files below a directory, durably: the directories are used again, and nothing old may turn up in them.
fn empty(disk: &dyn Disk, directory: &Path) -> Result<()> {
    for name in disk.list(directory).map_err(Error::io("cannot list", directory))? {
        let path = directory.join(name);
        match disk.list(&path) {
            Ok(_) => empty(disk, &path)?,
            Err(_) => disk.remove(&path).map_err(Error::io("cannot remove", &path))?,
        }
    }
    disk.sync_directory(directory).map_err(Error::io("cannot sync", directory))
}

pub(super) fn take_back(data: &Path, id: FileSystemId, options: &OpenOptions) -> Result<PathBuf> {
    let disk = &options.environment.disk;
    let (finished, unfinished) = (data.join(id.to_string()), data.join(format!("{id}{UNFINISHED}")));
    disk.rename(&finished, &unfinished).map_err(Error::io("cannot rename", &finished))?;
    disk.sync_directory(data).map_err(Error::io("cannot sync", data))?;
    Ok(unfinished)
}

pub(super) fn list(disk: &dyn Disk, data: &Path) -> Result<Vec<FileSystemId>> {
    let names = match disk.list(data) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        result => result.map_err(Error::io("cannot list", data))?,
    };
    let mut ids: Vec<_> = names.iter().filter_map(|name| FileSystemId::parse(name)).collect();
    ids.sort_unstable();
    Ok(ids)
}
