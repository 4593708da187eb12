//! For fuzzing: segments, whole and in parts.

use bytes::Bytes;

use super::batch::{BatchHeader, encode_entry};
use super::{
    BATCH_HEADER_BYTES, DirectoryEntry, HEADER_BYTES, PackedBlock, SealKind, SegmentOpener, SegmentSealer,
};
use crate::codec::Writer;
use crate::data::block::{
    BlockAddress, BlockIdentity, CELL_BYTES, Codec, OFFSET_MAX, PLAIN_BYTES_MAX, PlainBlock,
};
use crate::data::part::BlockPart;
use crate::error::Result;
use crate::fuzzing::input::{Input, damages};
use crate::fuzzing::{Decoder, must};
use crate::identity::{BlockIndex, ContentId, FileSystemId, SegmentId};
use crate::keys::{DataKey, KeyRing, SEAL_BYTES};

pub(crate) const DECODERS: &[Decoder] = &[
    Decoder { name: "segment", run: segment, seeds: || vec![genuine()] },
    Decoder { name: "segment-damage", run: damage, seeds: damages },
    Decoder { name: "batch-header", run: batch_header, seeds: batch_header_seeds },
    Decoder { name: "batch-directory", run: directory, seeds: directory_seeds },
    Decoder { name: "frame", run: frame, seeds: frame_seeds },
    Decoder { name: "block", run: block, seeds: || vec![b"block".to_vec(), vec![7; 5000], vec![8; 65_536]] },
];

pub(crate) const SEGMENT: SegmentId = SegmentId([3; 16]);
const IDENTITY: BlockIdentity = BlockIdentity { content: ContentId(5), block: BlockIndex(6) };

pub(crate) fn keys() -> KeyRing {
    KeyRing::of_generation(SEGMENT.generation(), DataKey::from_bytes([2; 32]))
}

pub(crate) fn file_system() -> FileSystemId {
    FileSystemId::from_random([1; 16])
}

pub(crate) fn opener() -> SegmentOpener {
    must(SegmentOpener::new(file_system(), &keys(), SEGMENT))
}

/// A segment of two batches with a plain block, a compressed one and one in cells each.
pub(crate) fn genuine() -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut sealer = must(SegmentSealer::begin(file_system(), &keys(), SEGMENT, &mut bytes));
    for first in [10, 20] {
        let block = |content, bytes| {
            let identity = BlockIdentity { content: ContentId(content), block: BlockIndex(1) };
            PlainBlock { identity, bytes: Bytes::from_static(bytes) }
        };
        let blocks = [
            must(PackedBlock::plain(block(first, b"some bytes"))),
            must(PackedBlock::compressed(block(first + 1, &[b'z'; 300]))),
            must(PackedBlock::in_cells(block(first + 2, &[b'c'; 4100]))),
        ];
        must(sealer.seal_batch(&blocks, &mut bytes));
    }
    bytes
}

/// Opens everything that a segment holds.
fn open_all(bytes: &[u8]) -> Result<Vec<(DirectoryEntry, Bytes)>> {
    let opener = opener();
    let slice = |offset: u64, length: usize| {
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        bytes.get(start..start.saturating_add(length)).unwrap_or_default()
    };
    opener.open_header(slice(0, HEADER_BYTES))?;
    let mut offset = HEADER_BYTES as u64;
    let mut blocks = Vec::new();
    while offset < bytes.len() as u64 {
        let header = opener.open_batch_header(offset, slice(offset, BATCH_HEADER_BYTES))?;
        for entry in
            opener.open_directory(&header, slice(header.directory_offset(), header.directory_bytes()))?
        {
            let (identity, address) = entry;
            let sealed = slice(address.offset, address.sealed_bytes as usize);
            blocks.push((entry, opener.open_frame(&address, identity, sealed)?));
        }
        offset = header.end();
    }
    Ok(blocks)
}

/// Only what was sealed opens: a genuine segment, or its first batches.
fn segment(data: &[u8]) {
    if let Ok(blocks) = open_all(data) {
        assert!(genuine().starts_with(data));
        assert!(must(open_all(&genuine())).starts_with(&blocks));
    }
}

fn damage(data: &[u8]) {
    segment(&Input::new(data).damage(&genuine()));
}

