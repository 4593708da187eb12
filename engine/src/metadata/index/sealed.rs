//! Sealing above the store that holds the index.
//!
//! A value in the store:
//!
//! | bytes | field |
//! |---|---|
//! | 2 | generation of the data key |
//! | 4 | epoch in which it was sealed |
//! | 8 | counter within the epoch |
//! | n | value, sealed under the key derived for `index`, the index id and the epoch; the key of the entry is authenticated with it |
//! | 16 | tag |
//!
//! The entry with the empty key holds the LSN up to which everything is applied (8 bytes). No other key is empty.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use parking_lot::{Mutex, RwLock};

use super::MetaStore;
use crate::codec::{Reader, Writer};
use crate::error::{Error, Result};
use crate::home::Home;
use crate::identity::{Epoch, KeyGeneration, Lsn};
use crate::keys::SealingKey;
use crate::limits::{INDEX_BATCH_BYTES, INDEX_BATCH_ENTRIES};
use crate::metadata::overlay::Entry;

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
    keys: RwLock<BTreeMap<(KeyGeneration, Epoch), SealingKey>>,
    /// Held while values are sealed and written, so that a value is not written over by an older one that was sealed anew.
    writer: Mutex<()>,
    /// `None` once it is closed.
    store: RwLock<Option<Box<dyn MetaStore>>>,
}

impl Index {
    /// Each (id, epoch) is used once for writing, so that the counters begin at 0.
    pub(crate) fn new(home: &Home, id: [u8; 16], epoch: Epoch, store: Box<dyn MetaStore>) -> Self {
        Index {
            home: home.clone(),
            id,
            epoch,
            counter: AtomicU64::new(0),
            keys: RwLock::default(),
            writer: Mutex::new(()),
            store: RwLock::new(Some(store)),
        }
    }

    pub(crate) fn get(&self, key: &[u8]) -> Result<Option<Bytes>> {
        let value = self.with(|store| store.get(key))?;
        value.map(|value| self.open(key, &value)).transpose()
    }

    /// Calls with the entries from one key up to another, which is not among them.
    pub(crate) fn with_range<T>(
        &self,
        from: &[u8],
        to: &[u8],
        with: impl FnOnce(Box<dyn Iterator<Item = Result<Entry>> + '_>) -> Result<T>,
    ) -> Result<T> {
        self.with(|store| {
            let entries =
                store.range(from, to).filter(|entry| !matches!(entry, Ok((key, _)) if key.is_empty()));
            with(Box::new(entries.map(|entry| {
                let (key, value) = entry?;
                let value = self.open(&key, &value)?;
                Ok((key, Some(value)))
            })))
        })
    }

    /// The LSN up to which everything is applied; `None` if it was never filled.
    pub(crate) fn applied(&self) -> Result<Option<Lsn>> {
        let Some(value) = self.get(APPLIED_KEY)? else { return Ok(None) };
        let mut reader = Reader::new(&value);
        let lsn = Lsn(reader.u64()?);
        reader.finish()?;
        Ok(Some(lsn))
    }

    /// Applies the entries in batches; the last one carries the LSN, so that an interrupted run is known to be one.
    pub(crate) fn apply(&self, entries: impl Iterator<Item = Result<Entry>>, applied: Lsn) -> Result<()> {
        let _writing = self.writer.lock();
        let mut batch = Vec::new();
        let mut batch_bytes = 0;
        for entry in entries {
            let (key, value) = entry?;
            let value = value.map(|value| self.seal(&key, &value)).transpose()?;
            batch_bytes += key.len() + value.as_ref().map_or(0, Vec::len);
            batch.push((key, value));
            if batch.len() >= INDEX_BATCH_ENTRIES || batch_bytes >= INDEX_BATCH_BYTES {
                batch_bytes = 0;
                let full = std::mem::take(&mut batch);
                self.with(|store| store.apply(full))?;
            }
        }
        let mark = self.seal(APPLIED_KEY, &applied.0.to_be_bytes())?;
        batch.push((Bytes::from_static(APPLIED_KEY), Some(mark)));
        self.with(|store| store.apply(batch))
    }

    /// Seals some values anew that are sealed under an older key, from this key of an entry on.
    pub(crate) fn reseal(&self, from: &[u8]) -> Result<Resealed> {
        let newest = self.home.keys.newest();
        let _writing = self.writer.lock();
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
        let mut store = self.store.write();
        if let Some(open) = store.as_ref() {
            open.flush()?;
        }
        *store = None;
        Ok(())
    }

    /// The store itself.
    pub(crate) fn into_store(self) -> Option<Box<dyn MetaStore>> {
        self.store.into_inner()
    }

    fn with<T>(&self, with: impl FnOnce(&dyn MetaStore) -> Result<T>) -> Result<T> {
        match self.store.read().as_deref() {
            Some(store) => with(store),
            None => Err(Error::Halted { reason: "the file system was closed".to_owned() }),
        }
    }

    fn key(&self, generation: KeyGeneration, epoch: Epoch) -> Result<SealingKey> {
        if let Some(key) = self.keys.read().get(&(generation, epoch)) {
            return Ok(key.clone());
        }
        let context = [self.id.as_slice(), &epoch.0.to_be_bytes()].concat();
        let data_key = self.home.keys.key(generation, || "a value in the metadata index".to_owned())?;
        let key = data_key.derive("index", &context);
        Ok(self.keys.write().entry((generation, epoch)).or_insert(key).clone())
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
        let mut value = reader.rest().to_vec();
        let opened = self.key(generation, epoch)?.open(counter, key, &mut value);
        opened.map_err(|_| {
            Error::corrupt(format!("the index entry {} does not authenticate", hex::encode(key)))
        })?;
        Ok(Bytes::from(value))
    }
}

fn generation_of(sealed: &[u8]) -> Result<KeyGeneration> {
    Ok(KeyGeneration(Reader::new(sealed).u16()?))
}
