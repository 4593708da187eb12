//! Recent changes in memory: what is not in the index yet.
//!
//! The active map takes commits. A fold freezes it, so that a new one takes the commits that follow, and drops the frozen one only
//! when the index has all of it: a reader that looks at active, frozen and index, in this order, never sees a hole.

use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use parking_lot::RwLock;

use crate::identity::Lsn;
use crate::journal::Changes;

/// What an entry costs beside its key and value: the node of the map and two allocations.
const ENTRY_OVERHEAD_BYTES: u64 = 128;

/// A key and its value; `None` says that the key is deleted.
pub(crate) type Entry = (Bytes, Option<Bytes>);

/// Recent changes.
pub(crate) struct Overlay {
    maps: RwLock<Maps>,
    committed: AtomicU64,
}

struct Maps {
    active: Changes,
    active_bytes: u64,
    frozen: Option<Arc<Frozen>>,
    /// The last record of what was frozen before.
    folded: Lsn,
    /// Counts the freezes. Only what was frozen gets into the index, so that as long as this stays, the index together with the frozen
    /// map at hand stays the same to a reader.
    generation: u64,
}

/// Changes that a fold is moving into the index. They do not change any more.
#[derive(Debug)]
pub(crate) struct Frozen {
    pub(crate) changes: Changes,
    pub(crate) first: Lsn,
    pub(crate) last: Lsn,
    bytes: u64,
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
        let maps =
            Maps { active: Changes::new(), active_bytes: 0, frozen: None, folded: committed, generation: 0 };
        Overlay { maps: RwLock::new(maps), committed: AtomicU64::new(committed.0) }
    }

    /// The last record that was applied.
    pub(crate) fn committed(&self) -> Lsn {
        Lsn(self.committed.load(Ordering::Acquire))
    }

    /// Applies a record as a whole: a reader sees all of it or nothing.
    pub(crate) fn apply(&self, lsn: Lsn, changes: Changes) {
        let mut maps = self.maps.write();
        for (key, value) in changes {
            let added = entry_bytes(&key, value.as_ref());
            let key_bytes = key.len();
            let replaced = maps.active.insert(key, value);
            let removed = replaced
                .map_or(0, |old| ENTRY_OVERHEAD_BYTES + (key_bytes + old.map_or(0, |old| old.len())) as u64);
            maps.active_bytes = (maps.active_bytes + added).saturating_sub(removed);
        }
        self.committed.store(lsn.0, Ordering::Release);
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

    /// The map that is to be folded: the one that is frozen already, or else the active one; `None` if both are empty.
    pub(crate) fn freeze(&self) -> Option<Arc<Frozen>> {
        let mut maps = self.maps.write();
        if maps.frozen.is_none() && !maps.active.is_empty() {
            let first = Lsn(maps.folded.0.saturating_add(1));
            let last = self.committed();
            let changes = std::mem::take(&mut maps.active);
            let bytes = std::mem::take(&mut maps.active_bytes);
            maps.frozen = Some(Arc::new(Frozen { changes, first, last, bytes }));
            maps.folded = last;
            maps.generation = maps.generation.wrapping_add(1);
        }
        maps.frozen.clone()
    }

    /// Forgets the frozen map. The index has all of it.
    pub(crate) fn drop_frozen(&self) {
        let frozen = self.maps.write().frozen.take();
        // Freed outside of the lock: it may be millions of entries.
        drop(frozen);
    }

    /// Bytes of the active map.
    pub(crate) fn active_bytes(&self) -> u64 {
        self.maps.read().active_bytes
    }

    /// Bytes of both maps.
    pub(crate) fn bytes(&self) -> u64 {
        let maps = self.maps.read();
        maps.active_bytes + maps.frozen.as_ref().map_or(0, |frozen| frozen.bytes)
    }
}

impl Maps {
    fn snapshot(&self, from: &[u8], to: &[u8], limit: usize) -> Snapshot {
        let mut values = 0;
        let mut active = Vec::new();
        for (key, value) in range(&self.active, from, to) {
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
    to: &[u8],
) -> impl Iterator<Item = (&'a Bytes, &'a Option<Bytes>)> + use<'a> {
    // An empty range must not reach the map, which panics if the start is behind the end.
    let to = to.max(from);
    changes.range::<[u8], _>((Bound::Included(from), Bound::Excluded(to)))
}

fn entry_bytes(key: &Bytes, value: Option<&Bytes>) -> u64 {
    ENTRY_OVERHEAD_BYTES + (key.len() + value.map_or(0, Bytes::len)) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

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
        assert_eq!((overlay.active_bytes(), overlay.bytes()), (0, ENTRY_OVERHEAD_BYTES + 2));
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
}
