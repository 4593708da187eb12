//! Reading segments and objects whole.

use std::collections::BTreeSet;
use std::ops::Range;

use super::super::options::{VerifyOptions, VerifyProgress};
use super::super::problem::Problem;
use super::super::report::Unused;
use super::super::segments::Lengths;
use super::super::site::Site;
use super::super::structure::{Found, each_row};
use super::super::throttle::Throttle;
use crate::data::audit::{self, AuditStep, InMemory};
use crate::data::format::{DirectoryEntry, SegmentOpener};
use crate::data::{BlockAddress, BlockIdentity};
use crate::error::{Error, Result};
use crate::identity::SegmentId;
use crate::records::{Extent, SegmentRecord, key};
use crate::tiering::Tier;

/// Where a segment's bytes come from.
pub(in super::super) enum Source {
    Local,
    Object(InMemory, Box<SegmentOpener>),
}

impl Source {
    fn tier(&self) -> Tier {
        match self {
            Source::Local => Tier::Standard,
            Source::Object(..) => Tier::InfrequentAccess,
        }
    }

    async fn step(&self, site: &Site<'_>, segment: SegmentId, offset: u64) -> Result<AuditStep> {
        match self {
            Source::Local => site.standard.audit(segment, offset).await,
            Source::Object(bytes, opener) => audit::step(opener, bytes, offset),
        }
    }
}

/// What was seen in a segment.
#[derive(Default)]
struct Seen {
    /// Sealed bytes of the blocks that extents point to.
    live_bytes: u64,
    damaged: BTreeSet<(u64, BlockIdentity)>,
    garbage: u64,
    damage: Vec<(Range<u64>, String, bool)>,
}

pub(in super::super) async fn check_local(
    site: &Site<'_>,
    segments: &[(SegmentId, u64)],
    options: &VerifyOptions,
    progress: &VerifyProgress,
    found: &mut Found,
) -> Result<()> {
    let throttle = Throttle::new(options.bytes_per_second);
    for (segment, _) in segments {
        check_segment(site, *segment, &Source::Local, (&throttle, progress), found).await?;
    }
    Ok(())
}

pub(in super::super) async fn check_objects(
    site: &Site<'_>,
    objects: &Lengths,
    options: &VerifyOptions,
    progress: &VerifyProgress,
    found: &mut Found,
) -> Result<()> {
    let throttle = Throttle::new(options.bytes_per_second);
    for (&segment, &length) in objects {
        let bytes = match site.cold.whole(segment, length).await {
            Ok(bytes) => bytes,
            // Deleted meanwhile, or missing: it may have been in the list long after it was gone.
            Err(Error::Corrupt { .. }) if length > 0 => {
                check_missing(site, segment, found).await?;
                continue;
            }
            Err(Error::Corrupt { .. }) => bytes::Bytes::new(),
            Err(error) => {
                found.unread.push(format!("object {segment} could not be read: {error}"));
                continue;
            }
        };
        let opener = match site.cold.opener(segment) {
            Ok(opener) => opener,
            Err(error) => {
                found.unread.push(format!("object {segment} cannot be opened: {error}"));
                continue;
            }
        };
        let source = Source::Object(InMemory(bytes), Box::new(opener));
        check_segment(site, segment, &source, (&throttle, progress), found).await?;
    }
    Ok(())
}

async fn check_missing(site: &Site<'_>, segment: SegmentId, found: &mut Found) -> Result<()> {
    let tier = Tier::InfrequentAccess;
    match site.cold.length(segment).await {
        Ok(Some(_)) => {}
        Ok(None) => {
            let live = site.row(segment)?.filter(|(row, _)| row.live_bytes > 0);
            if let Some((SegmentRecord { live_bytes, .. }, _)) = live {
                let problem = Problem::SegmentMissing { segment, tier, live_bytes };
                if !found.suspicions.iter().any(|suspicion| suspicion.problem == problem) {
                    found.add(problem, Vec::new());
                }
            }
        }
        Err(error) => found.unread.push(format!("object {segment} could not be read: {error}")),
    }
    Ok(())
}

