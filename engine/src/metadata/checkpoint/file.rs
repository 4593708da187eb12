//! The bytes of a checkpoint file.
//!
//! Header:
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 8 | `tidefsCK` |
//! | 8 | 4 | format version, 1 |
//! | 12 | 1 | 1 = base, 2 = delta |
//! | 13 | 8 | first LSN |
//! | 21 | 8 | last LSN |
//! | 29 | 16 | file system |
//! | 45 | 2 | generation of the data key |
//! | 47 | 16 | random file id |
//!
//! Chunks follow without gaps, entries first and one footer last:
//!
//! | bytes | field |
//! |---|---|
//! | 1 | 1 = entries, 2 = footer |
//! | 4 | n, length of the content |
//! | n | content, sealed under the key derived for `checkpoint` and the file id; the counter is the number of the chunk in the file;
//! the file's header and the 5 bytes before are authenticated with it |
//! | 16 | tag |
//!
//! Entries are changes as in a journal record ([`crate::journal::record`]), with ascending keys over the whole file. A base has no
//! deletions. The footer has the number of entries (8) and of chunks before it (8); the file ends with it.

use std::path::Path;

use crate::codec::{Malformed, Reader, Writer};
use crate::error::OpenError;
use crate::home::Home;
use crate::identity::{KeyGeneration, Lsn};
use crate::keys::SealingKey;

/// The newest format version that is known.
pub(super) const VERSION: u32 = 1;
/// Bytes of the header of a file.
pub(super) const HEADER_BYTES: usize = 63;
/// Bytes before the sealed content of a chunk.
pub(super) const CHUNK_HEADER_BYTES: usize = 5;

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
    pub(super) fn encode(&self, home: &Home) -> Vec<u8> {
        let mut writer = Writer::with_capacity(HEADER_BYTES);
        writer.bytes(MAGIC).u32(VERSION).u8(self.kind.to_byte()).u64(self.first.0).u64(self.last.0);
        writer.bytes(&home.file_system.to_bytes()).u16(self.generation.0).bytes(&self.id);
        debug_assert_eq!(writer.len(), HEADER_BYTES);
        writer.into_vec()
    }

    pub(super) fn sealing_key(&self, home: &Home, path: &Path) -> Result<SealingKey, OpenError> {
        let key = home.keys.key(self.generation, || path.display().to_string())?;
        Ok(key.derive("checkpoint", &self.id))
    }
}

/// The header of a chunk.
pub(super) fn encode_chunk_header(kind: ChunkKind, content_bytes: u32) -> Vec<u8> {
    let mut writer = Writer::with_capacity(CHUNK_HEADER_BYTES);
    let kind = match kind {
        ChunkKind::Entries => 1,
        ChunkKind::Footer => 2,
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
        _ => return Err(Malformed("unknown kind of chunk")),
    };
    let length = reader.u32()?;
    reader.finish()?;
    Ok((kind, length))
}

/// Counts of a whole file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Footer {
    pub(super) entries: u64,
    pub(super) chunks: u64,
}

impl Footer {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        writer.u64(self.entries).u64(self.chunks);
        writer.into_vec()
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(bytes);
        let footer = Footer { entries: reader.u64()?, chunks: reader.u64()? };
        reader.finish()?;
        Ok(footer)
    }
}
