//! Which segments are worth collecting: a decision on numbers alone.
//!
//! A tier is left alone while what it stores is below [`BEGIN`] times what is live in it. Then its worst segments are chosen, until it
//! would be at [`END`]. Between the two nothing happens, so that a tier that is nearly good is not rewritten for little. Choosing
//! the worst first makes each freed byte as cheap as can be: under even random overwriting the victims are about half empty.

use crate::identity::SegmentId;
use crate::records::SegmentRecord;

/// Stored bytes for each live byte at which a collection begins: low enough that what is written during one round does not
/// bring a tier to one and a half.
pub(crate) const BEGIN: (u64, u64) = (7, 5);
/// Stored bytes for each live byte at which it has done enough.
pub(crate) const END: (u64, u64) = (13, 10);
/// Stored bytes for each live byte at which a round may take four times its budget.
const PRESSING: (u64, u64) = (3, 2);

/// Segments that what is live should be spread over: among as many there are some with mostly garbage, and what is overwritten in
/// the order in which it was written leaves whole segments behind.
const SEGMENTS_WANTED: u64 = 16;
/// Bytes of the smallest segment, if the budget allows as many: to begin one costs a sync of the directory.
const SEGMENT_BYTES_MIN: u64 = 16 << 20;

/// Bytes at which a segment is closed: fewer in a small tier, and never more than the budget, with which a large tier has few files.
pub(crate) fn segment_bytes(live_bytes: u64, budget_bytes: u64) -> u64 {
    (live_bytes / SEGMENTS_WANTED).max(SEGMENT_BYTES_MIN).min(budget_bytes)
}

/// What the plan is made for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Terms {
    /// Live bytes that may be written anew.
    pub(crate) budget_bytes: u64,
    /// Garbage in the whole tier that is not worth a thought.
    pub(crate) idle_bytes: u64,
    /// The share of a segment that must be garbage for it to be chosen: objects cost requests.
    pub(crate) garbage_share_min: (u64, u64),
}

/// A segment that may be collected.
pub(crate) type Candidate = (SegmentId, SegmentRecord);

/// Bytes of a tier.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Space {
    pub(crate) live: u64,
    pub(crate) stored: u64,
}

impl Space {
    /// Of all segments in which something is live.
    pub(crate) fn of<'a>(records: impl Iterator<Item = &'a SegmentRecord>) -> Space {
        records.filter(|record| record.live_bytes > 0).fold(Space::default(), |space, record| Space {
            live: space.live + record.live_bytes,
            stored: space.stored + stored(record),
        })
    }

    fn exceeds(self, (stored, live): (u64, u64)) -> bool {
        u128::from(self.stored) * u128::from(live) > u128::from(self.live) * u128::from(stored)
    }
}

pub(crate) fn stored(record: &SegmentRecord) -> u64 {
    record.written_bytes.max(record.live_bytes)
}

/// The segments to rewrite now, worst first. `space` is that of the whole tier; the candidates may be fewer.
pub(crate) fn choose(space: Space, mut candidates: Vec<Candidate>, terms: Terms) -> Vec<Candidate> {
    if !space.exceeds(BEGIN) || space.stored - space.live <= terms.idle_bytes {
        return Vec::new();
    }
    let garbage = |record: &SegmentRecord| stored(record) - record.live_bytes;
    candidates.retain(|(_, record)| {
        let (part, whole) = terms.garbage_share_min;
        record.live_bytes > 0 && garbage(record) * whole >= stored(record) * part
    });
    // The share that is live, in millionths; then the id, so that the order is always the same.
    let share = |record: &SegmentRecord| record.live_bytes.saturating_mul(1_000_000) / stored(record).max(1);
    candidates.sort_by_key(|(id, record)| (share(record), *id));
    let mut budget = terms.budget_bytes * if space.exceeds(PRESSING) { 4 } else { 1 };
    let mut left = space;
    let mut chosen = Vec::new();
    for (id, record) in candidates {
        if !left.exceeds(END) || (record.live_bytes > budget && !chosen.is_empty()) {
            break;
        }
        budget = budget.saturating_sub(record.live_bytes);
        left.stored -= garbage(&record);
        chosen.push((id, record));
    }
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::SegmentState;
    use crate::tiering::Tier;

    const TERMS: Terms = Terms { budget_bytes: 1000, idle_bytes: 10, garbage_share_min: (1, 8) };

    fn segment(id: u8, live_bytes: u64, written_bytes: u64) -> Candidate {
        let (tier, state) = (Tier::Standard, SegmentState::InUse);
        (SegmentId([id; 16]), SegmentRecord { tier, state, live_bytes, written_bytes })
    }

    fn chosen(segments: &[Candidate], terms: Terms) -> Vec<u8> {
        let space = Space::of(segments.iter().map(|(_, record)| record));
        choose(space, segments.to_vec(), terms).iter().map(|(id, _)| id.0[0]).collect()
    }

    #[test]
    fn a_good_tier_is_left_alone_and_so_is_little_garbage() {
        assert!(chosen(&[segment(1, 90, 100), segment(2, 60, 100)], TERMS).is_empty());
        assert!(chosen(&[segment(1, 1, 11)], TERMS).is_empty(), "ten bytes of garbage in all");
    }

    #[test]
    fn a_small_tier_has_small_segments() {
        let budget = 128 << 20;
        assert_eq!(
            [0, 1 << 30, 1 << 40].map(|live| segment_bytes(live, budget)),
            [16 << 20, 64 << 20, budget]
        );
        assert_eq!(segment_bytes(1 << 40, 1000), 1000);
    }

    #[test]
    fn the_worst_come_first_and_only_as_many_as_needed() {
        let segments = [segment(1, 90, 100), segment(2, 50, 100), segment(3, 20, 100), segment(4, 95, 100)];
        // 400 stored for 255 live; without the garbage of the third, 320 are below 1.3 times 255.
        assert_eq!(chosen(&segments, TERMS), [3]);
        let segments = [segment(1, 50, 100), segment(2, 40, 100), segment(3, 30, 100)];
        assert_eq!(chosen(&segments, TERMS), [3, 2, 1]);
    }

    #[test]
    fn the_budget_bounds_a_round_but_one_segment_always_goes() {
        let segments = [segment(1, 600, 1000), segment(2, 500, 1000), segment(3, 700, 1000)];
        assert_eq!(chosen(&segments, Terms { budget_bytes: 10, ..TERMS }), [2]);
        assert_eq!(
            chosen(&segments, Terms { budget_bytes: 300, ..TERMS }),
            [2, 1],
            "four times, when pressing"
        );
    }

    #[test]
    fn what_is_nearly_full_is_not_rewritten_for_little() {
        let segments = [segment(1, 95, 100), segment(2, 1, 100)];
        assert_eq!(chosen(&segments, TERMS), [2]);
        let terms = Terms { garbage_share_min: (1, 2), ..TERMS };
        assert_eq!(chosen(&[segment(1, 60, 100), segment(2, 60, 100)], terms), Vec::<u8>::new());
    }
}
