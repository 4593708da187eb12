//! A whole file system that was made once: what an older tidefs left opens today, reads the same, is whole, and is used on.
//!
//! It is there twice: as a kill left it, with records that only the journal has and a rotation of the key under way, and closed a moment
//! later. If one is missing, `TIDEFS_GOLDEN=write` makes both.

mod contents;
mod home;
mod make;
mod using;

use std::sync::atomic::Ordering;

use ::golden::Missing;
use tokio::sync::OnceCell;

use super::directory;
use crate::identity::FileSystemId;
use contents::{expected, found};
use home::Home;

/// The golden files.
pub(super) const ARCHIVES: [&str; 2] = ["file-system-killed.tar.zst", "file-system-closed.tar.zst"];

const ID: &str = "fs-1b39896a51a8749b5";
/// Of the purpose `file-handle`: with another one all handles that clients hold would be stale.
const SECRET: &str = "d55d26e464db071aa8f0a8a83545d7aca4e01ea48861e73f3652905944313bdf";

/// The file system of an archive, in a place of its own.
async fn unpacked(name: &str) -> Home {
    MADE.get_or_init(make_missing).await;
    let path = directory().join(name);
    let archive = ::golden::stored(&path, Missing::Fails, None).unwrap();
    assert!(archive.len() < 300_000, "{name} has {} bytes", archive.len());
    let home = Home::new(FileSystemId::parse(ID).unwrap());
    ::golden::archive::unpack(&archive, home.path()).unwrap();
    home
}

static MADE: OnceCell<()> = OnceCell::const_new();

async fn make_missing() {
    let missing = ARCHIVES.iter().any(|name| !directory().join(name).exists());
    if missing && Missing::from_environment() == Missing::IsWritten {
        for (name, archive) in ARCHIVES.iter().zip(make::make().await) {
            std::fs::write(directory().join(name), archive).unwrap();
        }
    }
}

/// Reads all of it, and changes as little as an open does.
async fn opens_and_reads(home: &Home) {
    assert_eq!(crate::FileSystem::list(&home.data()).unwrap(), [home.id]);
    home.verify_offline().await;
    let fs = home.open_at_rest().await;
    assert_eq!(hex::encode(fs.derive_secret("file-handle")), SECRET);
    let generations = fs.key_status().unwrap().generations;
    assert_eq!(generations.iter().map(|key| key.generation).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(found(&fs).await, expected());
    contents::check_places(&fs);
    contents::check_families(&fs);
    contents::check_notes(&fs);
    home::verify(&fs).await;
}

/// Reads it, writes to all of it while it is sealed anew, and opens it once more.
async fn is_used_on(home: &Home) {
    let fs = home.open().await;
    let mut tree = expected();
    using::change_everything(&fs, &mut tree).await;
    assert_eq!(found(&fs).await, tree);
    fs.release_orphans().await.unwrap();
    while fs.key_status().unwrap().resealing.is_some() {
        fs.volume().upkeep.wake();
        tokio::task::yield_now().await;
    }
    home::verify(&fs).await;
    fs.shutdown().await.unwrap();
    drop(fs);
    home.verify_offline().await;
    let fs = home.open().await;
    assert_eq!(found(&fs).await, tree);
    let generations = fs.key_status().unwrap().generations;
    assert_eq!(generations.iter().map(|key| key.generation).collect::<Vec<_>>(), [2]);
    fs.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_system_that_was_killed_long_ago_opens_and_is_used_on() {
    let home = unpacked(ARCHIVES[0]).await;
    opens_and_reads(&home).await;
    is_used_on(&home).await;
}

/// Its index is taken as it is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_system_that_was_closed_long_ago_opens_and_is_used_on() {
    let home = unpacked(ARCHIVES[1]).await;
    opens_and_reads(&home).await;
    assert_eq!(home.indexes_destroyed.load(Ordering::Relaxed), 0);
    is_used_on(&home).await;
}
