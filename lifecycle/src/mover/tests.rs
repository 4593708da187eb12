use std::time::Duration;

use engine::Error;
use tokio::sync::watch;

use super::*;
use crate::policy::{Policy, ToPrimary};
use crate::scripted::{ScriptedFiles, environment_at};

const LATE: i64 = 1_000_000;

async fn pass(files: &ScriptedFiles, bytes_per_second: Option<u64>) -> PassSummary {
    let environment = environment_at(LATE);
    let report = watch::Sender::new(None);
    let (_keep, stop) = watch::channel(false);
    let context =
        Context { environment: &environment, batch_bytes: 100, bytes_per_second, stop, report: &report };
    let policy = Policy { to_ia: Some("1h".parse().unwrap()), to_primary: ToPrimary::Never };
    aging_pass(files, policy, &context).await.unwrap()
}

fn away() -> Error {
    Error::Unavailable { reason: "connection refused".to_owned(), retry_after: Duration::from_secs(3) }
}

#[tokio::test(start_paused = true)]
async fn a_pass_moves_what_is_due_in_batches_and_sums_up() {
    let files = ScriptedFiles::hot(25, 10);
    let summary = pass(&files, None).await;
    let (moved, bytes, objects, put) = (summary.files, summary.bytes, summary.objects, summary.requests.put);
    assert_eq!((moved, bytes, objects, put), (25, 250, 3, 3));
    assert_eq!((summary.ending, summary.reason), (Ending::Complete, None));
    assert_eq!(files.0.lock().moved.first().unwrap().0, (1..=10).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn one_damaged_file_does_not_hold_up_the_others() {
    let files = ScriptedFiles::hot(40, 10);
    files.0.lock().damaged.insert(17);
    let summary = pass(&files, None).await;
    assert_eq!((summary.files, summary.failed, summary.ending), (39, 1, Ending::Complete));
    assert!(summary.reason.unwrap().contains("inode 17"));
    assert_eq!(files.standard_files(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_pass_stops_when_most_moves_fail() {
    let files = ScriptedFiles::hot(1_000, 10);
    let refused = || Error::Invalid { what: "nobody takes this" };
    files.0.lock().errors.extend(std::iter::repeat_with(refused).take(1_000));
    let summary = pass(&files, None).await;
    assert_eq!((summary.files, summary.failed, summary.ending), (0, 4, Ending::Stopped));
    assert!(summary.reason.unwrap().contains("more than half"));
}

/// A segment that is lost hits files that were written together, and are the oldest together in each pass.
#[tokio::test(start_paused = true)]
async fn a_pass_goes_past_damaged_files_however_many_stand_together() {
    let files = ScriptedFiles::hot(1_000, 10);
    files.0.lock().damaged.extend(1..=40);
    let summary = pass(&files, None).await;
    assert_eq!((summary.files, summary.failed, summary.ending), (960, 40, Ending::Complete));
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_away_for_a_while_only_delays() {
    let files = ScriptedFiles::hot(5, 10);
    files.0.lock().errors.extend([away(), away()]);
    let summary = pass(&files, None).await;
    assert_eq!((summary.files, summary.failed, summary.ending), (5, 0, Ending::Complete));
    assert!(summary.seconds >= 6.0, "{}", summary.seconds);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_stays_away_ends_the_pass() {
    let files = ScriptedFiles::hot(5, 10);
    files.0.lock().errors.extend(std::iter::repeat_with(away).take(1_000));
    let summary = pass(&files, None).await;
    assert_eq!((summary.files, summary.failed, summary.ending), (0, 0, Ending::Stopped));
    assert!(summary.reason.unwrap().contains("connection refused"));
}

#[tokio::test(start_paused = true)]
async fn a_full_disk_ends_the_pass_at_once() {
    let files = ScriptedFiles::hot(5, 10);
    files.0.lock().errors.push_back(Error::NoSpace);
    let summary = pass(&files, None).await;
    assert_eq!((summary.files, summary.requests.put, summary.ending), (0, 1, Ending::Stopped));
}

#[tokio::test(start_paused = true)]
async fn a_budget_slows_a_pass() {
    let files = ScriptedFiles::hot(30, 10);
    let summary = pass(&files, Some(50)).await;
    assert_eq!(summary.bytes, 300);
    assert!((6.0..6.1).contains(&summary.seconds), "{}", summary.seconds);
}
