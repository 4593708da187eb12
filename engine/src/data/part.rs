//! What of a block is read and opened by itself.

use std::ops::Range;

use super::block::{BlockAddress, CELL_BYTES, Codec};
use crate::keys::SEAL_BYTES;

/// All of a block, or neighbouring cells of one that is in cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BlockPart {
    address: BlockAddress,
    /// The first cell, and the one behind the last.
    cells: (u32, u32),
}

impl BlockPart {
    /// All of the block.
    pub(crate) fn whole(address: BlockAddress) -> BlockPart {
        BlockPart { address, cells: (0, cells_of(&address)) }
    }

    /// The cells with these bytes of the opened block, at least one; `None` if it is not in cells, or has none of the bytes.
    pub(crate) fn with(address: BlockAddress, bytes: Range<u32>) -> Option<BlockPart> {
        let first = bytes.start / CELL_BYTES;
        let end = bytes.end.min(address.plain_bytes).div_ceil(CELL_BYTES);
        let found = address.codec == Codec::Cells && first < end;
        found.then_some(BlockPart { address, cells: (first, end) })
    }

    /// The block.
    pub(crate) fn address(&self) -> &BlockAddress {
        &self.address
    }

    /// Its cells. What is not in cells has one.
    pub(crate) fn cells(&self) -> Range<u32> {
        self.cells.0..self.cells.1
    }

    /// Whether it is at most half of the block.
    pub(crate) fn is_small(&self) -> bool {
        self.cells().len() * 2 <= cells_of(&self.address) as usize
    }

    /// Where its sealed bytes start in the segment.
    pub(crate) fn offset(&self) -> u64 {
        self.address.offset + self.cells.0 as u64 * (u64::from(CELL_BYTES) + SEAL_BYTES as u64)
    }

    /// How many sealed bytes there are.
    pub(crate) fn sealed_bytes(&self) -> usize {
        match self.address.codec {
            Codec::Plain | Codec::Zstd => self.address.sealed_bytes as usize,
            Codec::Cells => self.plain_bytes() + self.cells().len() * SEAL_BYTES,
        }
    }

    /// Where its bytes start in the opened block.
    pub(crate) fn plain_start(&self) -> u32 {
        self.cells.0 * CELL_BYTES
    }

    /// How many there are when opened.
    pub(crate) fn plain_bytes(&self) -> usize {
        match self.address.codec {
            Codec::Plain | Codec::Zstd => self.address.plain_bytes as usize,
            Codec::Cells => {
                let end = (self.cells.1 * CELL_BYTES).min(self.address.plain_bytes);
                end.saturating_sub(self.plain_start()) as usize
            }
        }
    }
}

fn cells_of(address: &BlockAddress) -> u32 {
    match address.codec {
        Codec::Plain | Codec::Zstd => 1,
        Codec::Cells => address.plain_bytes.div_ceil(CELL_BYTES),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::block::cells_sealed_bytes;
    use crate::identity::SegmentId;

    fn block(codec: Codec, plain_bytes: u32) -> BlockAddress {
        let sealed_bytes = match codec {
            Codec::Cells => cells_sealed_bytes(plain_bytes),
            _ => plain_bytes + 16,
        };
        BlockAddress { segment: SegmentId([1; 16]), offset: 1000, sealed_bytes, frame: 3, plain_bytes, codec }
    }

    #[test]
    fn the_cells_of_a_block_make_up_all_of_it() {
        for plain_bytes in [4097, 8192, 10_000, 65_535, 65_536] {
            let address = block(Codec::Cells, plain_bytes);
            let whole = BlockPart::whole(address);
            assert_eq!((whole.offset(), whole.sealed_bytes()), (1000, address.sealed_bytes as usize));
            assert_eq!(whole.plain_bytes(), plain_bytes as usize);
            let (mut offset, mut start) = (1000, 0);
            for cell in whole.cells() {
                let cell = BlockPart::with(address, cell * CELL_BYTES..cell * CELL_BYTES + 1).unwrap();
                assert_eq!((cell.offset(), cell.plain_start()), (offset, start));
                offset += cell.sealed_bytes() as u64;
                start += cell.plain_bytes() as u32;
            }
            assert_eq!((offset, start), (address.end(), plain_bytes));
        }
    }

    #[test]
    fn a_range_of_bytes_is_in_the_cells_that_it_touches() {
        let address = block(Codec::Cells, 10_000);
        let cells = |bytes| BlockPart::with(address, bytes).map(|part| part.cells());
        assert_eq!(cells(0..1), Some(0..1));
        assert_eq!(cells(4095..4097), Some(0..2));
        assert_eq!(cells(8192..70_000), Some(2..3));
        assert_eq!(cells(12_288..70_000), None);
        assert_eq!(cells(5..5), Some(0..1));
        assert_eq!(BlockPart::with(block(Codec::Plain, 10_000), 0..1), None);
    }
}
