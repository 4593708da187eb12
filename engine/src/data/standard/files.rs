//! The files of the segments: their names, reading them, removing them.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;

use crate::data::audit::{self, AuditStep, SegmentBytes};
use crate::data::block::{BlockIdentity, PLAIN_BYTES_MAX};
use crate::data::format::{BATCH_HEADER_BYTES, DirectoryEntry, HEADER_BYTES, SegmentOpener, SegmentSealer};
use crate::data::part::BlockPart;
use crate::data::runs::{Run, Wanted, slice_of};
use crate::disk::{Disk, DiskFile, OpenHow};
use crate::error::{Error, Result};
use crate::identity::{FileSystemId, KeyGeneration, SegmentId};
use crate::keys::KeyRing;

/// Segments that are kept open for reading, far below the usual limit of 1,024 files.
const OPEN_FILES_MAX: usize = 128;

/// The segment files of one file system.
pub(super) struct SegmentFiles {
    directory: PathBuf,
    disk: Arc<dyn Disk>,
    keys: KeyRing,
    file_system: FileSystemId,
    open: Mutex<BTreeMap<SegmentId, Arc<OpenSegment>>>,
    buffers: Mutex<Vec<Vec<u8>>>,
}

/// Buffers of reads that are kept.
const BUFFERS_MAX: usize = 16;
/// A longer one is not kept: as much as one run has.
const BUFFER_BYTES_MAX: usize = 2 << 20;

/// A segment that is open for reading.
struct OpenSegment {
    file: Arc<dyn DiskFile>,
    opener: SegmentOpener,
}

impl SegmentFiles {
    pub(super) fn open(
        directory: &Path,
        disk: Arc<dyn Disk>,
        keys: KeyRing,
        file_system: FileSystemId,
    ) -> Result<SegmentFiles> {
        disk.create_directory(directory).map_err(Error::io("cannot make", directory))?;
        if let Some(parent) = directory.parent() {
            disk.sync_directory(parent).map_err(Error::io("cannot sync", parent))?;
        }
        let directory = directory.to_path_buf();
        let (open, buffers) = (Mutex::default(), Mutex::default());
        Ok(SegmentFiles { directory, disk, keys, file_system, open, buffers })
    }

    /// The generation that new segments are sealed under.
    pub(super) fn newest_generation(&self) -> KeyGeneration {
        self.keys.newest()
    }

    pub(super) fn path(&self, segment: SegmentId) -> PathBuf {
        self.directory.join(segment.to_string())
    }

    pub(super) fn begin(&self, segment: SegmentId, buffer: &mut Vec<u8>) -> Result<SegmentSealer> {
        SegmentSealer::begin(self.file_system, &self.keys, segment, buffer)
    }

    pub(super) fn create(&self, segment: SegmentId) -> Result<Arc<dyn DiskFile>> {
        let path = self.path(segment);
        self.disk.open(&path, OpenHow::CreateStream).map_err(Error::io("cannot create", path))
    }

    pub(super) fn sync_names(&self) -> Result<()> {
        self.disk.sync_directory(&self.directory).map_err(Error::io("cannot sync", &self.directory))
    }

    pub(super) fn remove(&self, segment: SegmentId) -> Result<()> {
        let path = self.path(segment);
        let removed = self.disk.remove(&path).map_err(Error::io("cannot remove", path));
        // Also after a failure: an open file would keep its space.
        self.open.lock().remove(&segment);
        removed
    }

    pub(super) fn list(&self) -> Result<Vec<(SegmentId, u64)>> {
        let names = self.disk.list(&self.directory).map_err(Error::io("cannot list", &self.directory))?;
        let mut segments = Vec::with_capacity(names.len());
        for segment in names.iter().filter_map(|name| parse_name(name)) {
            let path = self.path(segment);
            let length = self.disk.open(&path, OpenHow::Read).and_then(|file| file.length());
            match length {
                Ok(length) => segments.push((segment, length)),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(Error::io("cannot open", path)(error)),
            }
        }
        Ok(segments)
    }

