//! A map by keys that are bytes, in which most of a search stays within the nodes of the map.
//!
//! The bytes of each key are somewhere else in memory, so that to compare with one is mostly a miss of the processor's caches once a map
//! is large. The first bytes of a key therefore stand in the map itself; they tell nearly all keys apart.

use std::cmp::Ordering;
use std::collections::{BTreeMap, btree_map};
use std::ops::Bound;

use bytes::Bytes;

/// Bytes of a key that stand in the map: what an entry of a directory or an extent has as its key, and more.
const HEAD_BYTES: usize = 24;

/// The first bytes of a key as numbers, with zeros behind a shorter key. They are in the order of the keys, or equal.
type Head = [u64; HEAD_BYTES / 8];

/// A map by keys that are bytes.
#[derive(Debug)]
pub(crate) struct KeyMap<V>(BTreeMap<Key, V>);

impl<V> Default for KeyMap<V> {
    fn default() -> Self {
        KeyMap(BTreeMap::new())
    }
}

impl<V> KeyMap<V> {
    pub(crate) fn get(&self, key: &[u8]) -> Option<&V> {
        self.0.get(&Key::sought(key))
    }

    /// Sets a value; returns the one that was there.
    pub(crate) fn insert(&mut self, key: Bytes, value: V) -> Option<V> {
        self.0.insert(Key::new(key), value)
    }

    pub(crate) fn remove(&mut self, key: &[u8]) -> Option<V> {
        self.0.remove(&Key::sought(key))
    }

    /// All entries, ascending.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Bytes, &V)> {
        self.0.iter().map(|(key, value)| (&key.bytes, value))
    }

    /// The entries from a bound on, ascending.
    pub(crate) fn from(&self, bound: Bound<&[u8]>) -> Entries<'_, V> {
        // With one bound the map is searched once.
        Entries(self.0.range((bound.map(Key::sought), Bound::Unbounded)))
    }

    /// The last entry up to a key, which may be it.
    pub(crate) fn last_upto(&self, key: &[u8]) -> Option<(&Bytes, &V)> {
        let last = self.0.range(..=Key::sought(key)).next_back();
        last.map(|(key, value)| (&key.bytes, value))
    }
}

/// Entries of a map, ascending.
pub(crate) struct Entries<'a, V>(btree_map::Range<'a, Key, V>);

impl<'a, V> Iterator for Entries<'a, V> {
    type Item = (&'a Bytes, &'a V);

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next().map(|(key, value)| (&key.bytes, value))
    }
}

/// A key of the map, or one that is looked for.
#[derive(Debug)]
struct Key {
    head: Head,
    /// Bytes of the key, or one more than a head has for all longer ones.
    length: usize,
    /// All of the key; if it is looked for, nothing if it is no longer than its head.
    bytes: Bytes,
}

impl Key {
    fn new(bytes: Bytes) -> Self {
        Key { head: head(&bytes), length: bytes.len().min(HEAD_BYTES + 1), bytes }
    }

    fn sought(key: &[u8]) -> Self {
        let bytes = if key.len() > HEAD_BYTES { Bytes::copy_from_slice(key) } else { Bytes::new() };
        Key { head: head(key), length: key.len().min(HEAD_BYTES + 1), bytes }
    }
}

fn head(key: &[u8]) -> Head {
    let mut first = [0; HEAD_BYTES];
    for (place, byte) in first.iter_mut().zip(key) {
        *place = *byte;
    }
    let mut head = Head::default();
    for (number, bytes) in head.iter_mut().zip(first.as_chunks().0) {
        *number = u64::from_be_bytes(*bytes);
    }
    head
}

impl Ord for Key {
    /// Of two keys with the same head the shorter one is the other one without zeros at its end, unless both go on behind it.
    fn cmp(&self, other: &Self) -> Ordering {
        self.head.cmp(&other.head).then_with(|| match self.length.cmp(&other.length) {
            Ordering::Equal if self.length > HEAD_BYTES => self.bytes.cmp(&other.bytes),
            order => order,
        })
    }
}

impl PartialOrd for Key {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Key {}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Keys that have zeros, that begin alike, and that are longer and shorter than what stands in the map.
    fn a_key() -> impl Strategy<Value = Vec<u8>> {
        (0..3_usize, prop::collection::vec(0..2_u8, 0..6))
            .prop_map(|(long, end)| [vec![0; long * (HEAD_BYTES - 2) / 2], end].concat())
    }

    proptest! {
        #[test]
        fn it_is_a_map_in_the_order_of_bytes(
            steps in prop::collection::vec((a_key(), any::<bool>()), 1..60),
            sought in prop::collection::vec(a_key(), 1..20),
        ) {
            let (mut map, mut model) = (KeyMap::default(), BTreeMap::new());
            for (number, (key, stays)) in steps.into_iter().enumerate() {
                if stays {
                    prop_assert_eq!(map.insert(Bytes::from(key.clone()), number), model.insert(key, number));
                } else {
                    prop_assert_eq!(map.remove(&key), model.remove(&key));
                }
            }
            let plain = |(key, value): (&Bytes, &usize)| (key.to_vec(), *value);
            let of_model = |(key, value): (&Vec<u8>, &usize)| (key.clone(), *value);
            prop_assert!(map.iter().map(plain).eq(model.iter().map(of_model)));
            for key in sought {
                prop_assert_eq!(map.get(&key), model.get(&key));
                prop_assert_eq!(map.last_upto(&key).map(plain), model.range(..=key.clone()).next_back().map(of_model));
                for bound in [Bound::Included(key.as_slice()), Bound::Excluded(&key), Bound::Unbounded] {
                    let expected = model.range::<[u8], _>((bound, Bound::Unbounded)).map(of_model);
                    prop_assert!(map.from(bound).map(plain).eq(expected));
                }
            }
        }
    }
}
