//! The tree of pages above the store: leaves with the entries, and branches that say which page covers which keys.
//!
//! A leaf is a bundle of entries; a branch is a bundle, too, whose entries are the lower bounds and the numbers of the pages below it. The
//! root is a branch, and the lowest page of each level has the lower bound 0x00. What stands above a page is changed only if that
//! page comes, goes or gets another lower bound: a page that is written anew keeps its number.
//!
//! Pages are cached by the ranges that they cover, each level by itself, so that a step down is mostly a look into memory: of a look-up
//! only the leaf is read from the store.

use std::sync::Arc;

use bytes::Bytes;
use parking_lot::RwLock;

use super::MetaStore;
use super::branch::{self, Level};
use super::bundle::{self, LOWEST, Row};
use super::cache::BundleCache;
use super::pages::{Held, PageChange, PageNumber, Pages, Resealed};
use super::range::Rows;
use super::rewrite::Rewrite;
use crate::error::{Error, Result};
use crate::home::Home;
use crate::identity::{Epoch, KeyGeneration, Lsn};
use crate::metadata::checkpoint::StandIn;
use crate::metadata::overlay::Entry;
use crate::records::key;

/// Levels whose pages are cached, from the leaves up: more than there ever are.
const CACHED_LEVELS: usize = 6;
/// What is kept of the branches of a level at least: less would have each step of a rebuild read them again.
const BRANCHES_KEPT_BYTES: u64 = 256 << 10;

/// The index, opened.
pub(crate) struct Index {
    pages: Pages,
    /// Held for writing while pages change, so that who walks over several of them sees each entry once.
    layout: RwLock<()>,
    root: RwLock<Option<Root>>,
    /// By level.
    caches: [BundleCache; CACHED_LEVELS],
}

/// The page that every search begins with.
#[derive(Debug, Clone)]
pub(super) struct Root {
    pub(super) level: u8,
    pub(super) content: Bytes,
}

/// Where a key is looked for.
enum Place {
    /// With its lower bound.
    Leaf {
        lower: Bytes,
        content: Bytes,
    },
    StandIn(Arc<StandIn>),
}

/// A page, as the branch above it has it.
#[derive(Debug)]
pub(super) struct Below {
    pub(super) lower: Bytes,
    upper: Option<Bytes>,
    pub(super) number: PageNumber,
}

impl Below {
    pub(super) fn covers(&self, key: &[u8]) -> bool {
        self.lower <= key && bundle::below(key, self.upper.as_ref())
    }
}

/// What is written for a bundle of a level, by its lower bound; `None` removes it.
pub(super) type BundleChange = (Bytes, Option<Vec<u8>>);

impl Index {
    /// Each (id, epoch) is used once for writing.
    pub(crate) fn new(
        home: &Home,
        id: [u8; 16],
        epoch: Epoch,
        store: Box<dyn MetaStore>,
        cache_bytes: u64,
    ) -> Self {
        Self::holding(Held::Store(store), home, (id, epoch), cache_bytes)
    }

    /// The same without a store: until it gets one, the checkpoints are read instead.
    pub(crate) fn without_store(
        home: &Home,
        (id, epoch): ([u8; 16], Epoch),
        stand_in: Arc<StandIn>,
        cache_bytes: u64,
    ) -> Self {
        Self::holding(Held::StandIn(stand_in), home, (id, epoch), cache_bytes)
    }

    fn holding(held: Held, home: &Home, (id, epoch): ([u8; 16], Epoch), cache_bytes: u64) -> Self {
        let mut left = cache_bytes;
        let caches = std::array::from_fn(|level| {
            // There are a hundred times fewer pages on each level than on the one below it, but they are asked for much more.
            let share = left / 3 * 2;
            left -= share;
            BundleCache::new(if level == 0 { share } else { share.max(BRANCHES_KEPT_BYTES) })
        });
        let pages = Pages::new(home, id, epoch, held);
        Index { pages, layout: RwLock::default(), root: RwLock::default(), caches }
    }

    pub(crate) fn get(&self, key: &[u8]) -> Result<Option<Bytes>> {
        match self.place(key)? {
            Place::Leaf { content, .. } => Ok(bundle::find(&content, key)?),
            Place::StandIn(stand_in) => stand_in.get(key),
        }
    }

