//! Which parts of a slot are written anew, and as which blocks. Decided by what lies in the slot alone.
//!
//! Where small writes went over what was there before, the file is written at random there: what they touch becomes blocks of one unit,
//! once, and later such writes rewrite only their units. What is appended, written from end to end or moved to another tier becomes
//! blocks as long as the slot allows.

use super::super::layout::{Span, span_of};
use super::Select;
use crate::identity::BlockIndex;
use crate::limits::{BLOCK_BYTES, UNIT_BYTES};
use crate::records::Extent;
use crate::tiering::Tier;

/// A run of small writes that is this long is worth a long block, wherever it lies in the slot.
const LONG_RUN_BYTES: u64 = BLOCK_BYTES / 2;
const UNITS: usize = (BLOCK_BYTES / UNIT_BYTES) as usize;

/// How the parts that are rewritten are cut into blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cut {
    /// Neighbouring units together.
    Runs,
    /// Each unit by itself.
    Units,
}

/// The spans of a slot that become one block each: whole units, ascending. `written` are the bytes of the pieces, ascending and joined.
pub(super) fn plan(
    select: Select,
    slot: BlockIndex,
    extents: &[(BlockIndex, Extent)],
    written: &[Span],
) -> Vec<Span> {
    let mut units = [false; UNITS];
    for span in written {
        mark(&mut units, slot, *span);
    }
    let mut cut = Cut::Runs;
    let last = extents.last().map(|(block, extent)| span_of(*block, extent));
    let wanted = |extent: &Extent| match select {
        Select::WithPieces => false,
        Select::NotCold => extent.tier != Tier::InfrequentAccess,
        Select::Cold => extent.tier == Tier::InfrequentAccess,
    };
    if select == Select::WithPieces {
        match access(slot, last, written) {
            Access::Append => last.into_iter().for_each(|last| mark(&mut units, slot, last)),
            Access::Sequential => {}
            Access::Random => cut = Cut::Units,
        }
    }
    let touched = units;
    for (block, extent) in extents {
        let span = span_of(*block, extent);
        if wanted(extent) || is_marked(&touched, slot, span) {
            mark(&mut units, slot, span);
        }
    }
    spans(&units, slot, cut)
}

/// How small writes went to a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Access {
    /// On from where it ended.
    Append,
    /// From end to end, a long way, or where nothing was.
    Sequential,
    Random,
}

fn access(slot: BlockIndex, last: Option<Span>, written: &[Span]) -> Access {
    let [run] = written else {
        return if written.is_empty() { Access::Sequential } else { Access::Random };
    };
    let Some(last) = last else { return Access::Sequential };
    // A client writes whole pages: an append begins where the last unit does.
    let last_unit = BlockIndex::of_byte(last.end.saturating_sub(1)).start();
    if run.end >= last.end && run.from >= last_unit && run.from <= last.end {
        Access::Append
    } else if (run.from == slot.start() && run.end >= last.end) || run.end - run.from >= LONG_RUN_BYTES {
        Access::Sequential
    } else {
        Access::Random
    }
}

fn unit_range(slot: BlockIndex, span: Span) -> std::ops::Range<usize> {
    let unit =
        |block: BlockIndex| usize::try_from(block.0.saturating_sub(slot.0)).unwrap_or(UNITS).min(UNITS);
    unit(BlockIndex::of_byte(span.from))..unit(BlockIndex::at_or_behind(span.end))
}

fn mark(units: &mut [bool; UNITS], slot: BlockIndex, span: Span) {
    if let Some(marked) = units.get_mut(unit_range(slot, span)) {
        marked.fill(true);
    }
}

fn is_marked(units: &[bool; UNITS], slot: BlockIndex, span: Span) -> bool {
    units.get(unit_range(slot, span)).is_some_and(|units| units.contains(&true))
}

fn spans(units: &[bool; UNITS], slot: BlockIndex, cut: Cut) -> Vec<Span> {
    let mut spans: Vec<Span> = Vec::new();
    let mut at = slot.start();
    for marked in units {
        let end = at + UNIT_BYTES;
        match spans.last_mut().filter(|last| cut == Cut::Runs && last.end == at) {
            Some(last) if *marked => last.end = end,
            _ if *marked => spans.push(Span { from: at, end }),
            _ => {}
        }
        at = end;
    }
    spans
}

