//! Damage to bytes is found, with the files that it hits; offline too.

use super::support::*;
use crate::verify::{Depth, Problem, Severity, VerifyOptions, VerifyProgress};

fn options() -> VerifyOptions {
    VerifyOptions { depth: Depth { local: true, bucket: true }, ..VerifyOptions::default() }
}

fn flip(path: &std::path::Path, at: usize) {
    let mut bytes = std::fs::read(path).unwrap();
    bytes[at] ^= 0x10;
    std::fs::write(path, bytes).unwrap();
}

fn only_file(directory: std::path::PathBuf) -> std::path::PathBuf {
    let mut files = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let file = files.next().unwrap();
    assert!(files.next().is_none());
    if file.is_dir() { only_file(file) } else { file }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_is_read_and_clean_open_killed_and_closed() {
    let home = Home::new();
    let volume = home.open().await;
    fill(&volume).await;
    let report = volume.verify(&options(), &VerifyProgress::default()).await.unwrap();
    assert_clean(&report);
    assert!(report.checked.bytes > 600_000, "{:?}", report.checked);
    volume.store.checkpoint().await.unwrap();
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
    // Nothing is moved or collected by itself, so that there is one segment.
    volume.closing.store(true, std::sync::atomic::Ordering::Release);
    let filled = fill(&volume).await;
    volume.transition(&[filled.small, filled.large, filled.orphan], crate::Tier::Standard).await.unwrap();
    volume.fold_pieces(true).await.unwrap();
    let segment = only_file(home.files().join("segments"));
    let object = only_file(home.cold().join("segments"));
    let length = std::fs::metadata(&segment).unwrap().len() as usize;
    flip(&segment, length / 2);
    flip(&object, std::fs::metadata(&object).unwrap().len() as usize - 1);
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
    volume.store.checkpoint().await.unwrap();
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
