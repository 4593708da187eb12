//! Sealing above the store that holds the index.
//!
//! A value in the store:
//!
//! | bytes | field |
//! |---|---|
//! | 2 | generation of the data key |
//! | 4 | epoch in which it was sealed |
//! | 8 | counter within the epoch |
//! | n | value, sealed under the key derived for `index`, the index id and the epoch; its key is authenticated with it |
//! | 16 | tag |
//!
//! The value with the empty key holds the LSN up to which everything is applied (8 bytes). The others are bundles of entries
//! ([`super::bundle`]), whose keys are not empty.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::{RwLock, RwLockReadGuard};

use super::MetaStore;
use super::bundle::{self, Row, Walk};
use super::cache::BundleCache;
use super::rewrite::Rewrite;
use crate::codec::{Reader, Writer};
use crate::error::{Error, Result};
use crate::home::Home;
use crate::identity::{Epoch, KeyGeneration, Lsn};
use crate::keys::SealingKey;
use crate::limits::{INDEX_BATCH_BYTES, INDEX_BATCH_ENTRIES};
use crate::metadata::overlay::Entry;
use crate::records::key;

/// When to ask again for what cannot be read before the index is there.
const REBUILD_RETRY: Duration = Duration::from_secs(1);

const APPLIED_KEY: &[u8] = b"";
const VALUE_HEADER_BYTES: usize = 14;

/// Behind every key.
const BEYOND_KEYS: &[u8] = &[0xff; 64];

/// What a step of re-sealing went over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Resealed {
    /// Bytes of entries, whether they had to be sealed anew or not.
    pub(crate) bytes: u64,
    /// Where to go on; `None` at the end.
    pub(crate) next: Option<Vec<u8>>,
}

/// The index with its values opened.
pub(crate) struct Index {
    home: Home,
    id: [u8; 16],
    epoch: Epoch,
    counter: AtomicU64,
    keys: RwLock<BTreeMap<(KeyGeneration, Epoch), Arc<SealingKey>>>,
    /// Held for writing while bundles change, so that who walks over several of them sees each entry once.
    layout: RwLock<()>,
    cache: BundleCache,
    store: RwLock<Held>,
}

/// What holds the values.
enum Held {
    Store(Box<dyn MetaStore>),
    /// It is being built anew; or was, until that failed.
    Rebuilding,
    Closed,
}

impl Index {
    /// Each (id, epoch) is used once for writing, so that the counters begin at 0.
    pub(crate) fn new(
        home: &Home,
        id: [u8; 16],
        epoch: Epoch,
        store: Box<dyn MetaStore>,
        cache_bytes: u64,
    ) -> Self {
        Index {
            home: home.clone(),
            id,
            epoch,
            counter: AtomicU64::new(0),
            keys: RwLock::default(),
            layout: RwLock::default(),
            cache: BundleCache::new(cache_bytes),
            store: RwLock::new(Held::Store(store)),
        }
    }

    pub(crate) fn get(&self, key: &[u8]) -> Result<Option<Bytes>> {
        let kept = match self.cache.find(key) {
            Some(found) => Some(found),
            None => self.load_and_keep(key, &self.layout.read())?,
        };
        let (_, content) = kept.ok_or_else(hollow)?;
        Ok(bundle::find(&content, key)?)
    }

    /// The last entry from one key up to another, which may be it.
    pub(crate) fn last(&self, from: &[u8], upto: &[u8]) -> Result<Option<Row>> {
        let kept = match self.cache.find(upto) {
            Some(found) => Some(found),
            None => self.load_and_keep(upto, &self.layout.read())?,
        };
        let (lower, content) = kept.ok_or_else(hollow)?;
        match bundle::last(&content, upto)? {
            Some(row) => Ok(Some(row).filter(|(key, _)| key.as_ref() >= from)),
            None if lower.as_ref() <= from => Ok(None),
            None => self.with_range(from, &key::after(upto), |rows| {
                let last = rows.last().transpose()?;
                Ok(last.and_then(|(key, value)| Some((key, value?))))
            }),
        }
    }

