//! Golden files: what this gateway wrote, and what was written for it, is read today.

use std::path::Path;

#[test]
fn what_was_written_once_is_written_the_same_and_read() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata");
    let formats = [crate::nfs4::golden::FORMATS, crate::config::golden::FORMATS].concat();
    ::golden::check(&directory, &formats, &[]);
}
