//! Pages: what the store holds, sealed, each under a number that says nothing of what is in it (but that pages with near numbers mostly
//! have near keys).
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
//! The value with the empty key holds the LSN up to which everything is applied (8 bytes). Each other one is a page, whose key is its
//! number (8 bytes, the highest first):
//!
//! | bytes | field |
//! |---|---|
//! | 1 | level: 0 for a leaf, or how far the leaves are below it |
//! | n | a bundle ([`super::bundle`]) |

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::{Mutex, RwLock};

use super::MetaStore;
use crate::codec::{Malformed, Reader, Writer};
use crate::error::{Error, Result};
use crate::home::Home;
use crate::identity::{Epoch, KeyGeneration, Lsn};
use crate::keys::SealingKey;
use crate::limits::{INDEX_BATCH_BYTES, INDEX_BATCH_ENTRIES};
use crate::metadata::checkpoint::StandIn;

/// When to ask again for what cannot be done before the index is there.
const REBUILD_RETRY: Duration = Duration::from_secs(1);

const APPLIED_KEY: &[u8] = b"";
const VALUE_HEADER_BYTES: usize = 14;

/// Numbers between two pages, one of which comes behind all others: room for those that come between them.
const STRIDE: u64 = 1 << 8;
/// How often a number between two pages is looked for before one behind all others is taken.
const HALVINGS: u32 = 8;

/// Behind every key.
const BEHIND_KEYS: &[u8] = &[0xff; 64];

/// The number of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct PageNumber(u64);

impl PageNumber {
    /// Where every search begins.
    pub(super) const ROOT: PageNumber = PageNumber(0);

    pub(super) fn key(self) -> [u8; 8] {
        self.0.to_be_bytes()
    }

    /// As it stands in a branch: without the zeros in front.
    pub(super) fn encode(self) -> Bytes {
        let bytes = self.0.to_be_bytes();
        let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
        Bytes::copy_from_slice(bytes.get(zeros..).unwrap_or_default())
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        // The root is below nothing.
        if bytes.len() > 8 || bytes.first().is_none_or(|first| *first == 0) {
            return Err(Malformed("number of a page of the index"));
        }
        Ok(PageNumber(bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte))))
    }
}

/// What a step of re-sealing went over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Resealed {
    /// Bytes of values, whether they had to be sealed anew or not.
    pub(crate) bytes: u64,
    /// Where to go on; `None` at the end.
    pub(crate) next: Option<Vec<u8>>,
}

/// A page that is to be written, with its level and its bundle, or removed.
pub(super) type PageChange<'a> = (PageNumber, Option<(u8, &'a [u8])>);

/// The pages of an index.
pub(super) struct Pages {
    home: Home,
    id: [u8; 16],
    epoch: Epoch,
    counter: AtomicU64,
    keys: RwLock<BTreeMap<(KeyGeneration, Epoch), Arc<SealingKey>>>,
    store: RwLock<Held>,
    /// Values that were written by whoever built the store.
    written_before: AtomicU64,
    /// The last number that was given out, once it is known.
    last: Mutex<Option<PageNumber>>,
}

/// What holds the values.
pub(super) enum Held {
    Store(Box<dyn MetaStore>),
    /// There is no store yet, or not any more: what it would hold is looked for where it would be built from.
    StandIn(Arc<StandIn>),
    /// For good, and why.
    Ended(&'static str),
}

impl Pages {
    /// Each (id, epoch) is used once for writing, so that the counters begin at 0.
    pub(super) fn new(home: &Home, id: [u8; 16], epoch: Epoch, held: Held) -> Self {
        Pages {
            home: home.clone(),
            id,
            epoch,
            counter: AtomicU64::new(0),
            keys: RwLock::default(),
            store: RwLock::new(held),
            written_before: AtomicU64::new(0),
            last: Mutex::new(None),
        }
    }

    pub(super) fn id(&self) -> [u8; 16] {
        self.id
    }

