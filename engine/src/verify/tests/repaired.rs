//! Everything that is planted and is no lost data is mended, and the file system is as before.

use super::planted::{content_of, dentry, plant, plant_inode};
use super::support::*;
use crate::identity::{BlockIndex, ContentId, InodeId, SegmentId};
use crate::records::{Content, Dentry, SegmentState, key};
use crate::verify::{VerifyOptions, VerifyProgress};
use crate::volume::Look;
use crate::{Credential, Entry};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn counters_names_and_leaks_are_mended_and_no_file_is_lost() {
    let home = Home::new();
    let volume = home.open().await;
    let filled = fill(&volume).await;
    let root = InodeId::ROOT;
    // Names: one in the wrong place, one without an inode, one inode without a name, entries without a directory.
    let (row, entry) = dentry(&volume, root, b"large");
    plant(&volume, vec![(row, None), (key::dentry(root, 99 * 256), Some(entry.encode()))]);
    let lost = Dentry { inode: InodeId(9999), name: "lost".into() };
    plant(&volume, vec![(key::dentry(root, 256 * 2), Some(lost.encode()))]);
    let (row, _) = dentry(&volume, filled.directory, b"third");
    plant(&volume, vec![(row, None)]);
    let (row, _) = dentry(&volume, root, b"directory");
    plant(&volume, vec![(row, None), (key::inode(filled.directory), None)]);
    // Counters.
    let mut totals = volume.totals().unwrap();
    (totals.files, totals.next_id) = (77, 3);
    plant(&volume, vec![(key::totals(), Some(totals.encode()))]);
    plant_inode(&volume, filled.cold, |record| {
        record.links = 9;
        if let Content::File { cold_bytes, age_second, .. } = &mut record.content {
            (*cold_bytes, *age_second) = (1, Some(5));
        }
    });
    let (segment, mut row) = volume.segments().unwrap().into_iter().next().unwrap();
    (row.live_bytes, row.state) = (row.live_bytes + 5, SegmentState::Announced);
    plant(&volume, vec![(key::segment(segment), Some(row.encode()))]);
    plant(&volume, vec![(key::orphan(filled.orphan), None), (key::orphan(InodeId(4444)), Some(Vec::new()))]);
    // Leaks, and data that nobody has.
    let content = content_of(&volume, filled.large);
    let extent = volume.store.extents(content, BlockIndex(0), BlockIndex(1)).ok();
    if let Some((_, extent)) = extent.and_then(|rows| rows.into_iter().next()) {
        plant(&volume, vec![(key::extent(ContentId(1), BlockIndex(0)), Some(extent.encode()))]);
    }
    std::fs::write(home.files().join("segments").join(SegmentId([8; 16]).to_string()), b"x").unwrap();
    std::fs::write(home.files().join("journal/what"), b"x").unwrap();

    let found = verify(&volume).await;
    assert!(found.findings.len() > 12, "{:#?}", found.findings);
    assert!(found.plan().len() > 12);
    let repaired = volume.repair(&VerifyOptions::default(), &VerifyProgress::default()).await.unwrap();
    assert_clean(&repaired.report);
    assert!(repaired.done.iter().any(|done| done.contains("lost+found")), "{:#?}", repaired.done);

    let who = Credential::root();
    let found = volume.lookup(&who, Entry { directory: root, name: b"lost+found" }).unwrap().inode;
    let name = format!("#{}", filled.directory);
    let directory = volume.lookup(&who, Entry { directory: found, name: name.as_bytes() }).unwrap().inode;
    let small = volume.lookup(&who, Entry { directory, name: b"small" }).unwrap().inode;
    assert_eq!(small, filled.small);
    assert!(volume.lookup(&who, Entry { directory, name: b"below" }).is_ok(), "{:#?}", repaired.done);
    let data = volume.read(filled.cold, 0, 300_000).await.unwrap();
    assert!(data.parts.iter().flatten().all(|byte| *byte == 1));
    let large = volume.lookup(&who, Entry { directory: root, name: b"large" }).unwrap();
    assert_eq!(large.size, 400_000);
}

/// Of a newer tidefs, for example: what belongs to such records looks as if it were of nobody.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_records_that_cannot_be_decoded_may_need_is_left_alone() {
    let home = Home::new();
    let volume = home.open().await;
    let filled = fill(&volume).await;
    let content = content_of(&volume, filled.large);
    let places = [key::inode(filled.small), key::extent(content, BlockIndex(0))];
    let kept = places.map(|place| {
        let value = volume.store.get(&place).unwrap().unwrap().to_vec();
        let newer = [&[99], value.get(1..).unwrap()].concat();
        plant(&volume, vec![(place.clone(), Some(newer))]);
        (place, Some(value))
    });
    // It can be mended, and comes after what cannot.
    plant(&volume, vec![(key::dentry(filled.directory, 55 * 256), Some(Dentry::tombstone().encode()))]);
    let options = VerifyOptions::default();
    let plan = verify(&volume).await.plan();
    assert!(plan.iter().all(|plan| plan.contains("tombstone")), "{plan:#?}");
    let repaired = volume.repair(&options, &VerifyProgress::default()).await.unwrap();
    assert_eq!((repaired.done.len(), repaired.failed.len()), (1, 0), "{repaired:#?}");
    assert!(!repaired.report.is_clean());

    plant(&volume, kept.to_vec());
    volume.store.fold().await.unwrap();
    assert_clean(&verify(&volume).await);
    let large = volume.read(filled.large, 0, 400_000).await.unwrap();
    assert_eq!(large.parts.iter().map(|part| part.len()).sum::<usize>(), 400_000);
}

/// A directory where a file may be: `remove` fails.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_mended_is_said_and_the_rest_is_mended() {
    let home = Home::new();
    let volume = home.open().await;
    let filled = fill(&volume).await;
    std::fs::create_dir(home.files().join("segments/other")).unwrap();
    std::fs::create_dir(home.files().join("segments/lost+found")).unwrap();
    plant(&volume, vec![(key::orphan(filled.orphan), None)]);
    let repaired = volume.repair(&VerifyOptions::default(), &VerifyProgress::default()).await.unwrap();
    assert!(repaired.done.iter().any(|done| done.contains("be released")), "{repaired:#?}");
    assert_eq!(repaired.failed.len(), 1, "{repaired:#?}");
    assert_eq!(repaired.report.findings.len(), 1, "{repaired:#?}");
}
