//! Verification: whether everything that a file system says about itself is true.
//!
//! | file | what it looks at |
//! |---|---|
//! | [`namespace`] | inodes, directory entries, orphans, the age index, totals |
//! | [`reach`] | whether directories hang together |
//! | [`contents`] | extents and pieces, and the sums that inodes and segments keep of them |
//! | [`segments`] | segments against the files and objects that there are |
//! | [`strays`] | files that nobody knows |
//!
//! The structure is read through [`Look`](crate::volume::Look), so that the same code runs beside live traffic and within a
//! transaction. What is found beside traffic is a suspicion: [`settle`] looks again before it is reported.
//!
//! Joins go in passes over ranges of inode numbers and contents, so that memory is bounded by
//! [`VerifyOptions::memory_bytes`], however many files there are. In memory as a whole are only the rows of segments (as in all of the
//! engine) and the numbers of the directories that are known to be reachable, up to the same budget.

mod contents;
mod names;
mod namespace;
mod options;
mod problem;
mod reach;
mod report;
mod segments;
mod settle;
mod strays;
mod structure;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use crate::error::Result;
use crate::volume::Volume;

pub use options::{Depth, Stage, VerifyOptions, VerifyProgress};
pub use problem::{Counter, Problem, Severity};
pub use report::{Checked, Finding, VerifyReport};

impl Volume {
    /// Checks an open file system, while it is in use.
    pub(crate) async fn verify(
        self: &Arc<Self>,
        options: &VerifyOptions,
        progress: &VerifyProgress,
    ) -> Result<VerifyReport> {
        let volume = Arc::clone(self);
        let (own_options, own_progress) = (options.clone(), progress.clone());
        let mut found =
            crate::data::blocking(move || settle::structure(&volume, &own_options, &own_progress)).await?;
        progress.enter(Stage::Files, 0);
        segments::check(self, &mut found).await?;
        strays::check(self, &mut found)?;
        let volume = Arc::clone(self);
        crate::data::blocking(move || names::name(&volume, found)).await
    }
}
