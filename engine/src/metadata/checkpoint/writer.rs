//! Writing a checkpoint file.

use std::path::Path;
use std::sync::Arc;

use super::file::{self, ChunkKind, Footer};
use super::manifest::FileEntry;
use crate::broken::{Broken, broken};
use crate::codec::Writer;
use crate::disk::{DiskFile, OpenHow, sync_parent};
use crate::error::{Error, Result};
use crate::home::Home;
use crate::journal::record::encode_change;
use crate::keys::SealingKey;
use crate::limits::{CHECKPOINT_CHUNK_BYTES, SYNC_BYTES};
use crate::metadata::overlay::Entry;

/// Writes all entries and makes the file durable; returns the entry of the manifest with its counts.
pub(super) fn write(
    home: &Home,
    path: &Path,
    planned: FileEntry,
    entries: impl Iterator<Item = Result<Entry>>,
) -> Result<FileEntry> {
    let mut chunks = ChunkWriter::create(home, path, &planned)?;
    let mut pending = Writer::with_capacity(CHECKPOINT_CHUNK_BYTES * 2);
    let mut count = 0;
    for entry in entries {
        let (key, value) = entry?;
        encode_change(&mut pending, &key, value.as_ref());
        count += 1;
        if pending.len() >= CHECKPOINT_CHUNK_BYTES {
            let full = std::mem::replace(&mut pending, Writer::with_capacity(CHECKPOINT_CHUNK_BYTES * 2));
            chunks.write(ChunkKind::Entries, full.into_vec())?;
        }
    }
    if pending.len() > 0 {
        chunks.write(ChunkKind::Entries, pending.into_vec())?;
    }
    let footer = Footer { entries: count, chunks: chunks.next_chunk };
    chunks.write(ChunkKind::Footer, footer.encode())?;
    let bytes = chunks.finish()?;
    sync_parent(home.disk.as_ref(), path)?;
    Ok(FileEntry { bytes, entries: count, ..planned })
}

pub(super) struct ChunkWriter<'a> {
    path: &'a Path,
    file: Arc<dyn DiskFile>,
    key: SealingKey,
    header: Vec<u8>,
    offset: u64,
    synced: u64,
    pub(super) next_chunk: u64,
}

impl<'a> ChunkWriter<'a> {
    pub(super) fn create(home: &Home, path: &'a Path, planned: &FileEntry) -> Result<Self> {
        // A file of that name can only be what an attempt that failed could not remove.
        home.disk.remove(path).map_err(Error::io("cannot remove", path))?;
        let file = home.disk.open(path, OpenHow::CreateNew).map_err(Error::io("cannot create", path))?;
        let header = planned.header();
        let key = header.sealing_key(home, path)?;
        let header = header.encode(home);
        file.write_all_at(&header, 0).map_err(Error::io("cannot write", path))?;
        let offset = header.len() as u64;
        Ok(ChunkWriter { path, file, key, header, offset, synced: 0, next_chunk: 0 })
    }

    pub(super) fn write(&mut self, kind: ChunkKind, mut content: Vec<u8>) -> Result<()> {
        let too_large = Error::Invalid { what: "a checkpoint chunk of more than 4 GiB" };
        let length = u32::try_from(content.len()).map_err(|_| too_large)?;
        let mut chunk = file::encode_chunk_header(kind, length);
        let bound = [self.header.as_slice(), chunk.as_slice()].concat();
        self.key.seal(self.next_chunk, &bound, &mut content)?;
        chunk.append(&mut content);
        self.file.write_all_at(&chunk, self.offset).map_err(Error::io("cannot write", self.path))?;
        self.offset += chunk.len() as u64;
        self.next_chunk += 1;
        if self.offset - self.synced >= SYNC_BYTES {
            self.sync()?;
        }
        Ok(())
    }

    fn sync(&mut self) -> Result<()> {
        self.synced = self.offset;
        self.file.sync_data().map_err(Error::io("cannot sync", self.path))
    }

    pub(super) fn finish(self) -> Result<u64> {
        if !broken(Broken::CheckpointNotSynced) {
            self.file.sync_data().map_err(Error::io("cannot sync", self.path))?;
        }
        Ok(self.offset)
    }
}
