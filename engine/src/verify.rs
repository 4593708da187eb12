//! Verification: whether everything that a file system says about itself is true.
//!
//! | file | what it looks at |
//! |---|---|
//! | [`namespace`] | inodes, directory entries, orphans, the age index, totals |
//! | [`node`] | what is wrong with one inode, once all is known of it |
//! | [`reach`] | whether directories hang together |
//! | [`contents`] | extents and pieces, and the sums that inodes and segments keep of them |
//! | [`segments`] | segments against the files and objects that there are |
//! | [`strays`] | files that nobody knows |
//! | [`repair`] | what can be mended |
//! | [`offline`] | a file system that is not open |
//! | [`deep`] | every byte of journal, checkpoints, segments and objects; and the index, if it is open |
//!
//! The structure is read through [`Look`](crate::volume::Look), so that the same code runs beside live traffic and within a
//! transaction. What is found beside traffic is a suspicion: [`settle`] looks again before it is reported.
//!
//! Joins go in passes over ranges of inode numbers and contents, so that memory is bounded by
//! [`VerifyOptions::memory_bytes`], however many files there are. In memory as a whole are only the rows of segments (as in all of the
//! engine) and the numbers of the directories that are known to be reachable, up to the same budget.

mod contents;
mod deep;
mod mend;
mod names;
mod namespace;
mod node;
pub(crate) mod offline;
mod options;
mod problem;
mod reach;
mod repair;
mod report;
mod segments;
mod settle;
mod shared;
mod site;
mod strays;
mod structure;
#[cfg(test)]
mod tests;
mod throttle;

use std::sync::Arc;

use tokio::runtime::RuntimeFlavor;

use crate::error::Result;
use crate::identity::SegmentId;
use crate::volume::Volume;

pub use options::{Depth, Stage, VerifyOptions, VerifyProgress};
pub use problem::{Counter, Problem, Severity};
pub use report::{Checked, Finding, Repaired, Unused, VerifyReport};
use site::Site;
use structure::Found;

impl Volume {
    /// Checks an open file system, while it is in use.
    pub(crate) async fn verify(
        self: &Arc<Self>,
        options: &VerifyOptions,
        progress: &VerifyProgress,
    ) -> Result<VerifyReport> {
        let found = Found::new(options.findings_max);
        if tokio::runtime::Handle::current().runtime_flavor() == RuntimeFlavor::CurrentThread {
            // There is nobody whom scans could hold up but whoever waits for this.
            return site_report(&Site::live(self), options, progress, found).await;
        }
        let volume = Arc::clone(self);
        let (options, progress) = (options.clone(), progress.clone());
        // Scans block, and requests to the object store do not: both are done from one thread that may block.
        aside(async move { site_report(&Site::live(&volume), &options, &progress, found).await }).await
    }
}

/// Runs what blocks now and then beside the threads that serve requests.
async fn aside<T: Send + 'static>(work: impl Future<Output = Result<T>> + Send + 'static) -> Result<T> {
    let runtime = tokio::runtime::Handle::current();
    crate::threads::blocking(move || runtime.block_on(work)).await
}

/// Reads one segment of the Standard tier whole; for the scrub.
pub(crate) async fn verify_segment(
    volume: &Volume,
    segment: SegmentId,
    bytes_per_second: u64,
    progress: &VerifyProgress,
) -> Result<VerifyReport> {
    let site = Site::live(volume);
    let mut found = Found::new(VerifyOptions::default().findings_max);
    let throttle = throttle::Throttle::new(Some(bytes_per_second));
    let source = deep::segments::Source::Local;
    deep::segments::check_segment(&site, segment, &source, (&throttle, progress), &mut found).await?;
    Ok(names::name(site.look, found))
}

async fn site_report(
    site: &Site<'_>,
    options: &VerifyOptions,
    progress: &VerifyProgress,
    before: Found,
) -> Result<VerifyReport> {
    let mut found = settle::structure(site, options, progress)?;
    found.prepend(before);
    progress.enter(Stage::Files, 0);
    let looked = segments::check(site, &mut found).await;
    found.excuse(looked)?;
    strays::check(site, &mut found)?;
    deep::check(site, options, progress, &mut found).await?;
    Ok(names::name(site.look, found))
}
