//! The write buffer: UNSTABLE data in bounded memory until COMMIT or pressure.
//!
//! # Crash consistency
//! A crash loses all of it, which the write verifier shows: clients send again what they have not committed. A file whose last data a
//! change takes out stays known here until the record of that change can be seen: whoever finds a file here looks at it while nothing
//! changes, so that nobody sees the time between.

mod range_map;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use parking_lot::Mutex;

use crate::attributes::Timestamp;
use crate::identity::InodeId;
pub(crate) use range_map::{RangeMap, clip};

/// UNSTABLE data of all files.
pub(crate) struct WriteBuffer {
    files: Mutex<BTreeMap<InodeId, Dirty>>,
    bytes: AtomicU64,
}

/// UNSTABLE data of one file.
#[derive(Debug, Clone, Default)]
pub(crate) struct Dirty {
    /// Newest data.
    active: RangeMap,
    /// Data that is being flushed; below the newest.
    flushing: RangeMap,
    /// Where the data ends.
    pub(crate) end: u64,
    /// When it was last written.
    pub(crate) mtime: Timestamp,
    /// The change number that its users have seen.
    pub(crate) change: u64,
    /// Counts truncations and holes, so that a flush notices one that came between.
    cuts: u64,
}

/// What a flush has to write.
#[derive(Debug)]
pub(crate) struct FlushJob {
    /// Offset and bytes, ascending, not overlapping.
    pub(crate) ranges: Vec<(u64, Bytes)>,
    /// Bytes in them.
    pub(crate) bytes: u64,
    cuts: u64,
}

impl WriteBuffer {
    pub(crate) fn new() -> Self {
        WriteBuffer { files: Mutex::new(BTreeMap::new()), bytes: AtomicU64::new(0) }
    }

    /// Bytes held for all files.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Whether the file has data here, or had some until a change that is being made.
    pub(crate) fn holds(&self, inode: InodeId) -> bool {
        self.files.lock().contains_key(&inode)
    }

    /// The files that have data here.
    pub(crate) fn inodes(&self) -> Vec<InodeId> {
        self.files.lock().keys().copied().collect()
    }

    /// Where a file's data ends, when it was written, and the change number, if it has data here.
    pub(crate) fn view(&self, inode: InodeId) -> Option<DirtyView> {
        self.files.lock().get(&inode).filter(|dirty| !dirty.is_empty()).map(|dirty| DirtyView {
            end: dirty.end,
            mtime: dirty.mtime,
            change: dirty.change,
            bytes: dirty.active.bytes() + dirty.flushing.bytes(),
        })
    }

    /// Takes in a write.
    pub(crate) fn insert(&self, inode: InodeId, offset: u64, data: Bytes, mtime: Timestamp, change: u64) {
        let mut files = self.files.lock();
        let dirty = files.entry(inode).or_default();
        let before = dirty.active.bytes();
        dirty.end = dirty.end.max(offset + data.len() as u64);
        dirty.active.insert(offset, data);
        dirty.mtime = mtime;
        dirty.change = change;
        let after = dirty.active.bytes();
        self.bytes.fetch_add(after, Ordering::Relaxed);
        self.bytes.fetch_sub(before, Ordering::Relaxed);
    }

    /// Raises the change number that users have seen, if the file has data here.
    pub(crate) fn raise_change(&self, inode: InodeId, change: u64) {
        if let Some(dirty) = self.files.lock().get_mut(&inode) {
            dirty.change = dirty.change.max(change);
        }
    }

    /// The data within a range, in the order in which it must be laid over what is stored.
    pub(crate) fn read(&self, inode: InodeId, from: u64, end: u64) -> Vec<(u64, Bytes)> {
        let files = self.files.lock();
        let Some(dirty) = files.get(&inode) else { return Vec::new() };
        let mut found = dirty.flushing.within(from, end);
        found.extend(dirty.active.within(from, end));
        found
    }

    /// Marks all data of the file as being flushed, and returns it. Only one flush of a file runs at a time.
    pub(crate) fn start_flush(&self, inode: InodeId) -> Option<FlushJob> {
        let mut files = self.files.lock();
        let dirty = files.get_mut(&inode).filter(|dirty| !dirty.is_empty())?;
        let before = dirty.active.bytes() + dirty.flushing.bytes();
        let active = std::mem::take(&mut dirty.active);
        for (offset, bytes) in active.into_ranges() {
            dirty.flushing.insert(offset, bytes);
        }
        let bytes = dirty.flushing.bytes();
        self.bytes.fetch_sub(before - bytes, Ordering::Relaxed);
        Some(FlushJob { ranges: dirty.flushing.ranges(), bytes, cuts: dirty.cuts })
    }

    /// Whether no truncation came between the start of the flush and now. The caller holds the sequencer.
    pub(crate) fn still_wanted(&self, inode: InodeId, job: &FlushJob) -> bool {
        self.files.lock().get(&inode).is_some_and(|dirty| dirty.cuts == job.cuts)
    }

