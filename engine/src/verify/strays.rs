//! Files in the data directory that nobody knows.

use std::path::Path;

use super::problem::Problem;
use super::site::Site;
use super::structure::Found;
use crate::disk::Disk;
use crate::error::{Error, Result};

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

pub(super) fn check(site: &Site<'_>, found: &mut Found) -> Result<()> {
    let (disk, home) = (site.home.disk.as_ref(), site.directory);
    let segments = home.join("segments");
    let is_segment = |name: &str| name.len() == 32 && name.bytes().all(|b| b.is_ascii_hexdigit());
    let candidates = [
        (home.to_owned(), strays(disk, home, |name| KNOWN.contains(&name))?),
        (segments.clone(), strays(disk, &segments, is_segment)?),
        (home.join("journal"), journal(site)?),
        (home.join("checkpoint"), checkpoint(site)?),
    ];
    for (directory, names) in candidates {
        for name in names {
            found.add(Problem::StrayFile { path: directory.join(name) }, Vec::new());
        }
    }
    Ok(())
}

/// What is left over offline is removed by the next open, so that only what nobody made is a stray file.
fn journal(site: &Site<'_>) -> Result<Vec<String>> {
    match site.live {
        Some(volume) => volume.store.journal_strays(),
        None => {
            let made = |name: &str| crate::journal::makes(name);
            strays(site.home.disk.as_ref(), &site.directory.join("journal"), made)
        }
    }
}

fn checkpoint(site: &Site<'_>) -> Result<Vec<String>> {
    match site.live {
        Some(volume) => volume.store.checkpoint_strays(),
        // The next open removes whatever the manifest does not name.
        None => Ok(Vec::new()),
    }
}

fn strays(disk: &dyn Disk, directory: &Path, known: impl Fn(&str) -> bool) -> Result<Vec<String>> {
    let names = disk.list(directory).map_err(Error::io("cannot list", directory))?;
    // That of a file system that begins here.
    Ok(names.into_iter().filter(|name| !known(name) && name != "lost+found").collect())
}
