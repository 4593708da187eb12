//! The invariants of `records/extent.rs`, checked over all records.

use std::collections::{BTreeMap, BTreeSet};

use crate::identity::{BlockIndex, ContentId, InodeId, SegmentId};
use crate::records::{Content, Extent, Inode, Totals, key};
use crate::tiering::Tier;
use crate::volume::{Look, Volume, extent_row, piece_row};

type Place = (ContentId, BlockIndex);

/// Sealed bytes and tier of each block, by segment and frame.
type Blocks = BTreeMap<(SegmentId, u32), (u64, Tier)>;

pub(super) fn check(volume: &Volume) {
    let files = files(volume);
    let mut blocks = Blocks::new();
    let mut owned = BTreeMap::<(SegmentId, u32), bool>::new();
    let mut shared = BTreeSet::new();
    let mut counted = BTreeMap::<ContentId, [u64; 3]>::new();
    let mut end: Option<(ContentId, u64)> = None;
    for (row, value) in family(volume, b'e') {
        let (block, extent) = extent_row(&row, &value).unwrap();
        let content = key::piece_content(&row).unwrap();
        let stop = extent.end(block);
        assert!(stop <= block.next_slot().start(), "an extent stays in its slot");
        assert!(end.is_none_or(|(last, end)| last != content || end <= block.start()), "extents overlap");
        end = Some((content, stop));
        if let Some((size, _)) = files.get(&content) {
            assert!(stop <= *size, "an extent shows bytes behind the end of its file");
        }
        let counts = counted.entry(content).or_default();
        counts[if extent.tier == Tier::Standard { 0 } else { 1 }] += u64::from(extent.visible_bytes);
        note(&mut blocks, &mut owned, &mut shared, (content, block), &extent);
    }
    check_pieces(volume, &files, &mut counted);
    let references: BTreeSet<_> = family(volume, b'r').into_iter().map(|(row, _)| row.to_vec()).collect();
    assert_eq!(references, shared, "a reference for each shared extent and no other");
    let mut totals = [0; 3];
    for (content, (_, has)) in &files {
        let counts = counted.get(content).copied().unwrap_or_default();
        assert_eq!(counts, *has, "what content {content} has");
        (0..3).for_each(|at| totals[at] += counts[at]);
    }
    let stored = Totals::decode(&volume.store.get(&key::totals()).unwrap().unwrap()).unwrap();
    assert_eq!([stored.standard_bytes, stored.cold_bytes, stored.piece_bytes], totals);
    check_segments(volume, &blocks);
}

fn note(
    blocks: &mut Blocks,
    owned: &mut BTreeMap<(SegmentId, u32), bool>,
    shared: &mut BTreeSet<Vec<u8>>,
    (content, block): Place,
    extent: &Extent,
) {
    let frame = (extent.address.segment, extent.address.frame);
    blocks.insert(frame, (u64::from(extent.address.sealed_bytes), extent.tier));
    let before = owned.insert(frame, extent.shared.is_none());
    assert!(
        before.is_none_or(|owned| !owned && extent.shared.is_some()),
        "a block with an owner has another user"
    );
    if extent.shared.is_some() {
        shared.insert(key::reference(&extent.address, content, block));
    }
}

fn check_pieces(
    volume: &Volume,
    files: &BTreeMap<ContentId, (u64, [u64; 3])>,
    counted: &mut BTreeMap<ContentId, [u64; 3]>,
) {
    for (row, value) in family(volume, b'p') {
        let content = key::piece_content(&row).unwrap();
        let row = piece_row(row, &value).unwrap();
        let (from, end) = row.bounds();
        assert!(row.block == row.block.slot() && from < end && end <= row.block.next_slot().start());
        if let Some((size, _)) = files.get(&content) {
            assert!(end <= *size, "a piece behind the end of its file");
        }
        counted.entry(content).or_default()[2] += end - from;
    }
}

fn check_segments(volume: &Volume, blocks: &Blocks) {
    let mut live = BTreeMap::<SegmentId, u64>::new();
    for ((segment, _), (bytes, _)) in blocks {
        *live.entry(*segment).or_default() += bytes;
    }
    let rows = volume.segments().unwrap();
    for (id, record) in &rows {
        assert_eq!(record.live_bytes, live.remove(id).unwrap_or(0), "live bytes of {id}");
        assert!(record.written_bytes >= record.live_bytes);
    }
    assert!(live.is_empty(), "segments without a row: {live:?}");
    assert!(blocks.iter().all(|((id, _), (_, tier))| rows[id].tier == *tier));
}

fn files(volume: &Volume) -> BTreeMap<ContentId, (u64, [u64; 3])> {
    let rows = family(volume, b'i').into_iter();
    let file = |(_, value): (bytes::Bytes, bytes::Bytes)| match Inode::decode(&value).unwrap().content {
        Content::File { size, id, standard_bytes, cold_bytes, piece_bytes, .. } => {
            Some((id, (size, [standard_bytes, cold_bytes, piece_bytes])))
        }
        _ => None,
    };
    rows.filter_map(file).collect()
}

fn family(volume: &Volume, tag: u8) -> Vec<(bytes::Bytes, bytes::Bytes)> {
    volume.store.scan_all(&key::family(tag, b"")).unwrap()
}

/// The extents of a file: where each begins, its visible bytes and whether its block is shared.
pub(super) fn extents(volume: &Volume, file: InodeId) -> Vec<(u64, u32, bool)> {
    let Content::File { id, .. } = volume.stored_inode(file).unwrap().content else { panic!("no file") };
    let rows = volume.store.extents(id, BlockIndex(0), BlockIndex(u64::MAX)).unwrap();
    rows.iter()
        .map(|(block, extent)| (block.start(), extent.visible_bytes, extent.shared.is_some()))
        .collect()
}
