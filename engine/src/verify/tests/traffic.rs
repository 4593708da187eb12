//! A verification beside traffic finds nothing that is not there.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use super::support::*;
use crate::identity::InodeId;
use crate::tiering::Tier;
use crate::verify::{VerifyOptions, VerifyProgress};
use crate::volume::Volume;
use crate::{Credential, Entry};

async fn churn(volume: Arc<Volume>, stop: Arc<AtomicBool>, all_rounds: Arc<AtomicU32>, seed: u32) {
    let root = Credential::root();
    let own = mkdir(&volume, InodeId::ROOT, format!("own-{seed}").as_bytes()).await;
    let mut rounds = 0;
    while !stop.load(Ordering::Relaxed) {
        let name = format!("churn-{}", rounds % 5);
        let file = create(&volume, own, name.as_bytes()).await;
        write(&volume, file, 0, vec![1; 200_000]).await;
        write(&volume, file, 70_000, vec![2; 100]).await;
        let to = Entry { directory: InodeId::ROOT, name: format!("moved-{seed}-{}", rounds % 3).as_bytes() }
            .name
            .to_vec();
        let (from, to) =
            (Entry { directory: own, name: name.as_bytes() }, Entry { directory: InodeId::ROOT, name: &to });
        drop(volume.rename(&root, from, to).await.unwrap());
        if rounds % 4 == 0 {
            volume.transition(&[file], Tier::InfrequentAccess).await.unwrap();
        }
        volume.fold_pieces(true).await.unwrap();
        rounds += 1;
        all_rounds.fetch_add(1, Ordering::Relaxed);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_found_beside_traffic() {
    beside_traffic(VerifyOptions::default()).await;
}

/// Nothing ever stands still, and each pass takes few inodes: what the two looks at a record explain is not reported.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_found_in_a_large_file_system_beside_traffic() {
    beside_traffic(VerifyOptions { standing_inodes_max: 0, memory_bytes: 1, ..VerifyOptions::default() })
        .await;
}

async fn beside_traffic(options: VerifyOptions) {
    let home = Home::new();
    let volume = home.open().await;
    volume.release_orphans().await.unwrap();
    fill(&volume).await;
    let stop = Arc::new(AtomicBool::new(false));
    let rounds = Arc::new(AtomicU32::new(0));
    let churners: Vec<_> = (0..3)
        .map(|seed| tokio::spawn(churn(Arc::clone(&volume), Arc::clone(&stop), Arc::clone(&rounds), seed)))
        .collect();
    let mut verifications = 0;
    while verifications < 20 || rounds.load(Ordering::Relaxed) < 30 {
        let report = volume.verify(&options, &VerifyProgress::default()).await.unwrap();
        assert!(report.is_clean(), "{:#?}", report.findings);
        verifications += 1;
    }
    stop.store(true, Ordering::Relaxed);
    for churner in churners {
        churner.await.unwrap();
    }
    assert_clean(&verify(&volume).await);
    volume.shutdown().await.unwrap();
}
