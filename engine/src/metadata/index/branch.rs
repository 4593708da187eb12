//! What changes above the leaves when some of them are written.
//!
//! # Crash consistency
//! The leaves and all that changes above them go into the store as one batch: after each of them the pages of every level cover all
//! keys, each once.

use bytes::Bytes;

use super::bundle::{self, LOWEST, Row};
use super::pages::{PageChange, PageNumber};
use super::tree::{BundleChange, Index, Root, hollow};
use crate::error::{Error, Result};
use crate::limits::INDEX_BUNDLE_BYTES;

/// How far the leaves are below a page: 0 is a leaf.
pub(super) type Level = u8;

/// More levels than a tree has that fits on a disk.
const LEVELS_MAX: Level = 32;
/// Pages below a branch from which on it may be split: also branches with very long bounds have some below them, so that the levels above
/// become fewer and fewer pages.
const FANOUT_MIN: usize = 8;
/// A branch with less in it takes in the next one.
const THIN_BYTES: usize = INDEX_BUNDLE_BYTES / 8;

/// What is written at once.
#[derive(Debug, Default)]
pub(super) struct Planned {
    /// From the leaves up.
    pub(super) levels: Vec<Vec<Change>>,
    pub(super) root: Option<Root>,
}

/// A page that is written, or removed.
#[derive(Debug)]
pub(super) struct Change {
    pub(super) lower: Bytes,
    page: PageNumber,
    pub(super) content: Option<Vec<u8>>,
}

impl Planned {
    pub(super) fn pages(&self) -> impl Iterator<Item = PageChange<'_>> {
        self.levels.iter().zip(0..).flat_map(|(changes, level)| {
            changes
                .iter()
                .map(move |change| (change.page, change.content.as_deref().map(|content| (level, content))))
        })
    }
}

/// A page that comes below a branch, or goes.
type Below = (Bytes, Option<PageNumber>);

/// What has to be written for changes of neighbouring leaves. The first of them is written. The caller has the layout's lock.
pub(super) fn plan(index: &Index, leaves: Vec<BundleChange>) -> Result<Planned> {
    let mut planned = Planned::default();
    let mut bundles = leaves;
    for level in 0..LEVELS_MAX {
        let Some(anchor) = bundles.first().map(|(lower, _)| lower.clone()) else { return Ok(planned) };
        let (changes, below) = number(index, level, bundles)?;
        planned.levels.push(changes);
        if below.is_empty() {
            return Ok(planned);
        }
        bundles = match branches(index, level + 1, &anchor, below)? {
            Above::Branches(bundles) => bundles,
            Above::Root { branches, root } => {
                if !branches.is_empty() {
                    planned.levels.push(branches);
                }
                planned.root = Some(root);
                return Ok(planned);
            }
        };
    }
    Err(Error::corrupt("the index has too many levels"))
}

/// Finds the pages of bundles, and says which are new and which go.
fn number(index: &Index, level: Level, bundles: Vec<BundleChange>) -> Result<(Vec<Change>, Vec<Below>)> {
    let (mut changes, mut below) = (Vec::with_capacity(bundles.len()), Vec::new());
    for (lower, content) in bundles {
        let known = index.below(level, &lower)?.filter(|(found, _)| *found == lower);
        let page = match (known, &content) {
            (Some((_, page)), Some(_)) => page,
            (Some((_, page)), None) => {
                below.push((lower.clone(), None));
                page
            }
            (None, Some(_)) => {
                let page = index.new_number()?;
                below.push((lower.clone(), Some(page)));
                page
            }
            (None, None) => continue,
        };
        changes.push(Change { lower, page, content });
    }
    below.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
    Ok((changes, below))
}

/// What changes of a level.
enum Above {
    Branches(Vec<BundleChange>),
    /// All the way up: with the branches that the old root becomes, if it is split.
    Root {
        branches: Vec<Change>,
        root: Root,
    },
}

