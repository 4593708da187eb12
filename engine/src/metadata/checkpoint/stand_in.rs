//! The checkpoints in the place of an index that is not there.

use std::sync::Arc;

use bytes::Bytes;

use super::cache::ChunkCache;
use super::{CheckpointView, Checkpoints};
use crate::error::{Error, Result};
use crate::metadata::overlay::Entry;
use crate::threads::Mutex;

/// What an index would say, from the files as they are when it is asked. They are kept open for the next one who asks.
pub(crate) struct StandIn {
    checkpoints: Arc<Checkpoints>,
    last_view: Mutex<Option<Arc<CheckpointView>>>,
    cache: Arc<ChunkCache>,
}

impl StandIn {
    /// It keeps opened chunks up to a budget.
    pub(crate) fn new(checkpoints: &Arc<Checkpoints>, cache_bytes: u64) -> Self {
        let cache = Arc::new(ChunkCache::new(cache_bytes));
        StandIn { checkpoints: Arc::clone(checkpoints), last_view: Mutex::default(), cache }
    }

    /// The value of a key.
    pub(crate) fn get(&self, key: &[u8]) -> Result<Option<Bytes>> {
        self.view().and_then(|view| view.get(key)).map_err(unreadable)
    }

    /// The last entry from one key up to another, which may be it.
    pub(crate) fn last(&self, from: &[u8], upto: &[u8]) -> Result<Option<(Bytes, Bytes)>> {
        self.view().and_then(|view| view.last(from, upto)).map_err(unreadable)
    }

    /// Calls with the entries from one key up to another, which is not among them.
    pub(crate) fn with_range<T>(
        &self,
        from: &[u8],
        to: &[u8],
        with: impl FnOnce(Box<dyn Iterator<Item = Result<Entry>> + '_>) -> Result<T>,
    ) -> Result<T> {
        let view = self.view().map_err(unreadable)?;
        let is_there = |entry: &Result<Entry>| !matches!(entry, Ok((_, None)));
        with(Box::new(view.range(from, to).filter(is_there).map(|entry| entry.map_err(unreadable))))
    }

    /// The files as they are now.
    pub(crate) fn view(&self) -> Result<Arc<CheckpointView>> {
        // Held, so that files are opened once, and an older view does not take the place of a newer one.
        let mut last = self.last_view.lock();
        let view = self.checkpoints.view(last.as_ref(), &self.cache)?;
        *last = Some(Arc::clone(&view));
        Ok(view)
    }
}

/// To whoever has the file system open, a file that cannot be opened is damage of what he asks for.
fn unreadable(error: Error) -> Error {
    match error {
        Error::Open(error) => Error::corrupt(error.to_string()),
        error => error,
    }
}
