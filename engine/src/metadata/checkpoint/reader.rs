//! Reading a checkpoint file, one chunk in memory at a time.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;

use super::file::{self, CHUNK_HEADER_BYTES, ChunkKind, Footer, HEADER_BYTES};
use super::manifest::FileEntry;
use crate::codec::{Malformed, Reader};
use crate::disk::{DiskFile, OpenHow};
use crate::error::{Error, OpenError, Result};
use crate::home::Home;
use crate::journal::record::decode_change;
use crate::keys::{SEAL_BYTES, SealingKey};
use crate::metadata::overlay::Entry;

/// Yields the entries of a file in order, then checks the counts. After an error it yields nothing more.
#[derive(Clone)]
pub(super) struct CheckpointReader {
    path: PathBuf,
    file: Arc<dyn DiskFile>,
    key: SealingKey,
    header: Vec<u8>,
    expected: FileEntry,
    offset: u64,
    next_chunk: u64,
    chunk: Bytes,
    entries: u64,
    last_key: Option<Bytes>,
    /// Whether it began at the start of the file, so that the counts at the end can be checked.
    counts: bool,
    done: bool,
}

/// Where a chunk stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ChunkPlace {
    number: u64,
    offset: u64,
}

impl CheckpointReader {
    pub(super) fn open(home: &Home, directory: &Path, expected: &FileEntry) -> Result<Self> {
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
        let header = header.encode(home);
        let mut found = [0; HEADER_BYTES];
        file.read_at(&mut found, 0).map_err(Error::io("cannot read", &path))?;
        if found.as_slice() != header {
            return Err(damaged(&path, "the header is not what the manifest says"));
        }
        Ok(CheckpointReader {
            path,
            file,
            key,
            header,
            expected: *expected,
            offset: HEADER_BYTES as u64,
            next_chunk: 0,
            chunk: Bytes::new(),
            entries: 0,
            last_key: None,
            counts: true,
            done: false,
        })
    }

    /// Whether the file ends where the manifest says.
    pub(super) fn check_length(&self) -> Result<()> {
        let length = self.file.length().map_err(Error::io("cannot read the length of", &self.path))?;
        let fits = length == self.expected.bytes;
        if fits {
            Ok(())
        } else {
            Err(damaged(&self.path, format!("{length} bytes long, not {}", self.expected.bytes)))
        }
    }

    /// The chunk that is read next if nothing is left of the current one; `None` if something is left.
    pub(super) fn next_place(&self) -> Option<ChunkPlace> {
        self.chunk.is_empty().then_some(ChunkPlace { number: self.next_chunk, offset: self.offset })
    }

    /// Another reader, from a chunk on.
    pub(super) fn from(&self, place: ChunkPlace) -> Self {
        CheckpointReader {
            offset: place.offset,
            next_chunk: place.number,
            chunk: Bytes::new(),
            last_key: None,
            counts: false,
            done: false,
            ..self.clone()
        }
    }

    fn try_next(&mut self) -> Result<Option<Entry>> {
        while self.chunk.is_empty() {
            match self.read_chunk()? {
                (ChunkKind::Entries, content) => self.chunk = Bytes::from(content),
                (ChunkKind::Footer, content) => {
                    let footer =
                        Footer::decode(&content).map_err(|malformed| damaged(&self.path, malformed.0))?;
                    let found = Footer { entries: self.entries, chunks: self.next_chunk.saturating_sub(1) };
                    let ends = self.offset == self.expected.bytes && self.entries == self.expected.entries;
                    if self.counts && (footer != found || !ends) {
                        return Err(damaged(&self.path, "the counts at its end are wrong"));
                    }
                    return Ok(None);
                }
            }
        }
        let entry = self.take_entry().map_err(|malformed| damaged(&self.path, malformed.0))?;
        Ok(Some(entry))
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

    fn read_chunk(&mut self) -> Result<(ChunkKind, Vec<u8>)> {
        let mut head = [0; CHUNK_HEADER_BYTES];
        self.read_exactly(&mut head)?;
        let (kind, length) =
            file::decode_chunk_header(&head).map_err(|malformed| damaged(&self.path, malformed.0))?;
        let left = self.expected.bytes.saturating_sub(self.offset);
        let sealed = u64::from(length) + SEAL_BYTES as u64;
        let sealed = usize::try_from(sealed).ok().filter(|_| sealed <= left);
        let mut content = vec![0; sealed.ok_or_else(|| damaged(&self.path, "cut short"))?];
        self.read_exactly(&mut content)?;
        let bound = [self.header.as_slice(), &head].concat();
        let opened = self.key.open(self.next_chunk, &bound, &mut content);
        opened
            .map_err(|_| damaged(&self.path, format!("chunk {} does not authenticate", self.next_chunk)))?;
        self.next_chunk += 1;
        Ok((kind, content))
    }

    fn read_exactly(&mut self, buffer: &mut [u8]) -> Result<()> {
        let read = self.file.read_at(buffer, self.offset).map_err(Error::io("cannot read", &self.path))?;
        if read < buffer.len() {
            return Err(damaged(&self.path, "cut short"));
        }
        self.offset += read as u64;
        Ok(())
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
