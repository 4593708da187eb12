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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::block::Codec;
    use crate::identity::{BlockIndex, ContentId};

    fn wanted(segment: u8, offset: u64, sealed_bytes: u32) -> Wanted {
        let identity = BlockIdentity { content: ContentId(1), block: BlockIndex(offset) };
        let (segment, plain_bytes) = (SegmentId([segment; 16]), sealed_bytes - 16);
        (BlockAddress { segment, offset, sealed_bytes, frame: 0, plain_bytes, codec: Codec::Plain }, identity)
    }

    #[test]
    fn neighbours_join_up_to_the_limits() {
        let limits = RunLimits { gap_bytes_max: 10, run_bytes_max: 250 };
        let list = [
            wanted(1, 210, 100),
            wanted(1, 0, 100),
            wanted(2, 100, 100),
            wanted(1, 110, 90),
            wanted(1, 321, 50),
            wanted(1, 110, 90),
        ];
        let found = runs(&list, limits);
        let shape: Vec<_> = found.iter().map(|run| (run.range.clone(), run.members.clone())).collect();
        let expected =
            [(0..200, vec![1, 3, 5]), (210..310, vec![0]), (321..371, vec![4]), (100..200, vec![2])];
        assert_eq!(shape, expected);
        let bytes: Vec<u8> = (0..200).collect();
        assert_eq!(slice_of(&found[0], &bytes, &list[3].0), &bytes[110..200]);
        assert!(slice_of(&found[0], &bytes[..150], &list[3].0).is_empty(), "cut short");
    }

    #[test]
    fn a_block_longer_than_a_run_may_be_stands_alone() {
        let limits = RunLimits { gap_bytes_max: 0, run_bytes_max: 50 };
        assert_eq!(runs(&[wanted(1, 0, 100), wanted(1, 100, 100)], limits).len(), 2);
        assert!(runs(&[], limits).is_empty());
    }
}