    /// Calls with the entries from one key up to another, which is not among them.
    pub(crate) fn with_range<T>(
        &self,
        from: &[u8],
        to: &[u8],
        with: impl FnOnce(Box<dyn Iterator<Item = Result<Entry>> + '_>) -> Result<T>,
    ) -> Result<T> {
        let from = from.max(bundle::LOWEST);
        let layout = self.layout.read();
        let first = match self.cache.find(from) {
            Some(found) => Some(found),
            None => self.load_and_keep(from, &layout)?,
        };
        let (lower, content) = first.ok_or_else(hollow)?;
        self.with(|store| {
            let walk = Walk::new(content)?;
            let others = Others { store, lower, to: to.max(from), open: None, keeps: true };
            let rows = RangeRows { index: self, from, to, upper: walk.upper(), walk, others };
            with(Box::new(rows.map(|row| row.map(|(key, value)| (key, Some(value))))))
        })
    }

    /// The bundle that covers a key: its own key, and its content.
    pub(super) fn bundle_of(&self, key: &[u8]) -> Result<Option<(Bytes, Bytes)>> {
        match self.cache.find(key) {
            Some(found) => Ok(Some(found)),
            None => self.load(key),
        }
    }

    /// What is loaded must not be replaced before it is kept: hence the lock.
    fn load_and_keep(&self, key: &[u8], _layout: &RwLockReadGuard<'_, ()>) -> Result<Option<(Bytes, Bytes)>> {
        let loaded = self.load(key)?;
        if let Some((lower, content)) = &loaded {
            self.cache.insert(lower.clone(), content.clone());
        }
        Ok(loaded)
    }

    /// `None` if nothing was applied yet.
    fn load(&self, key: &[u8]) -> Result<Option<(Bytes, Bytes)>> {
        let Some((lower, sealed)) = self.with(|store| store.floor(key))? else { return Ok(None) };
        if lower.as_ref() == APPLIED_KEY {
            return Err(hollow());
        }
        let content = self.open(&lower, &sealed)?;
        Ok(Some((lower, content)))
    }

    /// Writes and removes bundles at once: in between a range would not see what it should.
    pub(super) fn write_bundles(&self, batch: &[(Bytes, Option<Vec<u8>>)]) -> Result<()> {
        let seal = |(key, content): &(Bytes, Option<Vec<u8>>)| {
            let sealed = content.as_ref().map(|content| self.seal(key, content)).transpose()?;
            Ok((key.clone(), sealed))
        };
        {
            // Under the lock: what was sealed before a rotation must not come in behind the sealing anew.
            let _layout = self.layout.write();
            let sealed: Vec<_> = batch.iter().map(seal).collect::<Result<_>>()?;
            self.with(|store| store.apply(sealed))?;
            self.cache.follow(batch);
        }
        self.with(|store| store.settle())
    }

    /// The LSN up to which everything is applied; `None` if it was never filled.
    pub(crate) fn applied(&self) -> Result<Option<Lsn>> {
        let Some(sealed) = self.with(|store| store.get(APPLIED_KEY))? else { return Ok(None) };
        let value = self.open(APPLIED_KEY, &sealed)?;
        let mut reader = Reader::new(&value);
        let lsn = Lsn(reader.u64()?);
        reader.finish()?;
        Ok(Some(lsn))
    }

    /// Applies the entries, which come in ascending order; the LSN is written last, so that an interrupted run is known to be one.
    pub(crate) fn apply(&self, entries: impl Iterator<Item = Result<Entry>>, applied: Lsn) -> Result<()> {
        let mut rewrite = Rewrite::new(self);
        for entry in entries {
            let (key, value) = entry?;
            rewrite.change(key, value)?;
        }
        rewrite.finish()?;
        if !self.has_lowest()? {
            self.write_bundles(&[(Bytes::from_static(bundle::LOWEST), Some(bundle::encode(None, &[])))])?;
        }
        let _layout = self.layout.write();
        let mark = self.seal(APPLIED_KEY, &applied.0.to_be_bytes())?;
        self.with(|store| store.apply(vec![(Bytes::from_static(APPLIED_KEY), Some(mark))]))
    }

    /// Whether there is the lowest bundle, without which nothing is covered. There is, once something was applied.
    pub(crate) fn has_lowest(&self) -> Result<bool> {
        Ok(self.with(|store| store.get(bundle::LOWEST))?.is_some())
    }

    /// Seals some values anew that are sealed under an older key, from this key of an entry on.
    pub(crate) fn reseal(&self, from: &[u8]) -> Result<Resealed> {
        let resealed = self.reseal_batch(from)?;
        self.with(|store| store.settle())?;
        Ok(resealed)
    }

    fn reseal_batch(&self, from: &[u8]) -> Result<Resealed> {
        let newest = self.home.keys.newest();
        let _layout = self.layout.write();
        self.with(|store| {
            let mut resealed = Resealed { bytes: 0, next: None };
            let mut batch = Vec::new();
            for (count, entry) in store.range(from, BEYOND_KEYS).enumerate() {
                let (key, value) = entry?;
                if count >= INDEX_BATCH_ENTRIES || resealed.bytes >= INDEX_BATCH_BYTES as u64 {
                    resealed.next = Some(key.to_vec());
                    break;
                }
                resealed.bytes += (key.len() + value.len()) as u64;
                if generation_of(&value)? < newest {
                    let opened = self.open(&key, &value)?;
                    let sealed = self.seal(&key, &opened)?;
                    batch.push((key, Some(sealed)));
                }
            }
            if !batch.is_empty() {
                store.apply(batch)?;
            }
            Ok(resealed)
        })
    }

    /// Forgets the sealing keys of older generations than this one.
    pub(crate) fn forget_older_than(&self, generation: KeyGeneration) {
        self.keys.write().retain(|(found, _), _| *found >= generation);
    }

    /// Hands everything to the operating system: what the store keeps in its own memory would be as it was before if the process were
    /// killed.
    pub(crate) fn flush(&self) -> Result<()> {
        self.with(|store| store.flush())
    }

    /// Makes everything durable and lets go of the store. Later calls fail.
    pub(crate) fn close(&self) -> Result<()> {
        let mut held = self.store.write();
        if let Held::Store(open) = &*held {
            open.flush()?;
        }
        *held = Held::Closed;
        self.cache.clear();
        Ok(())
    }

    /// Lets go of the store for one that `build` makes: with the same id, and an epoch of its own. Whoever reads before it is there is told
    /// to come again.
    pub(crate) fn rebuild(&self, build: impl FnOnce([u8; 16]) -> Result<Box<dyn MetaStore>>) -> Result<()> {
        self.replace(Held::Rebuilding);
        let store = build(self.id)?;
        self.replace(Held::Store(store));
        Ok(())
    }

    /// Nobody may be about to keep a bundle of the old one.
    fn replace(&self, held: Held) {
        let _layout = self.layout.write();
        let old = std::mem::replace(&mut *self.store.write(), held);
        self.cache.clear();
        drop(old);
    }

    /// How many values were written since it was opened.
    pub(crate) fn written(&self) -> u64 {
        self.counter.load(Ordering::Relaxed)
    }

    /// How many bundles there are.
    #[cfg(test)]
    pub(super) fn bundles(&self) -> Result<usize> {
        self.with(|store| Ok(store.range(bundle::LOWEST, &[u8::MAX]).count()))
    }

    /// Puts values into the store as they are; what was cached of it is read anew.
    #[cfg(test)]
    pub(crate) fn write_raw(&self, batch: Vec<(Bytes, Option<Vec<u8>>)>) {
        self.with(|store| store.apply(batch)).unwrap();
        self.cache.clear();
    }

    /// The store itself.
    pub(crate) fn into_store(self) -> Option<Box<dyn MetaStore>> {
        match self.store.into_inner() {
            Held::Store(store) => Some(store),
            Held::Rebuilding | Held::Closed => None,
        }
    }

    fn with<T>(&self, with: impl FnOnce(&dyn MetaStore) -> Result<T>) -> Result<T> {
        match &*self.store.read() {
            Held::Store(store) => with(store.as_ref()),
            Held::Rebuilding => Err(Error::Unavailable {
                reason: "the metadata index waits for space on the disk to be built anew".to_owned(),
                retry_after: REBUILD_RETRY,
            }),
            Held::Closed => Err(Error::Halted { reason: "the file system was closed".to_owned() }),
        }
    }

    fn key(&self, generation: KeyGeneration, epoch: Epoch) -> Result<Arc<SealingKey>> {
        if let Some(key) = self.keys.read().get(&(generation, epoch)) {
            return Ok(Arc::clone(key));
        }
        let context = [self.id.as_slice(), &epoch.0.to_be_bytes()].concat();
        let data_key = self.home.keys.key(generation, || "a value in the metadata index".to_owned())?;
        let key = Arc::new(data_key.derive("index", &context));
        Ok(Arc::clone(self.keys.write().entry((generation, epoch)).or_insert(key)))
    }

    pub(super) fn seal(&self, key: &[u8], value: &[u8]) -> Result<Vec<u8>> {
        let counter = self.counter.fetch_add(1, Ordering::Relaxed);
        let mut sealed = Writer::with_capacity(VALUE_HEADER_BYTES + value.len() + crate::keys::SEAL_BYTES);
        let generation = self.home.keys.newest();
        sealed.u16(generation.0).u32(self.epoch.0).u64(counter).bytes(value);
        let mut sealed = sealed.into_vec();
        let content = sealed.get_mut(VALUE_HEADER_BYTES..).unwrap_or_default();
        let tag = self.key(generation, self.epoch)?.seal_detached(counter, key, content)?;
        sealed.extend_from_slice(&tag);
        Ok(sealed)
    }

    fn open(&self, key: &[u8], sealed: &[u8]) -> Result<Bytes> {
        let mut reader = Reader::new(sealed);
        let generation = KeyGeneration(reader.u16()?);
        let epoch = Epoch(reader.u32()?);
        let counter = reader.u64()?;
        let opened = self.key(generation, epoch)?.opened(counter, key, reader.rest());
        let value = opened.map_err(|_| {
            Error::corrupt(format!("the index entry {} does not authenticate", hex::encode(key)))
        })?;
        Ok(Bytes::from(value))
    }
}

fn hollow() -> Error {
    Error::corrupt("the index has no bundle that covers its lowest keys")
}

fn generation_of(sealed: &[u8]) -> Result<KeyGeneration> {
    Ok(KeyGeneration(Reader::new(sealed).u16()?))
}

/// The entries of a range, out of neighbouring bundles.
struct RangeRows<'a> {
    index: &'a Index,
    from: &'a [u8],
    to: &'a [u8],
    /// Where the current bundle ends.
    upper: Option<Bytes>,
    walk: Walk,
    others: Others<'a>,
}

