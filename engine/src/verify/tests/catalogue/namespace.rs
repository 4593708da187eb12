//! Inodes, entries, orphans, ages and totals.

use super::super::planted::{dentry, plant, plant_inode};
use super::bench::{Bench, moved, with_lost_and_found};
use super::{Mended, Planted};
use crate::identity::InodeId;
use crate::ops::entries;
use crate::records::{Content, Dentry, key};
use crate::verify::{Counter, Problem};
use crate::volume::{Volume, age_key};

/// An entry more, which no counter knows.
fn link(volume: &Volume, directory: InodeId, name: &[u8], inode: InodeId) {
    let mut change = volume.begin().unwrap();
    entries::insert(&mut change, &volume.names, directory, name, inode).unwrap();
    drop(change.commit());
}

fn unlink(volume: &Volume, directory: InodeId, name: &[u8]) -> InodeId {
    let (row, entry) = dentry(volume, directory, name);
    plant(volume, vec![(row, None)]);
    entry.inode
}

/// Nothing is "corrected" to a file system without inodes, which the next start would begin anew.
pub(super) async fn root_missing(bench: &mut Bench) -> Planted {
    plant(bench.volume(), vec![(key::inode(InodeId::ROOT), None)]);
    Planted::new(Mended::Never, |problem| *problem == Problem::RootMissing)
}

pub(super) async fn record(bench: &mut Bench) -> Planted {
    let (_, third) = dentry(bench.volume(), bench.filled.directory, b"third");
    plant(bench.volume(), vec![(key::inode(third.inode), Some(vec![99]))]);
    let row = hex::encode(key::inode(third.inode));
    let is = move |problem: &Problem| matches!(problem, Problem::Record { key, .. } if *key == row);
    Planted::new(Mended::Never, is).losing(&["/directory/third"])
}

pub(super) async fn entry_without_inode(bench: &mut Bench) -> Planted {
    let (_, third) = dentry(bench.volume(), bench.filled.directory, b"third");
    plant(bench.volume(), vec![(key::inode(third.inode), None)]);
    let is = move |problem: &Problem| matches!(problem, Problem::EntryWithoutInode { inode, .. } if *inode == third.inode);
    Planted::new(Mended::ByRepair, is).naming(&["/directory/third"]).surviving(|tree| {
        tree.remove("/directory/third");
    })
}

pub(super) async fn entries_without_directory(bench: &mut Bench) -> Planted {
    let lost = bench.filled.directory;
    plant(bench.volume(), vec![(key::inode(lost), None)]);
    let is = move |problem: &Problem| matches!(problem, Problem::EntriesWithoutDirectory { directory, .. } if *directory == lost);
    Planted::new(Mended::ByRepair, is).surviving(move |tree| {
        with_lost_and_found(tree);
        moved(tree, "/directory/", &format!("/lost+found/#{lost}/"));
    })
}

pub(super) async fn entry_misplaced(bench: &mut Bench) -> Planted {
    let (row, entry) = dentry(bench.volume(), InodeId::ROOT, b"large");
    let elsewhere = key::dentry(InodeId::ROOT, 99 * 256);
    plant(bench.volume(), vec![(row, None), (elsewhere, Some(entry.encode()))]);
    let is = |problem: &Problem| matches!(problem, Problem::EntryMisplaced { name, .. } if name == "large");
    Planted::new(Mended::ByRepair, is).naming(&["/large"])
}

pub(super) async fn tombstone(bench: &mut Bench) -> Planted {
    let (directory, cookie) = (bench.filled.directory, 55 * 256);
    plant(bench.volume(), vec![(key::dentry(directory, cookie), Some(Dentry::tombstone().encode()))]);
    Planted::new(Mended::ByRepair, move |problem| *problem == Problem::Tombstone { directory, cookie })
}

pub(super) async fn directory_linked(bench: &mut Bench) -> Planted {
    let (_, below) = dentry(bench.volume(), bench.filled.directory, b"below");
    link(bench.volume(), InodeId::ROOT, b"twin", below.inode);
    let problem = Problem::DirectoryLinked { directory: below.inode, entries: 2 };
    Planted::new(Mended::ByRepair, move |found| *found == problem)
}

