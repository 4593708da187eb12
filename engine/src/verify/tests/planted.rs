//! Each thing that can be wrong is planted, and found as what it is.

use std::sync::Arc;

use super::support::*;
use crate::identity::{BlockIndex, ContentId, InodeId, SegmentId};
use crate::records::{Content, Dentry, Extent, Inode, SegmentRecord, SegmentState, Totals, key};
use crate::tiering::Tier;
use crate::verify::{Counter, Problem, Severity, VerifyOptions, VerifyProgress, VerifyReport};
use crate::volume::{Look, Volume};

/// Changes records beside all rules.
pub(super) fn plant(volume: &Volume, changes: Vec<(Vec<u8>, Option<Vec<u8>>)>) {
    let mut transaction = volume.store.begin().unwrap();
    for (key, value) in changes {
        match value {
            Some(value) => transaction.put(key, value),
            None => transaction.delete(key),
        }
    }
    drop(transaction.commit());
}

fn inode(volume: &Volume, inode: InodeId) -> Inode {
    Inode::decode(&volume.store.get(&key::inode(inode)).unwrap().unwrap()).unwrap()
}

pub(super) fn plant_inode(volume: &Volume, number: InodeId, change: impl FnOnce(&mut Inode)) {
    let mut record = inode(volume, number);
    change(&mut record);
    plant(volume, vec![(key::inode(number), Some(record.encode()))]);
}

pub(super) fn content_of(volume: &Volume, number: InodeId) -> ContentId {
    match inode(volume, number).content {
        Content::File { id, .. } => id,
        other => panic!("{other:?}"),
    }
}

pub(super) fn extent_of(volume: &Volume, number: InodeId, block: u64) -> Extent {
    let content = content_of(volume, number);
    volume.store.extents(content, BlockIndex(block), BlockIndex(block + 1)).unwrap()[0].1
}

pub(super) fn dentry(volume: &Volume, directory: InodeId, name: &[u8]) -> (Vec<u8>, Dentry) {
    let rows = volume.store.scan_all(&key::dentries(directory, 0, u64::MAX)).unwrap();
    rows.iter()
        .map(|(row, value)| (row.to_vec(), Dentry::decode(value).unwrap()))
        .find(|(_, dentry)| dentry.name == name)
        .unwrap()
}

struct Planted {
    _home: Home,
    volume: Arc<Volume>,
    filled: Filled,
}

async fn planted() -> Planted {
    let home = Home::new();
    let volume = home.open().await;
    // Some of what is planted it would tidy up.
    volume.upkeep.abort().await;
    let filled = fill(&volume).await;
    assert_clean(&verify(&volume).await);
    Planted { _home: home, volume, filled }
}

