//! The segment header, and the one who writes a segment.

use super::{SealKind, SegmentOpener};
use crate::codec::{Reader, Writer};
use crate::error::Result;
use crate::identity::{FileSystemId, SegmentId};
use crate::keys::{KeyRing, SEAL_BYTES};

const MAGIC: [u8; 8] = *b"tidefsSG";
const VERSION: u32 = 2;
/// The oldest that is read.
const VERSION_MIN: u32 = 1;
const FIELDS_BYTES: usize = 28;
/// Bytes of the segment header.
pub(crate) const HEADER_BYTES: usize = FIELDS_BYTES + SEAL_BYTES;

/// Seals a new segment from its start to its end. It cannot be cloned and none can be made for a segment that exists, so
/// that no counter is used twice.
pub(crate) struct SegmentSealer {
    pub(super) opener: SegmentOpener,
    pub(super) counter: u32,
    pub(super) length: u64,
}

impl SegmentSealer {
    /// Begins a segment: appends its header to the buffer. The id is random and was never used.
    pub(crate) fn begin(
        file_system: FileSystemId,
        keys: &KeyRing,
        segment: SegmentId,
        buffer: &mut Vec<u8>,
    ) -> Result<SegmentSealer> {
        let opener = SegmentOpener::new(file_system, keys, segment)?;
        let mut fields = Writer::with_capacity(FIELDS_BYTES);
        fields.bytes(&MAGIC).u32(VERSION).bytes(&segment.0);
        let mut bound = opener.bound(SealKind::Header, 0);
        bound.bytes(fields.as_slice());
        let tag = opener.key.seal_detached(0, bound.as_slice(), &mut [])?;
        buffer.extend_from_slice(fields.as_slice());
        buffer.extend_from_slice(&tag);
        Ok(SegmentSealer { opener, counter: 1, length: HEADER_BYTES as u64 })
    }

    /// The segment.
    pub(crate) fn segment(&self) -> SegmentId {
        self.opener.segment
    }

    /// Bytes sealed so far, with the header.
    pub(crate) fn length(&self) -> u64 {
        self.length
    }
}

impl SegmentOpener {
    /// Checks the header at the start of a segment.
    pub(crate) fn open_header(&self, bytes: &[u8]) -> Result<()> {
        let (fields, tag) = bytes
            .split_at_checked(FIELDS_BYTES)
            .filter(|(_, tag)| tag.len() == SEAL_BYTES)
            .ok_or_else(|| self.damaged("the header is cut short"))?;
        let mut reader = Reader::new(fields);
        let magic: [u8; 8] = reader.array()?;
        let version = reader.u32()?;
        if magic != MAGIC {
            return Err(self.damaged("this is no segment"));
        }
        if !(VERSION_MIN..=VERSION).contains(&version) {
            return Err(
                self.damaged(format!("format version {version} is unknown, {VERSION} is the newest known"))
            );
        }
        let mut bound = self.bound(SealKind::Header, 0);
        bound.bytes(fields);
        self.key
            .open(0, bound.as_slice(), &mut tag.to_vec())
            .map_err(|_| self.damaged("the header does not authenticate"))
    }
}