fn seal_batch_header(header: &BatchHeader) -> Vec<u8> {
    let opener = opener();
    let fields = header.fields();
    let mut bound = opener.bound(SealKind::Batch, header.offset);
    bound.bytes(fields.as_slice());
    let tag = must(opener.key.seal_detached(u64::from(header.counter), bound.as_slice(), &mut []));
    [fields.as_slice(), &tag].concat()
}

/// Any numbers in a batch header, under a right seal.
fn batch_header(data: &[u8]) {
    let mut input = Input::new(data);
    let (offset, counter) = (input.u64() & OFFSET_MAX, input.u32());
    let header = BatchHeader { offset, counter, frames: input.u32(), body_bytes: input.u64() };
    let sealed = seal_batch_header(&header);
    let elsewhere = opener().open_batch_header(offset ^ 1, &sealed);
    assert!(elsewhere.is_err(), "the offset is bound");
    if let Ok(opened) = opener().open_batch_header(offset, &sealed) {
        assert_eq!(opened, header);
        assert!(opened.end() <= OFFSET_MAX && opened.directory_bytes() <= 32 << 20);
    }
}

fn batch_header_seeds() -> Vec<Vec<u8>> {
    let numbers =
        |frames: u32| [&44_u64.to_be_bytes()[..], &[0, 0, 0, 1], &frames.to_be_bytes(), &[0; 8]].concat();
    vec![numbers(1), numbers(0), numbers(1 << 20), numbers(u32::MAX)]
}

/// A directory of any entries, under a right seal and with a batch header that may contradict it.
fn directory(data: &[u8]) {
    let mut input = Input::new(data);
    let (counter, contradiction) = (input.u32(), u64::from(input.u8() / 128));
    let (mut entries, mut content) = (Vec::new(), Writer::new());
    let (mut body_bytes, mut fits) = (contradiction, contradiction == 0);
    while !input.is_empty() {
        let (codec, plain_bytes) = (Codec::from_byte(input.u8() % 3), input.u32());
        let sealed_bytes =
            if input.flag() { plain_bytes.wrapping_add(SEAL_BYTES as u32) } else { input.u32() };
        let identity = BlockIdentity { content: ContentId(input.u64()), block: BlockIndex(input.u64()) };
        let codec = must(codec);
        let address =
            BlockAddress { segment: SEGMENT, offset: 0, sealed_bytes, frame: 0, plain_bytes, codec };
        encode_entry(&mut content, identity, &address);
        entries.push((identity, sealed_bytes, plain_bytes, codec));
        body_bytes += u64::from(sealed_bytes);
        fits &= codec.check(plain_bytes, sealed_bytes).is_ok();
    }
    let frames = u32::try_from(entries.len()).unwrap_or(u32::MAX);
    fits &= counter.checked_add(2).and_then(|first| first.checked_add(frames.saturating_sub(1))).is_some();
    let header = BatchHeader { offset: 44, counter, frames, body_bytes };
    let mut sealed = content.into_vec();
    let bound = opener().bound(SealKind::Directory, header.directory_offset());
    must(opener().key.seal(u64::from(counter) + 1, bound.as_slice(), &mut sealed));
    let opened = opener().open_directory(&header, &sealed);
    assert_eq!(opened.is_ok(), fits);
    for ((found, address), (identity, sealed_bytes, plain_bytes, codec)) in
        opened.unwrap_or_default().iter().zip(entries)
    {
        assert_eq!(*found, identity);
        assert_eq!(
            (address.sealed_bytes, address.plain_bytes, address.codec),
            (sealed_bytes, plain_bytes, codec)
        );
        assert!(address.end() <= header.end());
    }
}

fn directory_seeds() -> Vec<Vec<u8>> {
    let entry = |codec: u8, plain: u32| [&[codec][..], &plain.to_be_bytes(), &[1], &[5; 16]].concat();
    let head = [0, 0, 0, 9, 0];
    vec![
        head.to_vec(),
        [&head[..], &entry(0, 4096), &entry(0, 65_536)].concat(),
        [&head[..], &[1], &4096_u32.to_be_bytes(), &[0], &100_u32.to_be_bytes(), &[5; 16]].concat(),
    ]
}

