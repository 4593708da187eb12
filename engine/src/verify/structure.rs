//! What the checks of the structure share: reading a family of records, and suspicions with what they rest on.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};

use bytes::Bytes;

use super::options::{VerifyOptions, VerifyProgress};
use super::problem::Problem;
use super::report::{Checked, Unused};
use crate::error::{Error, Result};
use crate::identity::SegmentId;
use crate::records::key::{self, KeyRange};
use crate::records::{SegmentRecord, Totals};
use crate::volume::{Look, NameHasher};

/// Records in one scan: each is consistent in itself, and short enough not to hold anybody up.
const ROWS: usize = 1024;

/// A record as it was when it was read: `None` if it was not there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Anchor {
    key: Vec<u8>,
    digest: Option<u64>,
}

impl Anchor {
    /// Rests on a record.
    pub(super) fn on(key: Vec<u8>, value: &[u8]) -> Anchor {
        Anchor { key, digest: Some(digest(value)) }
    }

    /// Rests on a record of which only the digest was kept.
    pub(super) fn kept(key: Vec<u8>, digest: u64) -> Anchor {
        Anchor { key, digest: Some(digest) }
    }

    /// Rests on a record's absence.
    pub(super) fn absent(key: Vec<u8>) -> Anchor {
        Anchor { key, digest: None }
    }

    /// Whether the record is as it was.
    pub(super) fn holds(&self, look: &(impl Look + ?Sized)) -> Result<bool> {
        Ok(look.get(&self.key)?.map(|value| digest(&value)) == self.digest)
    }
}

/// Tells two values of one record apart, within one verification.
pub(super) fn digest(value: &[u8]) -> u64 {
    BuildHasherDefault::<DefaultHasher>::default().hash_one(value)
}

/// A problem that was seen beside traffic. It is one if all that it rests on is as it was when it was read: whatever may have
/// been changed between the reading of two records changes one of these, too.
#[derive(Debug, Clone)]
pub(super) struct Suspicion {
    pub(super) problem: Problem,
    pub(super) anchors: Vec<Anchor>,
}

/// What was found so far; the names of files are looked up at the end.
#[derive(Debug, Clone, Default)]
pub(super) struct Found {
    pub(super) suspicions: Vec<Suspicion>,
    pub(super) more: u64,
    pub(super) findings_max: usize,
    pub(super) checked: Checked,
    pub(super) unsettled: Vec<String>,
    pub(super) unused: Vec<Unused>,
    /// What could not be read, in sentences.
    pub(super) unread: Vec<String>,
    /// Families of records, of which some could not be decoded or are missing for sure: what is counted of them is too little.
    pub(super) undecoded: BTreeSet<u8>,
    /// All segments that rows or extents name.
    pub(super) segments: BTreeMap<SegmentId, SegmentFacts>,
}

/// What is known of a segment.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct SegmentFacts {
    /// Its row, before any extent was looked at, and its digest.
    pub(super) row: Option<(SegmentRecord, u64)>,
    /// Sealed bytes of the extents that point into it.
    pub(super) live_bytes: u64,
    /// How many these are.
    pub(super) extents: u64,
    /// How many of these show a shared block.
    pub(super) shared_extents: u64,
    /// References to its blocks.
    pub(super) references: u64,
    /// Where the last of them ends.
    pub(super) end: u64,
    /// Whether extents of another tier are among them.
    pub(super) mixed: bool,
}

impl Found {
    pub(super) fn new(findings_max: usize) -> Self {
        Found { findings_max, ..Found::default() }
    }

    /// Puts what was found earlier before the rest.
    pub(super) fn prepend(&mut self, earlier: Found) {
        let later = std::mem::replace(&mut self.suspicions, earlier.suspicions);
        for suspicion in later {
            self.add(suspicion.problem, suspicion.anchors);
        }
        self.more += earlier.more;
        self.unused.splice(..0, earlier.unused);
        self.unsettled.splice(..0, earlier.unsettled);
        self.unread.splice(..0, earlier.unread);
        self.undecoded.extend(earlier.undecoded);
    }

    /// What rests on an index that cannot be read cannot be looked at. That was reported, and does not keep the rest from being so.
    pub(super) fn excuse(&mut self, looked: Result<()>) -> Result<()> {
        let mut problems = self.suspicions.iter().map(|suspicion| &suspicion.problem);
        let unreadable = problems
            .any(|problem| matches!(problem, Problem::IndexUnreadable { .. } | Problem::FileDamaged { .. }));
        match looked {
            Err(Error::Corrupt { what }) if unreadable => {
                self.unsettled
                    .push(format!("what rests on the metadata index could not be looked at: {what}"));
                Ok(())
            }
            looked => looked,
        }
    }