    /// Reads the runs and opens their blocks, in the order of the wanted ones.
    pub(super) fn read_runs(&self, wanted: &[Wanted], runs: &[Run]) -> Result<Vec<Bytes>> {
        let mut blocks = vec![Bytes::new(); wanted.len()];
        for run in runs {
            let segment = self.segment(run.segment)?;
            let mut buffer = self.buffers.lock().pop().unwrap_or_default();
            let bytes = self.read_into(&mut buffer, &segment, run.range.start, length_of(run))?;
            for &member in &run.members {
                let (Some((address, identity)), Some(block)) = (wanted.get(member), blocks.get_mut(member))
                else {
                    continue;
                };
                *block = segment.opener.open_frame(address, *identity, slice_of(run, bytes, address))?;
            }
            self.give_back(buffer);
        }
        Ok(blocks)
    }

    /// Reads a part of a block and opens it.
    pub(super) fn read_part(&self, part: &BlockPart, identity: BlockIdentity) -> Result<Bytes> {
        let segment = self.segment(part.address().segment)?;
        let mut buffer = self.buffers.lock().pop().unwrap_or_default();
        let sealed = self.read_into(&mut buffer, &segment, part.offset(), part.sealed_bytes())?;
        let opened = segment.opener.open_part(part, identity, sealed);
        self.give_back(buffer);
        opened
    }

    /// An attempt to read a part of a block without waiting, if its segment is open.
    pub(super) fn attempt(&self, part: &BlockPart) -> Option<Attempt<'_>> {
        let segment = self.open.lock().get(&part.address().segment).map(Arc::clone)?;
        let mut buffer = self.buffers.lock().pop().unwrap_or_default();
        let length = part.sealed_bytes();
        if buffer.len() < length {
            buffer.resize(length, 0);
        }
        Some(Attempt { files: self, segment, part: *part, buffer })
    }

    /// Walks the batches of a segment.
    pub(super) fn directory(&self, segment: SegmentId) -> Result<Vec<DirectoryEntry>> {
        let segment = self.segment(segment)?;
        let path = self.path(segment.opener.segment());
        let length = segment.file.length().map_err(Error::io("cannot read", path))?;
        segment.opener.open_header(&self.read_range(&segment, 0, HEADER_BYTES)?)?;
        let mut entries = Vec::new();
        let mut offset = HEADER_BYTES as u64;
        while offset < length {
            match self.batch(&segment, offset, length) {
                Ok((batch, end)) => {
                    entries.extend(batch);
                    offset = end;
                }
                Err(Error::Corrupt { what }) => {
                    self.check_torn(&segment, offset, length, what)?;
                    break;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(entries)
    }

    /// One step of an audit; see [`crate::data::audit`].
    pub(super) fn audit(&self, segment: SegmentId, offset: u64) -> Result<AuditStep> {
        let segment = self.segment(segment)?;
        audit::step(&segment.opener, &Audited { files: self, segment: &segment }, offset)
    }

    fn batch(&self, segment: &OpenSegment, offset: u64, length: u64) -> Result<(Vec<DirectoryEntry>, u64)> {
        let header = self.read_range(segment, offset, BATCH_HEADER_BYTES)?;
        let header = segment.opener.open_batch_header(offset, &header)?;
        if header.end() > length {
            return Err(Error::corrupt(format!("the batch at {offset} is cut short")));
        }
        let directory = self.read_range(segment, header.directory_offset(), header.directory_bytes())?;
        Ok((segment.opener.open_directory(&header, &directory)?, header.end()))
    }

    /// A crash can leave only the last batch unfinished, because each is synced before the next one is written. So a whole batch
    /// anywhere behind the bad place means damage.
    fn check_torn(&self, segment: &OpenSegment, offset: u64, length: u64, what: String) -> Result<()> {
        let window_bytes = 4 * PLAIN_BYTES_MAX as usize;
        let mut start = offset + 1;
        while start < length {
            let window = self.read_range(segment, start, window_bytes)?;
            for place in batch_magics(&window) {
                let candidate = start + place as u64;
                if self.batch(segment, candidate, length).is_ok() {
                    return Err(Error::corrupt(what));
                }
            }
            start += (window_bytes - BATCH_HEADER_BYTES) as u64;
        }
        Ok(())
    }

    fn segment(&self, id: SegmentId) -> Result<Arc<OpenSegment>> {
        if let Some(open) = self.open.lock().get(&id) {
            return Ok(Arc::clone(open));
        }
        let path = self.path(id);
        let file = self.disk.open(&path, OpenHow::Read).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => Error::corrupt(format!("segment {id} is missing")),
            _ => Error::io("cannot open", path)(error),
        })?;
        let opener = SegmentOpener::new(self.file_system, &self.keys, id)?;
        let opened = Arc::new(OpenSegment { file, opener });
        let mut open = self.open.lock();
        if open.len() >= OPEN_FILES_MAX {
            let any = open.keys().next().copied();
            any.and_then(|any| open.remove(&any));
        }
        open.insert(id, Arc::clone(&opened));
        Ok(opened)
    }

    fn read_range(&self, segment: &OpenSegment, offset: u64, length: usize) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let read = self.read_into(&mut bytes, segment, offset, length)?.len();
        bytes.truncate(read);
        Ok(bytes)
    }

    /// Reads into a buffer, which only grows: what is in it behind the bytes that were read is of no meaning.
    fn read_into<'a>(
        &self,
        buffer: &'a mut Vec<u8>,
        segment: &OpenSegment,
        offset: u64,
        length: usize,
    ) -> Result<&'a [u8]> {
        if buffer.len() < length {
            buffer.resize(length, 0);
        }
        let path = || self.path(segment.opener.segment());
        let target = buffer.get_mut(..length).unwrap_or_default();
        let read = segment.file.read_at(target, offset).map_err(|error| unreadable(error, path()))?;
        Ok(buffer.get(..read).unwrap_or_default())
    }

    /// Keeps a buffer for the next read: to make it anew would cost about a tenth of what it takes to open what was read.
    fn give_back(&self, buffer: Vec<u8>) {
        let mut buffers = self.buffers.lock();
        if buffers.len() < BUFFERS_MAX && buffer.len() <= BUFFER_BYTES_MAX {
            buffers.push(buffer);
        }
    }
}