#[track_caller]
fn assert_found(report: &VerifyReport, wanted: impl Fn(&Problem) -> bool) -> Vec<String> {
    let finding = report.findings.iter().find(|finding| wanted(&finding.problem));
    finding.unwrap_or_else(|| panic!("not among {:#?}", report.findings)).files.clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_system_with_everything_in_it_is_clean_in_any_number_of_passes() {
    let Planted { volume, _home, .. } = planted().await;
    let options = VerifyOptions { memory_bytes: 1, ..VerifyOptions::default() };
    for number in 0..60u32 {
        let name = format!("file-{number}");
        let file = create(&volume, InodeId::ROOT, name.as_bytes()).await;
        write(&volume, file, 0, vec![7; 10]).await;
    }
    let report = volume.verify(&options, &VerifyProgress::default()).await.unwrap();
    assert_clean(&report);
    let whole = verify(&volume).await;
    assert_eq!(whole.checked, report.checked);
    assert_eq!(whole.checked.inodes, 74);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn broken_names_are_found() {
    let Planted { volume, filled, _home } = planted().await;
    let (row, entry) = dentry(&volume, filled.directory, b"small");
    let moved = Dentry { inode: InodeId(999), name: entry.name.clone() };
    plant(&volume, vec![(row.clone(), Some(moved.encode()))]);
    let report = verify(&volume).await;
    // A large file system is not stopped to find the same.
    let large = VerifyOptions { standing_inodes_max: 0, ..VerifyOptions::default() };
    let looked_at_again = volume.verify(&large, &VerifyProgress::default()).await.unwrap();
    assert_eq!(looked_at_again.findings, report.findings);
    let files =
        assert_found(&report, |p| matches!(p, Problem::EntryWithoutInode { inode: InodeId(999), .. }));
    assert_eq!(files, ["/directory/small"]);
    let links = Counter { name: "links", stored: 2, counted: 1 };
    let files =
        assert_found(&report, |p| *p == Problem::InodeCounter { inode: filled.small, counter: links });
    assert_eq!(files, ["/link"]);
    plant(&volume, vec![(row, Some(entry.encode()))]);
    assert_clean(&verify(&volume).await);

    let misplaced = key::dentry(filled.directory, 77 * 256);
    plant(&volume, vec![(misplaced, Some(Dentry { inode: filled.large, name: "x".into() }.encode()))]);
    plant(
        &volume,
        vec![(
            key::dentry(InodeId(888), 256),
            Some(Dentry { inode: filled.large, name: "x".into() }.encode()),
        )],
    );
    plant(&volume, vec![(key::dentry(filled.directory, 55 * 256), Some(Dentry::tombstone().encode()))]);
    let report = verify(&volume).await;
    assert_found(&report, |p| matches!(p, Problem::EntryMisplaced { .. }));
    assert_found(&report, |p| {
        matches!(p, Problem::EntriesWithoutDirectory { directory: InodeId(888), entries: 1 })
    });
    assert_found(&report, |p| matches!(p, Problem::Tombstone { .. }));
    assert_found(&report, |p| {
        matches!(p, Problem::InodeCounter { counter: Counter { name: "entries", .. }, .. })
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn broken_directories_are_found() {
    let Planted { volume, filled, _home } = planted().await;
    let (_, below) = dentry(&volume, filled.directory, b"below");
    plant_inode(&volume, below.inode, |record| {
        record.content = Content::Directory { parent: InodeId::ROOT, entries: 0 };
    });
    let report = verify(&volume).await;
    assert_found(&report, |p| matches!(p, Problem::Parent { .. }));
    // Both hang below each other, and below nothing else.
    plant_inode(&volume, below.inode, |record| {
        record.content = Content::Directory { parent: filled.directory, entries: 1 };
    });
    plant_inode(&volume, filled.directory, |record| {
        if let Content::Directory { parent, .. } = &mut record.content {
            *parent = below.inode;
        }
    });
    let report = verify(&volume).await;
    assert_found(&report, |p| matches!(p, Problem::Loop { .. }));
    assert_eq!(report.findings.iter().filter(|f| matches!(f.problem, Problem::Loop { .. })).count(), 1);
    let (row, _) = dentry(&volume, InodeId::ROOT, b"directory");
    plant(&volume, vec![(row, None)]);
    let report = verify(&volume).await;
    assert_found(&report, |p| *p == Problem::Unreachable { inode: filled.directory });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn extents_that_do_not_lie_as_they_must_are_found() {
    let Planted { volume, filled, _home } = planted().await;
    let large = content_of(&volume, filled.large);
    let whole = extent_of(&volume, filled.large, 0);
    let inside = Extent { visible_bytes: 4096, ..whole };
    plant(&volume, vec![(key::extent(large, BlockIndex(8)), Some(inside.encode()))]);
    plant(&volume, vec![(key::extent(large, BlockIndex(24)), Some(whole.encode()))]);
    let report = verify(&volume).await;
    let layout = |block, said| move |p: &Problem| matches!(p, Problem::Layout { block: at, what, .. } if *at == BlockIndex(block) && what.contains(said));
    assert_eq!(assert_found(&report, layout(8, "over the extent")), ["/large"]);
    assert_found(&report, layout(24, "next slot"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn orphans_and_ages_that_do_not_fit_are_found() {
    let Planted { volume, filled, _home } = planted().await;
    plant(&volume, vec![(key::orphan(filled.orphan), None)]);
    plant(&volume, vec![(key::orphan(filled.small), Some(Vec::new()))]);
    plant(&volume, vec![(key::orphan(InodeId(12345)), Some(Vec::new()))]);
    plant(&volume, vec![(crate::volume::age_key(17, filled.small), Some(Vec::new()))]);
    plant_inode(&volume, filled.large, |record| {
        if let Content::File { age_second, .. } = &mut record.content {
            *age_second = None;
        }
    });
    let report = verify(&volume).await;
    let files = assert_found(&report, |p| *p == Problem::UnlinkedNotOrphan { inode: filled.orphan });
    assert_eq!(files, [format!("inode {}", filled.orphan)]);
    assert_found(&report, |p| *p == Problem::OrphanLinked { inode: filled.small });
    assert_found(&report, |p| *p == Problem::OrphanMissing { inode: InodeId(12345) });
    assert_found(&report, |p| matches!(p, Problem::Age { second: Some(17), .. }));
    assert_found(&report, |p| matches!(p, Problem::Age { inode, .. } if *inode == filled.large));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn broken_contents_are_found() {
    let Planted { volume, filled, _home } = planted().await;
    let (large, cold) = (content_of(&volume, filled.large), content_of(&volume, filled.cold));
    plant(&volume, vec![(key::extent(large, BlockIndex(16)), None)]);
    plant(
        &volume,
        vec![(key::extent(cold, BlockIndex(160)), Some(extent_of(&volume, filled.cold, 0).encode()))],
    );
    plant(
        &volume,
        vec![(key::extent(ContentId(3), BlockIndex(0)), Some(extent_of(&volume, filled.cold, 0).encode()))],
    );
    plant(&volume, vec![(key::dead_content(content_of(&volume, filled.small)), Some(Vec::new()))]);
    let unknown = Extent {
        address: crate::data::BlockAddress {
            segment: SegmentId([9; 16]),
            ..extent_of(&volume, filled.large, 0).address
        },
        ..extent_of(&volume, filled.large, 0)
    };
    plant(&volume, vec![(key::extent(large, BlockIndex(0)), Some(unknown.encode()))]);
    let report = verify(&volume).await;
    let standard = |p: &Problem| matches!(p, Problem::InodeCounter { inode, counter: Counter { name: "Standard bytes", .. } } if *inode == filled.large);
    assert_eq!(assert_found(&report, standard), ["/large"]);
    let files =
        assert_found(&report, |p| *p == Problem::BehindEnd { inode: filled.cold, block: BlockIndex(160) });
    assert_eq!(files, ["/directory/cold"]);
    assert_found(&report, |p| matches!(p, Problem::ContentUnowned { content: ContentId(3), rows: 1 }));
    assert_found(&report, |p| matches!(p, Problem::ContentDoomed { .. }));
    assert_found(&report, |p| {
        matches!(p, Problem::SegmentCounter { counter: Counter { name: "live bytes", .. }, .. })
    });
    let files = assert_found(&report, |p| matches!(p, Problem::SegmentUnknown { extents: 1, .. }));
    assert_eq!(files, ["/large"]);
    plant_inode(&volume, filled.cold, |record| {
        if let Content::File { id, .. } = &mut record.content {
            *id = large;
        }
    });
    let report = verify(&volume).await;
    assert_found(&report, |p| matches!(p, Problem::ContentTwice { .. }));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_totals_and_undecodable_records_are_found() {
    let Planted { volume, filled, _home } = planted().await;
    let mut totals = volume.totals().unwrap();
    totals.files += 1;
    totals.next_id = 5;
    plant(&volume, vec![(key::totals(), Some(totals.encode()))]);
    plant(
        &volume,
        vec![(key::dead_content(ContentId(2)), Some(Vec::new())), (b"i123".to_vec(), Some(vec![1]))],
    );
    let report = verify(&volume).await;
    assert_found(&report, |p| matches!(p, Problem::Total(Counter { name: "files", .. })));
    assert_found(&report, |p| matches!(p, Problem::NextNumber { next: 5, .. }));
    assert_found(&report, |p| matches!(p, Problem::Record { .. }));
    plant(&volume, vec![(b"i123".to_vec(), None), (key::totals(), Some(Totals::default().encode()))]);
    plant(&volume, vec![(key::inode(filled.small), Some(vec![99]))]);
    let report = verify(&volume).await;
    assert_found(&report, |p| matches!(p, Problem::Record { what, .. } if what.contains("inode format")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn segments_and_files_that_do_not_fit_are_found() {
    let Planted { volume, filled, _home: home } = planted().await;
    let leaked = SegmentId([8; 16]);
    std::fs::write(home.files().join("segments").join(leaked.to_string()), b"x").unwrap();
    std::fs::write(home.files().join("segments/what"), b"x").unwrap();
    std::fs::write(home.files().join("journal/what"), b"x").unwrap();
    std::fs::write(home.files().join("checkpoint/99999999.delta"), b"x").unwrap();
    std::fs::write(home.files().join("what"), b"x").unwrap();
    let object = home.cold().join("segments/08").join(leaked.to_string());
    std::fs::create_dir_all(object.parent().unwrap()).unwrap();
    std::fs::write(object, b"x").unwrap();
    let report = verify(&volume).await;
    assert_eq!(report.count(Severity::Leak), 6, "{:#?}", report.findings);
    assert_eq!(report.findings.len(), 6);

    let local = extent_of(&volume, filled.large, 0).address.segment;
    let path = home.files().join("segments").join(local.to_string());
    std::fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(100).unwrap();
    let report = verify(&volume).await;
    let files = assert_found(&report, |p| matches!(p, Problem::SegmentShort { length: 100, .. }));
    assert!(files.contains(&"/large".to_owned()), "{files:?}");
    std::fs::remove_file(path).unwrap();
    let cold = extent_of(&volume, filled.cold, 0).address.segment;
    let shelf = home.cold().join("segments").join(&cold.to_string()[..2]);
    std::fs::remove_file(shelf.join(cold.to_string())).unwrap();
    let report = verify(&volume).await;
    for (tier, segment, file) in
        [(Tier::Standard, local, "/large"), (Tier::InfrequentAccess, cold, "/directory/cold")]
    {
        let files = assert_found(
            &report,
            |p| matches!(p, Problem::SegmentMissing { segment: s, tier: t, .. } if *s == segment && *t == tier),
        );
        assert!(files.contains(&file.to_owned()), "{files:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_rows_of_segments_are_found() {
    let Planted { volume, filled, _home } = planted().await;
    let segment = extent_of(&volume, filled.large, 0).address.segment;
    let row = |change: fn(&mut SegmentRecord)| {
        let mut record = volume.segments().unwrap()[&segment];
        change(&mut record);
        plant(&volume, vec![(key::segment(segment), Some(record.encode()))]);
    };
    row(|record| record.written_bytes = 1);
    let report = verify(&volume).await;
    let named = |name: &'static str| move |p: &Problem| matches!(p, Problem::SegmentCounter { counter, .. } if counter.name == name);
    assert_found(&report, named("written bytes"));
    row(|record| {
        record.state = SegmentState::Announced;
        record.tier = Tier::InfrequentAccess;
    });
    let report = verify(&volume).await;
    assert_found(&report, named("extents while it is only announced"));
    assert_found(&report, |p| matches!(p, Problem::SegmentTier { .. }));
}
