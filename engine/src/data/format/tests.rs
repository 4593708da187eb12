use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::codec::Reader;
use crate::data::block::{BlockAddress, BlockIdentity, Codec, OFFSET_MAX, PlainBlock};
use crate::data::part::BlockPart;
use crate::error::Result;
use crate::identity::{BlockIndex, ContentId};
use crate::keys::DataKey;

const SEGMENT: SegmentId = SegmentId([3; 16]);

fn keys() -> KeyRing {
    keys_of(SEGMENT)
}

fn keys_of(segment: SegmentId) -> KeyRing {
    KeyRing::of_generation(segment.generation(), DataKey::from_bytes([2; 32]))
}

fn opener(file_system: u8, segment: SegmentId) -> SegmentOpener {
    SegmentOpener::new(FileSystemId::from_random([file_system; 16]), &keys_of(segment), segment).unwrap()
}

fn block(content: u64, bytes: &'static [u8]) -> PlainBlock {
    let identity = BlockIdentity { content: ContentId(content), block: BlockIndex(content + 1) };
    PlainBlock { identity, bytes: Bytes::from_static(bytes) }
}

/// A segment with two batches of two blocks each, the second ones compressed.
fn segment(id: SegmentId) -> (Vec<u8>, Vec<(PlainBlock, BlockAddress)>) {
    let mut bytes = Vec::new();
    let mut sealer =
        SegmentSealer::begin(FileSystemId::from_random([1; 16]), &keys(), id, &mut bytes).unwrap();
    let mut stored = Vec::new();
    for first in [10, 20] {
        let blocks = [block(first, b"equally long"), block(first + 1, &[b'z'; 300])];
        let packed = [PackedBlock::in_cells(blocks[0].clone()), PackedBlock::compressed(blocks[1].clone())]
            .map(Result::unwrap);
        let addresses = sealer.seal_batch(&packed, &mut bytes).unwrap();
        stored.extend(blocks.into_iter().zip(addresses));
        assert_eq!(sealer.length(), bytes.len() as u64);
    }
    (bytes, stored)
}

/// Opens everything that a segment holds.
fn open_all(opener: &SegmentOpener, bytes: &[u8]) -> Result<Vec<(BlockIdentity, BlockAddress, Bytes)>> {
    let slice = |offset: u64, length: usize| {
        let start = usize::try_from(offset).unwrap();
        bytes.get(start..start.saturating_add(length)).unwrap_or_default()
    };
    opener.open_header(slice(0, HEADER_BYTES))?;
    let mut offset = HEADER_BYTES as u64;
    let mut blocks = Vec::new();
    while offset < bytes.len() as u64 {
        let header = opener.open_batch_header(offset, slice(offset, BATCH_HEADER_BYTES))?;
        let directory = slice(header.directory_offset(), header.directory_bytes());
        for (identity, address) in opener.open_directory(&header, directory)? {
            let sealed = slice(address.offset, address.sealed_bytes as usize);
            blocks.push((identity, address, opener.open_frame(&address, identity, sealed)?));
        }
        offset = header.end();
    }
    Ok(blocks)
}

#[test]
fn a_segment_describes_itself() {
    let (bytes, stored) = segment(SEGMENT);
    let opened = open_all(&opener(1, SEGMENT), &bytes).unwrap();
    let expected: Vec<_> =
        stored.into_iter().map(|(block, address)| (block.identity, address, block.bytes)).collect();
    assert_eq!(opened, expected);
    assert_eq!(opened[1].1.codec, Codec::Zstd);
    assert_eq!(opened[3].1.end(), bytes.len() as u64, "no padding");
}

#[test]
fn every_flipped_bit_and_every_cut_is_noticed() {
    let (bytes, _) = segment(SEGMENT);
    let opener = opener(1, SEGMENT);
    for position in 0..bytes.len() {
        for bit in 0..8 {
            let mut flipped = bytes.clone();
            flipped[position] ^= 1 << bit;
            assert!(open_all(&opener, &flipped).is_err(), "byte {position}, bit {bit}");
        }
    }
    let batch_starts = [HEADER_BYTES, bytes.len() - (bytes.len() - HEADER_BYTES) / 2];
    for length in (0..bytes.len()).filter(|length| !batch_starts.contains(length)) {
        assert!(open_all(&opener, &bytes[..length]).is_err(), "{length} bytes");
    }
}

#[test]
fn nothing_can_be_swapped() {
    let (bytes, stored) = segment(SEGMENT);
    let this = opener(1, SEGMENT);
    let sealed = |address: &BlockAddress| {
        let start = usize::try_from(address.offset).unwrap();
        bytes[start..start + address.sealed_bytes as usize].to_vec()
    };
    let ((one, at_one), (two, at_two)) = (&stored[0], &stored[2]);
    assert_eq!(at_one.sealed_bytes, at_two.sealed_bytes);
    assert!(this.open_frame(at_one, one.identity, &sealed(at_one)).is_ok());
    assert!(this.open_frame(at_one, one.identity, &sealed(at_two)).is_err(), "the frame of another block");
    assert!(this.open_frame(at_one, two.identity, &sealed(at_one)).is_err(), "another identity");
    assert!(this.open_frame(at_two, one.identity, &sealed(at_one)).is_err(), "another address");
    assert!(
        opener(9, SEGMENT).open_frame(at_one, one.identity, &sealed(at_one)).is_err(),
        "another file system"
    );

    let other = SegmentId([4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 3, 3]);
    let (other_bytes, _) = segment(other);
    assert_eq!(bytes.len(), other_bytes.len());
    assert!(open_all(&opener(1, other), &bytes).is_err(), "another segment under this name");
    assert!(open_all(&opener(9, SEGMENT), &bytes).is_err(), "another file system");
    let mut spliced = bytes.clone();
    spliced[HEADER_BYTES..].copy_from_slice(&other_bytes[HEADER_BYTES..]);
    assert!(open_all(&this, &spliced).is_err(), "batches of another segment");
    let half = HEADER_BYTES + (bytes.len() - HEADER_BYTES) / 2;
    let mut exchanged = bytes[..HEADER_BYTES].to_vec();
    exchanged.extend_from_slice(&bytes[half..]);
    exchanged.extend_from_slice(&bytes[HEADER_BYTES..half]);
    assert!(open_all(&this, &exchanged).is_err(), "two batches exchanged");
}

