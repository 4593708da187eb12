//! Bringing sorted changes into leaves.
//!
//! # Crash consistency
//! What replaces a leaf, what is split from it and what it takes in go into the store as one batch: after each of them the leaves
//! cover all keys, each once. Applying the same changes again changes nothing.

use std::collections::VecDeque;

use bytes::Bytes;

use super::bundle::{self, LOWEST, Row};
use super::tree::{BundleChange, Index, hollow};
use crate::error::{Error, Result};
use crate::limits::INDEX_BUNDLE_BYTES;

/// Bytes of new rows at which those that fill leaves are written although there may be more to come.
const SPILL_BYTES: usize = 16 * INDEX_BUNDLE_BYTES;
/// A leaf with less in it takes in the next one.
const THIN_BYTES: usize = INDEX_BUNDLE_BYTES / 8;
/// Leaves that one leaf takes in before it is written: bounds the batch when a great many entries are removed.
const TAKEN_IN_MAX: usize = 32;

/// Changes leaves, one after the other.
pub(super) struct Rewrite<'a> {
    index: &'a Index,
    open: Option<Open>,
}

/// A leaf that is being changed.
struct Open {
    lower: Bytes,
    upper: Option<Bytes>,
    /// Rows as they will be.
    done: Vec<Row>,
    done_bytes: usize,
    /// Rows as they were, behind the last change.
    rest: VecDeque<Row>,
    /// Lower bounds of the leaves that it took in.
    taken_in: Vec<Bytes>,
    changed: bool,
}

impl<'a> Rewrite<'a> {
    pub(super) fn new(index: &'a Index) -> Self {
        Rewrite { index, open: None }
    }

    /// Makes a change. Keys come in ascending order.
    pub(super) fn change(&mut self, key: Bytes, value: Option<Bytes>) -> Result<()> {
        let mut open = match self.settle(Some(&key))? {
            Some(open) => open,
            None => self.open(&key)?,
        };
        open.go_to(&key);
        open.set(key, value);
        if open.done_bytes >= SPILL_BYTES {
            self.write(&mut open)?;
        }
        self.open = Some(open);
        Ok(())
    }

    /// Writes what is left.
    pub(super) fn finish(mut self) -> Result<()> {
        self.settle(None).map(drop)
    }

    /// Writes the open leaf unless it covers the key.
    fn settle(&mut self, key: Option<&Bytes>) -> Result<Option<Open>> {
        let Some(mut open) = self.open.take() else { return Ok(None) };
        loop {
            if key.is_some_and(|key| open.covers(key)) {
                return Ok(Some(open));
            }
            match open.upper.clone() {
                Some(next) if open.wants_more() => {
                    if open.taken_in.len() >= TAKEN_IN_MAX {
                        self.write(&mut open)?;
                        open.changed = true;
                    }
                    self.take_in(&mut open, next)?;
                }
                _ => break,
            }
        }
        self.write(&mut open)?;
        Ok(None)
    }

    fn open(&self, key: &Bytes) -> Result<Open> {
        let (lower, content) = match self.index.leaf_to_change(key)? {
            Some((lower, content)) => (lower, bundle::decode(&content)?),
            None if self.index.applied()?.is_none() => {
                (Bytes::from_static(LOWEST), bundle::Bundle::default())
            }
            None => return Err(hollow()),
        };
        if !bundle::below(key, content.upper.as_ref()) {
            return Err(Error::corrupt("the index has a hole"));
        }
        let rest = content.rows.into();
        let upper = content.upper;
        Ok(Open { lower, upper, done: Vec::new(), done_bytes: 0, rest, taken_in: Vec::new(), changed: false })
    }

    fn take_in(&self, open: &mut Open, next: Bytes) -> Result<()> {
        let taken = self.open(&next)?;
        if taken.lower != next {
            return Err(Error::corrupt("the index has a hole"));
        }
        open.finish_rest();
        open.rest = taken.rest;
        open.upper = taken.upper;
        open.taken_in.push(next);
        Ok(())
    }

    /// Writes the leaf, in parts if it is too large; the last part stays open.
    fn write(&self, open: &mut Open) -> Result<()> {
        if !open.changed {
            return Ok(());
        }
        open.finish_rest();
        let shares = bundle::share_out(std::mem::take(&mut open.done));
        let mut lower = open.lower.clone();
        let mut batch: Vec<BundleChange> = Vec::with_capacity(shares.len());
        let mut shares = shares.into_iter().peekable();
        while let Some(share) = shares.next() {
            let next = shares.peek().and_then(|next| next.first()).map(|(key, _)| key.clone());
            let upper = next.as_ref().or(open.upper.as_ref());
            batch.push((lower.clone(), Some(bundle::encode(upper, &share))));
            match next {
                Some(next) => lower = next,
                None => open.rest = share.into(),
            }
        }
        let written: Vec<Bytes> = batch.iter().map(|(key, _)| key.clone()).collect();
        let gone = std::mem::take(&mut open.taken_in).into_iter().filter(|key| !written.contains(key));
        batch.extend(gone.map(|key| (key, None)));
        open.lower = lower;
        open.done_bytes = 0;
        open.changed = false;
        self.index.write_leaves(batch)
    }
}

impl Open {
    fn covers(&self, key: &Bytes) -> bool {
        *key >= self.lower && bundle::below(key, self.upper.as_ref())
    }

    /// Takes over the rows before the key.
    fn go_to(&mut self, key: &Bytes) {
        while self.rest.front().is_some_and(|(next, _)| next < key)
            && let Some(row) = self.rest.pop_front()
        {
            self.push(row);
        }
    }

    fn set(&mut self, key: Bytes, value: Option<Bytes>) {
        let old = if self.rest.front().is_some_and(|(next, _)| *next == key) {
            self.rest.pop_front()
        } else {
            None
        };
        let same = match (&old, &value) {
            (Some((_, old)), Some(new)) => old == new,
            (None, None) => true,
            _ => false,
        };
        self.changed |= !same;
        if let Some(value) = value {
            self.push((key, value));
        }
    }

    fn finish_rest(&mut self) {
        for row in std::mem::take(&mut self.rest) {
            self.push(row);
        }
    }

    fn push(&mut self, row: Row) {
        self.done_bytes += bundle::row_bytes(&row);
        self.done.push(row);
    }

    fn wants_more(&self) -> bool {
        let bytes = self.done_bytes + self.rest.iter().map(bundle::row_bytes).sum::<usize>();
        self.changed && bytes < THIN_BYTES
    }
}