    /// The level and the bundle of a page, if it is there.
    pub(super) fn read(&self, page: PageNumber) -> Result<Option<(u8, Bytes)>> {
        let key = page.key();
        let Some(sealed) = self.with(|store| store.get(&key))? else { return Ok(None) };
        let content = self.open(&key, &sealed)?;
        let level = *content.first().ok_or(Malformed("an empty page of the index"))?;
        Ok(Some((level, content.slice(1..))))
    }

    /// A number that no page has, and none of those that are about to be written. The store keeps neighbours together, so that pages
    /// that are read or written one after the other should be neighbours: it is one soon behind that of the page before, if there is one.
    pub(super) fn new_number(&self, before: Option<PageNumber>, new: &[PageNumber]) -> Result<PageNumber> {
        let mut last = self.last.lock();
        let known = match *last {
            Some(last) => last,
            None => self.last_in_store()?,
        };
        for halving in 1..=HALVINGS {
            let Some(PageNumber(before)) = before else { break };
            let number = PageNumber(before.saturating_add(STRIDE >> halving));
            if number > known {
                *last = Some(number);
                return Ok(number);
            }
            if !new.contains(&number) && self.with(|store| store.get(&number.key()))?.is_none() {
                *last = Some(known);
                return Ok(number);
            }
        }
        let number = known.0.checked_add(STRIDE);
        let number = number.ok_or_else(|| Error::corrupt("the pages of the index have no numbers left"))?;
        *last = Some(PageNumber(number));
        Ok(PageNumber(number))
    }

    fn last_in_store(&self) -> Result<PageNumber> {
        let Some(key) = self.with(|store| store.last_key())? else { return Ok(PageNumber::ROOT) };
        match <[u8; 8]>::try_from(key.as_ref()) {
            Ok(number) => Ok(PageNumber(u64::from_be_bytes(number))),
            Err(_) if key.as_ref() == APPLIED_KEY => Ok(PageNumber::ROOT),
            Err(_) => Err(Error::corrupt("the index holds a key that is no page's")),
        }
    }

    /// Writes and removes pages at once.
    pub(super) fn write(&self, changes: &[PageChange<'_>]) -> Result<()> {
        let seal = |(page, content): &PageChange<'_>| {
            let key = page.key();
            let sealed = content.map(|(level, bundle)| self.seal(&key, &[level], bundle)).transpose()?;
            Ok((Bytes::copy_from_slice(&key), sealed))
        };
        let sealed: Vec<_> = changes.iter().map(seal).collect::<Result<_>>()?;
        self.with(|store| store.apply(sealed))
    }

    /// The LSN up to which everything is applied; `None` if it was never filled.
    pub(super) fn applied(&self) -> Result<Option<Lsn>> {
        let Some(sealed) = self.with(|store| store.get(APPLIED_KEY))? else { return Ok(None) };
        let value = self.open(APPLIED_KEY, &sealed)?;
        let mut reader = Reader::new(&value);
        let lsn = Lsn(reader.u64()?);
        reader.finish()?;
        Ok(Some(lsn))
    }

    pub(super) fn set_applied(&self, applied: Lsn) -> Result<()> {
        let mark = self.seal(APPLIED_KEY, &[], &applied.0.to_be_bytes())?;
        self.with(|store| store.apply(vec![(Bytes::from_static(APPLIED_KEY), Some(mark))]))
    }

