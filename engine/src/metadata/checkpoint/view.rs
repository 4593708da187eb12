//! Reading checkpoints at any key, without an index: for verification offline.

use std::path::Path;

use bytes::Bytes;

use super::manifest::Manifest;
use super::reader::{CheckpointReader, ChunkPlace};
use crate::error::Result;
use crate::home::Home;
use crate::metadata::merge::{Layer, Merge};

/// The files of a manifest, with the first key of each of their chunks in memory.
pub(crate) struct CheckpointView {
    newest_first: Vec<ViewedFile>,
}

struct ViewedFile {
    reader: CheckpointReader,
    chunks: Vec<(Bytes, ChunkPlace)>,
}

impl CheckpointView {
    /// Reads all files once, which authenticates all of them. `read` is told how many bytes were.
    pub(crate) fn load(
        home: &Home,
        directory: &Path,
        manifest: &Manifest,
        mut read: impl FnMut(u64) -> Result<()>,
    ) -> Result<CheckpointView> {
        let mut newest_first = Vec::with_capacity(manifest.files.len());
        for file in manifest.files.iter().rev() {
            let mut reader = CheckpointReader::open(home, directory, file)?;
            reader.check_length()?;
            let whole = reader.clone();
            let mut chunks = Vec::new();
            loop {
                let place = reader.next_place();
                let Some(entry) = reader.next() else { break };
                let (key, _) = entry?;
                chunks.extend(place.map(|place| (key, place)));
            }
            read(file.bytes)?;
            newest_first.push(ViewedFile { reader: whole, chunks });
        }
        Ok(CheckpointView { newest_first })
    }

    /// The entries from a key on. Deletions are among them.
    pub(crate) fn entries_from(&self, from: &[u8]) -> Vec<Layer<'_>> {
        self.newest_first.iter().map(|file| file.entries_from(from.to_vec())).collect()
    }

    /// All live entries.
    pub(crate) fn merged(&self, from: &[u8]) -> Merge<'_> {
        Merge::new(self.entries_from(from))
    }
}

impl ViewedFile {
    fn entries_from(&self, from: Vec<u8>) -> Layer<'_> {
        let behind = self.chunks.partition_point(|(first, _)| first.as_ref() <= from.as_slice());
        let Some((_, place)) = self.chunks.get(behind.saturating_sub(1)) else {
            return Box::new(std::iter::empty());
        };
        let entries = self.reader.from(*place);
        Box::new(
            entries
                .skip_while(move |entry| entry.as_ref().is_ok_and(|(key, _)| key.as_ref() < from.as_slice())),
        )
    }
}
