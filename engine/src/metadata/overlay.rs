//! Recent changes in memory: what is not in the index yet.
//!
//! The active map takes commits. A fold freezes it, so that a new one takes the commits that follow, and drops the frozen one only
//! when the index has all of it: a reader that looks at active, frozen and index, in this order, never sees a hole.

use std::collections::BTreeSet;
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use parking_lot::{Mutex, RwLock};

use super::key_map::KeyMap;
use super::passing;
use crate::broken::{Broken, broken};
use crate::identity::Lsn;
use crate::journal::Changes;

/// What an entry costs beside its key and value: the node of the map and two allocations.
const ENTRY_OVERHEAD_BYTES: u64 = 160;

/// A key and its value; `None` says that the key is deleted.
pub(crate) type Entry = (Bytes, Option<Bytes>);

/// Recent changes.
pub(crate) struct Overlay {
    maps: RwLock<Maps>,
    committed: AtomicU64,
}

struct Maps {
    active: KeyMap<Option<Bytes>>,
    active_bytes: u64,
    /// Of the active bytes, those of passing rows.
    passing_bytes: u64,
    frozen: Option<Arc<Frozen>>,
    /// Bytes of the passing rows of the frozen map that are still there.
    frozen_passing_bytes: u64,
    /// The last record of what was frozen before.
    folded: Lsn,
    /// Counts the freezes. Only what was frozen gets into the index, so that as long as this stays, the index together with the frozen
    /// map at hand stays the same to a reader.
    generation: u64,
}

/// Changes that a fold is moving into the index. They do not change any more.
#[derive(Debug)]
pub(crate) struct Frozen {
    changes: KeyMap<Option<Bytes>>,
    pub(crate) first: Lsn,
    pub(crate) last: Lsn,
    bytes: u64,
    passed: Mutex<Arc<BTreeSet<Bytes>>>,
}

impl Frozen {
    /// What the checkpoints and the index take: all but the rows that had passed when it was settled.
    pub(crate) fn lasting(&self) -> impl Iterator<Item = (&Bytes, &Option<Bytes>)> {
        let passed = Some(self.passed()).filter(|passed| !passed.is_empty());
        self.changes
            .iter()
            .filter(move |(key, _)| passed.as_ref().is_none_or(|passed| !passed.contains(*key)))
    }

    fn passed(&self) -> Arc<BTreeSet<Bytes>> {
        Arc::clone(&self.passed.lock())
    }

    /// Leaves nothing out of the fold.
    pub(crate) fn keep_all(&self) {
        *self.passed.lock() = Arc::default();
    }

    /// All of a range.
    pub(crate) fn range<'a>(
        &'a self,
        from: &[u8],
        to: &'a [u8],
    ) -> impl Iterator<Item = (&'a Bytes, &'a Option<Bytes>)> + use<'a> {
        between(&self.changes, from, to)
    }
}

/// A consistent view of a range of the overlay.
pub(crate) struct Snapshot {
    pub(crate) active: Vec<Entry>,
    pub(crate) frozen: Option<Arc<Frozen>>,
    pub(crate) generation: u64,
}

/// What is known about a key without asking the index.
pub(crate) enum Found {
    Value(Option<Bytes>),
    Unknown,
}

impl Overlay {
    pub(crate) fn new(committed: Lsn) -> Self {
        let maps = Maps {
            active: KeyMap::default(),
            active_bytes: 0,
            passing_bytes: 0,
            frozen: None,
            frozen_passing_bytes: 0,
            folded: committed,
            generation: 0,
        };
        Overlay { maps: RwLock::new(maps), committed: AtomicU64::new(committed.0) }
    }

    /// The last record that was applied.
    pub(crate) fn committed(&self) -> Lsn {
        Lsn(self.committed.load(Ordering::Acquire))
    }

    /// Applies a record as a whole: a reader sees all of it or nothing. `true` if the last passing row of the frozen map went.
    pub(crate) fn apply(&self, lsn: Lsn, changes: Changes) -> bool {
        let mut maps = self.maps.write();
        let before = maps.frozen_passing_bytes;
        for (key, value) in changes {
            maps.change(key, value);
        }
        self.committed.store(lsn.0, Ordering::Release);
        before > 0 && maps.frozen_passing_bytes == 0
    }

    pub(crate) fn find(&self, key: &[u8]) -> Found {
        let frozen = {
            let maps = self.maps.read();
            if let Some(value) = maps.active.get(key) {
                return Found::Value(value.clone());
            }
            maps.frozen.clone()
        };
        match frozen.and_then(|frozen| frozen.changes.get(key).cloned()) {
            Some(value) => Found::Value(value),
            None => Found::Unknown,
        }
    }

