//! The task that brings files back to Standard which were read while they were cold.
//!
//! It runs beside the passes to Infrequent Access: a file that was just read is not due, so that the two never want the same.

use std::sync::Arc;

use tokio::sync::watch;

use super::{Shared, TICK, changed, stopped};
use crate::files::TieredFiles;
use crate::mover::promotion_pass;
use crate::policy::ToPrimary;

/// Files taken at once.
const TAKEN_MAX: usize = 1_000;

pub(super) async fn run<F: TieredFiles>(shared: Arc<Shared<F>>) {
    let mut stop = shared.stop.clone();
    let mut policy = shared.policy.subscribe();
    loop {
        let way = policy.borrow_and_update().to_primary;
        let slept = async {
            match way {
                ToPrimary::OnFirstAccess => tokio::time::sleep(TICK).await,
                ToPrimary::Never => std::future::pending().await,
            }
        };
        tokio::select! {
            () = stopped(&mut stop) => return,
            () = changed(&mut policy) => {
                if way == ToPrimary::Never {
                    // What was read before the policy asked for it does not count.
                    while !shared.files.take_cold_reads(TAKEN_MAX).is_empty() {}
                }
                continue;
            }
            () = slept => {}
        }
        let read = shared.files.take_cold_reads(TAKEN_MAX);
        if !read.is_empty() {
            promote(&shared, &read).await;
        }
    }
}

async fn promote<F: TieredFiles>(shared: &Shared<F>, read: &[engine::InodeId]) {
    // The progress that callers see is that of the passes to Infrequent Access.
    let unseen = watch::Sender::new(None);
    let context = shared.context(shared.options.bytes_per_second, &unseen);
    let policy = *shared.policy.borrow();
    let result = promotion_pass(&shared.files, policy, read, &context).await;
    let now = shared.environment.clock.now();
    let mut record = shared.record.lock();
    match result {
        Ok(summary) => {
            record.promoted.files += summary.files;
            record.promoted.bytes += summary.bytes;
            if let Some(reason) = summary.reason {
                record.failed(reason, now);
            }
        }
        Err(error) => record.failed(error.to_string(), now),
    }
}
