//! A whole file system that was made once: what an older tidefs left opens today, reads the same, is whole, and is used on.
//!
//! It is there twice: as a kill left it, with records that only the journal has and a rotation of the key under way, and closed a moment
//! later. If one is missing, `TIDEFS_GOLDEN=write` makes both. And there are two each from before checkpoints had trees, and before the
//! index had pages.

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

/// What was made at one time: killed, and closed.
pub(super) struct Made {
    pub(super) archives: [&'static str; 2],
    id: &'static str,
    /// Of the purpose `file-handle`: with another one all handles that clients hold would be stale.
    secret: &'static str,
}

pub(super) const MADE: Made = Made {
    archives: ["file-system-killed-trees.tar.zst", "file-system-closed-trees.tar.zst"],
    id: "fs-53cb9f0c747ea2ea2",
    secret: "4d419c96c115245061538bb5d5ea536ef9a04712c9fade0668ab1ab0cd5ce2d1",
};
/// Before checkpoints had trees.
pub(super) const MADE_BEFORE_TREES: Made = Made {
    archives: ["file-system-killed-pages.tar.zst", "file-system-closed-pages.tar.zst"],
    id: "fs-53cb9f0c747ea2ea2",
    secret: "4d419c96c115245061538bb5d5ea536ef9a04712c9fade0668ab1ab0cd5ce2d1",
};
/// Before the index had pages: it is built anew.
pub(super) const MADE_BEFORE_PAGES: Made = Made {
    archives: ["file-system-killed.tar.zst", "file-system-closed.tar.zst"],
    id: "fs-1b39896a51a8749b5",
    secret: "d55d26e464db071aa8f0a8a83545d7aca4e01ea48861e73f3652905944313bdf",
};

/// The file system of an archive, in a place of its own.
async fn unpacked(made: &Made, which: usize) -> Home {
    MAKING.get_or_init(make_missing).await;
    let name = made.archives[which];
    let path = directory().join(name);
    let archive = ::golden::stored(&path, Missing::Fails, None).unwrap();
    assert!(archive.len() < 300_000, "{name} has {} bytes", archive.len());
    let home = Home::new(FileSystemId::parse(made.id).unwrap());
    ::golden::archive::unpack(&archive, home.path()).unwrap();
    home
}

static MAKING: OnceCell<()> = OnceCell::const_new();

async fn make_missing() {
    let missing = MADE.archives.iter().any(|name| !directory().join(name).exists());
    if missing && Missing::from_environment() == Missing::IsWritten {
        for (name, archive) in MADE.archives.iter().zip(make::make().await) {
            std::fs::write(directory().join(name), archive).unwrap();
        }
    }
}

/// Reads all of it, and changes as little as an open does.
async fn opens_and_reads(home: &Home, made: &Made) {
    assert_eq!(crate::FileSystem::list(&home.data()).unwrap(), [home.id]);
    home.verify_offline().await;
    let fs = home.open_at_rest().await;
    assert_eq!(hex::encode(fs.derive_secret("file-handle")), made.secret);
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
    for made in [&MADE, &MADE_BEFORE_TREES] {
        let home = unpacked(made, 0).await;
        opens_and_reads(&home, made).await;
        is_used_on(&home).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_index_of_an_older_file_system_is_built_anew() {
    for which in [0, 1] {
        let home = unpacked(&MADE_BEFORE_PAGES, which).await;
        opens_and_reads(&home, &MADE_BEFORE_PAGES).await;
        assert_eq!(home.indexes_destroyed.load(Ordering::Relaxed), 1);
        is_used_on(&home).await;
    }
}

/// Its index is taken as it is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_system_that_was_closed_long_ago_opens_and_is_used_on() {
    for made in [&MADE, &MADE_BEFORE_TREES] {
        let home = unpacked(made, 1).await;
        opens_and_reads(&home, made).await;
        assert_eq!(home.indexes_destroyed.load(Ordering::Relaxed), 0);
        is_used_on(&home).await;
    }
}