    /// The last entries from one key up to another, which may be it, of the active and of the frozen map; and the generation.
    pub(crate) fn last(&self, from: &[u8], upto: &[u8]) -> ([Option<Entry>; 2], u64) {
        let last = |changes: &KeyMap<Option<Bytes>>| {
            let found = changes.last_upto(upto).filter(|(key, _)| key.as_ref() >= from);
            found.map(|(key, value)| (key.clone(), value.clone()))
        };
        let maps = self.maps.read();
        let frozen = maps.frozen.as_ref().and_then(|frozen| last(&frozen.changes));
        ([last(&maps.active), frozen], maps.generation)
    }

    /// The range, as far as its first `limit` values need it.
    pub(crate) fn snapshot(&self, from: &[u8], to: &[u8], limit: usize) -> Snapshot {
        self.maps.read().snapshot(from, to, limit)
    }

    /// Calls with a snapshot while nothing can be committed or frozen.
    pub(crate) fn with_snapshot<T>(
        &self,
        range: (&[u8], &[u8]),
        limit: usize,
        with: impl FnOnce(Snapshot) -> T,
    ) -> T {
        let maps = self.maps.read();
        with(maps.snapshot(range.0, range.1, limit))
    }

    pub(crate) fn generation(&self) -> u64 {
        self.maps.read().generation
    }

    /// The map that is to be folded: the one that is frozen already, or else the active one; `None` if there is nothing new.
    pub(crate) fn freeze(&self) -> Option<Arc<Frozen>> {
        let mut maps = self.maps.write();
        let (first, last) = (Lsn(maps.folded.0.saturating_add(1)), self.committed());
        // Records that undid each other leave nothing to fold, but somebody may wait for the checkpoint that covers them.
        if maps.frozen.is_none() && first <= last {
            let changes = std::mem::take(&mut maps.active);
            let bytes = std::mem::take(&mut maps.active_bytes);
            maps.frozen_passing_bytes = std::mem::take(&mut maps.passing_bytes);
            maps.frozen = Some(Arc::new(Frozen { changes, first, last, bytes, passed: Mutex::default() }));
            maps.folded = last;
            maps.generation = maps.generation.wrapping_add(1);
        }
        maps.frozen.clone()
    }

    /// Leaves those passing rows out of the frozen map's fold that are deleted by now. The fold may write a checkpoint when all that is
    /// committed by then is durable: until then the rows would be needed after a crash.
    pub(crate) fn settle(&self, frozen: &Frozen) {
        let maps = self.maps.read();
        let (from, to) = passing::range();
        let deleted =
            |key: &Bytes| maps.active.get(key).is_some_and(Option::is_none) || broken(Broken::PassedTooEarly);
        let came = |key: &Bytes| passing::came_with(key).is_some_and(|lsn| lsn >= frozen.first);
        let rows = frozen.range(from, to).filter(|(_, value)| value.is_some());
        let passed = rows.map(|(key, _)| key).filter(|key| came(key) && deleted(key)).cloned().collect();
        *frozen.passed.lock() = Arc::new(passed);
    }

    /// Forgets the frozen map. The index has all of it.
    pub(crate) fn drop_frozen(&self) {
        let mut maps = self.maps.write();
        let frozen = maps.frozen.take();
        maps.frozen_passing_bytes = 0;
        // Nothing is below these deletions any more.
        let passed = frozen.as_ref().map(|frozen| frozen.passed()).unwrap_or_default();
        passed.iter().for_each(|key| maps.forget(key));
        drop(maps);
        // Freed outside of the lock: it may be millions of entries.
        drop(frozen);
    }

    /// Whether a fold is under way.
    pub(crate) fn is_folding(&self) -> bool {
        self.maps.read().frozen.is_some()
    }

    /// Bytes of the passing rows of the frozen map that are still there.
    pub(crate) fn frozen_passing_bytes(&self) -> u64 {
        self.maps.read().frozen_passing_bytes
    }

    /// Bytes of the active map: of what lasts, and of all.
    pub(crate) fn active_bytes(&self) -> (u64, u64) {
        let maps = self.maps.read();
        (maps.active_bytes.saturating_sub(maps.passing_bytes), maps.active_bytes)
    }

    /// Bytes of both maps.
    pub(crate) fn bytes(&self) -> u64 {
        let maps = self.maps.read();
        maps.active_bytes + maps.frozen.as_ref().map_or(0, |frozen| frozen.bytes)
    }
}

