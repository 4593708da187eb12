//! The scrub reads everything in its round, goes on where it was, and says what it found.

use std::time::Duration;

use super::support::*;
use crate::{HealthState, InodeId, ScrubOptions};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_round_finds_damage_and_is_not_repeated_before_its_time() {
    let home = Home::new();
    let volume = home.open().await;
    fill(&volume).await;
    volume.standard.close_active().await.unwrap();
    let second = create(&volume, InodeId::ROOT, b"second").await;
    write(&volume, second, 0, vec![5; 200_000]).await;
    let segment = volume.standard.active().unwrap();
    let path = home.files().join("segments").join(segment.to_string());
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&path, bytes).unwrap();

    let options = ScrubOptions { every: Duration::from_secs(3600), bytes_per_second: u64::MAX };
    let mut read = 0;
    while volume.scrub_next(options).await.unwrap() {
        read += 1;
    }
    assert_eq!(read, volume.standard.list().unwrap().len());
    assert!(!volume.scrub_next(options).await.unwrap());
    let health = volume.status().unwrap().health;
    assert_eq!(health.state, HealthState::Degraded);
    assert!(health.reasons.iter().any(|reason| reason.contains("/second")), "{:?}", health.reasons);

    // The state is there after a start, and a round of an hour ago is followed by another one.
    home.let_go(volume).await;
    let volume = home.open().await;
    volume.start_scrub(options).unwrap();
    assert_eq!(volume.status().unwrap().health.state, HealthState::Degraded);
    let often = ScrubOptions { every: Duration::ZERO, ..options };
    assert!(volume.scrub_next(often).await.unwrap());
    volume.shutdown().await.unwrap();
}
