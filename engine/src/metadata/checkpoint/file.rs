//! The bytes of a checkpoint file.
//!
//! Header:
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 8 | `tidefsCK` |
//! | 8 | 4 | format version, 2 |
//! | 12 | 1 | 1 = base, 2 = delta |
//! | 13 | 8 | first LSN |
//! | 21 | 8 | last LSN |
//! | 29 | 16 | file system |
//! | 45 | 2 | generation of the data key |
//! | 47 | 16 | random file id |
//!
//! Chunks follow without gaps: entries and the nodes of the tree that leads to them ([`super::tree`]), and one footer last:
//!
//! | bytes | field |
//! |---|---|
//! | 1 | 1 = entries, 2 = footer, 3 = node |
//! | 4 | n, length of the content |
//! | n | content, sealed under the key derived for `checkpoint` and the file id; the counter is the number of the chunk in the file, or
//! 2^64-1 for the footer; the file's header and the 5 bytes before are authenticated with it |
//! | 16 | tag |
//!
//! Entries are changes as in a journal record ([`crate::journal::record`]), with ascending keys over the whole file. A base has no
//! deletions. The file ends with the footer:
//!
//! | bytes | field |
//! |---|---|
//! | 8 | number of entries |
//! | 8 | number of chunks before it |
//! | 8 | number of the chunk that is the root of the tree |
//! | 8 | its offset, or 0 if there are no entries |
//!
//! Version 1 had no nodes, and its footer, whose counter was its number, only the first two fields.

use std::path::Path;

use super::tree::ChunkPlace;
use crate::codec::{Malformed, Reader, Writer};
use crate::error::OpenError;
use crate::home::Home;
use crate::identity::{KeyGeneration, Lsn};
use crate::keys::{SEAL_BYTES, SealingKey};

/// The newest format version that is known: it is written, and older ones are read.
pub(super) const VERSION: u32 = 2;
/// The first one with a tree.
const VERSION_WITH_TREE: u32 = 2;
/// Bytes of the header of a file.
pub(super) const HEADER_BYTES: usize = 63;
/// Bytes before the sealed content of a chunk.
pub(super) const CHUNK_HEADER_BYTES: usize = 5;

/// Bytes of a footer that says where the tree begins.
const FOOTER_BYTES: usize = 32;
/// What it is sealed with, so that it can be opened before all other chunks.
pub(super) const FOOTER_COUNTER: u64 = u64::MAX;

const MAGIC: &[u8; 8] = b"tidefsCK";

/// What a file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Everything that there was at its last LSN.
    Base,
    /// The changes from its first to its last LSN.
    Delta,
}

impl Kind {
    pub(super) fn to_byte(self) -> u8 {
        match self {
            Kind::Base => 1,
            Kind::Delta => 2,
        }
    }

    pub(super) fn from_byte(byte: u8) -> Result<Self, Malformed> {
        match byte {
            1 => Ok(Kind::Base),
            2 => Ok(Kind::Delta),
            _ => Err(Malformed("unknown kind of checkpoint")),
        }
    }
}

/// What a chunk holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ChunkKind {
    Entries,
    Footer,
    Node,
}

/// The header of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) kind: Kind,
    pub(super) first: Lsn,
    pub(super) last: Lsn,
    pub(super) generation: KeyGeneration,
    pub(super) id: [u8; 16],
}

impl Header {
    pub(super) fn encode(&self, home: &Home, version: u32) -> Vec<u8> {
        let mut writer = Writer::with_capacity(HEADER_BYTES);
        writer.bytes(MAGIC).u32(version).u8(self.kind.to_byte()).u64(self.first.0).u64(self.last.0);
        writer.bytes(&home.file_system.to_bytes()).u16(self.generation.0).bytes(&self.id);
        debug_assert_eq!(writer.len(), HEADER_BYTES);
        writer.into_vec()
    }

    pub(super) fn sealing_key(&self, home: &Home, path: &Path) -> Result<SealingKey, OpenError> {
        let key = home.keys.key(self.generation, || path.display().to_string())?;
        Ok(key.derive("checkpoint", &self.id))
    }
}

/// The format version that a header says.
pub(super) fn version(header: &[u8]) -> Result<u32, Malformed> {
    let mut reader = Reader::new(header);
    if reader.array()? != *MAGIC {
        return Err(Malformed("not a checkpoint file"));
    }
    reader.u32()
}

/// Whether files of a version have a tree.
pub(super) fn has_tree(version: u32) -> bool {
    version >= VERSION_WITH_TREE
}

/// Where the footer of a file with a tree is.
pub(super) fn footer_offset(file_bytes: u64) -> Option<u64> {
    let bytes = CHUNK_HEADER_BYTES + FOOTER_BYTES + SEAL_BYTES;
    file_bytes.checked_sub(bytes as u64).filter(|offset| *offset >= HEADER_BYTES as u64)
}

/// The header of a chunk.
pub(super) fn encode_chunk_header(kind: ChunkKind, content_bytes: u32) -> Vec<u8> {
    let mut writer = Writer::with_capacity(CHUNK_HEADER_BYTES);
    let kind = match kind {
        ChunkKind::Entries => 1,
        ChunkKind::Footer => 2,
        ChunkKind::Node => 3,
    };
    writer.u8(kind).u32(content_bytes);
    writer.into_vec()
}

/// The header of a chunk.
pub(super) fn decode_chunk_header(bytes: &[u8]) -> Result<(ChunkKind, u32), Malformed> {
    let mut reader = Reader::new(bytes);
    let kind = match reader.u8()? {
        1 => ChunkKind::Entries,
        2 => ChunkKind::Footer,
        3 => ChunkKind::Node,
        _ => return Err(Malformed("unknown kind of chunk")),
    };
    let length = reader.u32()?;
    reader.finish()?;
    Ok((kind, length))
}

/// Counts of a whole file, and where its tree begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Footer {
    pub(super) entries: u64,
    pub(super) chunks: u64,
    pub(super) tree: Tree,
}

/// The tree of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tree {
    /// The file is older than trees are.
    Unknown,
    /// There are no entries.
    Empty,
    Root(ChunkPlace),
}

impl Footer {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        writer.u64(self.entries).u64(self.chunks);
        match self.tree {
            Tree::Unknown => &mut writer,
            Tree::Empty => writer.u64(0).u64(0),
            Tree::Root(root) => writer.u64(root.number).u64(root.offset),
        };
        writer.into_vec()
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(bytes);
        let (entries, chunks) = (reader.u64()?, reader.u64()?);
        let tree = if reader.is_empty() {
            Tree::Unknown
        } else {
            match (reader.u64()?, reader.u64()?) {
                (0, 0) => Tree::Empty,
                (_, 0) => return Err(Malformed("a root that is no chunk")),
                (number, offset) => Tree::Root(ChunkPlace { number, offset }),
            }
        };
        reader.finish()?;
        Ok(Footer { entries, chunks, tree })
    }
}