/// Changes the branch that covers the anchor, which is never above a page that goes as the first one below its branch.
fn branches(index: &Index, level: Level, anchor: &Bytes, below: Vec<Below>) -> Result<Above> {
    let root = index.root()?;
    let height = root.as_ref().map_or(level, |root| root.level);
    let mut open = match root {
        Some(_) => Open::at(index, level, anchor)?,
        None => {
            Open { lower: Bytes::from_static(LOWEST), upper: None, rows: Vec::new(), taken_in: Vec::new() }
        }
    };
    for (lower, page) in below {
        while !bundle::below(&lower, open.upper.as_ref()) {
            open.take_in_next(index, level)?;
        }
        open.set(lower, page.map(PageNumber::encode));
    }
    if open.bytes() < THIN_BYTES && open.upper.is_some() {
        open.take_in_next(index, level)?;
    }
    if level < height {
        return Ok(Above::Branches(open.into_bundles()));
    }
    let bundles = open.into_bundles();
    if let [(_, Some(content))] = bundles.as_slice() {
        let root = Root { level, content: Bytes::copy_from_slice(content) };
        return Ok(Above::Root { branches: Vec::new(), root });
    }
    let (mut branches, mut rows) = (Vec::with_capacity(bundles.len()), Vec::with_capacity(bundles.len()));
    for (lower, content) in bundles {
        let page = index.new_number()?;
        rows.push((lower.clone(), page.encode()));
        branches.push(Change { lower, page, content });
    }
    let root = Root { level: level + 1, content: bundle::encode(None, &rows).into() };
    Ok(Above::Root { branches, root })
}

/// A branch that is being changed.
struct Open {
    lower: Bytes,
    upper: Option<Bytes>,
    rows: Vec<Row>,
    /// Lower bounds of the branches that it took in.
    taken_in: Vec<Bytes>,
}

impl Open {
    fn at(index: &Index, level: Level, key: &[u8]) -> Result<Self> {
        let (lower, content) = index.find(level, key)?.ok_or_else(hollow)?;
        let bundle = bundle::decode(&content)?;
        Ok(Open { lower, upper: bundle.upper, rows: bundle.rows, taken_in: Vec::new() })
    }

    fn take_in_next(&mut self, index: &Index, level: Level) -> Result<()> {
        let hole = || Error::corrupt("the index has a hole");
        let next = self.upper.take().ok_or_else(hole)?;
        let taken = Open::at(index, level, &next)?;
        if taken.lower != next {
            return Err(hole());
        }
        self.rows.extend(taken.rows);
        self.upper = taken.upper;
        self.taken_in.push(next);
        Ok(())
    }

    fn set(&mut self, key: Bytes, value: Option<Bytes>) {
        let at = self.rows.binary_search_by(|(row, _)| row.cmp(&key));
        match (at, value) {
            (Ok(at), None) => drop(self.rows.remove(at)),
            (Err(at), Some(value)) => self.rows.insert(at, (key, value)),
            (Ok(at), Some(value)) => {
                if let Some((_, old)) = self.rows.get_mut(at) {
                    *old = value;
                }
            }
            (Err(_), None) => {}
        }
    }

    fn bytes(&self) -> usize {
        self.rows.iter().map(bundle::row_bytes).sum()
    }

    fn into_bundles(self) -> Vec<BundleChange> {
        let most = (self.rows.len() / FANOUT_MIN).max(1);
        let mut shares = bundle::share_out(self.rows, most).into_iter().peekable();
        let mut bundles: Vec<BundleChange> = Vec::new();
        let mut lower = Some(self.lower);
        while let (Some(share), Some(begin)) = (shares.next(), lower.take()) {
            lower = shares.peek().and_then(|next| next.first()).map(|(key, _)| key.clone());
            let content = bundle::encode(lower.as_ref().or(self.upper.as_ref()), &share);
            bundles.push((begin, Some(content)));
        }
        let gone: Vec<BundleChange> = self
            .taken_in
            .into_iter()
            .filter(|key| bundles.iter().all(|(lower, _)| lower != key))
            .map(|key| (key, None))
            .collect();
        bundles.extend(gone);
        bundles
    }
}
