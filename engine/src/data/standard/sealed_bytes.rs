//! Memory for the bytes of a batch.

use crate::disk::{DIRECT_ALIGNMENT, direct_place};

/// Sealed bytes, placed in memory so that the disk takes them past the page cache.
#[derive(Debug, Default)]
pub(super) struct SealedBytes {
    buffer: Vec<u8>,
    start: usize,
}

impl SealedBytes {
    /// Empties it for so many bytes that go to that offset of a file.
    pub(super) fn place(&mut self, offset: u64, length: usize) {
        self.buffer.clear();
        let needed = length + DIRECT_ALIGNMENT;
        if self.buffer.capacity() < needed {
            // To let it grow would copy it, and make it twice as long.
            self.buffer = Vec::with_capacity(needed);
        }
        self.start = direct_place(&self.buffer, offset);
        self.buffer.resize(self.start, 0);
    }

    /// What bytes are appended to.
    pub(super) fn tail(&mut self) -> &mut Vec<u8> {
        &mut self.buffer
    }

    /// The bytes that were appended.
    pub(super) fn as_slice(&self) -> &[u8] {
        self.buffer.get(self.start..).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_have_the_distance_from_a_page_in_memory_that_they_have_in_the_file() {
        let mut bytes = SealedBytes::default();
        for (offset, length) in [(0, 10), (44, 100_000), (4095, 1), (8192, 5), (10_000, 300_000)] {
            bytes.place(offset, length);
            assert!(bytes.as_slice().is_empty());
            bytes.tail().extend(std::iter::repeat_n(7, length));
            assert_eq!(bytes.as_slice(), vec![7; length]);
            assert_eq!(direct_place(bytes.as_slice(), offset), 0);
        }
    }
}
