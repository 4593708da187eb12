//! The content of a file over time: what users see, and what may and what must be there after a crash.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

/// Counts the changes in the order of the journal.
pub(super) type Sequence = u64;

/// One file's content over time.
#[derive(Debug, Clone)]
pub(super) struct History {
    /// The number of the first version that is kept.
    first: usize,
    versions: VecDeque<Arc<Vec<u8>>>,
    promises: Vec<Promise>,
    wholes: Vec<Whole>,
}

/// Bytes of a version that come with one record: all of them or none.
#[derive(Debug, Clone)]
struct Whole {
    range: Range<usize>,
    version: usize,
    /// The record, once it is known.
    sequence: Option<Sequence>,
}

/// From some record of the journal on, bytes are not older than some version.
#[derive(Debug, Clone)]
struct Promise {
    range: Range<usize>,
    version: usize,
    sequence: Sequence,
    what: Promised,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Promised {
    /// The bytes are there, and the file reaches to their end.
    Bytes,
    /// The bytes and the size are there.
    Size,
}

impl History {
    pub(super) fn new(content: Vec<u8>) -> Self {
        History {
            first: 0,
            versions: VecDeque::from([Arc::new(content)]),
            promises: Vec::new(),
            wholes: Vec::new(),
        }
    }

    /// What users see.
    pub(super) fn now(&self) -> &Arc<Vec<u8>> {
        self.versions.back().unwrap()
    }

    /// The number of the newest version.
    pub(super) fn version(&self) -> usize {
        self.first + self.versions.len() - 1
    }

    /// A write, visible from now on and promised to nobody. Returns the version.
    pub(super) fn write(&mut self, offset: usize, bytes: &[u8]) -> usize {
        let mut next = Vec::clone(self.now());
        let end = offset + bytes.len();
        next.resize(next.len().max(end), 0);
        next[offset..end].copy_from_slice(bytes);
        self.push(next)
    }

    /// A write with one record, which may have been written as long as nobody says that the write failed.
    pub(super) fn write_whole(&mut self, offset: usize, bytes: &[u8]) -> usize {
        let version = self.write(offset, bytes);
        self.wholes.push(Whole { range: offset..offset + bytes.len(), version, sequence: None });
        version
    }

    /// A write failed, and may have been done in part.
    pub(super) fn failed(&mut self, version: usize) {
        self.wholes.retain(|whole| whole.version != version);
    }

    pub(super) fn truncate(&mut self, size: usize) -> usize {
        let mut next = Vec::clone(self.now());
        next.resize(size, 0);
        self.push(next)
    }

    /// What is found to be visible after an operation that failed.
    pub(super) fn push(&mut self, next: Vec<u8>) -> usize {
        self.versions.push_back(Arc::new(next));
        self.version()
    }

    /// A record with these bytes of this version.
    pub(super) fn promise_bytes(&mut self, range: Range<usize>, version: usize, sequence: Sequence) {
        if let Some(whole) = self.wholes.iter_mut().find(|whole| whole.version == version) {
            whole.sequence = Some(sequence);
        }
        self.promises.push(Promise { range, version, sequence, what: Promised::Bytes });
    }

    /// A record that cuts the file.
    pub(super) fn promise_cut(&mut self, from: usize, version: usize, sequence: Sequence) {
        self.promises.push(Promise { range: from..usize::MAX, version, sequence, what: Promised::Size });
    }

    /// Records with everything of this version.
    pub(super) fn promise_all(&mut self, version: usize, sequence: Sequence) {
        self.promises.push(Promise { range: 0..usize::MAX, version, sequence, what: Promised::Size });
    }

    /// Forgets versions that cannot come back.
    pub(super) fn prune(&mut self, acknowledged: Sequence) {
        let all = |promise: &&Promise| promise.range == (0..usize::MAX) && promise.sequence <= acknowledged;
        let Some(oldest) = self.promises.iter().filter(all).map(|promise| promise.version).max() else {
            return;
        };
        while self.first < oldest {
            self.versions.pop_front();
            self.first += 1;
        }
        self.promises.retain(|promise| promise.version >= oldest);
        self.wholes.retain(|whole| whole.version > oldest);
    }

    /// Whether this may be what a crash left, when all records up to this one are there.
    pub(super) fn check(&self, actual: &[u8], known: Sequence) -> Result<(), String> {
        let active = || self.promises.iter().filter(|promise| promise.sequence <= known);
        let size_floor =
            active().filter(|promise| promise.what == Promised::Size).map(|promise| promise.version);
        let size_floor = size_floor.max().unwrap_or(self.first).max(self.first);
        let sizes = self.versions.iter().skip(size_floor - self.first).map(|version| version.len());
        let ends = self.promises.iter().filter(|promise| promise.what == Promised::Bytes);
        let mut sizes = sizes.chain(ends.map(|promise| promise.range.end));
        if !sizes.any(|size| size == actual.len()) {
            let sizes: Vec<usize> =
                self.versions.iter().skip(size_floor - self.first).map(|version| version.len()).collect();
            return Err(format!("{} bytes, allowed are {sizes:?}", actual.len()));
        }
        let later = |version: usize| self.versions.iter().skip(version.max(self.first) - self.first);
        let short = |promise: &&Promise| {
            promise.what == Promised::Bytes
                && promise.version >= size_floor
                && actual.len() < promise.range.end
                && !later(promise.version).any(|version| version.len() == actual.len())
        };
        if let Some(promise) = active().find(short) {
            let (found, end) = (actual.len(), promise.range.end);
            return Err(format!("{found} bytes, but the file was written durably up to {end}"));
        }
        self.check_bytes(actual, active())?;
        self.check_wholes(actual, known)
    }

