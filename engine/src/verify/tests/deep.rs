//! Damage to bytes is found, with the files that it hits; offline too.

use super::support::*;
use crate::records::{Extent, key};
use crate::verify::{Depth, Problem, Severity, VerifyOptions, VerifyProgress};
use crate::volume::Look;

fn options() -> VerifyOptions {
    VerifyOptions { depth: Depth { local: true, bucket: true }, ..VerifyOptions::default() }
}

fn flip(path: &std::path::Path, at: usize) {
    let mut bytes = std::fs::read(path).unwrap();
    bytes[at] ^= 0x10;
    std::fs::write(path, bytes).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_is_read_and_clean_open_killed_and_closed() {
    let home = Home::new();
    let volume = home.open().await;
    fill(&volume).await;
    let report = volume.verify(&options(), &VerifyProgress::default()).await.unwrap();
    assert_clean(&report);
    assert!(report.checked.bytes > 600_000, "{:?}", report.checked);
    volume.store.fold().await.unwrap();
    let report = volume.verify(&options(), &VerifyProgress::default()).await.unwrap();
    assert_clean(&report);
    home.let_go(volume).await;
    let killed = home.verify_offline(&options()).await;
    assert_clean(&killed);
    let volume = home.open().await;
    volume.shutdown().await.unwrap();
    home.let_go(volume).await;
    let closed = home.verify_offline(&options()).await;
    assert_clean(&closed);
    assert_eq!(closed.checked.inodes, killed.checked.inodes);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_block_names_its_file_and_the_others_are_read_on() {
    let home = Home::new();
    let volume = home.open().await;
    let filled = fill(&volume).await;
    volume.transition(&[filled.small, filled.large, filled.orphan], crate::Tier::Standard).await.unwrap();
    volume.fold_pieces(true).await.unwrap();
    for tier in [crate::Tier::Standard, crate::Tier::InfrequentAccess] {
        let extents = volume.store.scan_all(&key::family(b'e', b"")).unwrap();
        let mut extents = extents.iter().map(|(_, value)| Extent::decode(value).unwrap());
        let needed = extents.find(|extent| extent.tier == tier).unwrap().address;
        let name = needed.segment.to_string();
        let file = match tier {
            crate::Tier::Standard => home.files().join("segments").join(name),
            crate::Tier::InfrequentAccess => home.cold().join("segments").join(&name[..2]).join(name),
        };
        flip(&file, needed.offset as usize);
    }
    let report = volume.verify(&options(), &VerifyProgress::default()).await.unwrap();
    assert_eq!(report.findings.len(), 2, "{:#?}", report.findings);
    assert_eq!(report.count(Severity::Damage), 2);
    assert!(matches!(report.findings[0].problem, Problem::BlockDamaged { tier: crate::Tier::Standard, .. }));
    assert_eq!(report.findings[1].files, ["/directory/cold"]);
    home.let_go(volume).await;
    let offline = home.verify_offline(&options()).await;
    assert_eq!(offline.findings, report.findings);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn damaged_metadata_is_reported_open_and_closed() {
    let home = Home::new();
    let volume = home.open().await;
    fill(&volume).await;
    volume.store.fold().await.unwrap();
    for name in ["superblock", "checkpoint/MANIFEST"] {
        let path = home.files().join(name);
        let whole = std::fs::read(&path).unwrap();
        flip(&path, whole.len() / 2);
        let report = volume.verify(&options(), &VerifyProgress::default()).await.unwrap();
        assert_eq!(report.findings.len(), 1, "{name}: {:#?}", report.findings);
        assert!(matches!(&report.findings[0].problem, Problem::FileDamaged { path: p, .. } if *p == path));
        std::fs::write(&path, whole).unwrap();
    }
    home.let_go(volume).await;
    for name in ["superblock", "checkpoint/MANIFEST", "checkpoint/00000001.delta", "journal/00000001.journal"]
    {
        let path = home.files().join(name);
        let whole = std::fs::read(&path).unwrap();
        flip(&path, 60);
        let report = home.verify_offline(&options()).await;
        assert!(
            report
                .findings
                .iter()
                .any(|f| matches!(&f.problem, Problem::FileDamaged { path: p, .. } if *p == path)),
            "{name}: {:#?}",
            report.findings
        );
        std::fs::write(&path, whole).unwrap();
    }
    assert_clean(&home.verify_offline(&options()).await);
}
