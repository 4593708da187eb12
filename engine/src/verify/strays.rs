//! Files in the data directory that nobody knows.

use std::path::Path;

use super::problem::Problem;
use super::structure::Found;
use crate::disk::Disk;
use crate::error::{Error, Result};
use crate::volume::Volume;

/// What may stand in the directory of a file system; the directories have lists of their own.
const KNOWN: [&str; 9] = [
    "superblock",
    "superblock.new",
    "lock",
    "journal",
    "checkpoint",
    "index",
    "index.marker",
    "index.new",
    "segments",
];

pub(super) fn check(volume: &Volume, found: &mut Found) -> Result<()> {
    let (disk, home) = volume.store.place();
    let segments = home.join("segments");
    let is_segment = |name: &str| name.len() == 32 && name.bytes().all(|b| b.is_ascii_hexdigit());
    let candidates = [
        (home.to_owned(), strays(disk, home, |name| KNOWN.contains(&name))?),
        (segments.clone(), strays(disk, &segments, is_segment)?),
        (home.join("journal"), volume.store.journal_strays()?),
        (home.join("checkpoint"), volume.store.checkpoint_strays()?),
    ];
    for (directory, names) in candidates {
        for name in names {
            found.add(Problem::StrayFile { path: directory.join(name) }, Vec::new());
        }
    }
    Ok(())
}

fn strays(disk: &dyn Disk, directory: &Path, known: impl Fn(&str) -> bool) -> Result<Vec<String>> {
    let names = disk.list(directory).map_err(Error::io("cannot list", directory))?;
    Ok(names.into_iter().filter(|name| !known(name)).collect())
}
