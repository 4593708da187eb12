//! The data keys of a file system, by generation.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::RwLock;

use super::DataKey;
use crate::attributes::Timestamp;
use crate::environment::Environment;
use crate::error::{OpenError, Result};
use crate::identity::KeyGeneration;
use crate::limits::KEY_GENERATIONS_MAX;

/// A data key and when it was made.
#[derive(Clone)]
pub(crate) struct RingKey {
    pub(crate) since: Timestamp,
    pub(crate) key: DataKey,
}

/// Data keys by generation: the newest one, and those that a rotation under way has not replaced everywhere yet.
#[derive(Clone)]
pub(crate) struct Generations {
    newest: (KeyGeneration, RingKey),
    older: BTreeMap<KeyGeneration, RingKey>,
}

/// The data keys of an open file system. All clones are one ring: a rotation is seen by everybody at once.
#[derive(Clone)]
pub(crate) struct KeyRing(Arc<RwLock<Generations>>);

impl RingKey {
    pub(super) fn generate(environment: &Environment) -> Self {
        let key = DataKey::generate(environment.entropy.as_ref());
        RingKey { since: environment.clock.now(), key }
    }
}

impl Generations {
    /// The first key of a new file system.
    pub(super) fn first(key: RingKey) -> Self {
        Generations { newest: (KeyGeneration::FIRST, key), older: BTreeMap::new() }
    }

    /// `None` if there is no key, or are too many.
    pub(super) fn from_keys(mut keys: BTreeMap<KeyGeneration, RingKey>) -> Option<Self> {
        let newest = keys.pop_last()?;
        (keys.len() < KEY_GENERATIONS_MAX).then_some(Generations { newest, older: keys })
    }

    /// With one more key, which seals from now on; `None` if there are too many, or no more numbers.
    pub(super) fn with(&self, key: RingKey) -> Option<Self> {
        let next = KeyGeneration(self.newest.0.0.checked_add(1)?);
        let mut older = self.older.clone();
        older.insert(self.newest.0, self.newest.1.clone());
        (older.len() < KEY_GENERATIONS_MAX).then_some(Generations { newest: (next, key), older })
    }

    /// The newest key alone.
    pub(super) fn newest_only(&self) -> Self {
        Generations { newest: self.newest.clone(), older: BTreeMap::new() }
    }

    /// All keys, oldest first.
    pub(super) fn iter(&self) -> impl Iterator<Item = (KeyGeneration, &RingKey)> {
        let older = self.older.iter().map(|(generation, key)| (*generation, key));
        older.chain(std::iter::once((self.newest.0, &self.newest.1)))
    }
}

impl KeyRing {
    pub(super) fn new(generations: Generations) -> Self {
        KeyRing(Arc::new(RwLock::new(generations)))
    }

    /// A ring of one key.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn of(key: DataKey) -> Self {
        Self::of_generation(KeyGeneration::FIRST, key)
    }

    /// A ring of one key that is not the first.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn of_generation(generation: KeyGeneration, key: DataKey) -> Self {
        let since = Timestamp { seconds: 0, nanoseconds: 0 };
        KeyRing::new(Generations { newest: (generation, RingKey { since, key }), older: BTreeMap::new() })
    }

    /// Adds a key as a rotation does.
    #[cfg(test)]
    pub(crate) fn add(&self, key: DataKey) {
        let since = Timestamp { seconds: 0, nanoseconds: 0 };
        let next = self.0.read().with(RingKey { since, key }).unwrap();
        self.replace(next);
    }

    /// Forgets the older keys as the end of a rotation does.
    #[cfg(test)]
    pub(crate) fn forget_older(&self) {
        let newest = self.0.read().newest_only();
        self.replace(newest);
    }

    pub(super) fn replace(&self, generations: Generations) {
        *self.0.write() = generations;
    }

    /// The generation that everything new is sealed under.
    pub(crate) fn newest(&self) -> KeyGeneration {
        self.0.read().newest.0
    }

    /// The key that everything new is sealed under.
    pub(crate) fn sealing(&self) -> (KeyGeneration, DataKey) {
        let generations = self.0.read();
        (generations.newest.0, generations.newest.1.key.clone())
    }

    /// The key of a generation; [`OpenError::KeyGenerationMissing`] names `what` is sealed under it.
    pub(crate) fn key(
        &self,
        generation: KeyGeneration,
        what: impl Fn() -> String,
    ) -> Result<DataKey, OpenError> {
        let generations = self.0.read();
        if generation == generations.newest.0 {
            return Ok(generations.newest.1.key.clone());
        }
        match generations.older.get(&generation) {
            Some(found) => Ok(found.key.clone()),
            None => Err(OpenError::KeyGenerationMissing { what: what(), generation }),
        }
    }

    /// Whether there are keys that a rotation under way has not replaced everywhere yet.
    pub(crate) fn is_rotating(&self) -> bool {
        !self.0.read().older.is_empty()
    }

    /// All generations and when their keys were made, oldest first.
    pub(crate) fn generations(&self) -> Vec<(KeyGeneration, Timestamp)> {
        self.0.read().iter().map(|(generation, key)| (generation, key.since)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_seals_and_all_open() {
        let ring = KeyRing::of(DataKey::from_bytes([1; 32]));
        assert!(!ring.is_rotating());
        ring.add(DataKey::from_bytes([2; 32]));
        assert_eq!((ring.newest(), ring.sealing().1.bytes()), (KeyGeneration(2), &[2; 32]));
        let bytes =
            |generation| ring.key(KeyGeneration(generation), || "this".into()).map(|key| *key.bytes());
        assert_eq!((bytes(1).unwrap(), bytes(2).unwrap()), ([1; 32], [2; 32]));
        let missing = OpenError::KeyGenerationMissing { what: "this".into(), generation: KeyGeneration(3) };
        assert_eq!(bytes(3), Err(missing));
        assert!(ring.is_rotating());
        let rest = ring.0.read().newest_only();
        ring.replace(rest);
        assert!(bytes(1).is_err() && !ring.is_rotating());
    }

    #[test]
    fn there_is_an_end_of_generations() {
        let key =
            || RingKey { since: Timestamp { seconds: 0, nanoseconds: 0 }, key: DataKey::from_bytes([1; 32]) };
        let mut generations = Generations::first(key());
        for _ in 1..KEY_GENERATIONS_MAX {
            generations = generations.with(key()).unwrap();
        }
        assert!(generations.with(key()).is_none());
        let last = Generations { newest: (KeyGeneration(u16::MAX), key()), older: BTreeMap::new() };
        assert!(last.with(key()).is_none());
    }
}
