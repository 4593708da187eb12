//! Which neighbouring blocks are read together.

use std::ops::Range;

use super::block::{BlockAddress, BlockIdentity};
use crate::identity::SegmentId;

/// A block that somebody wants.
pub(crate) type Wanted = (BlockAddress, BlockIdentity);

/// How far a run may stretch.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RunLimits {
    /// Unwanted bytes between two blocks that are read nevertheless.
    pub(crate) gap_bytes_max: u64,
    /// Bytes of one run, if more than one block is in it.
    pub(crate) run_bytes_max: u64,
}

/// Blocks of one segment that are read in one go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Run {
    /// The segment.
    pub(crate) segment: SegmentId,
    /// The bytes to read.
    pub(crate) range: Range<u64>,
    /// Which of the wanted blocks are in it, as positions in the list of them.
    pub(crate) members: Vec<usize>,
}

/// Cuts the wanted blocks into as few runs as the limits allow.
pub(crate) fn runs(wanted: &[Wanted], limits: RunLimits) -> Vec<Run> {
    let mut sorted: Vec<_> =
        wanted.iter().enumerate().map(|(position, (address, _))| (address, position)).collect();
    sorted.sort_by_key(|(address, _)| (address.segment, address.offset));
    let mut runs: Vec<Run> = Vec::new();
    for (address, position) in sorted {
        match runs.last_mut().filter(|run| joins(run, address, limits)) {
            Some(run) => {
                run.range.end = run.range.end.max(address.end());
                run.members.push(position);
            }
            None => runs.push(Run {
                segment: address.segment,
                range: address.offset..address.end(),
                members: vec![position],
            }),
        }
    }
    runs
}

fn joins(run: &Run, address: &BlockAddress, limits: RunLimits) -> bool {
    let end = run.range.end.max(address.end());
    run.segment == address.segment
        && address.offset.saturating_sub(run.range.end) <= limits.gap_bytes_max
        && end - run.range.start <= limits.run_bytes_max
}

/// The sealed bytes of a block within those of its run; empty if the run was cut short.
pub(crate) fn slice_of<'a>(run: &Run, bytes: &'a [u8], address: &BlockAddress) -> &'a [u8] {
    let start = usize::try_from(address.offset - run.range.start).unwrap_or(usize::MAX);
    let end = start.saturating_add(address.sealed_bytes as usize);
    bytes.get(start..end).unwrap_or_default()
}
