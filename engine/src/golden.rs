//! Golden files: what this engine wrote once is written the same today, and is read.
//!
//! Formats that are private to a room stand in the room (`journal::golden`, …); all are listed here. `file_system` is a whole file
//! system that was made once.

mod file_system;
pub(crate) mod fixed;
mod records;

use std::path::{Path, PathBuf};

use ::golden::Format;

/// Where the golden files are.
fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata")
}

fn formats() -> Vec<Format> {
    [
        crate::keys::golden::FORMATS,
        crate::journal::golden::FORMATS,
        crate::metadata::golden::CHECKPOINT,
        crate::metadata::golden::INDEX,
        records::FORMATS,
        crate::data::standard::golden::FORMATS,
        crate::tiers::cold::golden::FORMATS,
        crate::upkeep::scrub::golden::FORMATS,
    ]
    .concat()
}

#[test]
fn what_was_written_once_is_written_the_same_and_read() {
    let archives = [
        file_system::MADE.archives,
        file_system::MADE_BEFORE_TREES.archives,
        file_system::MADE_BEFORE_PAGES.archives,
    ]
    .concat();
    ::golden::check(&directory(), &formats(), &archives);
}
