use std::time::Duration;

use engine::{Error, InodeId, Tier};

use super::*;
use crate::policy::ToPrimary;
use crate::scripted::{ScriptedFiles, environment_at};

const OPTIONS: Options = Options { batch_bytes: 1_000, bytes_per_second: None };

/// Files 1 to 10 were accessed at these seconds.
fn start(files: &ScriptedFiles, now: i64) -> Lifecycle<ScriptedFiles> {
    Lifecycle::start(files.clone(), environment_at(now), OPTIONS).unwrap()
}

fn to_ia(age: &str) -> PolicyChange {
    PolicyChange { to_ia: Some(crate::policy::parse_to_ia(age).unwrap()), to_primary: None }
}

async fn after(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}

#[tokio::test(start_paused = true)]
async fn a_policy_holds_at_once_and_over_restarts() {
    let files = ScriptedFiles::hot(10, 10);
    let lifecycle = start(&files, 100);
    assert_eq!(lifecycle.policy(), Policy::default());
    after(3_600).await;
    assert_eq!(files.standard_files(), 10);
    let policy = lifecycle.set_policy(to_ia("20s")).await.unwrap();
    after(1).await;
    assert_eq!(files.standard_files(), 0);
    assert!(lifecycle.status().last_pass.is_some_and(|pass| pass.files == 10));
    lifecycle.stop().await;
    assert_eq!(start(&files, 100).policy(), policy);
}

#[tokio::test(start_paused = true)]
async fn files_move_when_they_become_due() {
    let files = ScriptedFiles::hot(10, 10);
    let lifecycle = start(&files, 10);
    lifecycle.set_policy(to_ia("60s")).await.unwrap();
    after(50).await;
    assert_eq!(files.standard_files(), 10);
    after(30).await;
    assert_eq!(files.standard_files(), 0);
    let batches = files.0.lock().moved.len();
    assert!(batches <= 4, "files that become due one by one share objects: {batches}");
}

#[tokio::test(start_paused = true)]
async fn a_policy_that_is_off_moves_nothing() {
    let files = ScriptedFiles::hot(10, 10);
    let lifecycle = start(&files, 1_000_000_000);
    lifecycle.set_policy(to_ia("never")).await.unwrap();
    let moved = 10 - files.standard_files();
    after(100_000).await;
    assert_eq!(10 - files.standard_files(), moved);
    assert_eq!(lifecycle.status().next_pass, None);
    assert_eq!(lifecycle.run(None).await.unwrap().files, 0);
}

#[tokio::test(start_paused = true)]
async fn a_cold_read_promotes_only_under_the_policy_that_says_so() {
    let files = ScriptedFiles::hot(2, 10);
    let lifecycle = start(&files, 100);
    lifecycle.set_policy(to_ia("20s")).await.unwrap();
    after(5).await;
    lifecycle.set_policy(to_ia("never")).await.unwrap();
    files.0.lock().cold_reads.push(InodeId(1));
    after(5).await;
    let back = PolicyChange { to_ia: None, to_primary: Some(ToPrimary::OnFirstAccess) };
    lifecycle.set_policy(back).await.unwrap();
    after(5).await;
    assert_eq!(files.standard_files(), 0, "what was read before does not count");
    files.0.lock().cold_reads.extend([InodeId(2), InodeId(99)]);
    after(5).await;
    assert_eq!(files.0.lock().moved.last().unwrap(), &(vec![2], Tier::Standard));
    assert_eq!(lifecycle.status().promoted, Promoted { files: 1, bytes: 10 });
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_kept_for_status_and_forgotten_when_all_is_well() {
    let files = ScriptedFiles::hot(3, 10);
    files.0.lock().errors.push_back(Error::NoSpace);
    let lifecycle = start(&files, 100);
    lifecycle.set_policy(to_ia("20s")).await.unwrap();
    after(1).await;
    let error = lifecycle.status().last_error.unwrap();
    assert!(error.message.contains("no space") && error.times == 1, "{error:?}");
    after(60).await;
    assert_eq!((files.standard_files(), lifecycle.status().last_error), (0, None));
}

#[tokio::test(start_paused = true)]
async fn a_stop_ends_a_pass_that_waits() {
    let files = ScriptedFiles::hot(3, 10);
    let away = || Error::Unavailable { reason: "away".to_owned(), retry_after: Duration::from_secs(60) };
    files.0.lock().errors.extend(std::iter::repeat_with(away).take(100));
    let lifecycle = start(&files, 100);
    lifecycle.set_policy(to_ia("20s")).await.unwrap();
    after(1).await;
    let before = tokio::time::Instant::now();
    lifecycle.stop().await;
    assert!(before.elapsed() < Duration::from_secs(1));
    assert!(matches!(lifecycle.run(None).await, Err(crate::Error::ShuttingDown)));
}
