//! A transaction: reads its own writes, and becomes one record.

use std::cell::RefCell;
use std::collections::btree_map;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::MutexGuard;

use super::overlay::{self, Entry};
use super::store::Store;
use crate::error::{Error, Result};
use crate::identity::Lsn;
use crate::journal::record::{self, change_bytes, record_bytes};
use crate::journal::{Changes, Ticket};
use crate::limits::RECORD_BYTES_MAX;
use crate::records::key;

/// Keys whose values are remembered within a transaction.
const SEEN_MAX: usize = 8;

/// Changes that are committed together. Dropping it aborts them.
pub(crate) struct Transaction<'a> {
    store: &'a Store,
    last: MutexGuard<'a, Lsn>,
    changes: Changes,
    /// What was read last: nobody else can change it meanwhile, and most operations ask for the same few keys again and again.
    seen: RefCell<Vec<(Vec<u8>, Option<Bytes>)>>,
    change_bytes: usize,
    names_no_key: bool,
}

impl<'a> Transaction<'a> {
    pub(super) fn new(store: &'a Store, last: MutexGuard<'a, Lsn>) -> Self {
        let (changes, seen) = (Changes::new(), RefCell::default());
        Transaction { store, last, changes, seen, change_bytes: 0, names_no_key: false }
    }

    /// The value of a key, as this transaction has it.
    pub(crate) fn get(&self, key: &[u8]) -> Result<Option<Bytes>> {
        match self.changes.get(key) {
            Some(value) => Ok(value.clone()),
            None => self.stored(key),
        }
    }

    /// The value of a key in the store.
    fn stored(&self, key: &[u8]) -> Result<Option<Bytes>> {
        let mut seen = self.seen.borrow_mut();
        if let Some((_, value)) = seen.iter().find(|(known, _)| known == key) {
            return Ok(value.clone());
        }
        let value = self.store.parts().get(key)?;
        if seen.len() >= SEEN_MAX {
            seen.remove(0);
        }
        seen.push((key.to_vec(), value.clone()));
        Ok(value)
    }

    /// Up to `limit` entries from one key up to another, which is not among them, as this transaction has them.
    pub(crate) fn scan(&self, from: &[u8], to: &[u8], limit: usize) -> Result<Vec<(Bytes, Bytes)>> {
        let own = overlay::range(&self.changes, from, to);
        let own: Vec<Entry> = own.map(|(key, value)| (key.clone(), value.clone())).collect();
        self.store.parts().scan(from, to, limit, &own)
    }

    /// The last entry from one key up to another, which may be it, as this transaction has it.
    pub(crate) fn last(&self, from: &[u8], upto: &[u8]) -> Result<Option<(Bytes, Bytes)>> {
        let behind = key::after(upto);
        if overlay::range(&self.changes, from, &behind).next().is_none() {
            return self.store.parts().last(from, upto);
        }
        Ok(self.scan(from, &behind, usize::MAX)?.pop())
    }

    /// Sets a value.
    pub(crate) fn put(&mut self, key: Vec<u8>, value: Vec<u8>) {
        self.change(key, Some(Bytes::from(value)));
    }

    /// Removes a key; a missing one is no error.
    pub(crate) fn delete(&mut self, key: Vec<u8>) {
        self.change(key, None);
    }

    fn change(&mut self, key: Vec<u8>, value: Option<Bytes>) {
        self.names_no_key |= key.is_empty();
        let key = Bytes::from(key);
        self.change_bytes += change_bytes(&key, value.as_ref());
        match self.changes.entry(key) {
            btree_map::Entry::Vacant(entry) => drop(entry.insert(value)),
            btree_map::Entry::Occupied(mut entry) => {
                let old = entry.insert(value);
                self.change_bytes -= change_bytes(entry.key(), old.as_ref());
            }
        }
    }

    /// Bytes of the record that a commit would write: at most [`RECORD_BYTES_MAX`].
    pub(crate) fn record_bytes(&self) -> usize {
        record_bytes(self.change_bytes)
    }

    /// Commits. Everybody sees the changes now; they are durable when the ticket is. A transaction that cannot be a record is not
    /// applied at all, and its ticket is an error.
    pub(crate) fn commit(self) -> Ticket {
        self.commit_and(|| {})
    }

    /// Commits as [`Transaction::commit`] does, and calls before anybody else may change something.
    pub(crate) fn commit_and(mut self, then: impl FnOnce()) -> Ticket {
        if self.changes.is_empty() {
            // What the caller read may come from records that are not durable yet.
            return self.store.everything();
        }
        if self.names_no_key {
            return Ticket::refused(Error::Invalid { what: "an empty metadata key" });
        }
        if self.record_bytes() > RECORD_BYTES_MAX {
            return Ticket::refused(Error::Invalid {
                what: "a metadata transaction larger than a journal record",
            });
        }
        let lsn = Lsn(self.last.0.saturating_add(1));
        let changes = std::mem::take(&mut self.changes);
        let parts = Arc::clone(self.store.parts());
        let record = record::encode(lsn, &changes);
        let passed = parts.overlay.apply(lsn, changes);
        let ticket = parts.journal.append(lsn, record);
        *self.last = lsn;
        then();
        drop(self);
        if passed || (parts.fold_is_due() && !parts.overlay.is_folding()) {
            parts.signal.poke();
        }
        ticket
    }
}
