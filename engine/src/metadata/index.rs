//! The index: all metadata that was folded, in an ordered store on the local disk.
//!
//! The store behind [`MetaStore`] is never the truth: it can be rebuilt from the checkpoints at any time, and is, whenever its
//! [`Marker`] does not vouch for it. It gets sealed [`pages`] under numbers, and orders nothing that means something: the keys of entries
//! are in the pages, and a [`tree`] of them leads from a key to its page (`docs/decisions/0007-index-pages.md`).
//!
//! # Crash consistency
//! The index is always between two folds: it has all changes up to the LSN that is recorded in it, and perhaps some of the next delta,
//! which is applied again. After a stop of the machine it is thrown away; until it is built anew, [`Index`] has no store, and asks the
//! checkpoints.

mod branch;
mod bundle;
mod cache;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
#[cfg(test)]
pub(crate) mod golden;
mod marker;
mod pages;
mod range;
mod rewrite;
mod sled_store;
#[cfg(test)]
mod tests;
mod tree;

use std::path::Path;

use bytes::Bytes;

use crate::error::Result;

pub(crate) use marker::{BootId, Marker, MarkerState};
pub(crate) use pages::Resealed;
pub(crate) use sled_store::SledIndexes;
pub(crate) use tree::Index;

/// Opens what holds an index.
pub(crate) trait Indexes: Send + Sync + 'static {
    /// Opens or makes it. An error means that it is to be built anew, if it is not being built already.
    fn open(&self, directory: &Path, cache_bytes: u64) -> Result<Box<dyn MetaStore>>;
    /// Throws it away, whatever is there.
    fn destroy(&self, directory: &Path) -> Result<()>;
    /// Does what an open would have to do after many changes, to one that is closed and durable; it is durable afterwards, too.
    fn prepare(&self, _directory: &Path) -> Result<()> {
        Ok(())
    }
}

/// An ordered store of byte strings with atomic batches: the seam to what holds the index.
pub(crate) trait MetaStore: Send + Sync + 'static {
    /// The value of a key.
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>>;
    /// The last key.
    fn last_key(&self) -> Result<Option<Bytes>>;
    /// The entries from one key up to another, which is not among them, in ascending order. It need not be a snapshot.
    fn range<'a>(&'a self, from: &[u8], to: &[u8])
    -> Box<dyn Iterator<Item = Result<(Bytes, Vec<u8>)>> + 'a>;
    /// Applies all or nothing of the batch; `None` deletes.
    fn apply(&self, batch: Vec<(Bytes, Option<Vec<u8>>)>) -> Result<()>;
    /// Waits for what it still writes in the background, if that has become much. Called after each batch, with no lock held that a
    /// reader may want.
    fn settle(&self) -> Result<()> {
        Ok(())
    }
    /// Hands everything to the operating system and makes it durable.
    fn flush(&self) -> Result<()>;
}