#[test]
fn the_cells_of_a_block_cannot_be_exchanged_nor_taken_for_a_whole_one() {
    static BYTES: [u8; 3 * 4096] = [b'c'; 3 * 4096];
    let packed = PackedBlock::in_cells(block(1, &BYTES)).unwrap();
    let mut bytes = Vec::new();
    let mut sealer =
        SegmentSealer::begin(FileSystemId::from_random([1; 16]), &keys(), SEGMENT, &mut bytes).unwrap();
    let address = sealer.seal_batch(&[packed], &mut bytes).unwrap()[0];
    assert_eq!((address.codec, address.sealed_bytes), (Codec::Cells, 3 * 4112));
    let this = opener(1, SEGMENT);
    let identity = block(1, &BYTES).identity;
    let sealed = &bytes[usize::try_from(address.offset).unwrap()..];
    let cell = |place: usize| &sealed[place * 4112..][..4112];
    for place in 0..3_u32 {
        let part = BlockPart::with(address, place * 4096..place * 4096 + 1).unwrap();
        for other in 0..3 {
            let opened = this.open_part(&part, identity, cell(other));
            assert_eq!(opened.is_ok(), other == place as usize, "cell {other} in place of {place}");
        }
    }
    let exchanged = [cell(1), cell(0), cell(2)].concat();
    assert!(this.open_frame(&address, identity, &exchanged).is_err());
    let short = BlockAddress { plain_bytes: 2 * 4096, sealed_bytes: 2 * 4112, ..address };
    assert!(this.open_frame(&short, identity, &sealed[..2 * 4112]).is_err(), "cut to two cells");
    let plain = BlockAddress { plain_bytes: 4096, sealed_bytes: 4112, codec: Codec::Plain, ..address };
    assert!(this.open_frame(&plain, identity, cell(0)).is_err(), "a cell as a block");
}

#[test]
fn lengths_that_no_block_has_are_refused() {
    let identity = BlockIdentity { content: ContentId(1), block: BlockIndex(0) };
    for length in [0, 65_537] {
        let block = PlainBlock { identity, bytes: Bytes::from(vec![0; length]) };
        assert!(PackedBlock::plain(block).is_err(), "{length}");
    }
    let mut buffer = Vec::new();
    let mut sealer =
        SegmentSealer::begin(FileSystemId::from_random([1; 16]), &keys(), SEGMENT, &mut buffer).unwrap();
    assert!(sealer.seal_batch(&[], &mut buffer).is_err());
}

fn address() -> impl Strategy<Value = BlockAddress> {
    (any::<[u8; 16]>(), 0..=OFFSET_MAX, any::<u32>(), 1..=65_536_u32, any::<bool>()).prop_map(
        |(segment, offset, frame, plain_bytes, other)| {
            let (codec, sealed_bytes) = match (other, plain_bytes) {
                (true, 4097..) => (Codec::Cells, plain_bytes + plain_bytes.div_ceil(4096) * 16),
                (true, 2..) => (Codec::Zstd, plain_bytes + 15),
                _ => (Codec::Plain, plain_bytes + 16),
            };
            BlockAddress { segment: SegmentId(segment), offset, sealed_bytes, frame, plain_bytes, codec }
        },
    )
}

proptest! {
    #[test]
    fn an_address_is_read_as_it_was_written(address in address()) {
        let mut bytes = Vec::new();
        address.encode(&mut bytes);
        prop_assert_eq!(bytes.len(), BlockAddress::ENCODED_BYTES);
        let mut reader = Reader::new(&bytes);
        prop_assert_eq!(BlockAddress::decode(&mut reader).unwrap(), address);
        prop_assert!(reader.is_empty());
    }

    #[test]
    fn any_bytes_are_an_address_or_refused(bytes in any::<[u8; 32]>()) {
        if let Ok(address) = BlockAddress::decode(&mut Reader::new(&bytes)) {
            let mut again = Vec::new();
            address.encode(&mut again);
            prop_assert_eq!(again, bytes);
        }
    }

    #[test]
    fn any_bytes_are_refused_as_a_segment(
        bytes in prop::collection::vec(any::<u8>(), 0..600),
        address in address(),
    ) {
        let opener = opener(1, address.segment);
        prop_assert!(opener.open_header(&bytes).is_err());
        prop_assert!(opener.open_batch_header(44, &bytes).is_err());
        let identity = BlockIdentity { content: ContentId(1), block: BlockIndex(0) };
        prop_assert!(opener.open_frame(&address, identity, &bytes).is_err());
        let batch = batch::any_header();
        prop_assert!(opener.open_directory(&batch, &bytes).is_err());
    }

    /// The decoder behind the seal holds too, should the sealed bytes ever be wrong.
    #[test]
    fn any_directory_is_consistent_or_refused(bytes in prop::collection::vec(0_u8..3, 0..200)) {
        let opener = opener(1, SEGMENT);
        let batch = batch::any_header();
        prop_assert!(opener.decode_directory(&batch, &bytes).is_err());
    }
}