pub(super) async fn parent(bench: &mut Bench) -> Planted {
    let (_, below) = dentry(bench.volume(), bench.filled.directory, b"below");
    plant_inode(bench.volume(), below.inode, |record| {
        record.content = Content::Directory { parent: InodeId::ROOT, entries: 0 };
    });
    let (directory, found) = (below.inode, bench.filled.directory);
    let problem = Problem::Parent { directory, stored: InodeId::ROOT, found };
    Planted::new(Mended::ByRepair, move |found| *found == problem)
}

pub(super) async fn unreachable(bench: &mut Bench) -> Planted {
    let inode = unlink(bench.volume(), bench.filled.directory, b"cold");
    let is = move |problem: &Problem| *problem == Problem::Unreachable { inode };
    Planted::new(Mended::ByRepair, is).surviving(move |tree| {
        with_lost_and_found(tree);
        moved(tree, "/directory/cold", &format!("/lost+found/#{inode}"));
    })
}

pub(super) async fn directories_below_each_other(bench: &mut Bench) -> Planted {
    let (volume, directory) = (bench.volume(), bench.filled.directory);
    let (_, below) = dentry(volume, directory, b"below");
    unlink(volume, InodeId::ROOT, b"directory");
    link(volume, below.inode, b"directory", directory);
    plant_inode(volume, directory, |record| {
        if let Content::Directory { parent, .. } = &mut record.content {
            *parent = below.inode;
        }
    });
    let is = move |problem: &Problem| *problem == Problem::Loop { inode: directory };
    Planted::new(Mended::ByRepair, is).surviving(move |tree| {
        with_lost_and_found(tree);
        moved(tree, "/directory/", &format!("/lost+found/#{directory}/"));
    })
}

pub(super) async fn unlinked_not_orphan(bench: &mut Bench) -> Planted {
    let inode = bench.filled.orphan;
    plant(bench.volume(), vec![(key::orphan(inode), None)]);
    Planted::new(Mended::ByRepair, move |problem| *problem == Problem::UnlinkedNotOrphan { inode })
}

pub(super) async fn orphan_linked(bench: &mut Bench) -> Planted {
    let inode = bench.filled.small;
    plant(bench.volume(), vec![(key::orphan(inode), Some(Vec::new()))]);
    Planted::new(Mended::ByRepair, move |problem| *problem == Problem::OrphanLinked { inode })
}

pub(super) async fn orphan_missing(bench: &mut Bench) -> Planted {
    let inode = InodeId(12345);
    plant(bench.volume(), vec![(key::orphan(inode), Some(Vec::new()))]);
    Planted::new(Mended::ByRepair, move |problem| *problem == Problem::OrphanMissing { inode })
}

pub(super) async fn inode_counter(bench: &mut Bench) -> Planted {
    plant_inode(bench.volume(), bench.filled.large, |record| {
        if let Content::File { standard_bytes, .. } = &mut record.content {
            *standard_bytes = 1;
        }
    });
    let counter = Counter { name: "Standard bytes", stored: 1, counted: 400_000 };
    let problem = Problem::InodeCounter { inode: bench.filled.large, counter };
    Planted::new(Mended::ByRepair, move |found| *found == problem).naming(&["/large"])
}

pub(super) async fn total(bench: &mut Bench) -> Planted {
    let mut totals = bench.volume().totals().unwrap();
    let counted = std::mem::replace(&mut totals.files, 77);
    plant(bench.volume(), vec![(key::totals(), Some(totals.encode()))]);
    let problem = Problem::Total(Counter { name: "files", stored: 77, counted });
    Planted::new(Mended::ByRepair, move |found| *found == problem)
}

pub(super) async fn next_number(bench: &mut Bench) -> Planted {
    let mut totals = bench.volume().totals().unwrap();
    totals.next_id = 3;
    plant(bench.volume(), vec![(key::totals(), Some(totals.encode()))]);
    Planted::new(Mended::ByRepair, |problem| matches!(problem, Problem::NextNumber { next: 3, .. }))
}

pub(super) async fn age(bench: &mut Bench) -> Planted {
    let inode = bench.filled.small;
    plant(bench.volume(), vec![(age_key(17, inode), Some(Vec::new()))]);
    let is = move |problem: &Problem| matches!(problem, Problem::Age { inode: of, second: Some(17), .. } if *of == inode);
    Planted::new(Mended::ByRepair, is)
}