/// The bundles after the first one. Most ranges end within one or two, so that the store is asked only if there is need.
struct Others<'a> {
    store: &'a dyn MetaStore,
    /// The key of the last one that was used.
    lower: Bytes,
    to: &'a [u8],
    open: Option<SealedRows<'a>>,
    /// Whether the next one that is loaded is kept. The further ones are not: a long walk would sweep out what is asked for again.
    keeps: bool,
}

/// Keys and sealed values.
type SealedRows<'a> = Box<dyn Iterator<Item = Result<(Bytes, Vec<u8>)>> + 'a>;

impl Others<'_> {
    /// The bundle that begins with this key, which is the next one. The caller has the layout's lock.
    fn next(&mut self, index: &Index, key: &Bytes) -> Result<Bytes> {
        if let Some((_, content)) = index.cache.find(key).filter(|(lower, _)| lower == key) {
            self.lower = key.clone();
            self.open = None;
            return Ok(content);
        }
        let rows = self.open.get_or_insert_with(|| self.store.range(&key::after(&self.lower), self.to));
        let (lower, sealed) = rows.next().ok_or_else(|| Error::corrupt("the index has a hole"))??;
        if lower != *key {
            return Err(Error::corrupt("the index has a hole"));
        }
        let content = index.open(&lower, &sealed)?;
        if std::mem::take(&mut self.keeps) {
            index.cache.insert(lower.clone(), content.clone());
        }
        self.lower = lower;
        Ok(content)
    }
}

impl RangeRows<'_> {
    fn try_next(&mut self) -> Result<Option<Row>> {
        loop {
            if let Some(row) = self.walk.next_from(self.from)? {
                return Ok(Some(row).filter(|(key, _)| key.as_ref() < self.to));
            }
            let Some(upper) = self.upper.take().filter(|upper| upper.as_ref() < self.to) else {
                return Ok(None);
            };
            self.walk = Walk::new(self.others.next(self.index, &upper)?)?;
            self.upper = self.walk.upper();
        }
    }
}

impl Iterator for RangeRows<'_> {
    type Item = Result<Row>;

    fn next(&mut self) -> Option<Self::Item> {
        self.try_next().transpose()
    }
}
