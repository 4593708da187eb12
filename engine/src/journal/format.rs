//! The bytes of a journal file.
//!
//! The first 4096 bytes are the header; the rest of them is zero:
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 8 | `tidefsJL` |
//! | 8 | 4 | format version, 1 |
//! | 12 | 8 | number of the file, as in its name |
//! | 20 | 8 | LSN of the first record in the file |
//! | 28 | 16 | file system |
//! | 44 | 2 | generation of the data key |
//! | 46 | 16 | random file id |
//! | 62 | 16 | tag over bytes 0 to 61, under the key derived for `journal header` and the file id, counter 0 |
//!
//! Frames follow, each at a multiple of 4096:
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 4 | `tjfr` |
//! | 4 | 8 | number of the frame in the file: 0, 1, 2, … |
//! | 12 | 8 | LSN of the first record in it |
//! | 20 | 4 | n, length of the sealed records without the tag |
//! | 24 | n | records ([`super::record`]) without gaps in their LSNs, sealed under the key derived for `journal` and the file id; the
//! counter is the frame number, and bytes 0 to 23 are authenticated with them |
//! | 24 + n | 16 | tag |
//!
//! Zeros fill up to the next multiple of 4096.

use crate::codec::{Malformed, Reader, Writer};
use crate::disk::{AlignedBuffer, DIRECT_ALIGNMENT};
use crate::error::{Error, OpenError, Result};
use crate::home::Home;
use crate::identity::{KeyGeneration, Lsn};
use crate::keys::{DataKey, SEAL_BYTES, SealingKey};

/// Bytes of the header of a file, and the unit of frames.
pub(super) const HEADER_BYTES: u64 = 4096;
/// Bytes of the header of a frame.
pub(super) const FRAME_HEADER_BYTES: usize = 24;
/// The newest format version that is known.
pub(super) const VERSION: u32 = 1;

const MAGIC: &[u8; 8] = b"tidefsJL";
const FRAME_MAGIC: &[u8; 4] = b"tjfr";
const SIGNED_BYTES: usize = 62;
/// Bytes of the header of a file that are not zero.
pub(super) const HEADER_CONTENT_BYTES: usize = SIGNED_BYTES + SEAL_BYTES;

/// Bytes of the header that have a meaning.
pub(super) const HEADER_USED_BYTES: u64 = (SIGNED_BYTES + SEAL_BYTES) as u64;

const _: () = assert!(HEADER_BYTES as usize == DIRECT_ALIGNMENT);

/// What the header of a file says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FileHeader {
    pub(super) number: u64,
    pub(super) first: Lsn,
    pub(super) generation: KeyGeneration,
    pub(super) id: [u8; 16],
}

/// Why a header cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BadHeader {
    UnknownVersion(u32),
    MissingKey(KeyGeneration),
    Damaged(&'static str),
}

impl FileHeader {
    pub(super) fn encode(&self, home: &Home) -> Result<AlignedBuffer> {
        let mut writer = Writer::new();
        writer.bytes(MAGIC).u32(VERSION).u64(self.number).u64(self.first.0);
        writer.bytes(&home.file_system.to_bytes()).u16(self.generation.0).bytes(&self.id);
        debug_assert_eq!(writer.len(), SIGNED_BYTES);
        let key = self.data_key(home)?.derive("journal header", &self.id);
        let tag = key.seal_detached(0, writer.as_slice(), &mut [])?;
        writer.bytes(&tag);
        let mut block = AlignedBuffer::zeroed(DIRECT_ALIGNMENT);
        copy(&mut block, 0, writer.as_slice())?;
        Ok(block)
    }

    pub(super) fn decode(bytes: &[u8], home: &Home) -> Result<Self, BadHeader> {
        let short = |_: Malformed| BadHeader::Damaged("the header is cut short");
        let mut reader = Reader::new(bytes);
        if reader.array().map_err(short)? != *MAGIC {
            return Err(BadHeader::Damaged("no journal file"));
        }
        let version = reader.u32().map_err(short)?;
        if version != VERSION {
            return Err(BadHeader::UnknownVersion(version));
        }
        let number = reader.u64().map_err(short)?;
        let first = Lsn(reader.u64().map_err(short)?);
        if reader.array().map_err(short)? != home.file_system.to_bytes() {
            return Err(BadHeader::Damaged("belongs to another file system"));
        }
        let generation = KeyGeneration(reader.u16().map_err(short)?);
        let id = reader.array().map_err(short)?;
        let mut tag = reader.array::<SEAL_BYTES>().map_err(short)?.to_vec();
        let signed = bytes.get(..SIGNED_BYTES).ok_or(BadHeader::Damaged("the header is cut short"))?;
        let header = FileHeader { number, first, generation, id };
        let key = header.data_key(home).map_err(|_| BadHeader::MissingKey(generation))?;
        let opened = key.derive("journal header", &id).open(0, signed, &mut tag);
        opened.map_err(|_| BadHeader::Damaged("the header does not authenticate"))?;
        Ok(header)
    }

    /// The key that seals the frames of the file.
    pub(super) fn sealing_key(&self, home: &Home) -> Result<SealingKey> {
        Ok(self.data_key(home)?.derive("journal", &self.id))
    }

    fn data_key(&self, home: &Home) -> Result<DataKey, OpenError> {
        home.keys.key(self.generation, || format!("journal file {}", self.number))
    }
}

/// The clear part of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FrameHeader {
    pub(super) number: u64,
    pub(super) first: Lsn,
    pub(super) content_bytes: u32,
}

impl FrameHeader {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::with_capacity(FRAME_HEADER_BYTES);
        writer.bytes(FRAME_MAGIC).u64(self.number).u64(self.first.0).u32(self.content_bytes);
        debug_assert_eq!(writer.len(), FRAME_HEADER_BYTES);
        writer.into_vec()
    }

    /// `None` if this is no frame.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        if reader.array().ok()? != *FRAME_MAGIC {
            return None;
        }
        let number = reader.u64().ok()?;
        let first = Lsn(reader.u64().ok()?);
        Some(FrameHeader { number, first, content_bytes: reader.u32().ok()? })
    }

    /// Bytes of the records and their tag.
    pub(super) fn sealed_bytes(&self) -> Option<usize> {
        usize::try_from(self.content_bytes).ok()?.checked_add(SEAL_BYTES)
    }
}

/// Bytes that a frame with so many bytes of records takes in a file.
pub(super) fn frame_bytes(content: usize) -> usize {
    (FRAME_HEADER_BYTES + content + SEAL_BYTES).next_multiple_of(DIRECT_ALIGNMENT)
}

/// Copies bytes into a buffer that was made large enough for them.
pub(super) fn copy(buffer: &mut AlignedBuffer, offset: usize, bytes: &[u8]) -> Result<()> {
    let range = offset..offset.saturating_add(bytes.len());
    let target = buffer.as_mut_slice().get_mut(range);
    target.ok_or(Error::Invalid { what: "a journal frame beyond its buffer" })?.copy_from_slice(bytes);
    Ok(())
}
