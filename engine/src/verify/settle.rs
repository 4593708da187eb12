//! From suspicions to findings: what live traffic explains is left out.
//!
//! A small file system is looked at once more within a transaction, so that what is found then is exact. In a large one each suspicion
//! is looked at again: nothing that it rests on may have changed. What did change is looked at anew, a few times.

use super::options::{Stage, VerifyOptions, VerifyProgress};
use super::problem::Problem;
use super::site::Site;
use super::structure::{Found, Structure, Suspicion};
use crate::error::{Error, Result};
use crate::identity::SegmentId;
use crate::volume::{Look, Volume};

/// Bytes of content up to which everything may stand still for a whole look, for the number of their extents.
const SMALL_BYTES: u64 = 4 << 30;
/// How often a large file system is looked at before what still changes is left unjudged.
const ROUNDS: usize = 3;
/// Suspicions that are looked at in one transaction.
const SUSPICIONS: usize = 64;

/// The problems of the structure.
pub(super) fn structure(
    site: &Site<'_>,
    options: &VerifyOptions,
    progress: &VerifyProgress,
) -> Result<Found> {
    let result = match site.live {
        Some(volume) => settled(volume, options, progress),
        None => {
            progress.enter(Stage::Records, 0);
            Structure::new(site.look, site.names, options, progress).check()
        }
    };
    match result {
        Err(Error::Corrupt { what }) => {
            let mut found = Found::new(options.findings_max);
            let problem = match site.live {
                // The checkpoints are read in its place.
                Some(volume) if volume.store.rebuilding().is_some() => {
                    Problem::FileDamaged { path: volume.store.place().1.join("checkpoint"), what }
                }
                _ => Problem::IndexUnreadable { what },
            };
            found.add(problem, Vec::new());
            Ok(found)
        }
        result => result,
    }
}

fn settled(volume: &Volume, options: &VerifyOptions, progress: &VerifyProgress) -> Result<Found> {
    let totals = volume.totals().unwrap_or_default();
    let bytes = totals.standard_bytes.saturating_add(totals.cold_bytes);
    let small = totals.inodes <= options.standing_inodes_max && bytes <= SMALL_BYTES;
    let mut confirmed: Vec<Suspicion> = Vec::new();
    let mut earlier: Vec<Suspicion> = Vec::new();
    for round in 1.. {
        progress.enter(Stage::Records, totals.inodes.saturating_mul(3));
        let mut found = Structure::new(volume.store.as_ref(), &volume.names, options, progress).check()?;
        if found.suspicions.is_empty() && confirmed.is_empty() {
            return Ok(found);
        }
        if small {
            return standing_still(volume, options, progress);
        }
        let open = confirm(volume, std::mem::take(&mut found.suspicions), &mut confirmed, &earlier)?;
        if open.is_empty() || round == ROUNDS {
            found.suspicions = confirmed;
            found.unsettled.extend(open.iter().map(|suspicion| {
                format!("{}: it was being changed while it was looked at", suspicion.problem)
            }));
            return Ok(found);
        }
        earlier = open;
    }
    Err(Error::Invalid { what: "no round of a verification" })
}

/// Looks within a transaction. A file system that takes no more changes stands still anyway.
fn standing_still(volume: &Volume, options: &VerifyOptions, progress: &VerifyProgress) -> Result<Found> {
    match volume.store.begin() {
        Ok(transaction) => Structure::new(&transaction, &volume.names, options, progress).check(),
        Err(Error::Halted { .. }) => {
            Structure::new(volume.store.as_ref(), &volume.names, options, progress).check()
        }
        Err(error) => Err(error),
    }
}

/// Sorts out what is true; returns what cannot be told.
fn confirm(
    volume: &Volume,
    suspicions: Vec<Suspicion>,
    confirmed: &mut Vec<Suspicion>,
    earlier: &[Suspicion],
) -> Result<Vec<Suspicion>> {
    let mut open = Vec::new();
    let mut rest = suspicions.into_iter().peekable();
    while rest.peek().is_some() {
        let transaction = match volume.store.begin() {
            Ok(transaction) => Some(transaction),
            Err(Error::Halted { .. }) => None,
            Err(error) => return Err(error),
        };
        for suspicion in rest.by_ref().take(SUSPICIONS) {
            let holds = match &transaction {
                Some(transaction) => all_hold(transaction, &suspicion)?,
                None => true,
            };
            if !holds || !repeated(&suspicion, earlier) {
                open.push(suspicion);
            } else if !confirmed.iter().any(|other| other.problem == suspicion.problem) {
                confirmed.push(suspicion);
            }
        }
    }
    Ok(open)
}

fn all_hold(look: &impl Look, suspicion: &Suspicion) -> Result<bool> {
    for anchor in &suspicion.anchors {
        if !anchor.holds(look)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The totals may have gone up and down again meanwhile, and blocks of a segment may have been shared and counted twice: they are wrong
/// only if they are so by the same amount twice.
fn repeated(suspicion: &Suspicion, earlier: &[Suspicion]) -> bool {
    let Some(now) = summed(&suspicion.problem) else { return true };
    earlier.iter().filter_map(|other| summed(&other.problem)).any(|then| then == now)
}

/// A sum over many records: of what, which, and by how much it is wrong.
fn summed(problem: &Problem) -> Option<(Option<SegmentId>, &'static str, u64)> {
    let (segment, counter) = match problem {
        Problem::Total(counter) => (None, counter),
        Problem::SegmentCounter { segment, counter } => (Some(*segment), counter),
        _ => return None,
    };
    Some((segment, counter.name, counter.stored.wrapping_sub(counter.counted)))
}
