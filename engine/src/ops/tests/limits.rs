//! What the limits refuse, and that what is just within them works.

use super::*;
use crate::error::{Error, Result};
use crate::file_system::DirectoryChange;
use crate::limits::{FILE_SIZE_MAX, LINKS_MAX};
use crate::ops::NewContent;
use crate::records::key;
use crate::verify::{VerifyOptions, VerifyProgress};

/// As many as a path can have in `PATH_MAX` of Linux, which needs a name and a slash for each.
const DEPTH: usize = 2000;

fn at(directory: InodeId, name: &str) -> Entry<'_> {
    Entry { directory, name: name.as_bytes() }
}

async fn make_directory(world: &World, entry: Entry<'_>) -> Result<InodeId> {
    let (who, set) = (Credential::root(), SetAttributes::default());
    let made = world.volume.create_other(&who, entry, NewContent::Directory, &set).await?;
    Ok(made.into_parts().0.attributes.inode)
}

async fn link(world: &World, file: InodeId, entry: Entry<'_>) -> Result<DirectoryChange> {
    let linked = world.volume.link(&Credential::root(), file, entry).await?;
    Ok(linked.into_parts().0.directory)
}

async fn rename(world: &World, from: Entry<'_>, to: Entry<'_>) -> Result<DirectoryChange> {
    let renamed = world.volume.rename(&Credential::root(), from, to).await?;
    Ok(renamed.into_parts().0.target)
}

/// As if the inode had so many names: to make them would take seconds.
fn plant_links(world: &World, inode: InodeId, links: u32) {
    let mut record = world.volume.stored_inode(inode).unwrap();
    record.links = links;
    let mut transaction = world.volume.store.begin().unwrap();
    transaction.put(key::inode(inode), record.encode());
    drop(transaction.commit());
}