/// Looks for the bytes of a part of a block as often as its owner likes.
pub(super) struct Attempt<'a> {
    files: &'a SegmentFiles,
    segment: Arc<OpenSegment>,
    part: BlockPart,
    buffer: Vec<u8>,
}

impl Attempt<'_> {
    /// The part, if its bytes are in memory; if not, the disk has begun to fetch them.
    pub(super) fn look(&mut self, identity: BlockIdentity) -> Result<Option<Bytes>> {
        let target = self.buffer.get_mut(..self.part.sealed_bytes()).unwrap_or_default();
        match self.segment.file.read_at_once(target, self.part.offset()) {
            Ok(Some(read)) => {
                let sealed = target.get(..read).unwrap_or_default();
                self.segment.opener.open_part(&self.part, identity, sealed).map(Some)
            }
            // What fails here fails again where it is waited for, and is told there.
            Ok(None) | Err(_) => Ok(None),
        }
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        self.files.give_back(std::mem::take(&mut self.buffer));
    }
}

/// A segment that is audited.
struct Audited<'a> {
    files: &'a SegmentFiles,
    segment: &'a OpenSegment,
}

impl SegmentBytes for Audited<'_> {
    fn read(&self, offset: u64, length: usize) -> Result<Vec<u8>> {
        self.files.read_range(self.segment, offset, length)
    }

    fn length(&self) -> Result<u64> {
        let path = self.files.path(self.segment.opener.segment());
        self.segment.file.length().map_err(Error::io("cannot read", path))
    }
}

/// What the disk says that it cannot read any more is lost, as what does not authenticate is: the one block, and nothing else.
fn unreadable(error: io::Error, path: PathBuf) -> Error {
    if error.raw_os_error() == Some(rustix::io::Errno::IO.raw_os_error()) {
        return Error::corrupt(format!("the disk cannot read {}: {error}", path.display()));
    }
    Error::io("cannot read", path)(error)
}

fn length_of(run: &Run) -> usize {
    usize::try_from(run.range.end - run.range.start).unwrap_or(usize::MAX)
}

pub(crate) fn parse_name(name: &str) -> Option<SegmentId> {
    let mut id = [0; 16];
    hex::decode_to_slice(name, &mut id).ok()?;
    Some(SegmentId(id)).filter(|id| id.to_string() == name)
}

fn batch_magics(window: &[u8]) -> impl Iterator<Item = usize> + '_ {
    let magic = crate::data::format::BATCH_MAGIC;
    window.windows(magic.len()).enumerate().filter(move |(_, bytes)| *bytes == magic).map(|(place, _)| place)
}
