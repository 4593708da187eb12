//! What changes above the leaves when some of them are written.
//!
//! # Crash consistency
//! The leaves and all that changes above them go into the store as one batch: after each of them the pages of every level cover all
//! keys, each once.

use bytes::Bytes;

use super::bundle::{self, LOWEST, Row};
use super::pages::{PageChange, PageNumber};
use super::tree::{Below, BundleChange, Index, Root, hollow};
use crate::error::{Error, Result};
use crate::limits::INDEX_BUNDLE_BYTES;

/// How far the leaves are below a page: 0 is a leaf.
pub(super) type Level = u8;

/// More levels than a tree has that fits on a disk.
const LEVELS_MAX: Level = 32;
/// Pages below a branch from which on it may be split: also branches with very long bounds have some below them, so that the levels above
/// become fewer and fewer pages.
const FANOUT_MIN: usize = 8;
/// Bytes of a branch. Each search goes through half of one.
const BRANCH_BYTES: usize = INDEX_BUNDLE_BYTES / 2;
/// A branch with less in it takes in the next one.
const THIN_BYTES: usize = BRANCH_BYTES / 8;

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
type RowChange = (Bytes, Option<PageNumber>);

/// What has to be written for changes of neighbouring leaves. The first of them is written. The caller has the layout's lock.
pub(super) fn plan(index: &Index, leaves: Vec<BundleChange>) -> Result<Planned> {
    let mut planned = Planned::default();
    let (mut bundles, mut new) = (leaves, Vec::new());
    for level in 0..LEVELS_MAX {
        let Some(anchor) = bundles.first().map(|(lower, _)| lower.clone()) else { return Ok(planned) };
        let (changes, rows) = number(index, level, bundles, &mut new)?;
        planned.levels.push(changes);
        if rows.is_empty() {
            return Ok(planned);
        }
        bundles = match branches(index, level + 1, (&anchor, rows), &mut new)? {
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
fn number(
    index: &Index,
    level: Level,
    bundles: Vec<BundleChange>,
    new: &mut Vec<PageNumber>,
) -> Result<(Vec<Change>, Vec<RowChange>)> {
    let (mut changes, mut rows) = (Vec::with_capacity(bundles.len()), Vec::new());
    let (mut before, mut found): (Option<PageNumber>, Option<Below>) = (None, None);
    for (lower, content) in bundles {
        // Mostly the first one is split, and the others come out of it.
        if !found.as_ref().is_some_and(|found| found.covers(&lower)) {
            found = index.below(level, &lower)?;
        }
        let known = found.as_ref().filter(|found| found.lower == lower).map(|found| found.number);
        let page = match (known, &content) {
            (Some(known), Some(_)) => known,
            (Some(known), None) => {
                rows.push((lower.clone(), None));
                known
            }
            (None, Some(_)) => {
                // Branches are among themselves, where the store has all of them at hand.
                let page = index.new_number(before.filter(|_| level == 0), new)?;
                new.push(page);
                rows.push((lower.clone(), Some(page)));
                page
            }
            (None, None) => continue,
        };
        before = Some(page);
        changes.push(Change { lower, page, content });
    }
    rows.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
    Ok((changes, rows))
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
fn branches(
    index: &Index,
    level: Level,
    (anchor, rows): (&Bytes, Vec<RowChange>),
    new: &mut Vec<PageNumber>,
) -> Result<Above> {
    let root = index.root()?;
    let height = root.as_ref().map_or(level, |root| root.level);
    let mut open = match root {
        Some(_) => Open::at(index, level, anchor)?,
        None => Open::new(Bytes::from_static(LOWEST), bundle::Bundle::default()),
    };
    for (lower, page) in rows {
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
    let mut branches: Vec<Change> = Vec::with_capacity(bundles.len());
    for (lower, content) in bundles {
        let page = index.new_number(None, new)?;
        new.push(page);
        branches.push(Change { lower, page, content });
    }
    let rows: Vec<Row> = branches.iter().map(|branch| (branch.lower.clone(), branch.page.encode())).collect();
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
    /// Rows that came behind all others, and other ones that came.
    appended: usize,
    inserted: usize,
}

impl Open {
    fn at(index: &Index, level: Level, key: &[u8]) -> Result<Self> {
        let (lower, content) = index.find(level, key)?.ok_or_else(hollow)?;
        Ok(Open::new(lower, bundle::decode(&content)?))
    }

    fn new(lower: Bytes, bundle: bundle::Bundle) -> Self {
        Open { lower, upper: bundle.upper, rows: bundle.rows, taken_in: Vec::new(), appended: 0, inserted: 0 }
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
            (Err(at), Some(value)) => {
                if at == self.rows.len() {
                    self.appended += 1;
                } else {
                    self.inserted += 1;
                }
                self.rows.insert(at, (key, value));
            }
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
        // Where all came at the end more will come there.
        let grows = self.appended > 0 && self.inserted == 0 && self.taken_in.is_empty();
        let mut shares = share_out(self.rows, grows).into_iter().peekable();
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

/// Rows shared out among branches: evenly, or as a full one and the rest if they grow at the end.
fn share_out(rows: Vec<Row>, grows: bool) -> Vec<Vec<Row>> {
    // What a row takes is less than its key, which begins like its neighbours'.
    let shared = rows.iter().zip(rows.iter().skip(1)).map(|((one, _), (other, _))| {
        one.iter().zip(other.iter()).take_while(|(one, other)| one == other).count()
    });
    let shared = shared.min().unwrap_or(0);
    let bytes = |row: &Row| bundle::row_bytes(row).saturating_sub(shared) + 1;
    let total: usize = rows.iter().map(bytes).sum();
    let most = (rows.len() / FANOUT_MIN).max(1);
    let count = total.div_ceil(BRANCH_BYTES).clamp(1, most);
    if !grows || count != 2 {
        return bundle::share_out_evenly(rows, count, bytes);
    }
    let mut full = rows;
    let mut taken = 0;
    let fits = full.iter().take_while(|row| {
        taken += bytes(row);
        taken <= BRANCH_BYTES
    });
    let rest = full.split_off(fits.count().max(FANOUT_MIN));
    vec![full, rest]
}