    /// Drops what was flushed. The caller holds the sequencer, and [`settles`](WriteBuffer::settle) the file when its record is there.
    pub(crate) fn finish_flush(&self, inode: InodeId) {
        let mut files = self.files.lock();
        if let Some(dirty) = files.get_mut(&inode) {
            self.bytes.fetch_sub(dirty.flushing.bytes(), Ordering::Relaxed);
            dirty.flushing = RangeMap::default();
        }
    }

    /// Takes a range out of the data, whose place something else takes. The caller holds the sequencer, sees to the size, and
    /// [`settles`](WriteBuffer::settle) the file when its record is there.
    pub(crate) fn punch(&self, inode: InodeId, from: u64, end: u64) {
        let mut files = self.files.lock();
        if let Some(dirty) = files.get_mut(&inode) {
            let before = dirty.active.bytes() + dirty.flushing.bytes();
            dirty.active.punch(from, end);
            dirty.flushing.punch(from, end);
            dirty.cuts += 1;
            let after = dirty.active.bytes() + dirty.flushing.bytes();
            self.bytes.fetch_sub(before - after, Ordering::Relaxed);
        }
    }

    /// Cuts the data off at a size; at zero, or for a removed file, nothing stays. The caller holds the sequencer, and
    /// [`settles`](WriteBuffer::settle) the file when its record is there.
    pub(crate) fn truncate(&self, inode: InodeId, size: u64) {
        let mut files = self.files.lock();
        if let Some(dirty) = files.get_mut(&inode) {
            let before = dirty.active.bytes() + dirty.flushing.bytes();
            dirty.active.truncate(size);
            dirty.flushing.truncate(size);
            dirty.end = dirty.end.min(size);
            dirty.cuts += 1;
            let after = dirty.active.bytes() + dirty.flushing.bytes();
            self.bytes.fetch_sub(before - after, Ordering::Relaxed);
        }
    }

    /// Forgets a file that has no data here any more. The caller holds the sequencer, or the file is gone.
    pub(crate) fn settle(&self, inode: InodeId) {
        let mut files = self.files.lock();
        if files.get(&inode).is_some_and(Dirty::is_empty) {
            files.remove(&inode);
        }
    }
}

impl Dirty {
    fn is_empty(&self) -> bool {
        self.active.is_empty() && self.flushing.is_empty()
    }
}

/// What UNSTABLE data changes in a file's attributes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct DirtyView {
    pub(crate) end: u64,
    pub(crate) mtime: Timestamp,
    pub(crate) change: u64,
    pub(crate) bytes: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: InodeId = InodeId(2);

    fn write(buffer: &WriteBuffer, offset: u64, data: &'static [u8]) {
        buffer.insert(FILE, offset, Bytes::from_static(data), Timestamp::default(), 1);
    }

    #[test]
    fn new_data_lies_over_data_that_is_being_flushed() {
        let buffer = WriteBuffer::new();
        write(&buffer, 0, b"aaaa");
        let job = buffer.start_flush(FILE).unwrap();
        write(&buffer, 2, b"bb");
        assert_eq!(job.ranges, [(0, Bytes::from_static(b"aaaa"))]);
        let layers = buffer.read(FILE, 0, 10);
        assert_eq!(layers, [(0, Bytes::from_static(b"aaaa")), (2, Bytes::from_static(b"bb"))]);
        buffer.finish_flush(FILE);
        buffer.settle(FILE);
        assert_eq!(buffer.read(FILE, 0, 10), [(2, Bytes::from_static(b"bb"))]);
        assert_eq!(buffer.bytes(), 2);
    }

    #[test]
    fn a_hole_takes_data_out_of_both_layers_and_makes_a_running_flush_unwanted() {
        let buffer = WriteBuffer::new();
        write(&buffer, 0, b"aaaa");
        let job = buffer.start_flush(FILE).unwrap();
        write(&buffer, 2, b"bbbb");
        buffer.punch(FILE, 1, 3);
        assert!(!buffer.still_wanted(FILE, &job));
        let layers = buffer.read(FILE, 0, 10);
        let expected: [(u64, &[u8]); 3] = [(0, b"a"), (3, b"a"), (3, b"bbb")];
        assert_eq!(layers, expected.map(|(at, bytes)| (at, Bytes::from_static(bytes))));
        assert_eq!(buffer.bytes(), 5);
        buffer.punch(FILE, 0, u64::MAX);
        assert!(buffer.holds(FILE) && buffer.view(FILE).is_none() && buffer.start_flush(FILE).is_none());
        buffer.settle(FILE);
        assert!(!buffer.holds(FILE) && buffer.bytes() == 0);
    }

    #[test]
    fn a_truncation_makes_a_running_flush_unwanted() {
        let buffer = WriteBuffer::new();
        write(&buffer, 0, b"aaaa");
        let job = buffer.start_flush(FILE).unwrap();
        assert!(buffer.still_wanted(FILE, &job));
        buffer.truncate(FILE, 1);
        assert!(!buffer.still_wanted(FILE, &job));
        assert_eq!(buffer.bytes(), 1);
        buffer.truncate(FILE, 0);
        assert!(buffer.holds(FILE) && buffer.view(FILE).is_none());
        buffer.settle(FILE);
        assert!(!buffer.holds(FILE));
        assert_eq!(buffer.bytes(), 0);
    }
}