fn links_of(world: &World, inode: InodeId) -> u32 {
    world.volume.attributes(inode).unwrap().links
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_has_65_000_links_and_no_more() {
    assert_eq!(LINKS_MAX, 65_000);
    let world = World::new().await;
    let root = InodeId::ROOT;
    let file = world.create("file").await;
    plant_links(&world, file, LINKS_MAX - 1);
    link(&world, file, at(root, "last")).await.unwrap();
    assert_eq!(links_of(&world, file), LINKS_MAX);
    assert!(matches!(link(&world, file, at(root, "more")).await, Err(Error::TooManyLinks)));
    let more = world.volume.lookup(&Credential::root(), at(root, "more"));
    assert!(matches!(more, Err(Error::NotFound)), "what was refused has left nothing");
    rename(&world, at(root, "last"), at(root, "renamed")).await.unwrap();
    world.remove("renamed").await;
    link(&world, file, at(root, "another")).await.unwrap();
    assert_eq!(links_of(&world, file), LINKS_MAX);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_directory_with_65_000_links_takes_files_and_no_more_directories() {
    let world = World::new().await;
    let root = InodeId::ROOT;
    let full = make_directory(&world, at(root, "full")).await.unwrap();
    make_directory(&world, at(root, "other")).await.unwrap();
    world.create("file").await;
    plant_links(&world, full, LINKS_MAX - 1);
    make_directory(&world, at(full, "last")).await.unwrap();
    assert!(matches!(make_directory(&world, at(full, "more")).await, Err(Error::TooManyLinks)));
    let moved = rename(&world, at(root, "other"), at(full, "more")).await;
    assert!(matches!(moved, Err(Error::TooManyLinks)));
    rename(&world, at(root, "file"), at(full, "file")).await.unwrap();
    rename(&world, at(full, "last"), at(full, "renamed")).await.unwrap();
    rename(&world, at(root, "other"), at(full, "renamed")).await.unwrap();
    assert_eq!(links_of(&world, full), LINKS_MAX, "one takes the place of another");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_byte_of_the_largest_file_is_written_and_none_behind_it() {
    assert_eq!(FILE_SIZE_MAX, 52_673_613_135_872, "47.9 TiB, as EFS has it");
    let world = World::new().await;
    let (who, file) = (Credential::root(), world.create("file").await);
    let behind: [(u64, &'static [u8]); 4] =
        [(FILE_SIZE_MAX, b"y"), (FILE_SIZE_MAX - 1, b"yz"), (u64::MAX, b"y"), (u64::MAX - 1, b"yz")];
    for stability in [Stability::Unstable, Stability::FileSync] {
        world.write(file, FILE_SIZE_MAX - 1, b"x", stability).await;
        for (offset, data) in behind {
            let refused = world.volume.write(&who, file, offset, Bytes::from_static(data), stability).await;
            assert!(matches!(refused, Err(Error::FileTooLarge)), "{stability:?} at {offset}");
        }
    }
    world.volume.commit(file).await.unwrap().durable().await.unwrap();
    world.fold().await;
    assert_eq!(world.volume.attributes(file).unwrap().size, FILE_SIZE_MAX);
    let tail = world.volume.read(file, FILE_SIZE_MAX - 3, 100).await.unwrap();
    assert_eq!((tail.parts.concat(), tail.end_of_file), (b"\0\0x".to_vec(), true));
    world.check();
    world.truncate(file, 0).await;
    world.check();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_else_makes_a_file_too_large() {
    let world = World::new().await;
    let who = Credential::root();
    let sized = |size| SetAttributes { size: Some(size), ..SetAttributes::default() };
    for size in [FILE_SIZE_MAX + 1, u64::MAX] {
        let entry = at(InodeId::ROOT, "new");
        let made = world.volume.create_file(&who, entry, CreateMode::Guarded, &sized(size)).await;
        assert!(matches!(made, Err(Error::FileTooLarge)), "OPEN with {size}");
    }
    let (file, source) = (world.create("file").await, world.file("source", &noise(1, 8192)).await);
    for size in [FILE_SIZE_MAX + 1, u64::MAX] {
        let set = world.volume.set_attributes(&who, file, &sized(size), crate::Authority::Mode).await;
        assert!(matches!(set, Err(Error::FileTooLarge)), "SETATTR to {size}");
        let grown = world.volume.zero(&who, file, 0..size, ZeroSize::Extend).await;
        assert!(matches!(grown, Err(Error::FileTooLarge)), "ALLOCATE up to {size}");
    }
    let cloned = async |destination_offset, length| {
        let range = CloneRange { source_offset: 0, destination_offset, length };
        world.volume.clone_range(&who, source, file, range).await
    };
    for (offset, length) in [(FILE_SIZE_MAX, 4096), (FILE_SIZE_MAX - 4096, 8192), (u64::MAX - 4095, 4096)] {
        let refused = cloned(offset, length).await;
        assert!(matches!(refused, Err(Error::FileTooLarge)), "CLONE of {length} to {offset}");
    }
    assert_eq!(world.volume.attributes(file).unwrap().size, 0, "what was refused has changed nothing");

    cloned(FILE_SIZE_MAX - 4096, 4096).await.unwrap().durable().await.unwrap();
    let tail = world.volume.read(file, FILE_SIZE_MAX - 4096, 8192).await.unwrap();
    assert_eq!(tail.parts.concat(), noise(1, 8192)[..4096]);
    world.truncate(file, 0).await;
    world.truncate(file, FILE_SIZE_MAX).await;
    let grown = world.volume.zero(&who, file, 0..FILE_SIZE_MAX, ZeroSize::Extend).await.unwrap();
    grown.durable().await.unwrap();
    assert_eq!(world.volume.attributes(file).unwrap().size, FILE_SIZE_MAX);
    world.check();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_path_of_2_000_directories_is_made_looked_up_renamed_and_removed() {
    let world = World::new().await;
    let (who, root) = (Credential::root(), InodeId::ROOT);
    let mut directories = vec![root];
    while directories.len() <= DEPTH {
        let parent = *directories.last().unwrap();
        directories.push(make_directory(&world, at(parent, "d")).await.unwrap());
    }
    let deepest = directories[DEPTH];
    let entry = at(deepest, "file");
    let set = SetAttributes::default();
    let made = world.volume.create_file(&who, entry, CreateMode::Guarded, &set).await.unwrap();
    let file = made.durable().await.unwrap().into_inner().attributes.inode;
    world.write(file, 0, b"deep", Stability::FileSync).await;
    let path = [b"/d".repeat(DEPTH), b"/file".to_vec()].concat();
    assert_eq!(world.volume.resolve_path(&path).unwrap().inode, file);
    for pair in directories.windows(2) {
        assert_eq!(world.volume.lookup_parent(&who, pair[1]).unwrap().inode, pair[0]);
    }
    let into_itself = rename(&world, at(root, "d"), at(deepest, "d")).await;
    assert!(matches!(into_itself, Err(Error::Invalid { .. })));

    // The lower half goes to the root and back; the file is where its directory is.
    let half = directories[DEPTH / 2 - 1];
    rename(&world, at(half, "d"), at(root, "half")).await.unwrap();
    assert!(matches!(world.volume.resolve_path(&path), Err(Error::NotFound)));
    let moved = [b"/half".to_vec(), b"/d".repeat(DEPTH / 2), b"/file".to_vec()].concat();
    assert_eq!(world.volume.resolve_path(&moved).unwrap().inode, file);
    rename(&world, at(root, "half"), at(half, "d")).await.unwrap();
    assert_eq!(world.volume.resolve_path(&path).unwrap().inode, file);
    let report = world.volume.verify(&VerifyOptions::default(), &VerifyProgress::default()).await.unwrap();
    assert!(report.is_clean(), "{report:#?}");

    let remove = async |entry: Entry<'_>| drop(world.volume.remove(&who, entry).await.unwrap().into_parts());
    remove(at(deepest, "file")).await;
    for parent in directories.iter().rev().skip(1) {
        remove(at(*parent, "d")).await;
    }
    assert!(matches!(world.volume.lookup(&who, at(root, "d")), Err(Error::NotFound)));
}