    /// What nobody promised is there as a whole or not at all.
    fn check_wholes(&self, actual: &[u8], known: Sequence) -> Result<(), String> {
        // The bytes of the others must be there.
        let open = |whole: &&Whole| whole.sequence.is_none_or(|sequence| sequence > known);
        for whole in self.wholes.iter().filter(open) {
            let (mut old, mut new) = (None, None);
            for at in whole.range.clone() {
                let shows = |version: &Arc<Vec<u8>>| version.get(at) == actual.get(at);
                // A file that was shorter shows zeros there, if it was made longer and what was written without a promise is gone.
                let was_hole = |version: &Arc<Vec<u8>>| version.len() <= at && actual.get(at) == Some(&0);
                let older = self.versions.range(..whole.version - self.first);
                let is_old = older.clone().any(|version| shows(version) || was_hole(version));
                let is_new = self.versions.range(whole.version - self.first..).any(shows);
                match (is_old, is_new) {
                    (true, false) => old = Some(at),
                    (false, true) => new = Some(at),
                    _ => {}
                }
            }
            if let (Some(old), Some(new)) = (old, new) {
                let range = &whole.range;
                return Err(format!(
                    "the change of {range:?} is there in part: byte {new} is new and {old} old"
                ));
            }
        }
        Ok(())
    }

    fn check_bytes<'a>(
        &self,
        actual: &[u8],
        active: impl Iterator<Item = &'a Promise>,
    ) -> Result<(), String> {
        let mut floors = vec![self.first; actual.len()];
        for promise in active {
            let end = promise.range.end.min(actual.len());
            for floor in floors.get_mut(promise.range.start.min(end)..end).unwrap_or_default() {
                *floor = (*floor).max(promise.version);
            }
        }
        let newest = self.now();
        for (at, (byte, floor)) in actual.iter().zip(floors).enumerate() {
            let of = |version: &Arc<Vec<u8>>| version.get(at).copied().unwrap_or(0);
            if *byte == of(newest) {
                continue;
            }
            if !self.versions.iter().skip(floor - self.first).any(|version| of(version) == *byte) {
                let allowed: Vec<u8> = self.versions.iter().skip(floor - self.first).map(of).collect();
                return Err(format!("byte {at} is {byte:#x}, allowed are {allowed:x?}"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod unit {
    use super::*;

    #[test]
    fn a_write_with_one_record_is_there_whole_or_not_at_all() {
        let mut history = History::new(b"aaaa".to_vec());
        let version = history.write_whole(1, b"bbbb");
        assert!(history.check(b"aaaa", 5).is_ok() && history.check(b"abbbb", 5).is_ok());
        for torn in [b"abba".as_slice(), b"aaab", b"abbb", b"aabbb"] {
            assert!(history.check(torn, 5).is_err(), "{torn:?}");
        }
        // What follows may hide a part of it.
        history.promise_bytes(1..5, version, 6);
        history.write(2, b"c");
        assert!(history.check(b"abcbb", 5).is_ok() && history.check(b"aacaa", 5).is_err());
        assert!(history.check(b"aaaa", 5).is_ok() && history.check(b"aaaa", 6).is_err());
        let version = history.write_whole(0, b"dd");
        history.failed(version);
        assert!(history.check(b"dbcbb", 6).is_ok());
    }

    #[test]
    fn zeros_where_a_lost_write_was_to_be_are_a_hole_and_no_part_of_another_one() {
        let mut history = History::new(Vec::new());
        history.write(0, b"0a0a".map(|byte| byte - b'0').as_slice());
        let version = history.truncate(6);
        history.promise_cut(4, version, 5);
        // It has zeros, too, where the lost one had none.
        history.write_whole(0, b"b0b0".map(|byte| byte - b'0').as_slice());
        assert_eq!(history.check(&[0; 6], 5), Ok(()));
        let whole = [b'b' - b'0', 0, b'b' - b'0', 0, 0, 0];
        assert_eq!(history.check(&whole, 5), Ok(()));
        let torn = [b'b' - b'0', 0, 0, 0, 0, 0];
        assert!(history.check(&torn, 5).is_err());
    }

    #[test]
    fn an_unstable_write_is_old_or_new_and_a_promised_one_is_new() {
        let mut history = History::new(b"aaaa".to_vec());
        let version = history.write(1, b"bb");
        assert!(history.check(b"aaaa", 5).is_ok() && history.check(b"abba", 5).is_ok());
        assert!(history.check(b"abca", 5).is_err() && history.check(b"aaa", 5).is_err());
        history.promise_bytes(1..3, version, 6);
        assert!(history.check(b"aaaa", 5).is_ok() && history.check(b"aaaa", 6).is_err());
        let version = history.truncate(2);
        history.promise_cut(2, version, 7);
        assert!(history.check(b"abba", 6).is_ok() && history.check(b"abba", 7).is_err());
        assert!(history.check(b"ab", 7).is_ok());
        history.promise_all(version, 8);
        history.prune(8);
        assert!(history.check(b"ab", 8).is_ok() && history.check(b"aa", 8).is_err());
    }
}
