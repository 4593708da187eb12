//! For fuzzing: segments as files.

use std::path::Path;
use std::sync::Arc;

use super::files::SegmentFiles;
use crate::data::format::fuzzing::{SEGMENT, file_system, genuine, keys, opener};
use crate::data::format::{BATCH_HEADER_BYTES, DirectoryEntry, HEADER_BYTES};
use crate::error::Result;
use crate::fuzzing::input::{Input, damages};
use crate::fuzzing::memory::MemoryDisk;
use crate::fuzzing::{Decoder, must};

pub(crate) const DECODERS: &[Decoder] = &[
    Decoder { name: "segment-file", run: file, seeds: || vec![genuine()] },
    Decoder { name: "segment-file-damage", run: damage, seeds: damages },
];

/// A batch of the genuine segment: where its header and directory are, where it ends, and what is in it.
struct Batch {
    start: usize,
    described: usize,
    end: usize,
    entries: Vec<DirectoryEntry>,
}

fn batches(segment: &[u8]) -> Vec<Batch> {
    let (mut batches, mut start) = (Vec::new(), HEADER_BYTES);
    while start < segment.len() {
        let slice = |from: usize, length: usize| segment.get(from..from + length).unwrap_or_default();
        let header = must(opener().open_batch_header(start as u64, slice(start, BATCH_HEADER_BYTES)));
        let directory = slice(start + BATCH_HEADER_BYTES, header.directory_bytes());
        let entries = must(opener().open_directory(&header, directory));
        let described = start + BATCH_HEADER_BYTES + header.directory_bytes();
        let end = must(usize::try_from(header.end()));
        batches.push(Batch { start, described, end, entries });
        start = end;
    }
    batches
}

fn directory(bytes: &[u8]) -> Result<Vec<DirectoryEntry>> {
    let place = Path::new("/segments");
    let disk = MemoryDisk::with(&place.join(SEGMENT.to_string()), bytes);
    SegmentFiles::open(place, Arc::new(disk), keys(), file_system())?.directory(SEGMENT)
}

/// What is found are the first batches, and no whole batch stands behind them.
fn file(data: &[u8]) {
    let Ok(found) = directory(data) else { return };
    let genuine = genuine();
    let batches = batches(&genuine);
    let all: Vec<DirectoryEntry> = batches.iter().flat_map(|batch| batch.entries.clone()).collect();
    assert!(all.starts_with(&found));
    let mut before = 0;
    for batch in batches {
        let described = batch.start..batch.described;
        let whole = data.len() >= batch.end && data.get(described.clone()) == genuine.get(described);
        assert!(!whole || before < found.len(), "a whole batch is left out");
        before += batch.entries.len();
    }
}

fn damage(data: &[u8]) {
    file(&Input::new(data).damage(&genuine()));
}
