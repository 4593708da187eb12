//! The write buffer: UNSTABLE data in bounded memory until COMMIT or pressure.
//!
//! # Crash consistency
//! A crash loses all of it, which the write verifier shows: clients send again what they have not committed. What a change takes out of
//! the buffer stays readable in it until the record of that change can be seen, so that nobody sees the time between, and a change that
//! fails takes nothing out.

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
    /// Numbers that were given out: one for each file that comes, and one for each cut.
    numbers: AtomicU64,
}

/// UNSTABLE data of one file.
#[derive(Debug, Clone, Default)]
struct Dirty {
    /// Newest data.
    active: RangeMap,
    /// Data that is being flushed; below the newest.
    flushing: RangeMap,
    /// Where the data ends.
    end: u64,
    /// When it was last written.
    mtime: Timestamp,
    /// The change number that its users have seen.
    change: u64,
    /// The number of the last truncation or hole, or of the file's coming, so that a flush notices one that came between.
    cut: u64,
}

/// What a change takes out of the data of a file.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Cut {
    /// What was flushed.
    Flushed,
    /// A range, whose place something else takes.
    Range(u64, u64),
    /// Everything from a size on.
    Behind(u64),
}

/// What a flush has to write.
#[derive(Debug)]
pub(crate) struct FlushJob {
    /// Offset and bytes, ascending, not overlapping.
    pub(crate) ranges: Vec<(u64, Bytes)>,
    /// Bytes in them.
    pub(crate) bytes: u64,
    cut: u64,
}

impl WriteBuffer {
    pub(crate) fn new() -> Self {
        WriteBuffer {
            files: Mutex::new(BTreeMap::new()),
            bytes: AtomicU64::new(0),
            numbers: AtomicU64::new(0),
        }
    }

    /// Bytes held for all files.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Whether the file has data here.
    pub(crate) fn holds(&self, inode: InodeId) -> bool {
        self.files.lock().contains_key(&inode)
    }

    /// Grows when a file comes.
    pub(crate) fn numbers(&self) -> u64 {
        self.numbers.load(Ordering::Acquire)
    }

    fn next_number(&self) -> u64 {
        self.numbers.fetch_add(1, Ordering::AcqRel) + 1
    }

    /// The files that have data here.
    pub(crate) fn inodes(&self) -> Vec<InodeId> {
        self.files.lock().keys().copied().collect()
    }

    /// Where a file's data ends, when it was written, and the change number, if it has data here.
    pub(crate) fn view(&self, inode: InodeId) -> Option<DirtyView> {
        self.files.lock().get(&inode).map(Dirty::view)
    }

    /// The same as it will be after cuts.
    pub(crate) fn view_after(
        &self,
        inode: InodeId,
        cuts: impl IntoIterator<Item = Cut>,
    ) -> Option<DirtyView> {
        let mut cuts = cuts.into_iter().peekable();
        if cuts.peek().is_none() {
            return self.view(inode);
        }
        let mut dirty = self.files.lock().get(&inode).cloned()?;
        cuts.for_each(|cut| dirty.cut(cut));
        Some(dirty).filter(|dirty| dirty.bytes() > 0).as_ref().map(Dirty::view)
    }

    /// Takes in a write.
    pub(crate) fn insert(&self, inode: InodeId, offset: u64, data: Bytes, mtime: Timestamp, change: u64) {
        let mut files = self.files.lock();
        let dirty =
            files.entry(inode).or_insert_with(|| Dirty { cut: self.next_number(), ..Dirty::default() });
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
        let dirty = files.get_mut(&inode)?;
        let before = dirty.bytes();
        let active = std::mem::take(&mut dirty.active);
        for (offset, bytes) in active.into_ranges() {
            dirty.flushing.insert(offset, bytes);
        }
        let bytes = dirty.flushing.bytes();
        self.bytes.fetch_sub(before - bytes, Ordering::Relaxed);
        Some(FlushJob { ranges: dirty.flushing.ranges(), bytes, cut: dirty.cut })
    }