    pub(super) fn add(&mut self, problem: Problem, anchors: Vec<Anchor>) {
        if self.suspicions.len() < self.findings_max {
            self.suspicions.push(Suspicion { problem, anchors });
        } else {
            self.more += 1;
        }
    }
}

/// Calls with each record of a range.
pub(super) fn each_row(
    look: &(impl Look + ?Sized),
    (from, end): &KeyRange,
    mut with: impl FnMut(&Bytes, &Bytes),
) -> Result<()> {
    let mut from = from.clone();
    loop {
        let rows = look.scan(&from, end, ROWS)?;
        rows.iter().for_each(|(row, value)| with(row, value));
        match rows.last() {
            Some((last, _)) if rows.len() == ROWS => from = key::after(last),
            _ => return Ok(()),
        }
    }
}

/// One look at the whole structure.
pub(super) struct Structure<'a, L: ?Sized> {
    pub(super) look: &'a L,
    pub(super) names: &'a NameHasher,
    pub(super) options: &'a VerifyOptions,
    pub(super) progress: &'a VerifyProgress,
    pub(super) found: Found,
}

impl<'a, L: Look + ?Sized> Structure<'a, L> {
    pub(super) fn new(
        look: &'a L,
        names: &'a NameHasher,
        options: &'a VerifyOptions,
        progress: &'a VerifyProgress,
    ) -> Self {
        Structure { look, names, options, progress, found: Found::new(options.findings_max) }
    }

    /// Looks at everything.
    pub(super) fn check(mut self) -> Result<Found> {
        let before = self.look.get(&key::totals())?;
        let totals = self.decode(&key::totals(), before.as_deref().unwrap_or_default(), Totals::decode);
        let next_id = totals.map_or(u64::MAX, |totals| totals.next_id);
        self.segments_before()?;
        self.check_namespace(totals.zip(before))?;
        self.check_contents(next_id)?;
        self.check_references()?;
        self.check_segment_rows();
        Ok(self.found)
    }

    /// Calls with each record of a range.
    pub(super) fn each(
        &mut self,
        range: &KeyRange,
        mut with: impl FnMut(&mut Self, &Bytes, &Bytes) -> Result<()>,
    ) -> Result<()> {
        let (mut from, end) = range.clone();
        loop {
            let rows = self.look.scan(&from, &end, ROWS)?;
            self.progress.advance(rows.len() as u64)?;
            for (row, value) in &rows {
                with(self, row, value)?;
            }
            match rows.last() {
                Some((last, _)) if rows.len() == ROWS => from = key::after(last),
                _ => return Ok(()),
            }
        }
    }

    /// A decoded record; one that cannot be decoded is a problem.
    pub(super) fn decode<T, E: std::fmt::Display>(
        &mut self,
        key: &[u8],
        value: &[u8],
        decode: impl FnOnce(&[u8]) -> Result<T, E>,
    ) -> Option<T> {
        match decode(value) {
            Ok(record) => Some(record),
            Err(error) => {
                self.undecodable(key, value, error.to_string());
                None
            }
        }
    }

    /// A key whose parts have the wrong lengths.
    pub(super) fn bad_key(&mut self, key: &[u8], value: &[u8]) {
        self.undecodable(key, value, "the key has a wrong length".to_owned());
    }

    fn undecodable(&mut self, key: &[u8], value: &[u8], what: String) {
        self.found.undecoded.extend(key.first());
        let problem = Problem::Record { key: hex::encode(key), what };
        self.found.add(problem, vec![Anchor::on(key.to_vec(), value)]);
    }

    /// How many facts of this size fit into the budget for joins.
    pub(super) fn room_for<T>(&self) -> usize {
        let facts = self.options.memory_bytes / size_of::<T>().max(1) as u64;
        usize::try_from(facts).unwrap_or(usize::MAX).max(16)
    }

    fn segments_before(&mut self) -> Result<()> {
        self.each(&key::family(b's', b""), |this, row, value| {
            let Some(id) = key::segment_id(row) else {
                this.bad_key(row, value);
                return Ok(());
            };
            if let Some(record) = this.decode(row, value, SegmentRecord::decode) {
                let facts = SegmentFacts { row: Some((record, digest(value))), ..SegmentFacts::default() };
                this.found.segments.insert(id, facts);
            }
            Ok(())
        })
    }
}
