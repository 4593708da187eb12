//! Segments against the files and objects that there are.
//!
//! A list of objects may be stale: it may leave out what was put lately, and show what was deleted lately. So nothing is said about an
//! object that was not asked for on its own, and an object that is not in the list is looked at all the same.

use std::collections::BTreeMap;

use super::problem::Problem;
use super::site::Site;
use super::structure::{Found, each_row};
use crate::broken::{Broken, broken};
use crate::error::{Error, Result};
use crate::identity::SegmentId;
use crate::records::{SegmentRecord, key};
use crate::tiering::Tier;

pub(super) type Lengths = BTreeMap<SegmentId, u64>;

/// Compares rows with files and objects.
pub(super) async fn check(site: &Site<'_>, found: &mut Found) -> Result<()> {
    let (mut listed, mut cold_listed) = lists(site, found).await?;
    if !problems(site, found, &listed, cold_listed.as_ref())?.is_empty() {
        // What was being removed is gone in the next list.
        settle(site).await;
        let (again, cold_again) = lists(site, found).await?;
        listed.retain(|id, _| again.contains_key(id));
        listed.extend(&again);
        if let (Some(cold), Some(again)) = (&mut cold_listed, cold_again) {
            cold.retain(|id, _| again.contains_key(id));
            cold.extend(&again);
        }
    }
    found.checked.segments = listed.len() as u64;
    found.checked.objects = cold_listed.as_ref().map_or(0, BTreeMap::len) as u64;
    for problem in problems(site, found, &listed, cold_listed.as_ref())? {
        match still_true(site, &problem).await {
            Ok(true) => found.add(problem, Vec::new()),
            Ok(false) => {}
            Err(error @ Error::Unavailable { .. }) => {
                found.unread.push(format!("{problem}: the object store could not be asked again: {error}"));
            }
            Err(error) => return Err(error),
        }
    }
    if cold_listed.is_some() {
        match site.cold.strays().await {
            Ok(names) => {
                names.into_iter().for_each(|name| found.add(Problem::StrayObject { name }, Vec::new()))
            }
            Err(error @ Error::Unavailable { .. }) => not_listed(found, &error),
            Err(error) => return Err(error),
        }
    }
    let dead = rows(site)?.into_values().filter(|row| row.live_bytes == 0);
    found.checked.dead_segments = dead.count() as u64;
    Ok(())
}

/// What there is; `None` for the objects if the store is away.
async fn lists(site: &Site<'_>, found: &mut Found) -> Result<(Lengths, Option<Lengths>)> {
    let local = site.standard.list()?.into_iter().collect();
    let cold = match objects(site).await {
        Ok(objects) => Some(objects),
        Err(error @ Error::Unavailable { .. }) => {
            not_listed(found, &error);
            None
        }
        Err(error) => return Err(error),
    };
    Ok((local, cold))
}

pub(super) fn not_listed(found: &mut Found, error: &Error) {
    const WHAT: &str = "the objects of the cold tier could not be listed";
    if !found.unread.iter().any(|text| text.starts_with(WHAT)) {
        found.unread.push(format!("{WHAT}: {error}"));
    }
}

/// The objects of segments, with their lengths. Where the list and the rows differ, the store is asked.
pub(super) async fn objects(site: &Site<'_>) -> Result<Lengths> {
    let mut objects: Lengths = site.cold.list().await?.into_iter().collect();
    if broken(Broken::ListTrusted) {
        return Ok(objects);
    }
    let mut rows = rows(site)?;
    rows.retain(|_, row| row.tier == Tier::InfrequentAccess);
    let unknown = objects.keys().filter(|segment| !rows.contains_key(segment));
    let unlisted = rows.keys().filter(|segment| !objects.contains_key(segment));
    let doubtful: Vec<SegmentId> = unknown.chain(unlisted).copied().collect();
    for segment in doubtful {
        match site.cold.length(segment).await? {
            Some(length) => objects.insert(segment, length),
            None => objects.remove(&segment),
        };
    }
    Ok(objects)
}

/// The rows are read after the lists: what was listed and has no row now had lost it, or never had one.
fn problems(site: &Site<'_>, found: &Found, local: &Lengths, cold: Option<&Lengths>) -> Result<Vec<Problem>> {
    let rows = rows(site)?;
    let mut problems = Vec::new();
    for (tier, lengths) in [(Tier::Standard, Some(local)), (Tier::InfrequentAccess, cold)] {
        let Some(lengths) = lengths else { continue };
        for (&segment, &bytes) in lengths {
            // One that extents point into lacks its row.
            let pointed = found.segments.get(&segment).is_some_and(|facts| facts.extents > 0);
            if !pointed && !rows.contains_key(&segment) && !site.is_new(segment) {
                problems.push(Problem::SegmentLeaked { segment, tier, bytes });
            }
        }
        for (&segment, row) in rows.iter().filter(|(_, row)| row.tier == tier && row.live_bytes > 0) {
            let needed = found.segments.get(&segment).map_or(0, |facts| facts.end);
            problems.extend(match lengths.get(&segment) {
                None => Some(Problem::SegmentMissing { segment, tier, live_bytes: row.live_bytes }),
                Some(&length) if length < needed => {
                    Some(Problem::SegmentShort { segment, tier, length, needed })
                }
                Some(_) => None,
            });
        }
    }
    Ok(problems)
}

/// Whoever was between appending and pointing is done after this.
async fn settle(site: &Site<'_>) {
    if let Some(volume) = site.live {
        drop(volume.data_writes.write().await);
    }
}

/// Looks again at one segment.
async fn still_true(site: &Site<'_>, problem: &Problem) -> Result<bool> {
    match problem {
        Problem::SegmentLeaked { segment, tier, .. } => {
            // It may be newer than the first list, and closed since.
            if site.is_new(*segment) {
                return Ok(false);
            }
            settle(site).await;
            if site.row(*segment)?.is_some() || site.is_new(*segment) {
                return Ok(false);
            }
            // What was new and nobody pointed to is removed before it counts as new no longer.
            Ok(match tier {
                Tier::Standard => site.standard.list()?.iter().any(|(id, _)| id == segment),
                Tier::InfrequentAccess => !asks(*tier) || site.cold.length(*segment).await?.is_some(),
            })
        }
        Problem::SegmentMissing { segment, tier, .. } => {
            // A segment that was begun after the list is there, and only what is released loses its file before its row says so.
            let missing = match tier {
                Tier::Standard => !site.standard.list()?.iter().any(|(id, _)| id == segment),
                Tier::InfrequentAccess => !asks(*tier) || site.cold.length(*segment).await?.is_none(),
            };
            Ok(missing && site.row(*segment)?.is_some_and(|(row, _)| row.live_bytes > 0))
        }
        Problem::SegmentShort { segment, .. } => {
            Ok(site.row(*segment)?.is_some_and(|(row, _)| row.live_bytes > 0))
        }
        _ => Ok(true),
    }
}

/// Whether the tier is one that lists may be stale of.
fn asks(tier: Tier) -> bool {
    tier == Tier::InfrequentAccess && !broken(Broken::ListTrusted)
}

/// All rows that can be decoded; the others were reported with the structure.
fn rows(site: &Site<'_>) -> Result<BTreeMap<SegmentId, SegmentRecord>> {
    let mut rows = BTreeMap::new();
    each_row(site.look, &key::family(b's', b""), |row, value| {
        if let (Some(id), Ok(record)) = (key::segment_id(row), SegmentRecord::decode(value)) {
            rows.insert(id, record);
        }
    })?;
    Ok(rows)
}
