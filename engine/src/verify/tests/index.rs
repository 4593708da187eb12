//! The index of a file system that is not open is not read; a repair has it built anew, where there is something to build it from.

use std::sync::Arc;

use super::planted::plant;
use super::support::*;
use crate::FileSystem;
use crate::records::key;
use crate::verify::{Problem, Severity};
use crate::volume::Volume;

/// Closed in order, with an index that says something else than the checkpoints.
async fn with_a_false_index() -> Home {
    let home = Home::new();
    let volume = home.open().await;
    fill(&volume).await;
    plant(&volume, vec![(key::note("note"), Some(b"true".to_vec()))]);
    volume.store.fold().await.unwrap();
    volume.store.falsify_index(key::note("note"), b"false");
    close(&home, volume).await;
    home
}

async fn close(home: &Home, volume: Arc<Volume>) {
    volume.shutdown().await.unwrap();
    home.let_go(volume).await;
}

fn note(volume: &Volume) -> String {
    String::from_utf8_lossy(&volume.note("note").unwrap().unwrap()).into_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_trusts_an_index_that_was_closed_in_order() {
    let home = with_a_false_index().await;
    // Nothing is said of what is not read.
    assert_clean(&home.verify_offline(&deep()).await);
    let volume = home.open().await;
    assert_eq!(note(&volume), "false");
    let report = volume.verify(&deep(), &Default::default()).await.unwrap();
    assert!(
        matches!(&report.findings[..], [one] if matches!(one.problem, Problem::IndexDiffers { keys: 1, .. }))
    );
    // It is doubted from now on, so that the next start builds it anew.
    close(&home, volume).await;
    let volume = home.open().await;
    assert_eq!(note(&volume), "true");
    assert_clean(&volume.verify(&deep(), &Default::default()).await.unwrap());
    close(&home, volume).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_offline_repair_has_the_index_built_anew_though_all_else_is_clean() {
    let home = with_a_false_index().await;
    let repaired = home.repair_offline(&deep()).await;
    assert_clean(&repaired.report);
    assert_eq!(repaired.failed, Vec::<String>::new());
    assert!(repaired.done.iter().any(|done| done.contains("metadata index")), "{:?}", repaired.done);
    let volume = home.open().await;
    assert_eq!(note(&volume), "true");
    assert_clean(&volume.verify(&deep(), &Default::default()).await.unwrap());
    close(&home, volume).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_offline_repair_of_something_else_builds_the_index_anew_first() {
    let home = with_a_false_index().await;
    std::fs::write(home.files().join("segments/what"), b"x").unwrap();
    assert_eq!(home.verify_offline(&deep()).await.count(Severity::Leak), 1);
    let repaired = home.repair_offline(&deep()).await;
    assert!(repaired.report.findings.is_empty() && repaired.failed.is_empty(), "{repaired:#?}");
    assert!(
        repaired.done.len() == 2 && repaired.done[0].contains("build the metadata index"),
        "{:?}",
        repaired.done
    );
    let volume = home.open().await;
    assert_eq!(note(&volume), "true");
    close(&home, volume).await;
}

/// The index has all that the checkpoint had: without it the file system, of which this is all, would not open any more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_offline_repair_keeps_the_index_while_a_checkpoint_is_damaged() {
    let home = Home::new();
    let volume = home.open().await;
    let filled = fill(&volume).await;
    close(&home, volume).await;
    let checkpoint = home.files().join("checkpoint/00000001.delta");
    let mut bytes = std::fs::read(&checkpoint).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&checkpoint, bytes).unwrap();
    let marker = std::fs::read(home.files().join("index.marker")).unwrap();

    let repaired = home.repair_offline(&deep()).await;
    assert!(repaired.done.is_empty(), "{repaired:#?}");
    assert!(repaired.failed.iter().any(|text| text.contains("nothing was changed")), "{repaired:#?}");
    assert!(!repaired.report.is_clean());
    assert_eq!(std::fs::read(home.files().join("index.marker")).unwrap(), marker);
    let volume = home.open().await;
    let data = volume.read(filled.large, 0, 400_000).await.unwrap().parts.concat();
    assert!(data.len() == 400_000 && data.iter().all(|byte| *byte == 2));
    home.let_go(volume).await;
    std::fs::remove_file(home.files().join("index.marker")).unwrap();
    assert!(FileSystem::open(&home.data(), home.id(), home.options()).await.is_err());
}
