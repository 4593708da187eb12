//! Reading all of a segment and saying what of it is as it was written. For verification: it goes on behind damage.

use super::block::PLAIN_BYTES_MAX;
use super::format::{
    BATCH_HEADER_BYTES, BATCH_MAGIC, BatchHeader, DirectoryEntry, HEADER_BYTES, SegmentOpener,
};
use crate::error::{Error, Result};

/// Bytes of frames that are read at once.
const RUN_BYTES_MAX: u64 = 2 << 20;

/// The bytes of a segment.
pub(crate) trait SegmentBytes {
    /// Up to `length` bytes; fewer only at the end.
    fn read(&self, offset: u64, length: usize) -> Result<Vec<u8>>;
    /// How many there are.
    fn length(&self) -> Result<u64>;
}

/// One step through a segment.
#[derive(Debug, Default)]
pub(crate) struct AuditStep {
    /// The blocks that a directory names, and whether they authenticate.
    pub(crate) blocks: Vec<(DirectoryEntry, bool)>,
    /// What is not as it was written, besides blocks, with the range that it takes.
    pub(crate) damage: Option<(std::ops::Range<u64>, String)>,
    /// Whether nothing authentic stands behind the damage: what an append that a crash interrupted looks like.
    pub(crate) torn: bool,
    /// Bytes that were read.
    pub(crate) bytes: u64,
    /// Where the next step begins; `None` at the end.
    pub(crate) next: Option<u64>,
}

/// Looks at the header of a segment (at offset 0) or at one batch.
pub(crate) fn step(opener: &SegmentOpener, source: &dyn SegmentBytes, offset: u64) -> Result<AuditStep> {
    let length = source.length()?;
    let mut step = AuditStep::default();
    if offset == 0 {
        let end = (HEADER_BYTES as u64).min(length);
        step.bytes = end;
        step.next = (end < length).then_some(end);
        return match opener.open_header(&source.read(0, HEADER_BYTES)?) {
            Err(Error::Corrupt { what }) => Ok(AuditStep { damage: Some((0..end, what)), ..step }),
            Err(error) => Err(error),
            Ok(()) => Ok(step),
        };
    }
    match batch(opener, source, offset, length) {
        Ok((header, entries)) => {
            step.bytes = header.end() - offset;
            step.next = (header.end() < length).then_some(header.end());
            step.blocks = frames(opener, source, entries)?;
            Ok(step)
        }
        Err(Error::Corrupt { what }) => {
            let next = next_batch(opener, source, offset + 1, length)?;
            let end = next.unwrap_or(length);
            let torn = next.is_none();
            Ok(AuditStep { damage: Some((offset..end, what)), torn, next, bytes: end - offset, ..step })
        }
        Err(error) => Err(error),
    }
}

fn batch(
    opener: &SegmentOpener,
    source: &dyn SegmentBytes,
    offset: u64,
    length: u64,
) -> Result<(BatchHeader, Vec<DirectoryEntry>)> {
    let header = opener.open_batch_header(offset, &source.read(offset, BATCH_HEADER_BYTES)?)?;
    if header.end() > length {
        return Err(Error::corrupt(format!("the batch at {offset} is cut short")));
    }
    let directory = source.read(header.directory_offset(), header.directory_bytes())?;
    let entries = opener.open_directory(&header, &directory)?;
    Ok((header, entries))
}

/// The next place where a batch begins.
fn next_batch(
    opener: &SegmentOpener,
    source: &dyn SegmentBytes,
    from: u64,
    length: u64,
) -> Result<Option<u64>> {
    let window_bytes = 4 * PLAIN_BYTES_MAX as usize;
    let mut start = from;
    while start < length {
        let window = source.read(start, window_bytes)?;
        let magics =
            window.windows(BATCH_MAGIC.len()).enumerate().filter(|(_, bytes)| **bytes == BATCH_MAGIC);
        for (place, _) in magics {
            let candidate = start + place as u64;
            match batch(opener, source, candidate, length) {
                Ok(_) => return Ok(Some(candidate)),
                Err(Error::Corrupt { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        start += (window_bytes - BATCH_HEADER_BYTES) as u64;
    }
    Ok(None)
}

/// Opens all blocks of a batch. They stand one behind the other.
fn frames(
    opener: &SegmentOpener,
    source: &dyn SegmentBytes,
    entries: Vec<DirectoryEntry>,
) -> Result<Vec<(DirectoryEntry, bool)>> {
    let mut blocks = Vec::with_capacity(entries.len());
    let mut rest = entries.as_slice();
    while let Some((_, first)) = rest.first() {
        let fits =
            rest.iter().take_while(|(_, address)| address.end() - first.offset <= RUN_BYTES_MAX).count();
        let (run, behind) = rest.split_at_checked(fits.max(1)).unwrap_or((rest, &[]));
        let end = run.last().map_or(first.end(), |(_, address)| address.end());
        let bytes = source.read(first.offset, usize::try_from(end - first.offset).unwrap_or(usize::MAX))?;
        for (identity, address) in run {
            let from = usize::try_from(address.offset - first.offset).unwrap_or(usize::MAX);
            let sealed = bytes.get(from..).and_then(|bytes| bytes.get(..address.sealed_bytes as usize));
            let opened = opener.open_frame(address, *identity, sealed.unwrap_or_default());
            let authentic = match opened {
                Ok(_) => true,
                Err(Error::Corrupt { .. }) => false,
                Err(error) => return Err(error),
            };
            blocks.push(((*identity, *address), authentic));
        }
        rest = behind;
    }
    Ok(blocks)
}

/// A segment in memory.
pub(crate) struct InMemory(pub(crate) bytes::Bytes);

impl SegmentBytes for InMemory {
    fn read(&self, offset: u64, length: usize) -> Result<Vec<u8>> {
        let rest = usize::try_from(offset).ok().and_then(|offset| self.0.get(offset..)).unwrap_or_default();
        Ok(rest.get(..length).unwrap_or(rest).to_vec())
    }

    fn length(&self) -> Result<u64> {
        Ok(self.0.len() as u64)
    }
}