/// Whether something of a span is not covered by the joined spans.
pub(super) fn shows_through(span: Span, covers: &[Span]) -> bool {
    let mut at = span.from;
    for cover in covers.iter().filter(|cover| cover.end > span.from && cover.from < span.end) {
        if cover.from > at {
            return true;
        }
        at = cover.end;
    }
    at < span.end
}

#[cfg(test)]
mod tests {
    use super::super::super::layout::joined;
    use super::*;
    use crate::data::BlockAddress;
    use crate::data::block::Codec;
    use crate::identity::SegmentId;

    const SLOT: BlockIndex = BlockIndex(32);
    const START: u64 = 32 * UNIT_BYTES;

    fn extent(unit: u64, plain_bytes: u32) -> (BlockIndex, Extent) {
        let address = BlockAddress {
            segment: SegmentId([1; 16]),
            offset: 44,
            sealed_bytes: plain_bytes + 16,
            frame: 1,
            plain_bytes,
            codec: Codec::Plain,
        };
        (BlockIndex(32 + unit), Extent::whole(Tier::Standard, address))
    }

    fn span(from: u64, end: u64) -> Span {
        Span { from: START + from, end: START + end }
    }

    fn fold(extents: &[(BlockIndex, Extent)], written: &[Span]) -> Vec<(u64, u64)> {
        let spans = plan(Select::WithPieces, SLOT, extents, written);
        spans.iter().map(|span| ((span.from - START) / UNIT_BYTES, (span.end - START) / UNIT_BYTES)).collect()
    }

    #[test]
    fn small_overwrites_turn_a_long_block_into_units_and_then_touch_only_theirs() {
        let long = [extent(0, 65_536)];
        let units: Vec<_> = (0..16).map(|unit| (unit, unit + 1)).collect();
        assert_eq!(fold(&long, &[span(4096, 8192)]), units);
        let short: Vec<_> = (0..16).map(|unit| extent(unit, 4096)).collect();
        assert_eq!(fold(&short, &[span(4096, 8192)]), [(1, 2)]);
        assert_eq!(fold(&short, &[span(100, 200), span(8191, 8193)]), [(0, 1), (1, 2), (2, 3)]);
    }

    #[test]
    fn appends_and_rewriting_from_end_to_end_give_long_blocks() {
        assert_eq!(fold(&[], &[span(0, 10_000)]), [(0, 3)]);
        assert_eq!(fold(&[extent(0, 10_000)], &[span(10_000, 20_000)]), [(0, 5)]);
        assert_eq!(fold(&[extent(0, 10_000)], &[span(8192, 20_000)]), [(0, 5)], "from the last page on");
        assert_eq!(fold(&[extent(0, 65_536)], &[span(0, 65_536)]), [(0, 16)]);
        let short: Vec<_> = (0..16).map(|unit| extent(unit, 4096)).collect();
        assert_eq!(fold(&short, &[span(0, 65_536)]), [(0, 16)]);
        assert_eq!(fold(&short, &[span(4096, 40_960)]), [(1, 10)], "a long run");
    }

    #[test]
    fn holes_stay_holes() {
        assert_eq!(fold(&[], &[span(5000, 5001), span(60_000, 60_001)]), [(1, 2), (14, 15)]);
        assert_eq!(fold(&[extent(0, 100)], &[span(40_000, 40_100)]), [(9, 10)]);
    }

    #[test]
    fn a_transition_joins_units_and_takes_only_its_tier() {
        let short: Vec<_> = [0, 1, 2, 9].map(|unit| extent(unit, 4096)).into();
        let spans = plan(Select::NotCold, SLOT, &short, &[]);
        assert_eq!(spans, [span(0, 12_288), span(36_864, 40_960)]);
        assert!(plan(Select::Cold, SLOT, &short, &[]).is_empty());
    }

    #[test]
    fn what_is_covered_does_not_show_through() {
        let covers = joined(vec![span(10, 20), span(0, 10), span(30, 40)]);
        assert_eq!(covers, [span(0, 20), span(30, 40)]);
        assert!(!shows_through(span(0, 20), &covers));
        assert!(shows_through(span(0, 21), &covers) && shows_through(span(19, 31), &covers));
    }
}
