//! Segments, their files and objects, and what nobody knows.

use super::super::planted::{extent_of, plant};
use super::super::support::write;
use super::bench::{Bench, flip, object, segment_of};
use super::{Mended, Planted};
use crate::identity::SegmentId;
use crate::records::{SegmentRecord, key};
use crate::tiering::Tier;
use crate::verify::{Counter, Problem};

/// All files with blocks in the one local segment.
const IN_STANDARD: [&str; 3] = ["/directory/clone", "/large", "/original"];

fn plant_row(bench: &Bench, segment: SegmentId, change: impl FnOnce(&mut SegmentRecord)) {
    let mut row = bench.volume().segments().unwrap()[&segment];
    change(&mut row);
    plant(bench.volume(), vec![(key::segment(segment), Some(row.encode()))]);
}

fn standard(bench: &Bench) -> SegmentId {
    let segment = segment_of(bench.volume(), bench.filled.large, Tier::Standard);
    assert_eq!(segment_of(bench.volume(), bench.filled.original, Tier::Standard), segment);
    segment
}

/// Its file is there, so that nothing is lost.
pub(super) async fn segment_unknown(bench: &mut Bench) -> Planted {
    let segment = standard(bench);
    plant(bench.volume(), vec![(key::segment(segment), None)]);
    let is = move |problem: &Problem| matches!(problem, Problem::SegmentUnknown { segment: of, .. } if *of == segment);
    Planted::new(Mended::ByRepair, is)
}

pub(super) async fn segment_tier(bench: &mut Bench) -> Planted {
    let segment = standard(bench);
    plant_row(bench, segment, |row| row.tier = Tier::InfrequentAccess);
    Planted::new(Mended::Never, move |problem| *problem == Problem::SegmentTier { segment })
}

/// It holds blocks that are shared, which count once.
pub(super) async fn segment_counter(bench: &mut Bench) -> Planted {
    let segment = standard(bench);
    let counted = bench.volume().segments().unwrap()[&segment].live_bytes;
    plant_row(bench, segment, |row| row.live_bytes -= 5);
    let counter = Counter { name: "live bytes", stored: counted - 5, counted };
    Planted::new(Mended::ByRepair, move |problem| *problem == Problem::SegmentCounter { segment, counter })
}

/// Whoever has the file open reads it on, so that what is lost is seen only by the next start.
pub(super) async fn segment_missing(bench: &mut Bench) -> Planted {
    let segment = standard(bench);
    std::fs::remove_file(bench.local(segment)).unwrap();
    let is = move |problem: &Problem| matches!(problem, Problem::SegmentMissing { segment: of, tier: Tier::Standard, .. } if *of == segment);
    Planted::new(Mended::Never, is).losing(&IN_STANDARD)
}

pub(super) async fn segment_short(bench: &mut Bench) -> Planted {
    let segment = standard(bench);
    let file = std::fs::OpenOptions::new().write(true).open(bench.local(segment)).unwrap();
    file.set_len(100).unwrap();
    let is = move |problem: &Problem| matches!(problem, Problem::SegmentShort { segment: of, length: 100, .. } if *of == segment);
    Planted::new(Mended::Never, is).losing(&IN_STANDARD)
}

/// A file and an object.
pub(super) async fn segment_leaked(bench: &mut Bench) -> Planted {
    let leaked = SegmentId([8; 16]);
    let object = object(&bench.home, leaked);
    std::fs::create_dir_all(object.parent().unwrap()).unwrap();
    for path in [bench.local(leaked), object] {
        std::fs::write(path, b"x").unwrap();
    }
    let is = move |problem: &Problem| matches!(problem, Problem::SegmentLeaked { segment, bytes: 1, tier: Tier::InfrequentAccess } if *segment == leaked);
    Planted::new(Mended::ByRepair, is)
}

/// Of a block that is shared: the clone is hit, too.
pub(super) async fn block_damaged(bench: &mut Bench) -> Planted {
    let address = extent_of(bench.volume(), bench.filled.original, 0).address;
    flip(&bench.local(address.segment), address.offset);
    let is = move |problem: &Problem| matches!(problem, Problem::BlockDamaged { offset, .. } if *offset == address.offset);
    Planted::new(Mended::Never, is)
        .naming(&["/original", "/directory/clone"])
        .losing(&["/original", "/directory/clone"])
}

/// Of the header; all blocks are whole.
pub(super) async fn segment_damaged(bench: &mut Bench) -> Planted {
    let segment = standard(bench);
    flip(&bench.local(segment), 20);
    let is = move |problem: &Problem| matches!(problem, Problem::SegmentDamaged { segment: of, offset: 0, .. } if *of == segment);
    Planted::new(Mended::Never, is)
}

/// Of a block that was overwritten with the same bytes.
pub(super) async fn garbage_damaged(bench: &mut Bench) -> Planted {
    let volume = bench.volume();
    let before = extent_of(volume, bench.filled.large, 0).address;
    write(volume, bench.filled.large, 0, vec![2; 65_536]).await;
    volume.fold_pieces(true).await.unwrap();
    volume.standard.close_active().await.unwrap();
    assert_ne!(extent_of(volume, bench.filled.large, 0).address, before);
    flip(&bench.local(before.segment), before.offset);
    let is = move |problem: &Problem| matches!(problem, Problem::GarbageDamaged { segment, blocks: 1, .. } if *segment == before.segment);
    Planted::new(Mended::Never, is)
}

pub(super) async fn stray_file(bench: &mut Bench) -> Planted {
    let path = bench.home.files().join("segments/what");
    std::fs::write(&path, b"x").unwrap();
    std::fs::write(bench.home.files().join("journal/what"), b"x").unwrap();
    Planted::new(Mended::ByRepair, move |problem| *problem == Problem::StrayFile { path: path.clone() })
}

pub(super) async fn stray_object(bench: &mut Bench) -> Planted {
    std::fs::write(bench.home.cold().join("what"), b"x").unwrap();
    let is = |problem: &Problem| matches!(problem, Problem::StrayObject { name } if name.ends_with("/what"));
    Planted::new(Mended::ByRepair, is)
}
