//! Reading a checkpoint file, one chunk in memory at a time.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;

use super::cache::{Chunk, ChunkCache};
use super::file::{self, CHUNK_HEADER_BYTES, ChunkKind, FOOTER_COUNTER, Footer, HEADER_BYTES, Tree};
use super::manifest::FileEntry;
use super::tree::{self, ChunkPlace, TreeBuilder};
use crate::codec::{Malformed, Reader};
use crate::disk::{DiskFile, OpenHow};
use crate::error::{Error, OpenError, Result};
use crate::home::Home;
use crate::journal::record::decode_change;
use crate::keys::{SEAL_BYTES, SealingKey};
use crate::metadata::overlay::Entry;

/// A checkpoint file that is open.
pub(super) struct CheckpointFile {
    path: PathBuf,
    file: Arc<dyn DiskFile>,
    key: SealingKey,
    header: Vec<u8>,
    version: u32,
    pub(super) expected: FileEntry,
}

/// Yields the entries of a file from a chunk on, in order. From the beginning it checks the tree and the counts, too. After an error it
/// yields nothing more.
pub(super) struct CheckpointReader {
    file: Arc<CheckpointFile>,
    next: ChunkPlace,
    chunk: Bytes,
    entries: u64,
    last_key: Option<Bytes>,
    /// What the nodes should be; not known to a reader that did not begin at the start of the file.
    tree: Option<TreeBuilder>,
    done: bool,
}

const START: ChunkPlace = ChunkPlace { number: 0, offset: HEADER_BYTES as u64 };

impl CheckpointFile {
    pub(super) fn open(home: &Home, directory: &Path, expected: &FileEntry) -> Result<Arc<Self>> {
        let path = directory.join(expected.name());
        let file = match home.disk.open(&path, OpenHow::Read) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(damaged(&path, "missing, though the manifest names it"));
            }
            Err(error) => return Err(Error::io("cannot open", &path)(error)),
        };
        let header = expected.header();
        let key = header.sealing_key(home, &path)?;
        let mut found = [0; HEADER_BYTES];
        file.read_at(&mut found, 0).map_err(Error::io("cannot read", &path))?;
        let version = file::version(&found).map_err(|malformed| damaged(&path, malformed.0))?;
        let header = header.encode(home, version);
        if found.as_slice() != header || version == 0 {
            return Err(damaged(&path, "the header is not what the manifest says"));
        }
        if version > file::VERSION {
            return Err(OpenError::UnknownVersion { path, found: version, known: file::VERSION }.into());
        }
        Ok(Arc::new(CheckpointFile { path, file, key, header, version, expected: *expected }))
    }

    /// Whether the file ends where the manifest says.
    pub(super) fn check_length(&self) -> Result<()> {
        let length = self.file.length().map_err(Error::io("cannot read the length of", &self.path))?;
        let fits = length == self.expected.bytes;
        if fits {
            Ok(())
        } else {
            Err(self.damaged(format!("{length} bytes long, not {}", self.expected.bytes)))
        }
    }

    /// All entries.
    pub(super) fn entries(self: &Arc<Self>) -> CheckpointReader {
        let mut reader = self.entries_at(START);
        reader.tree = Some(TreeBuilder::default());
        reader
    }

    /// The entries from a chunk on.
    pub(super) fn entries_at(self: &Arc<Self>, next: ChunkPlace) -> CheckpointReader {
        let (chunk, file) = (Bytes::new(), Arc::clone(self));
        CheckpointReader { file, next, chunk, entries: 0, last_key: None, tree: None, done: false }
    }

    /// The tree, without reading the file.
    pub(super) fn tree(&self) -> Result<Tree> {
        if !file::has_tree(self.version) {
            return Ok(Tree::Unknown);
        }
        let short = || self.damaged("cut short");
        let offset = file::footer_offset(self.expected.bytes).ok_or_else(short)?;
        let (kind, content, end) = self.chunk(ChunkPlace { number: FOOTER_COUNTER, offset })?;
        if kind != ChunkKind::Footer || end != self.expected.bytes {
            return Err(self.damaged("it does not end with a footer"));
        }
        let footer = Footer::decode(&content).map_err(|malformed| self.damaged(malformed.0))?;
        Ok(footer.tree)
    }

    /// The entries from the chunk on that a key would be in.
    pub(super) fn entries_near(
        self: &Arc<Self>,
        root: ChunkPlace,
        key: &[u8],
        cache: Option<&ChunkCache>,
    ) -> Result<CheckpointReader> {
        let mut place = root;
        loop {
            let Chunk { kind, content, end } = self.cached_chunk(place, cache)?;
            match kind {
                ChunkKind::Entries => {
                    let next = ChunkPlace { number: place.number + 1, offset: end };
                    return Ok(CheckpointReader { chunk: content, ..self.entries_at(next) });
                }
                ChunkKind::Node => {
                    let below =
                        tree::child_for(&content, key).map_err(|malformed| self.damaged(malformed.0))?;
                    if below.number >= place.number {
                        return Err(self.damaged("a node leads to what is behind it"));
                    }
                    place = below;
                }
                ChunkKind::Footer => return Err(self.damaged("the tree leads out of the file")),
            }
        }
    }

    fn cached_chunk(&self, place: ChunkPlace, cache: Option<&ChunkCache>) -> Result<Chunk> {
        let file = self.expected.number;
        if let Some(chunk) = cache.and_then(|cache| cache.get(file, place.number)) {
            return Ok(chunk);
        }
        let (kind, content, end) = self.chunk(place)?;
        let chunk = Chunk { kind, content: Bytes::from(content), end };
        if let Some(cache) = cache {
            cache.insert(file, place.number, chunk.clone());
        }
        Ok(chunk)
    }

    /// A chunk, with where it ends. The number of the footer is its counter.
    fn chunk(&self, place: ChunkPlace) -> Result<(ChunkKind, Vec<u8>, u64)> {
        let mut head = [0; CHUNK_HEADER_BYTES];
        self.read_exactly(&mut head, place.offset)?;
        let (kind, length) =
            file::decode_chunk_header(&head).map_err(|malformed| self.damaged(malformed.0))?;
        let start = place.offset.saturating_add(CHUNK_HEADER_BYTES as u64);
        let sealed = u64::from(length) + SEAL_BYTES as u64;
        let end = start.saturating_add(sealed);
        let sealed = usize::try_from(sealed).ok().filter(|_| end <= self.expected.bytes);
        let mut content = vec![0; sealed.ok_or_else(|| self.damaged("cut short"))?];
        self.read_exactly(&mut content, start)?;
        let bound = [self.header.as_slice(), &head].concat();
        let counter = match kind {
            ChunkKind::Footer if file::has_tree(self.version) => FOOTER_COUNTER,
            _ => place.number,
        };
        self.key.open(counter, &bound, &mut content).map_err(|_| match kind {
            ChunkKind::Footer => self.damaged("the footer does not authenticate"),
            _ => self.damaged(format!("chunk {} does not authenticate", place.number)),
        })?;
        Ok((kind, content, end))
    }

    fn read_exactly(&self, buffer: &mut [u8], offset: u64) -> Result<()> {
        let read = self.file.read_at(buffer, offset).map_err(Error::io("cannot read", &self.path))?;
        if read < buffer.len() { Err(self.damaged("cut short")) } else { Ok(()) }
    }

    fn damaged(&self, what: impl Into<String>) -> Error {
        damaged(&self.path, what)
    }
}