/// Any packed bytes, under a right seal: what opens has the length that the address says, and none is beyond a block.
fn frame(data: &[u8]) {
    let mut input = Input::new(data);
    let (codec, plain_bytes) = (must(Codec::from_byte(input.u8() % 3)), input.u32() % (PLAIN_BYTES_MAX + 2));
    let packed = input.rest();
    let seals = cells_of(codec, packed).len() * SEAL_BYTES;
    let sealed_bytes = u32::try_from(packed.len() + seals).unwrap_or(u32::MAX);
    if codec.check(plain_bytes, sealed_bytes).is_err() {
        return;
    }
    let address = BlockAddress { segment: SEGMENT, offset: 44, sealed_bytes, frame: 3, plain_bytes, codec };
    let opener = opener();
    let mut sealed = Vec::new();
    for (cell, bytes) in cells_of(codec, packed) {
        let mut bytes = bytes.to_vec();
        let mut bound = opener.frame_bound(&address, IDENTITY);
        if let Some(cell) = cell {
            bound.u32(cell);
        }
        must(opener.key.seal(3 | u64::from(cell.unwrap_or(0)) << 32, bound.as_slice(), &mut bytes));
        sealed.append(&mut bytes);
    }
    if let Ok(plain) = opener.open_frame(&address, IDENTITY, &sealed) {
        assert_eq!(plain.len(), plain_bytes as usize);
        assert!(codec == Codec::Zstd || plain == packed);
    }
    let other = BlockIdentity { block: BlockIndex(7), ..IDENTITY };
    assert!(opener.open_frame(&address, other, &sealed).is_err(), "the identity is bound");
}

/// What is sealed by itself.
fn cells_of(codec: Codec, packed: &[u8]) -> Vec<(Option<u32>, &[u8])> {
    match codec {
        Codec::Plain | Codec::Zstd => vec![(None, packed)],
        Codec::Cells => (0..).map(Some).zip(packed.chunks(CELL_BYTES as usize)).collect(),
    }
}

fn frame_seeds() -> Vec<Vec<u8>> {
    let packed = |plain: &[u8], length: u32| {
        let packed = zstd::bulk::compress(plain, 3).unwrap_or_default();
        [&[1], &length.to_be_bytes()[..], &packed].concat()
    };
    let text = b"tide and time and tide and time and tide ".repeat(40);
    vec![
        [&[0], &5_u32.to_be_bytes()[..], b"plain"].concat(),
        packed(&text, 1640),
        packed(&text, 1600),
        packed(&[0; 65_536], 65_536),
        [&[2], &4097_u32.to_be_bytes()[..], &[9; 4097]].concat(),
        [&[2], &65_536_u32.to_be_bytes()[..], &[9; 65_536]].concat(),
    ]
}

/// Any block comes back as it was, compressed, in cells or neither, and not after any change of what it was sealed to; a cell comes back
/// whatever befell the others.
fn block(data: &[u8]) {
    for pack in [PackedBlock::plain, PackedBlock::in_cells, PackedBlock::compressed] {
        let plain = PlainBlock { identity: IDENTITY, bytes: Bytes::copy_from_slice(data) };
        let Ok(packed) = pack(plain) else {
            assert!(data.is_empty() || data.len() > PLAIN_BYTES_MAX as usize);
            continue;
        };
        let address = packed.address(SEGMENT, 44, 3);
        let mut sealed = Vec::new();
        must(opener().seal_frame(&packed, &address, &mut sealed));
        assert!(sealed.len() <= data.len() + data.len().div_ceil(CELL_BYTES as usize) * SEAL_BYTES);
        assert_eq!(must(opener().open_frame(&address, IDENTITY, &sealed)), data);
        let place = usize::from(data.first().copied().unwrap_or_default()) % sealed.len();
        if let Some(byte) = sealed.get_mut(place) {
            *byte ^= 1;
        }
        assert!(opener().open_frame(&address, IDENTITY, &sealed).is_err());
        if address.codec == Codec::Cells {
            cells(&address, &sealed, data, place);
        }
    }
}

/// Each cell opens by itself, but for the one with the damaged byte.
fn cells(address: &BlockAddress, sealed: &[u8], data: &[u8], damaged: usize) {
    for cell in BlockPart::whole(*address).cells() {
        let at = cell * CELL_BYTES;
        let Some(part) = BlockPart::with(*address, at..at + 1) else { continue };
        let start = must(usize::try_from(part.offset() - address.offset));
        let sealed = sealed.get(start..start + part.sealed_bytes()).unwrap_or_default();
        let opened = opener().open_part(&part, IDENTITY, sealed);
        if (start..start + part.sealed_bytes()).contains(&damaged) {
            assert!(opened.is_err());
        } else {
            let at = at as usize;
            assert_eq!(Some(must(opened).as_ref()), data.get(at..at + part.plain_bytes()));
        }
    }
}
