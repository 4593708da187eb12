//! The scrub reads everything in its round, goes on where it was, and says what it found.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Metadata, Subscriber, span};

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

/// What is logged while it is the subscriber.
#[derive(Clone, Default)]
struct Logged(Arc<Mutex<Vec<(Level, String)>>>);

struct Message(String);

impl Visit for Message {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        self.0 += &format!("{}={value:?} ", field.name());
    }
}

impl Subscriber for Logged {
    fn enabled(&self, _metadata: &Metadata<'_>) -> bool {
        true
    }
    fn new_span(&self, _span: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }
    fn record(&self, _span: &span::Id, _values: &span::Record<'_>) {}
    fn record_follows_from(&self, _span: &span::Id, _follows: &span::Id) {}
    fn event(&self, event: &Event<'_>) {
        let mut message = Message(String::new());
        event.record(&mut message);
        self.0.lock().push((*event.metadata().level(), message.0));
    }
    fn enter(&self, _span: &span::Id) {}
    fn exit(&self, _span: &span::Id) {}
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_note_that_cannot_be_read_is_reported_and_a_new_round_begins() {
    let home = Home::new();
    let volume = home.open().await;
    fill(&volume).await;
    volume.standard.close_active().await.unwrap();
    let options = ScrubOptions { every: Duration::from_secs(3600), bytes_per_second: u64::MAX };
    while volume.scrub_next(options).await.unwrap() {}
    assert!(!volume.scrub_next(options).await.unwrap());
    volume.set_note("scrub", Some(br#"{"version":2,"rounds":[]}"#)).await.unwrap().durable().await.unwrap();
    home.let_go(volume).await;

    let volume = home.open().await;
    let logged = Logged::default();
    tracing::subscriber::with_default(logged.clone(), || volume.start_scrub(options)).unwrap();
    let logged = logged.0.lock().clone();
    assert_eq!(logged.len(), 1, "{logged:?}");
    let (level, message) = &logged[0];
    assert!(
        *level == Level::WARN && message.contains("version 2") && message.contains("a new round"),
        "{message}"
    );
    // The round goes on by itself, and its end is noted over what could not be read.
    let over = || volume.note("scrub").unwrap().is_some_and(|note| note.starts_with(br#"{"version":1,"#));
    while !over() {
        tokio::task::yield_now().await;
    }
    volume.shutdown().await.unwrap();
}

/// In this time the round is over at once; as the scrub sees it, it took as long as its bytes.
#[tokio::test(start_paused = true)]
async fn a_round_takes_as_long_as_its_bytes_take_at_its_rate() {
    let home = Home::new();
    let volume = home.open().await;
    let file = create(&volume, InodeId::ROOT, b"file").await;
    write(&volume, file, 0, vec![5; 500_000]).await;
    volume.standard.close_active().await.unwrap();
    let options = ScrubOptions { every: Duration::from_secs(3600), bytes_per_second: 1000 };
    let start = tokio::time::Instant::now();
    while volume.scrub_next(options).await.unwrap() {}
    assert!(start.elapsed() >= Duration::from_secs(500), "{:?}", start.elapsed());
    volume.shutdown().await.unwrap();
}
