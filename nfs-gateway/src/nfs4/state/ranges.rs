//! The algebra of byte ranges: what one lock owner holds on one file.

/// Shared or exclusive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LockKind {
    /// Shared.
    Read,
    /// Exclusive.
    Write,
}

/// Bytes from `first` to `last`, both included; up to the end of any file if `last` is the highest number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Range {
    /// The first byte.
    pub(crate) first: u64,
    /// The last byte.
    pub(crate) last: u64,
}

/// A range that is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct HeldRange {
    /// Which bytes.
    pub(crate) range: Range,
    /// How.
    pub(crate) kind: LockKind,
}

/// Disjoint ranges in ascending order; neighbours of the same kind are joined.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ranges {
    held: Vec<HeldRange>,
}

impl Range {
    /// Of an offset and a length as LOCK gives them: a length of all ones reaches to the end, none and beyond it are wrong.
    pub(crate) fn new(offset: u64, length: u64) -> Option<Range> {
        match length {
            0 => None,
            u64::MAX => Some(Range { first: offset, last: u64::MAX }),
            length => offset.checked_add(length - 1).map(|last| Range { first: offset, last }),
        }
    }

    /// The length as LOCK gives it.
    pub(crate) fn length(&self) -> u64 {
        match self.last {
            u64::MAX => u64::MAX,
            last => last - self.first + 1,
        }
    }

    /// Whether they have a byte in common.
    pub(crate) fn overlaps(&self, other: &Range) -> bool {
        self.first <= other.last && other.first <= self.last
    }
}

impl Ranges {
    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.held.len()
    }

    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// The first that keeps another owner from locking so.
    pub(crate) fn conflict(&self, range: &Range, kind: LockKind) -> Option<HeldRange> {
        let exclusive = |held: &HeldRange| held.kind == LockKind::Write || kind == LockKind::Write;
        self.held.iter().find(|held| held.range.overlaps(range) && exclusive(held)).copied()
    }

    /// Locks a range, whatever of it was held before.
    pub(crate) fn set(&mut self, range: Range, kind: LockKind) {
        self.clear(range);
        let at = self.held.partition_point(|held| held.range.first < range.first);
        self.held.insert(at, HeldRange { range, kind });
        self.held.dedup_by(|next, previous| {
            let adjacent = previous.range.last.checked_add(1) == Some(next.range.first);
            let joined = adjacent && previous.kind == next.kind;
            if joined {
                previous.range.last = next.range.last;
            }
            joined
        });
    }

    /// Unlocks a range, which may split what was held.
    pub(crate) fn clear(&mut self, range: Range) {
        let pieces = |held: HeldRange| {
            let before = range.first.checked_sub(1).filter(|last| held.range.first <= *last);
            let after = range.last.checked_add(1).filter(|first| *first <= held.range.last);
            let before =
                before.map(|last| Range { first: held.range.first, last: last.min(held.range.last) });
            let after =
                after.map(|first| Range { first: first.max(held.range.first), last: held.range.last });
            // A range that is not touched lies wholly on one side.
            before.into_iter().chain(after).map(move |range| HeldRange { range, kind: held.kind })
        };
        self.held = std::mem::take(&mut self.held).into_iter().flat_map(pieces).collect();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BYTES: u64 = 40;

    #[derive(Debug, Clone)]
    enum Step {
        Set(Range, LockKind),
        Clear(Range),
    }

    fn range() -> impl Strategy<Value = Range> {
        (0..BYTES, 0..BYTES).prop_map(|(a, b)| Range { first: a.min(b), last: a.max(b) })
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (range(), any::<bool>()).prop_map(|(range, read)| Step::Set(
                range,
                if read { LockKind::Read } else { LockKind::Write }
            )),
            range().prop_map(Step::Clear),
        ]
    }

    proptest! {
        #[test]
        fn ranges_are_a_map_of_bytes(steps in prop::collection::vec(step(), 0..40), probe in range()) {
            let mut ranges = Ranges::default();
            let mut model = [None; BYTES as usize];
            for step in steps {
                let (range, kind) = match step {
                    Step::Set(range, kind) => { ranges.set(range, kind); (range, Some(kind)) }
                    Step::Clear(range) => { ranges.clear(range); (range, None) }
                };
                model[range.first as usize..=range.last as usize].fill(kind);
            }
            let mut bytes = [None; BYTES as usize];
            for held in &ranges.held {
                bytes[held.range.first as usize..=held.range.last as usize].fill(Some(held.kind));
            }
            prop_assert_eq!(bytes, model);
            for pair in ranges.held.windows(2) {
                prop_assert!(pair[0].range.last < pair[1].range.first);
                let adjacent = pair[0].range.last + 1 == pair[1].range.first;
                prop_assert!(!adjacent || pair[0].kind != pair[1].kind, "not joined");
            }
            let probed = &model[probe.first as usize..=probe.last as usize];
            let write = probed.iter().any(Option::is_some);
            let read = probed.contains(&Some(LockKind::Write));
            prop_assert_eq!(ranges.conflict(&probe, LockKind::Write).is_some(), write);
            prop_assert_eq!(ranges.conflict(&probe, LockKind::Read).is_some(), read);
        }
    }

    #[test]
    fn ranges_reach_the_end_of_the_numbers() {
        assert_eq!(Range::new(1 << 63, u64::MAX), Some(Range { first: 1 << 63, last: u64::MAX }));
        assert_eq!(Range::new(u64::MAX, 1), Some(Range { first: u64::MAX, last: u64::MAX }));
        assert_eq!(Range::new(u64::MAX, 2), None);
        assert_eq!(Range::new(5, 0), None);
        let mut ranges = Ranges::default();
        ranges.set(Range { first: 0, last: u64::MAX }, LockKind::Write);
        ranges.clear(Range { first: 5, last: 9 });
        assert_eq!(ranges.len(), 2);
        ranges.set(Range { first: 5, last: 9 }, LockKind::Write);
        assert_eq!(
            ranges.held,
            [HeldRange { range: Range { first: 0, last: u64::MAX }, kind: LockKind::Write }]
        );
        assert_eq!(ranges.held[0].range.length(), u64::MAX);
    }
}
