//! Writing a checkpoint file.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;

use super::file::{self, ChunkKind, FOOTER_COUNTER, Footer, Tree, VERSION};
use super::manifest::FileEntry;
use super::tree::{ChunkPlace, Node, TreeBuilder};
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
    let mut pending = Pending::default();
    let mut count = 0;
    for entry in entries {
        let (key, value) = entry?;
        encode_change(&mut pending.content, &key, value.as_ref());
        pending.first.get_or_insert(key);
        count += 1;
        if pending.content.len() >= CHECKPOINT_CHUNK_BYTES {
            chunks.entries(&mut pending)?;
        }
    }
    chunks.entries(&mut pending)?;
    let bytes = chunks.finish(count)?;
    sync_parent(home.disk.as_ref(), path)?;
    Ok(FileEntry { bytes, entries: count, ..planned })
}

/// Entries that become a chunk.
#[derive(Default)]
struct Pending {
    first: Option<Bytes>,
    content: Writer,
}

pub(super) struct ChunkWriter<'a> {
    path: &'a Path,
    file: Arc<dyn DiskFile>,
    key: SealingKey,
    header: Vec<u8>,
    offset: u64,
    synced: u64,
    next_chunk: u64,
    tree: TreeBuilder,
}

impl<'a> ChunkWriter<'a> {
    pub(super) fn create(home: &Home, path: &'a Path, planned: &FileEntry) -> Result<Self> {
        // A file of that name can only be what an attempt that failed could not remove.
        home.disk.remove(path).map_err(Error::io("cannot remove", path))?;
        let file = home.disk.open(path, OpenHow::CreateNew).map_err(Error::io("cannot create", path))?;
        let header = planned.header();
        let key = header.sealing_key(home, path)?;
        let header = header.encode(home, VERSION);
        file.write_all_at(&header, 0).map_err(Error::io("cannot write", path))?;
        let offset = header.len() as u64;
        let tree = TreeBuilder::default();
        Ok(ChunkWriter { path, file, key, header, offset, synced: 0, next_chunk: 0, tree })
    }

    /// Writes the entries, if there are any, and the nodes that are full with them.
    fn entries(&mut self, pending: &mut Pending) -> Result<()> {
        let Some(first) = pending.first.take() else { return Ok(()) };
        let next = Writer::with_capacity(CHECKPOINT_CHUNK_BYTES * 2);
        let content = std::mem::replace(&mut pending.content, next);
        self.entries_chunk(&first, content.into_vec())
    }

    pub(super) fn entries_chunk(&mut self, first: &Bytes, content: Vec<u8>) -> Result<()> {
        let place = self.write(ChunkKind::Entries, content)?;
        self.tree.entries(first, place);
        while let Some(node) = self.tree.full() {
            self.node(node)?;
        }
        Ok(())
    }

    fn node(&mut self, mut node: Node) -> Result<()> {
        let place = self.write(ChunkKind::Node, std::mem::take(&mut node.content))?;
        self.tree.node(&node, place);
        Ok(())
    }

    /// Writes a chunk; returns where.
    fn write(&mut self, kind: ChunkKind, content: Vec<u8>) -> Result<ChunkPlace> {
        let counter = match kind {
            ChunkKind::Entries | ChunkKind::Node => self.next_chunk,
            ChunkKind::Footer => FOOTER_COUNTER,
        };
        self.write_sealed_with(counter, kind, content)
    }

    fn write_sealed_with(
        &mut self,
        counter: u64,
        kind: ChunkKind,
        mut content: Vec<u8>,
    ) -> Result<ChunkPlace> {
        let place = ChunkPlace { number: self.next_chunk, offset: self.offset };
        let too_large = Error::Invalid { what: "a checkpoint chunk of more than 4 GiB" };
        let length = u32::try_from(content.len()).map_err(|_| too_large)?;
        let mut chunk = file::encode_chunk_header(kind, length);
        let bound = [self.header.as_slice(), chunk.as_slice()].concat();
        self.key.seal(counter, &bound, &mut content)?;
        chunk.append(&mut content);
        self.file.write_all_at(&chunk, self.offset).map_err(Error::io("cannot write", self.path))?;
        self.offset += chunk.len() as u64;
        self.next_chunk += 1;
        if self.offset - self.synced >= SYNC_BYTES {
            self.sync()?;
        }
        Ok(place)
    }

    fn sync(&mut self) -> Result<()> {
        self.synced = self.offset;
        self.file.sync_data().map_err(Error::io("cannot sync", self.path))
    }

    /// Ends the tree and the file, and makes it durable; returns its length.
    pub(super) fn finish(mut self, entries: u64) -> Result<u64> {
        while let Some(node) = self.tree.last() {
            self.node(node)?;
        }
        let tree = self.tree.root().map_or(Tree::Empty, Tree::Root);
        let footer = Footer { entries, chunks: self.next_chunk, tree };
        self.write(ChunkKind::Footer, footer.encode())?;
        if !broken(Broken::CheckpointNotSynced) {
            self.file.sync_data().map_err(Error::io("cannot sync", self.path))?;
        }
        Ok(self.offset)
    }
}

/// As the first version wrote a file: without a tree.
#[cfg(test)]
pub(super) fn write_without_tree(
    home: &Home,
    path: &Path,
    planned: FileEntry,
    chunks: &[Vec<Entry>],
) -> Result<FileEntry> {
    let mut writer = ChunkWriter::create(home, path, &planned)?;
    writer.header = planned.header().encode(home, 1);
    writer.file.write_all_at(&writer.header, 0).map_err(Error::io("cannot write", path))?;
    let mut entries = 0;
    for chunk in chunks {
        let mut content = Writer::new();
        for (key, value) in chunk {
            encode_change(&mut content, key, value.as_ref());
            entries += 1;
        }
        writer.write(ChunkKind::Entries, content.into_vec())?;
    }
    let footer = Footer { entries, chunks: writer.next_chunk, tree: Tree::Unknown };
    writer.write_sealed_with(writer.next_chunk, ChunkKind::Footer, footer.encode())?;
    Ok(FileEntry { bytes: writer.offset, entries, ..planned })
}