    /// Seals some values anew that are sealed under an older key, from this key of the store on.
    pub(super) fn reseal(&self, from: &[u8]) -> Result<Resealed> {
        let newest = self.home.keys.newest();
        self.with(|store| {
            let mut resealed = Resealed { bytes: 0, next: None };
            let mut batch = Vec::new();
            for (count, entry) in store.range(from, BEHIND_KEYS).enumerate() {
                let (key, value) = entry?;
                if count >= INDEX_BATCH_ENTRIES || resealed.bytes >= INDEX_BATCH_BYTES as u64 {
                    resealed.next = Some(key.to_vec());
                    break;
                }
                resealed.bytes += (key.len() + value.len()) as u64;
                if generation_of(&value)? < newest {
                    let opened = self.open(&key, &value)?;
                    let sealed = self.seal(&key, &[], &opened)?;
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
    pub(super) fn forget_older_than(&self, generation: KeyGeneration) {
        self.keys.write().retain(|(found, _), _| *found >= generation);
    }

    /// Waits for what the store still writes in the background. Called with no lock held that a reader may want.
    pub(super) fn settle(&self) -> Result<()> {
        self.with(|store| store.settle())
    }

    /// Hands everything to the operating system: what the store keeps in its own memory would be as it was before if the process were
    /// killed.
    pub(super) fn flush(&self) -> Result<()> {
        self.with(|store| store.flush())
    }

    /// Makes everything durable and lets go of the store. Later calls fail.
    pub(super) fn close(&self) -> Result<()> {
        let mut held = self.store.write();
        if let Held::Store(open) = &*held {
            open.flush()?;
        }
        *held = Held::Ended("the file system was closed");
        Ok(())
    }

    /// Lets go of the store for something else. Nobody may be about to keep what the old one holds.
    pub(super) fn replace(&self, held: Held) -> Held {
        *self.last.lock() = None;
        std::mem::replace(&mut *self.store.write(), held)
    }

    /// Where to look instead, if there is no store.
    pub(super) fn stand_in(&self) -> Option<Arc<StandIn>> {
        match &*self.store.read() {
            Held::StandIn(stand_in) => Some(Arc::clone(stand_in)),
            Held::Store(_) | Held::Ended(_) => None,
        }
    }

    /// How many values were written since the store was opened.
    pub(super) fn written(&self) -> u64 {
        self.counter.load(Ordering::Relaxed) + self.written_before.load(Ordering::Relaxed)
    }

    /// So many were written by whoever built the store.
    pub(super) fn count_written_before(&self, values: u64) {
        self.written_before.fetch_add(values, Ordering::Relaxed);
    }

    /// How many pages there are.
    #[cfg(test)]
    pub(super) fn count(&self) -> Result<usize> {
        self.with(|store| Ok(store.range(&PageNumber::ROOT.key(), BEHIND_KEYS).count()))
    }

    /// Puts a value into the store as it is.
    #[cfg(test)]
    pub(super) fn write_raw(&self, page: PageNumber, value: Option<Vec<u8>>) {
        let key = Bytes::copy_from_slice(&page.key());
        self.with(|store| store.apply(vec![(key, value)])).unwrap();
    }

    /// The store itself.
    pub(super) fn into_store(self) -> Option<Box<dyn MetaStore>> {
        match self.store.into_inner() {
            Held::Store(store) => Some(store),
            Held::StandIn(_) | Held::Ended(_) => None,
        }
    }

    fn with<T>(&self, with: impl FnOnce(&dyn MetaStore) -> Result<T>) -> Result<T> {
        match &*self.store.read() {
            Held::Store(store) => with(store.as_ref()),
            Held::StandIn(_) => Err(Error::Unavailable {
                reason: "the metadata index is being built anew".to_owned(),
                retry_after: REBUILD_RETRY,
            }),
            Held::Ended(reason) => Err(Error::Halted { reason: (*reason).to_owned() }),
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

    /// Seals a value, which is given in two parts.
    pub(super) fn seal(&self, key: &[u8], front: &[u8], rest: &[u8]) -> Result<Vec<u8>> {
        let counter = self.counter.fetch_add(1, Ordering::Relaxed);
        let length = VALUE_HEADER_BYTES + front.len() + rest.len() + crate::keys::SEAL_BYTES;
        let mut sealed = Writer::with_capacity(length);
        let generation = self.home.keys.newest();
        sealed.u16(generation.0).u32(self.epoch.0).u64(counter).bytes(front).bytes(rest);
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
            Error::corrupt(format!("the value {} of the index does not authenticate", hex::encode(key)))
        })?;
        Ok(Bytes::from(value))
    }
}

fn generation_of(sealed: &[u8]) -> Result<KeyGeneration> {
    Ok(KeyGeneration(Reader::new(sealed).u16()?))
}
