//! Segments against the files and objects that there are.

use std::collections::BTreeMap;

use super::problem::Problem;
use super::site::Site;
use super::structure::{Found, each_row};
use crate::error::{Error, Result};
use crate::identity::SegmentId;
use crate::records::{SegmentRecord, key};
use crate::tiering::Tier;

type Lengths = BTreeMap<SegmentId, u64>;

/// Compares rows with files and objects.
pub(super) async fn check(site: &Site<'_>, found: &mut Found) -> Result<()> {
    let (mut listed, mut cold_listed) = lists(site, found).await?;
    if !problems(site, found, &listed, cold_listed.as_ref())?.is_empty() {
        if let Some(volume) = site.live {
            // Whoever was between appending and pointing is done after this, and what was being removed is gone in the next list.
            drop(volume.data_writes.write().await);
        }
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
        if still_true(site, &problem).await? {
            found.add(problem, Vec::new());
        }
    }
    if cold_listed.is_some() {
        for name in site.cold.strays().await? {
            found.add(Problem::StrayObject { name }, Vec::new());
        }
    }
    let dead = rows(site)?.into_values().filter(|row| row.live_bytes == 0);
    found.checked.dead_segments = dead.count() as u64;
    Ok(())
}

/// What there is; `None` for the objects if the store is away.
async fn lists(site: &Site<'_>, found: &mut Found) -> Result<(Lengths, Option<Lengths>)> {
    let local = site.standard.list()?.into_iter().collect();
    let cold = match site.cold.list().await {
        Ok(objects) => Some(objects.into_iter().collect()),
        Err(error @ Error::Unavailable { .. }) => {
            let text = format!("the objects of the cold tier could not be listed: {error}");
            if !found.unsettled.contains(&text) {
                found.unsettled.push(text);
            }
            None
        }
        Err(error) => return Err(error),
    };
    Ok((local, cold))
}

/// The rows are read after the lists: what was listed and has no row now had lost it, or never had one.
fn problems(site: &Site<'_>, found: &Found, local: &Lengths, cold: Option<&Lengths>) -> Result<Vec<Problem>> {
    let rows = rows(site)?;
    let mut problems = Vec::new();
    for (tier, lengths) in [(Tier::Standard, Some(local)), (Tier::InfrequentAccess, cold)] {
        let Some(lengths) = lengths else { continue };
        for (&segment, &bytes) in lengths {
            if !rows.contains_key(&segment) && !site.in_making(segment) {
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

/// Looks again at one segment.
async fn still_true(site: &Site<'_>, problem: &Problem) -> Result<bool> {
    match problem {
        Problem::SegmentLeaked { segment, .. } => {
            Ok(site.row(*segment)?.is_none() && !site.in_making(*segment))
        }
        Problem::SegmentMissing { segment, tier: Tier::InfrequentAccess, .. } => {
            // A listing may be stale; asking for the object is not.
            let missing = matches!(site.cold.directory(*segment).await, Err(Error::Corrupt { .. }));
            Ok(missing && site.row(*segment)?.is_some_and(|(row, _)| row.live_bytes > 0))
        }
        Problem::SegmentMissing { segment, .. } | Problem::SegmentShort { segment, .. } => {
            Ok(site.row(*segment)?.is_some_and(|(row, _)| row.live_bytes > 0))
        }
        _ => Ok(true),
    }
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
