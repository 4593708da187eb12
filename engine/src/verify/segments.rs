//! Segments against the files and objects that there are.

use std::collections::BTreeMap;

use super::problem::Problem;
use super::structure::Found;
use crate::error::{Error, Result};
use crate::identity::SegmentId;
use crate::records::{SegmentRecord, key};
use crate::tiering::Tier;
use crate::volume::{Volume, decode_segment};

type Lengths = BTreeMap<SegmentId, u64>;

/// Compares rows with files and objects.
pub(super) async fn check(volume: &Volume, found: &mut Found) -> Result<()> {
    let (mut listed, mut cold_listed) = lists(volume, found).await?;
    if !problems(volume, found, &listed, cold_listed.as_ref())?.is_empty() {
        // Whoever was between appending and pointing is done after this, and what was being removed is gone in the next list.
        drop(volume.data_writes.write().await);
        let (again, cold_again) = lists(volume, found).await?;
        listed.retain(|id, _| again.contains_key(id));
        listed.extend(&again);
        if let (Some(cold), Some(again)) = (&mut cold_listed, cold_again) {
            cold.retain(|id, _| again.contains_key(id));
            cold.extend(&again);
        }
    }
    found.checked.segments = listed.len() as u64;
    found.checked.objects = cold_listed.as_ref().map_or(0, BTreeMap::len) as u64;
    for problem in problems(volume, found, &listed, cold_listed.as_ref())? {
        if still_true(volume, &problem).await? {
            found.add(problem, Vec::new());
        }
    }
    let dead = volume.segments()?.into_values().filter(|row| row.live_bytes == 0);
    found.checked.dead_segments = dead.count() as u64;
    Ok(())
}

/// What there is; `None` for the objects if the store is away.
async fn lists(volume: &Volume, found: &mut Found) -> Result<(Lengths, Option<Lengths>)> {
    let local = volume.standard.list()?.into_iter().collect();
    let cold = match volume.cold.list().await {
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
fn problems(volume: &Volume, found: &Found, local: &Lengths, cold: Option<&Lengths>) -> Result<Vec<Problem>> {
    let rows = volume.segments()?;
    let mut problems = Vec::new();
    for (tier, lengths) in [(Tier::Standard, Some(local)), (Tier::InfrequentAccess, cold)] {
        let Some(lengths) = lengths else { continue };
        for (&segment, &bytes) in lengths {
            if !rows.contains_key(&segment) && !in_making(volume, segment) {
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

fn in_making(volume: &Volume, segment: SegmentId) -> bool {
    volume.standard.active() == Some(segment) || volume.uploads.contains(segment)
}

/// Looks again at one segment.
async fn still_true(volume: &Volume, problem: &Problem) -> Result<bool> {
    match problem {
        Problem::SegmentLeaked { segment, .. } => {
            Ok(row(volume, *segment)?.is_none() && !in_making(volume, *segment))
        }
        Problem::SegmentMissing { segment, tier: Tier::InfrequentAccess, .. } => {
            // A listing may be stale; asking for the object is not.
            let missing = matches!(volume.cold.directory(*segment).await, Err(Error::Corrupt { .. }));
            Ok(missing && row(volume, *segment)?.is_some_and(|row| row.live_bytes > 0))
        }
        Problem::SegmentMissing { segment, .. } | Problem::SegmentShort { segment, .. } => {
            Ok(row(volume, *segment)?.is_some_and(|row| row.live_bytes > 0))
        }
        _ => Ok(true),
    }
}

fn row(volume: &Volume, segment: SegmentId) -> Result<Option<SegmentRecord>> {
    let bytes = volume.store.get(&key::segment(segment))?;
    bytes.map(|bytes| decode_segment(segment, &bytes)).transpose()
}