impl Maps {
    fn change(&mut self, key: Bytes, value: Option<Bytes>) {
        let Some(came_with) = passing::came_with(&key) else {
            self.insert(key, value);
            return;
        };
        if value.is_none() && came_with > self.folded {
            // It never left the active map: there is nothing to hide.
            self.forget(&key);
            return;
        }
        let frozen =
            self.frozen.as_ref().and_then(|frozen| frozen.changes.get(&key)).and_then(Option::as_ref);
        if let (None, Some(row)) = (&value, frozen)
            && self.active.get(&key).is_none_or(Option::is_some)
        {
            let bytes = entry_bytes(&key, Some(row));
            self.frozen_passing_bytes = self.frozen_passing_bytes.saturating_sub(bytes);
        }
        if value.is_some() {
            self.passing_bytes += entry_bytes(&key, value.as_ref());
        }
        self.insert(key, value);
    }

    fn insert(&mut self, key: Bytes, value: Option<Bytes>) {
        self.active_bytes += entry_bytes(&key, value.as_ref());
        let (key_bytes, passes) = (key.len(), passing::came_with(&key).is_some());
        if let Some(old) = self.active.insert(key, value) {
            self.no_longer_counts(key_bytes, passes, old.as_ref());
        }
    }

    fn forget(&mut self, key: &Bytes) {
        if let Some(old) = self.active.remove(key) {
            self.no_longer_counts(key.len(), passing::came_with(key).is_some(), old.as_ref());
        }
    }

    fn no_longer_counts(&mut self, key_bytes: usize, passes: bool, old: Option<&Bytes>) {
        let bytes = sized_entry_bytes(key_bytes, old);
        self.active_bytes = self.active_bytes.saturating_sub(bytes);
        if passes && old.is_some() {
            self.passing_bytes = self.passing_bytes.saturating_sub(bytes);
        }
    }

    fn snapshot(&self, from: &[u8], to: &[u8], limit: usize) -> Snapshot {
        let mut values = 0;
        let mut active = Vec::new();
        for (key, value) in between(&self.active, from, to) {
            // All values of the newest map are in the result, so that no more of them are needed.
            if values == limit {
                break;
            }
            values += usize::from(value.is_some());
            active.push((key.clone(), value.clone()));
        }
        Snapshot { active, frozen: self.frozen.clone(), generation: self.generation }
    }
}

/// The entries of a map from one key up to another, which is not in it.
pub(crate) fn range<'a>(
    changes: &'a Changes,
    from: &[u8],
    to: &'a [u8],
) -> impl Iterator<Item = (&'a Bytes, &'a Option<Bytes>)> + use<'a> {
    // The map would search for the end, too, and most ranges have few entries.
    let behind = changes.range::<[u8], _>((Bound::Included(from), Bound::Unbounded));
    behind.take_while(move |(key, _)| key.as_ref() < to)
}

fn between<'a>(
    map: &'a KeyMap<Option<Bytes>>,
    from: &[u8],
    to: &'a [u8],
) -> impl Iterator<Item = (&'a Bytes, &'a Option<Bytes>)> + use<'a> {
    map.from(Bound::Included(from)).take_while(move |(key, _)| key.as_ref() < to)
}

fn entry_bytes(key: &Bytes, value: Option<&Bytes>) -> u64 {
    sized_entry_bytes(key.len(), value)
}