/// Reads a segment whole and adds what is wrong with it.
pub(in super::super) async fn check_segment(
    site: &Site<'_>,
    segment: SegmentId,
    source: &Source,
    (throttle, progress): (&Throttle, &VerifyProgress),
    found: &mut Found,
) -> Result<()> {
    let tier = source.tier();
    let in_making = site.in_making(segment);
    let before = site.row(segment)?;
    let mut seen = Seen::default();
    let mut offset = Some(0);
    while let Some(at) = offset {
        let step = match source.step(site, segment, at).await {
            Ok(step) => step,
            // Of a file that is no segment of this file system, too.
            Err(error @ (Error::Io { .. } | Error::Open(_))) => {
                seen.damage.push((at..u64::MAX, error.to_string(), false));
                break;
            }
            Err(Error::Corrupt { .. }) if site.row(segment)?.is_none_or(|(row, _)| row.live_bytes == 0) => {
                return Ok(());
            }
            Err(Error::Corrupt { what }) => {
                seen.damage.push((at..u64::MAX, what, false));
                break;
            }
            Err(error) => return Err(error),
        };
        found.checked.bytes += step.bytes;
        progress.advance(step.bytes)?;
        throttle.pace(step.bytes).await;
        offset = step.next;
        take(site, step, &mut seen)?;
    }
    let after = site.row(segment)?;
    let all_seen = match (before, after) {
        (Some((row, then)), Some((_, now))) => then != now || row.live_bytes == seen.live_bytes,
        _ => true,
    };
    let mut hit = Vec::new();
    if !seen.damage.is_empty() || !all_seen {
        hit = find_unseen(site, segment, source, &mut seen).await?;
    }
    report(segment, tier, seen, &hit, in_making, found);
    Ok(())
}

fn take(site: &Site<'_>, step: AuditStep, seen: &mut Seen) -> Result<()> {
    for ((identity, address), authentic) in step.blocks {
        let live = is_live(site, &(identity, address))?;
        seen.live_bytes += if live { u64::from(address.sealed_bytes) } else { 0 };
        match (authentic, live) {
            (false, true) => drop(seen.damaged.insert((address.offset, identity))),
            (false, false) => seen.garbage += 1,
            (true, _) => {}
        }
    }
    if let Some((range, what)) = step.damage {
        seen.damage.push((range, what, step.torn));
    }
    Ok(())
}

/// Whether an extent points to the block.
fn is_live(site: &Site<'_>, (identity, address): &DirectoryEntry) -> Result<bool> {
    let extent = site.look.get(&key::extent(identity.content, identity.block))?;
    if extent.and_then(|value| Extent::decode(&value).ok()).is_some_and(|extent| extent.address == *address) {
        return Ok(true);
    }
    let (from, end) = key::references(address);
    Ok(!site.look.scan(&from, &end, 1)?.is_empty())
}

/// Looks through all extents for those into the segment, and opens their blocks. Returns the offsets of those that are whole though
/// they stand in a damaged range.
async fn find_unseen(
    site: &Site<'_>,
    segment: SegmentId,
    source: &Source,
    seen: &mut Seen,
) -> Result<Vec<u64>> {
    let mut wanted: Vec<(BlockAddress, BlockIdentity)> = Vec::new();
    each_row(site.look, &key::family(b'e', b""), |row, value| {
        if let (Some((content, block)), Ok(extent)) = (key::content_block(row), Extent::decode(value))
            && extent.address.segment == segment
        {
            wanted.push((extent.address, extent.sealed_as(content, block)));
        }
    })?;
    let mut whole = Vec::new();
    for (address, identity) in wanted {
        let opened = match source {
            Source::Local => site.standard.read(&address, identity).await,
            Source::Object(InMemory(bytes), opener) => {
                let from = usize::try_from(address.offset).unwrap_or(usize::MAX);
                let sealed = bytes.get(from..).and_then(|bytes| bytes.get(..address.sealed_bytes as usize));
                opener.open_frame(&address, identity, sealed.unwrap_or_default())
            }
        };
        if opened.is_ok() {
            whole.push(address.offset);
        } else {
            seen.damaged.insert((address.offset, identity));
        }
    }
    Ok(whole)
}

fn report(segment: SegmentId, tier: Tier, seen: Seen, whole: &[u64], in_making: bool, found: &mut Found) {
    for (offset, BlockIdentity { content, block }) in &seen.damaged {
        let problem =
            Problem::BlockDamaged { segment, tier, offset: *offset, content: *content, block: *block };
        found.add(problem, Vec::new());
    }
    if seen.garbage > 0 {
        found.add(Problem::GarbageDamaged { segment, tier, blocks: seen.garbage }, Vec::new());
    }
    for (range, what, torn) in seen.damage {
        let used = whole.iter().any(|offset| range.contains(offset))
            || seen.damaged.iter().any(|(offset, _)| range.contains(offset));
        if torn && !used && range.start > 0 {
            let place = format!("segments/{segment}");
            found.unused.push(Unused { place, from: range.start, to: range.end });
        } else if !in_making {
            let offset = range.start;
            found.add(Problem::SegmentDamaged { segment, tier, offset, what }, Vec::new());
        }
    }
}
