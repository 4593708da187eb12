//! Passing rows: those that mostly go again before a fold, the pieces of files. What comes and goes between two folds reaches neither the
//! checkpoints nor the index, which would take much longer over it than over all else that a small write changes.
//!
//! # Crash consistency
//! The key of such a row says which record brought it, so that it is known where the row can be: above a fold that began before that
//! record it is in no checkpoint. A row that goes while its map is being folded is left out of the fold once the record that deletes it is
//! durable: a checkpoint without it is then followed by that record, whatever happens. If that record has no file to go to, it stays in.

use std::sync::atomic::{AtomicBool, Ordering};

use super::checkpoint::CheckpointView;
use super::index::Index;
use crate::error::Result;
use crate::identity::Lsn;
use crate::records::key::piece_lsn;

const FAMILY: &[u8] = b"p";
const BEHIND_FAMILY: &[u8] = b"q";
const KEY_BYTES: usize = 29;

/// The record that brought a row, if it is a passing one.
pub(super) fn came_with(key: &[u8]) -> Option<Lsn> {
    if key.len() == KEY_BYTES && key.starts_with(FAMILY) { piece_lsn(key) } else { None }
}

/// All passing rows.
pub(super) fn range() -> (&'static [u8], &'static [u8]) {
    (FAMILY, BEHIND_FAMILY)
}

/// Whether the index holds passing rows: mostly it does not, and need not be asked.
#[derive(Debug)]
pub(super) struct InIndex(AtomicBool);

impl InIndex {
    pub(super) fn look(index: &Index) -> Result<Self> {
        Ok(InIndex(AtomicBool::new(holds_any(index)?)))
    }

    /// The same of checkpoints that are read in its place.
    pub(super) fn look_in(checkpoints: &CheckpointView) -> Result<Self> {
        let (from, to) = range();
        let mut rows = checkpoints.range(from, to);
        let found = rows.find(|entry| !matches!(entry, Ok((_, None)))).transpose()?;
        Ok(InIndex(AtomicBool::new(found.is_some())))
    }

    /// Whether the index may have something from one key up to another. Asked after the snapshot of the overlay was taken, which has what
    /// is brought into the index later.
    pub(super) fn may_have(&self, from: &[u8], to: &[u8]) -> bool {
        let (first, behind) = range();
        from < first || to > behind || self.0.load(Ordering::Acquire)
    }

    /// Called before rows may be brought into the index.
    pub(super) fn expect_some(&self) {
        self.0.store(true, Ordering::Release);
    }

    /// Called after changes were brought into the index, before the overlay drops them.
    pub(super) fn look_again(&self, index: &Index) -> Result<()> {
        if self.0.load(Ordering::Acquire) {
            self.0.store(holds_any(index)?, Ordering::Release);
        }
        Ok(())
    }
}

fn holds_any(index: &Index) -> Result<bool> {
    let (from, to) = range();
    index.with_range(from, to, |mut rows| Ok(rows.next().transpose()?.is_some()))
}