    /// The last entry from one key up to another, which may be it.
    pub(crate) fn last(&self, from: &[u8], upto: &[u8]) -> Result<Option<Row>> {
        let (lower, content) = match self.place(upto)? {
            Place::Leaf { lower, content } => (lower, content),
            Place::StandIn(stand_in) => return stand_in.last(from, upto),
        };
        match bundle::last(&content, upto)? {
            Some(row) => Ok(Some(row).filter(|(key, _)| key.as_ref() >= from)),
            None if lower.as_ref() <= from => Ok(None),
            None => self.with_range(from, &key::after(upto), |rows| {
                let mut last = None;
                for row in rows {
                    let (key, value) = row?;
                    last = value.map(|value| (key, value)).or(last);
                }
                Ok(last)
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
        let from = from.max(LOWEST);
        let layout = self.layout.read();
        let content = match self.place_in_layout(from)? {
            Place::Leaf { content, .. } => content,
            Place::StandIn(stand_in) => {
                drop(layout);
                return stand_in.with_range(from, to, with);
            }
        };
        let rows = Rows::new(self, content, from, to)?;
        with(Box::new(rows.map(|row| row.map(|(key, value)| (key, Some(value))))))
    }

    /// Where a key would be. A leaf is kept.
    fn place(&self, key: &[u8]) -> Result<Place> {
        if let Some((lower, content)) = self.cached(0, key) {
            return Ok(Place::Leaf { lower, content });
        }
        let _layout = self.layout.read();
        self.place_in_layout(key)
    }

    /// The same for somebody who has the layout's lock: what is loaded must not be replaced before it is kept.
    fn place_in_layout(&self, key: &[u8]) -> Result<Place> {
        if let Some(stand_in) = self.pages.stand_in() {
            return Ok(Place::StandIn(stand_in));
        }
        let (lower, content) = self.find(0, key)?.ok_or_else(hollow)?;
        self.keep(0, &lower, &content);
        Ok(Place::Leaf { lower, content })
    }

    /// The leaf that covers a key.
    pub(super) fn leaf_to_change(&self, key: &[u8]) -> Result<Option<(Bytes, Bytes)>> {
        let _layout = self.layout.read();
        self.find(0, key)
    }

    pub(super) fn keep(&self, level: Level, lower: &Bytes, content: &Bytes) {
        if let Some(cache) = self.caches.get(usize::from(level)) {
            cache.insert(lower.clone(), content.clone());
        }
    }

    fn cached(&self, level: Level, key: &[u8]) -> Option<(Bytes, Bytes)> {
        self.caches.get(usize::from(level))?.find(key)
    }

    /// The page of a level that covers a key: its lower bound, and its content. `None` if nothing was applied yet. The caller has the
    /// layout's lock.
    pub(super) fn find(&self, level: Level, key: &[u8]) -> Result<Option<(Bytes, Bytes)>> {
        if let Some(found) = self.cached(level, key) {
            return Ok(Some(found));
        }
        let Some(root) = self.root()? else { return Ok(None) };
        if level >= root.level {
            return Ok((level == root.level).then(|| (Bytes::from_static(LOWEST), root.content)));
        }
        let Below { lower, upper, number } = self.below(level, key)?.ok_or_else(hollow)?;
        let (found, content) =
            self.pages.read(number)?.ok_or_else(|| Error::corrupt("the index lacks a page"))?;
        if found != level || bundle::upper(&content)? != upper.as_deref() {
            return Err(Error::corrupt("a page of the index is in the place of another one"));
        }
        // Of the leaves only what is asked for is kept, and not what is changed: that is much more.
        if level > 0 {
            self.keep(level, &lower, &content);
        }
        Ok(Some((lower, content)))
    }

    /// What the branch above a level says of the page that covers a key.
    pub(super) fn below(&self, level: Level, key: &[u8]) -> Result<Option<Below>> {
        let Some((_, branch)) = self.find(level + 1, key)? else { return Ok(None) };
        let (Some((lower, number)), upper) = bundle::last_and_next(&branch, key)? else { return Ok(None) };
        if upper.as_ref().is_some_and(|upper| *upper <= lower) {
            return Err(Error::corrupt("a branch of the index is not in order"));
        }
        Ok(Some(Below { lower, upper, number: PageNumber::decode(&number)? }))
    }

    pub(super) fn root(&self) -> Result<Option<Root>> {
        if let Some(root) = &*self.root.read() {
            return Ok(Some(root.clone()));
        }
        let Some((level, content)) = self.pages.read(PageNumber::ROOT)? else { return Ok(None) };
        if level == 0 {
            return Err(Error::corrupt("the root of the index is a leaf"));
        }
        let root = Root { level, content };
        *self.root.write() = Some(root.clone());
        Ok(Some(root))
    }

    /// A number that no page has, and none of those that are about to be written.
    pub(super) fn new_number(&self, before: Option<PageNumber>, new: &[PageNumber]) -> Result<PageNumber> {
        self.pages.new_number(before, new)
    }

    /// Writes and removes neighbouring leaves at once, with all that changes above them: in between a range would not see what it should.
    /// The first one is written.
    pub(super) fn write_leaves(&self, batch: Vec<BundleChange>) -> Result<()> {
        {
            // Under the lock: what was sealed before a rotation must not come in behind the sealing anew.
            let _layout = self.layout.write();
            let planned = branch::plan(self, batch)?;
            let mut changes: Vec<PageChange<'_>> = planned.pages().collect();
            changes.extend(
                planned
                    .root
                    .as_ref()
                    .map(|root| (PageNumber::ROOT, Some((root.level, root.content.as_ref())))),
            );
            self.pages.write(&changes)?;
            for (cache, level) in self.caches.iter().zip(&planned.levels) {
                cache.follow(level.iter().map(|change| (&change.lower, change.content.as_deref())));
            }
            if let Some(root) = planned.root {
                *self.root.write() = Some(root);
            }
        }
        self.pages.settle()
    }

    /// The LSN up to which everything is applied; `None` if it was never filled.
    pub(crate) fn applied(&self) -> Result<Option<Lsn>> {
        self.pages.applied()
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
            if self.applied()?.is_some() {
                return Err(hollow());
            }
            self.write_leaves(vec![(Bytes::from_static(LOWEST), Some(bundle::encode(None, &[])))])?;
        }
        let _layout = self.layout.write();
        self.pages.set_applied(applied)
    }

    /// Whether there is the lowest leaf, without which nothing is covered. There is, once something was applied.
    pub(crate) fn has_lowest(&self) -> Result<bool> {
        Ok(self.leaf_to_change(LOWEST)?.is_some())
    }

    /// Seals some values anew that are sealed under an older key, from this key of the store on.
    pub(crate) fn reseal(&self, from: &[u8]) -> Result<Resealed> {
        let resealed = {
            let _layout = self.layout.write();
            self.pages.reseal(from)?
        };
        self.pages.settle()?;
        Ok(resealed)
    }

    /// Forgets the sealing keys of older generations than this one.
    pub(crate) fn forget_older_than(&self, generation: KeyGeneration) {
        self.pages.forget_older_than(generation);
    }

    /// Hands everything to the operating system: what the store keeps in its own memory would be as it was before if the process were
    /// killed.
    pub(crate) fn flush(&self) -> Result<()> {
        self.pages.flush()
    }

    /// Makes everything durable and lets go of the store. Later calls fail.
    pub(crate) fn close(&self) -> Result<()> {
        self.pages.close()?;
        self.forget_pages();
        Ok(())
    }

    /// Whether there is no store, so that the checkpoints are read instead.
    pub(crate) fn is_away(&self) -> bool {
        self.pages.stand_in().is_some()
    }

    /// Lets go of the store: the checkpoints are read instead, which have all that was applied.
    pub(crate) fn let_go(&self, stand_in: Arc<StandIn>) -> Option<Box<dyn MetaStore>> {
        match self.replace(Held::StandIn(stand_in)) {
            Held::Store(store) => Some(store),
            Held::StandIn(_) | Held::Ended(_) => None,
        }
    }

    /// Has whoever stands in for the store, if somebody does, let go of files that a merge replaced.
    pub(crate) fn refresh_stand_in(&self) -> Result<()> {
        self.pages.stand_in().map_or(Ok(()), |stand_in| stand_in.view().map(drop))
    }

    /// Takes over the store of an index with the same id, but an epoch of its own, which has all that stands in the checkpoints.
    pub(crate) fn take_over(&self, built: Index) {
        self.pages.count_written_before(built.written());
        if let Some(store) = built.pages.into_store() {
            drop(self.replace(Held::Store(store)));
        }
    }

    /// Nobody may be about to keep a page of the old one. That may take a while to be dropped.
    fn replace(&self, held: Held) -> Held {
        let _layout = self.layout.write();
        let old = self.pages.replace(held);
        self.forget_pages();
        old
    }

    fn forget_pages(&self) {
        self.caches.iter().for_each(BundleCache::clear);
        *self.root.write() = None;
    }

    pub(crate) fn id(&self) -> [u8; 16] {
        self.pages.id()
    }

    /// How many values were written since it was opened.
    pub(crate) fn written(&self) -> u64 {
        self.pages.written()
    }

    /// The store itself.
    pub(crate) fn into_store(self) -> Option<Box<dyn MetaStore>> {
        self.pages.into_store()
    }

    /// A value, sealed as it would be for this key of the store.
    #[cfg(any(test, fuzzing))]
    pub(super) fn seal(&self, key: &[u8], value: &[u8]) -> Result<Vec<u8>> {
        self.pages.seal(key, &[], value)
    }

    /// How many pages there are.
    #[cfg(test)]
    pub(super) fn pages(&self) -> usize {
        self.pages.count().unwrap()
    }

    /// Levels of branches above the leaves.
    #[cfg(test)]
    pub(super) fn height(&self) -> u8 {
        self.root().unwrap().unwrap().level
    }

    /// The numbers of the leaves, in the order of their keys.
    #[cfg(test)]
    pub(super) fn leaf_numbers(&self) -> Vec<PageNumber> {
        let (mut numbers, mut at) = (Vec::new(), Some(Bytes::from_static(LOWEST)));
        while let Some(key) = at {
            let page = self.below(0, &key).unwrap().unwrap();
            numbers.push(page.number);
            at = page.upper;
        }
        numbers
    }

    /// Puts a value into the place of the leaf that covers a key, as it is; what was cached is read anew. Returns where that leaf begins.
    #[cfg(test)]
    pub(crate) fn write_raw(&self, key: &[u8], value: Option<Vec<u8>>) -> Bytes {
        let page = self.below(0, key).unwrap().unwrap();
        self.pages.write_raw(page.number, value);
        self.forget_pages();
        page.lower
    }
}

pub(super) fn hollow() -> Error {
    Error::corrupt("the index has no page that covers its lowest keys")
}
