//! What `object_store` leaves to its user when objects are files in a local directory. A bucket needs nothing of the kind.
//!
//! It writes an object as `NAME#1` (or `#2`, if that is there) and links it to `NAME` when it is whole; its listings and deletions know
//! nothing of the first name, which a crash leaves. And it syncs the directories that it made itself: one that another upload has made and
//! not synced yet, or that an earlier process made before it was killed, may be lost with all that is in it.

use std::io::{self, ErrorKind};
use std::path::PathBuf;
use std::sync::Arc;

use object_store::path::Path;

use crate::disk::{Disk, RealDisk, keep_names};
use crate::error::{Error, Result};
use crate::file_system::ColdStoreConfig;
use crate::threads::blocking;

/// Names that one process may have begun an object under: it gives up one that took too long and tries again beside it.
const TRIES_MAX: u32 = 4;

/// The directory with the objects, if they are in one.
#[derive(Debug, Clone)]
pub(super) struct LocalObjects(Option<Directory>);

#[derive(Debug, Clone)]
struct Directory {
    disk: Arc<dyn Disk>,
    root: PathBuf,
}

impl LocalObjects {
    pub(super) fn of(config: &ColdStoreConfig) -> Self {
        match config {
            ColdStoreConfig::Directory(path) => {
                LocalObjects(Some(Directory { disk: Arc::new(RealDisk), root: path.clone() }))
            }
            ColdStoreConfig::Bucket { .. } => LocalObjects(None),
        }
    }

    #[cfg(test)]
    pub(super) fn none() -> Self {
        LocalObjects(None)
    }

    /// Makes the name of an object durable, with those of the directories that it is in, whoever made them.
    pub(super) async fn keep(&self, object: &Path) -> Result<()> {
        let Some(Directory { disk, root }) = self.0.clone() else { return Ok(()) };
        let path = root.join(object.as_ref());
        blocking(move || keep_names(disk.as_ref(), path.ancestors().take_while(|name| *name != root))).await
    }

    /// Removes what an upload of this object left that a crash interrupted. Nobody may be uploading it.
    pub(super) async fn clear(&self, object: &Path) -> Result<()> {
        let Some(Directory { disk, root }) = self.0.clone() else { return Ok(()) };
        let staged = (1..=TRIES_MAX).map(|number| root.join(format!("{object}#{number}")));
        let mut staged = staged.collect::<Vec<_>>().into_iter();
        let remove = move |path: PathBuf| disk.remove(&path).map_err(Error::io("cannot remove", path));
        blocking(move || staged.try_for_each(remove)).await
    }

    /// Removes everything in a folder of objects that live only as long as the process that makes them.
    pub(super) async fn clear_folder(&self, folder: &Path) -> Result<()> {
        let Some(Directory { disk, root }) = self.0.clone() else { return Ok(()) };
        let folder = root.join(folder.as_ref());
        blocking(move || remove_all(disk.as_ref(), &folder).map_err(Error::io("cannot clear", folder))).await
    }
}

fn remove_all(disk: &dyn Disk, folder: &std::path::Path) -> io::Result<()> {
    let names = match disk.list(folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        names => names?,
    };
    names.iter().try_for_each(|name| disk.remove(&folder.join(name)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::OpenHow;
    use crate::disk::simulated::SimulatedDisk;

    #[tokio::test]
    async fn an_object_outlives_a_power_failure_in_directories_that_nobody_had_synced() {
        let object = Path::from("fs/segments/ab/object");
        let (root, file) = (PathBuf::from("/cold"), PathBuf::from("/cold/fs/segments/ab/object"));
        let mut lost = 0;
        for seed in 0..50 {
            let disk = SimulatedDisk::new(seed);
            disk.create_directory(&root).unwrap();
            disk.sync_directory(std::path::Path::new("/")).unwrap();
            disk.create_directory(file.parent().unwrap()).unwrap();
            let written = disk.open(&file, OpenHow::CreateNew).unwrap();
            written.write_all_at(b"content", 0).unwrap();
            written.sync_data().unwrap();
            let there = |disk: &SimulatedDisk| disk.open(&file, OpenHow::Read).is_ok();
            // As `object_store` leaves it when the directories were there.
            disk.sync_directory(file.parent().unwrap()).unwrap();
            lost += usize::from(!there(&disk.after_power_failure()));
            let directory = Directory { disk: Arc::new(disk.clone()), root: root.clone() };
            LocalObjects(Some(directory)).keep(&object).await.unwrap();
            assert!(there(&disk.after_power_failure()));
        }
        assert!(lost > 10, "{lost}");
    }
}