    /// Whether no truncation and no hole came between the start of the flush and now. The caller holds the sequencer.
    pub(crate) fn still_wanted(&self, inode: InodeId, job: &FlushJob) -> bool {
        self.files.lock().get(&inode).is_some_and(|dirty| dirty.cut == job.cut)
    }

    /// Takes data out. The caller holds the sequencer, and the record that takes its place can be seen; or the file is gone.
    pub(crate) fn cut(&self, inode: InodeId, cut: Cut, at: Timestamp) {
        let mut files = self.files.lock();
        let Some(dirty) = files.get_mut(&inode) else { return };
        let before = dirty.bytes();
        dirty.cut(cut);
        if !matches!(cut, Cut::Flushed) {
            dirty.cut = self.next_number();
            dirty.mtime = dirty.mtime.max(at);
        }
        let after = dirty.bytes();
        self.bytes.fetch_sub(before - after, Ordering::Relaxed);
        if after == 0 {
            files.remove(&inode);
        }
    }
}

impl Dirty {
    fn bytes(&self) -> u64 {
        self.active.bytes() + self.flushing.bytes()
    }

    fn view(&self) -> DirtyView {
        DirtyView { end: self.end, mtime: self.mtime, change: self.change, bytes: self.bytes() }
    }

    fn cut(&mut self, cut: Cut) {
        match cut {
            Cut::Flushed => self.flushing = RangeMap::default(),
            Cut::Range(from, end) => {
                self.active.punch(from, end);
                self.flushing.punch(from, end);
            }
            Cut::Behind(size) => {
                self.active.truncate(size);
                self.flushing.truncate(size);
                self.end = self.end.min(size);
            }
        }
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
        buffer.cut(FILE, Cut::Flushed, Timestamp::default());
        assert_eq!(buffer.read(FILE, 0, 10), [(2, Bytes::from_static(b"bb"))]);
        assert_eq!(buffer.bytes(), 2);
    }

    #[test]
    fn a_hole_takes_data_out_of_both_layers_and_makes_a_running_flush_unwanted() {
        let buffer = WriteBuffer::new();
        write(&buffer, 0, b"aaaa");
        let job = buffer.start_flush(FILE).unwrap();
        write(&buffer, 2, b"bbbb");
        buffer.cut(FILE, Cut::Range(1, 3), Timestamp::default());
        assert!(!buffer.still_wanted(FILE, &job));
        let layers = buffer.read(FILE, 0, 10);
        let expected: [(u64, &[u8]); 3] = [(0, b"a"), (3, b"a"), (3, b"bbb")];
        assert_eq!(layers, expected.map(|(at, bytes)| (at, Bytes::from_static(bytes))));
        assert_eq!(buffer.bytes(), 5);
        buffer.cut(FILE, Cut::Range(0, u64::MAX), Timestamp::default());
        assert!(!buffer.holds(FILE) && buffer.bytes() == 0);
    }

    #[test]
    fn a_truncation_makes_a_running_flush_unwanted() {
        let buffer = WriteBuffer::new();
        write(&buffer, 0, b"aaaa");
        let job = buffer.start_flush(FILE).unwrap();
        assert!(buffer.still_wanted(FILE, &job));
        let after = |size| buffer.view_after(FILE, [Cut::Behind(size)]).map(|view| (view.end, view.bytes));
        assert_eq!((after(1), after(0)), (Some((1, 1)), None));
        assert!(buffer.still_wanted(FILE, &job), "it only looked");
        buffer.cut(FILE, Cut::Behind(1), Timestamp::default());
        assert!(!buffer.still_wanted(FILE, &job));
        assert_eq!(buffer.bytes(), 1);
        buffer.cut(FILE, Cut::Behind(0), Timestamp::default());
        assert!(!buffer.holds(FILE));
        assert_eq!(buffer.bytes(), 0);
    }

    #[test]
    fn a_flush_of_what_was_cut_off_is_unwanted_although_the_file_has_data_again() {
        let buffer = WriteBuffer::new();
        write(&buffer, 0, b"aaaa");
        let job = buffer.start_flush(FILE).unwrap();
        buffer.cut(FILE, Cut::Behind(0), Timestamp::default());
        write(&buffer, 0, b"b");
        assert!(!buffer.still_wanted(FILE, &job));
    }
}
