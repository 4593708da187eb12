//! Byte ranges with their data: later ones replace what they overlap.

use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};

/// Ranges that do not overlap, by offset.
#[derive(Debug, Clone, Default)]
pub(crate) struct RangeMap {
    ranges: BTreeMap<u64, Bytes>,
    bytes: u64,
}

impl RangeMap {
    /// Bytes in all ranges.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Lays data over what is there.
    pub(crate) fn insert(&mut self, offset: u64, data: Bytes) {
        if data.is_empty() {
            return;
        }
        self.cut_out(offset, offset + data.len() as u64);
        self.bytes += data.len() as u64;
        self.ranges.insert(offset, data);
    }

    /// Removes everything from the size on.
    pub(crate) fn truncate(&mut self, size: u64) {
        self.cut_out(size, u64::MAX);
    }

    /// Removes everything within `from..end`.
    pub(crate) fn punch(&mut self, from: u64, end: u64) {
        if from < end {
            self.cut_out(from, end);
        }
    }

    /// The parts within `from..end`, ascending.
    pub(crate) fn within(&self, from: u64, end: u64) -> Vec<(u64, Bytes)> {
        let start = self.ranges.range(..=from).next_back().map_or(from, |(offset, _)| *offset);
        let overlaps = self.ranges.range(start..end.max(start));
        overlaps.filter_map(|(offset, data)| clip(*offset, data, from, end)).collect()
    }

    /// All ranges, ascending. Data is shared, not copied.
    pub(crate) fn ranges(&self) -> Vec<(u64, Bytes)> {
        self.ranges.iter().map(|(offset, data)| (*offset, data.clone())).collect()
    }

    /// All ranges, ascending, with neighbours that touch joined into one.
    pub(crate) fn joined(&self) -> Vec<(u64, Bytes)> {
        let mut joined: Vec<(u64, BytesMut)> = Vec::new();
        for (offset, data) in &self.ranges {
            match joined.last_mut() {
                Some((start, bytes)) if *start + bytes.len() as u64 == *offset => {
                    bytes.extend_from_slice(data)
                }
                _ => joined.push((*offset, BytesMut::from(data.as_ref()))),
            }
        }
        joined.into_iter().map(|(offset, bytes)| (offset, bytes.freeze())).collect()
    }

    /// All ranges, ascending.
    pub(crate) fn into_ranges(self) -> impl Iterator<Item = (u64, Bytes)> {
        self.ranges.into_iter()
    }

    fn cut_out(&mut self, from: u64, end: u64) {
        let start = self.ranges.range(..=from).next_back().map_or(from, |(offset, _)| *offset);
        let hit: Vec<u64> = self.ranges.range(start..end).map(|(offset, _)| *offset).collect();
        for offset in hit {
            let Some(data) = self.ranges.remove(&offset) else { continue };
            self.bytes -= data.len() as u64;
            for (offset, part) in
                [clip(offset, &data, 0, from), clip(offset, &data, end, u64::MAX)].into_iter().flatten()
            {
                self.bytes += part.len() as u64;
                self.ranges.insert(offset, part);
            }
        }
    }
}

/// The part of the data at `offset` that lies within `from..end`.
pub(crate) fn clip(offset: u64, data: &Bytes, from: u64, end: u64) -> Option<(u64, Bytes)> {
    let data_end = offset + data.len() as u64;
    let (start, stop) = (offset.max(from), data_end.min(end));
    if start >= stop {
        return None;
    }
    let (first, last) = (usize::try_from(start - offset).ok()?, usize::try_from(stop - offset).ok()?);
    Some((start, data.slice(first..last)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn behaves_like_an_array_of_optional_bytes(
            steps in prop::collection::vec((0u64..60, prop::collection::vec(any::<u8>(), 0..20), any::<bool>()), 1..40),
            from in 0u64..80,
            length in 0u64..80,
        ) {
            let mut map = RangeMap::default();
            let mut model: Vec<Option<u8>> = vec![None; 100];
            for (offset, data, cut) in steps {
                if cut {
                    map.truncate(offset);
                    model[usize::try_from(offset).unwrap()..].fill(None);
                } else {
                    for (at, byte) in data.iter().enumerate() {
                        model[usize::try_from(offset).unwrap() + at] = Some(*byte);
                    }
                    map.insert(offset, data.into());
                }
            }
            let mut read = vec![None; 100];
            for (offset, data) in map.ranges() {
                for (at, byte) in data.iter().enumerate() {
                    let slot = &mut read[usize::try_from(offset).unwrap() + at];
                    prop_assert!(slot.is_none(), "ranges overlap");
                    *slot = Some(*byte);
                }
            }
            prop_assert_eq!(&read, &model);
            prop_assert_eq!(map.bytes(), model.iter().flatten().count() as u64);

            let mut joined = vec![None; 100];
            for (offset, data) in map.joined() {
                for (at, byte) in data.iter().enumerate() {
                    joined[usize::try_from(offset).unwrap() + at] = Some(*byte);
                }
            }
            prop_assert_eq!(&joined, &model);

            let end = from + length;
            let mut window = vec![None; 200];
            for (offset, data) in map.within(from, end) {
                prop_assert!(offset >= from && offset + data.len() as u64 <= end);
                for (at, byte) in data.iter().enumerate() {
                    window[usize::try_from(offset).unwrap() + at] = Some(*byte);
                }
            }
            for at in 0..100u64 {
                let expected = if at >= from && at < end { model[usize::try_from(at).unwrap()] } else { None };
                prop_assert_eq!(window[usize::try_from(at).unwrap()], expected);
            }
        }
    }
}