fn sized_entry_bytes(key_bytes: usize, value: Option<&Bytes>) -> u64 {
    ENTRY_OVERHEAD_BYTES + (key_bytes + value.map_or(0, Bytes::len)) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::{BlockIndex, ContentId};
    use crate::records::key;

    fn changes(entries: &[(&'static str, Option<&'static str>)]) -> Changes {
        let bytes = |text: &'static str| Bytes::from_static(text.as_bytes());
        entries.iter().map(|(key, value)| (bytes(key), value.map(bytes))).collect()
    }

    #[test]
    fn a_frozen_map_is_seen_below_the_active_one_until_it_is_dropped() {
        let overlay = Overlay::new(Lsn(4));
        overlay.apply(Lsn(5), changes(&[("a", Some("1")), ("b", Some("1"))]));
        let frozen = overlay.freeze().unwrap();
        assert_eq!((frozen.first, frozen.last), (Lsn(5), Lsn(5)));
        overlay.apply(Lsn(6), changes(&[("b", None)]));
        assert!(matches!(overlay.find(b"a"), Found::Value(Some(value)) if value == "1"));
        assert!(matches!(overlay.find(b"b"), Found::Value(None)));
        overlay.drop_frozen();
        assert!(matches!(overlay.find(b"a"), Found::Unknown));
        let frozen = overlay.freeze().unwrap();
        assert_eq!((frozen.first, frozen.last), (Lsn(6), Lsn(6)));
    }

    #[test]
    fn bytes_are_counted_through_overwrites_and_freezes() {
        let overlay = Overlay::new(Lsn(0));
        overlay.apply(Lsn(1), changes(&[("a", Some("1234"))]));
        overlay.apply(Lsn(2), changes(&[("a", Some("1"))]));
        assert_eq!(overlay.bytes(), ENTRY_OVERHEAD_BYTES + 2);
        overlay.freeze();
        assert_eq!((overlay.active_bytes(), overlay.bytes()), ((0, 0), ENTRY_OVERHEAD_BYTES + 2));
        overlay.drop_frozen();
        assert_eq!(overlay.bytes(), 0);
    }

    #[test]
    fn a_snapshot_has_the_tombstones_before_its_last_value() {
        let overlay = Overlay::new(Lsn(0));
        overlay.apply(Lsn(1), changes(&[("a", None), ("b", Some("1")), ("c", None), ("d", Some("1"))]));
        let keys = |limit| {
            let snapshot = overlay.snapshot(b"a", b"z", limit);
            snapshot.active.iter().map(|(key, _)| key.clone()).collect::<Vec<_>>().concat()
        };
        assert_eq!(keys(1), b"ab");
        assert_eq!(keys(2), b"abcd");
        assert!(overlay.snapshot(b"z", b"a", 1).active.is_empty());
    }

    /// The row of a piece that a record brings.
    fn piece(lsn: u64) -> Bytes {
        key::piece(ContentId(1), BlockIndex(0), Lsn(lsn), 0).into()
    }

    fn keys(frozen: &Frozen) -> Vec<Bytes> {
        frozen.lasting().map(|(key, _)| key.clone()).collect()
    }

    #[test]
    fn a_passing_row_that_goes_before_a_fold_leaves_nothing() {
        let overlay = Overlay::new(Lsn(4));
        overlay.apply(Lsn(5), [(piece(5), Some(Bytes::from_static(b"data")))].into());
        assert_eq!(overlay.active_bytes().0, 0);
        assert!(overlay.active_bytes().1 > 0);
        overlay.apply(Lsn(6), [(piece(5), None)].into());
        assert_eq!(overlay.active_bytes(), (0, 0));
        assert!(keys(&overlay.freeze().unwrap()).is_empty());
        overlay.drop_frozen();
        assert!(overlay.freeze().is_none());
        // This one may be in the index.
        overlay.apply(Lsn(7), [(piece(4), None)].into());
        assert_eq!(keys(&overlay.freeze().unwrap()), [piece(4)]);
    }

    #[test]
    fn a_passing_row_that_goes_during_its_fold_is_left_out_if_it_went_before_that_was_settled() {
        let overlay = Overlay::new(Lsn(4));
        let data = || Some(Bytes::from_static(b"data"));
        overlay.apply(Lsn(5), [(piece(5), data())].into());
        overlay.apply(Lsn(6), [(piece(6), data())].into());
        overlay.apply(Lsn(7), [(piece(7), data())].into());
        let frozen = overlay.freeze().unwrap();
        let waiting = overlay.frozen_passing_bytes();
        assert!(!overlay.apply(Lsn(8), [(piece(5), None)].into()));
        assert_eq!(overlay.frozen_passing_bytes(), waiting / 3 * 2);
        overlay.settle(&frozen);
        overlay.apply(Lsn(9), [(piece(6), None)].into());
        assert!(overlay.apply(Lsn(10), [(piece(7), None)].into()), "the last one went");
        assert_eq!(keys(&frozen), [piece(6), piece(7)]);
        assert!(matches!(overlay.find(&piece(5)), Found::Value(None)));
        overlay.drop_frozen();
        assert!(matches!(overlay.find(&piece(5)), Found::Unknown));
        assert_eq!(keys(&overlay.freeze().unwrap()), [piece(6), piece(7)]);
    }

    #[test]
    fn a_passing_row_that_is_kept_although_it_went_goes_with_the_next_fold() {
        let overlay = Overlay::new(Lsn(4));
        overlay.apply(Lsn(5), [(piece(5), Some(Bytes::from_static(b"data")))].into());
        let frozen = overlay.freeze().unwrap();
        overlay.apply(Lsn(6), [(piece(5), None)].into());
        overlay.settle(&frozen);
        frozen.keep_all();
        assert_eq!(keys(&frozen), [piece(5)]);
        overlay.drop_frozen();
        let next = overlay.freeze().unwrap();
        assert_eq!(next.lasting().collect::<Vec<_>>(), [(&piece(5), &None)]);
    }
}
