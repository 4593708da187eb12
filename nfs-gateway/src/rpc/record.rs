//! Record marking (RFC 5531 §11): a record is a sequence of fragments, each with its length and a last-one bit.

use bytes::{Buf, Bytes, BytesMut};

/// Why a connection cannot go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RecordError {
    /// More bytes than any request may have.
    #[error("a record exceeds {max} bytes")]
    TooLong {
        /// The limit.
        max: usize,
    },
    /// Fragments without content, one after the other.
    #[error("a record of more than {max} fragments")]
    TooManyFragments {
        /// The limit.
        max: usize,
    },
}

/// Cuts a stream into records.
#[derive(Debug)]
pub(crate) struct Records {
    record_bytes_max: usize,
    fragments: BytesMut,
    fragment_count: usize,
}

impl Records {
    /// For records of at most this size.
    pub(crate) fn new(record_bytes_max: usize) -> Self {
        Records { record_bytes_max, fragments: BytesMut::new(), fragment_count: 0 }
    }

    /// Takes the next whole record out of what has been received, or says how many bytes the buffer needs for the fragment.
    pub(crate) fn next(&mut self, buffer: &mut BytesMut) -> Result<Result<Bytes, usize>, RecordError> {
        loop {
            let Some(mark) = buffer.first_chunk::<4>().copied().map(u32::from_be_bytes) else {
                return Ok(Err(4));
            };
            let last = mark & LAST_FRAGMENT != 0;
            let too_long = RecordError::TooLong { max: self.record_bytes_max };
            let length = usize::try_from(mark & !LAST_FRAGMENT).map_err(|_| too_long)?;
            if length + self.fragments.len() > self.record_bytes_max {
                return Err(too_long);
            }
            if buffer.len() < 4 + length {
                return Ok(Err(4 + length));
            }
            buffer.advance(4);
            let fragment = buffer.split_to(length);
            if last && self.fragment_count == 0 {
                return Ok(Ok(fragment.freeze()));
            }
            self.fragment_count += 1;
            if self.fragment_count > FRAGMENTS_MAX {
                return Err(RecordError::TooManyFragments { max: FRAGMENTS_MAX });
            }
            self.fragments.extend_from_slice(&fragment);
            if last {
                self.fragment_count = 0;
                return Ok(Ok(self.fragments.split().freeze()));
            }
        }
    }
}

const LAST_FRAGMENT: u32 = 1 << 31;
/// Real clients send one; some send the header apart. A storm of empty ones must end.
const FRAGMENTS_MAX: usize = 1024;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn stream(records: &[Vec<Vec<u8>>]) -> Vec<u8> {
        let mut out = Vec::new();
        for fragments in records {
            for (i, fragment) in fragments.iter().enumerate() {
                let last = if i + 1 == fragments.len() { LAST_FRAGMENT } else { 0 };
                out.extend_from_slice(&(fragment.len() as u32 | last).to_be_bytes());
                out.extend_from_slice(fragment);
            }
        }
        out
    }

    proptest! {
        #[test]
        fn records_survive_any_fragmentation(
            records in prop::collection::vec(prop::collection::vec(prop::collection::vec(any::<u8>(), 0..20), 1..4), 0..6),
            step in 1usize..30,
        ) {
            let mut found = Vec::new();
            let mut cutter = Records::new(100);
            let mut buffer = BytesMut::new();
            for chunk in stream(&records).chunks(step) {
                buffer.extend_from_slice(chunk);
                while let Ok(record) = cutter.next(&mut buffer).unwrap() {
                    found.push(record.to_vec());
                }
            }
            let expected: Vec<_> = records.iter().map(|fragments| fragments.concat()).collect();
            prop_assert_eq!(found, expected);
        }
    }

    #[test]
    fn a_huge_mark_is_refused_before_anything_is_allocated() {
        let mut cutter = Records::new(100);
        let mut buffer = BytesMut::from(&[0xff, 0xff, 0xff, 0xff][..]);
        assert_eq!(cutter.next(&mut buffer), Err(RecordError::TooLong { max: 100 }));
    }

    #[test]
    fn a_storm_of_empty_fragments_ends() {
        let mut cutter = Records::new(100);
        let mut buffer = BytesMut::from(&vec![0; 4 * (FRAGMENTS_MAX + 1)][..]);
        assert_eq!(cutter.next(&mut buffer), Err(RecordError::TooManyFragments { max: FRAGMENTS_MAX }));
    }

    #[test]
    fn the_sum_of_fragments_is_bounded() {
        let mut cutter = Records::new(10);
        let mut buffer = BytesMut::from(&stream(&[vec![vec![0; 6], vec![0; 6]]])[..]);
        assert_eq!(cutter.next(&mut buffer), Err(RecordError::TooLong { max: 10 }));
    }
}