impl CheckpointReader {
    /// The chunk of entries that is read next if nothing is left of the current one; `None` if something is left.
    pub(super) fn next_place(&self) -> Option<ChunkPlace> {
        self.chunk.is_empty().then_some(self.next)
    }

    fn try_next(&mut self) -> Result<Option<Entry>> {
        while self.chunk.is_empty() {
            let (place, file) = (self.next, Arc::clone(&self.file));
            let (kind, content, end) = file.chunk(place)?;
            self.next = ChunkPlace { number: place.number + 1, offset: end };
            match kind {
                ChunkKind::Entries => {
                    self.chunk = Bytes::from(content);
                    self.begins_with_entries(place).map_err(|malformed| file.damaged(malformed.0))?;
                }
                ChunkKind::Node => self.passes_node(place, &content).map_err(|what| file.damaged(what))?,
                ChunkKind::Footer => {
                    let footer = Footer::decode(&content).map_err(|malformed| file.damaged(malformed.0))?;
                    return self.ends_with(place, footer).map(|()| None);
                }
            }
        }
        let entry = self.take_entry().map_err(|malformed| self.file.damaged(malformed.0))?;
        Ok(Some(entry))
    }

    fn begins_with_entries(&mut self, place: ChunkPlace) -> Result<(), Malformed> {
        if let Some(tree) = &mut self.tree
            && file::has_tree(self.file.version)
            && !self.chunk.is_empty()
        {
            let (first, _) = decode_change(&mut Reader::new(&self.chunk))?;
            tree.entries(&self.chunk.slice_ref(first), place);
        }
        Ok(())
    }

    fn passes_node(&mut self, place: ChunkPlace, content: &[u8]) -> Result<(), &'static str> {
        let Some(tree) = &mut self.tree else { return Ok(()) };
        match tree.full().or_else(|| tree.last()) {
            Some(node) if node.content == content => {
                tree.node(&node, place);
                Ok(())
            }
            _ => Err("a node of its tree is not what it should be"),
        }
    }

    fn ends_with(&self, place: ChunkPlace, footer: Footer) -> Result<()> {
        let Some(tree) = &self.tree else { return Ok(()) };
        let expected = &self.file.expected;
        let root = match footer.tree {
            Tree::Unknown => None,
            Tree::Empty | Tree::Root(_) => Some(tree.root().map_or(Tree::Empty, Tree::Root)),
        };
        let found =
            Footer { entries: self.entries, chunks: place.number, tree: root.unwrap_or(Tree::Unknown) };
        let ends = self.next.offset == expected.bytes && self.entries == expected.entries;
        let knows = file::has_tree(self.file.version) == root.is_some();
        if footer == found && ends && knows {
            Ok(())
        } else {
            Err(self.file.damaged("the counts at its end are wrong"))
        }
    }

    fn take_entry(&mut self) -> Result<Entry, Malformed> {
        let mut reader = Reader::new(&self.chunk);
        let (key, value) = decode_change(&mut reader)?;
        let entry = (self.chunk.slice_ref(key), value.map(|value| self.chunk.slice_ref(value)));
        let rest = self.chunk.slice_ref(reader.rest());
        if self.last_key.as_ref().is_some_and(|last| *last >= entry.0) {
            return Err(Malformed("the keys are out of order"));
        }
        self.last_key = Some(entry.0.clone());
        self.entries += 1;
        self.chunk = rest;
        Ok(entry)
    }
}

impl Iterator for CheckpointReader {
    type Item = Result<Entry>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let next = self.try_next().transpose();
        self.done = !matches!(next, Some(Ok(_)));
        next
    }
}

fn damaged(path: &Path, what: impl Into<String>) -> Error {
    OpenError::Damaged { path: path.to_owned(), what: what.into() }.into()
}
