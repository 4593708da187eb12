//! Extents, pieces and the references of shared blocks.

use bytes::Bytes;

use super::super::planted::{content_of, dentry, extent_of, plant, plant_inode};
use super::bench::Bench;
use super::{Mended, Planted};
use crate::identity::{BlockIndex, ContentId, InodeId, Lsn};
use crate::records::{Content, Piece, key};
use crate::verify::Problem;
use crate::volume::Look;

pub(super) async fn content_twice(bench: &mut Bench) -> Planted {
    let (volume, first) = (bench.volume(), bench.filled.large);
    let (_, third) = dentry(volume, bench.filled.directory, b"third");
    let content = content_of(volume, first);
    plant_inode(volume, third.inode, |record| {
        if let Content::File { id, .. } = &mut record.content {
            *id = content;
        }
    });
    let problem = Problem::ContentTwice { content, first, second: third.inode };
    Planted::new(Mended::Never, move |found| *found == problem).naming(&["/large", "/directory/third"])
}

pub(super) async fn content_doomed(bench: &mut Bench) -> Planted {
    let inode = bench.filled.large;
    let content = content_of(bench.volume(), inode);
    plant(bench.volume(), vec![(key::dead_content(content), Some(Vec::new()))]);
    Planted::new(Mended::ByRepair, move |found| *found == Problem::ContentDoomed { content, inode })
}

pub(super) async fn content_unowned(bench: &mut Bench) -> Planted {
    // The number of a directory: no content has it.
    let content = ContentId(bench.filled.directory.0);
    let piece = Piece { inode: bench.filled.small, offset: 0, bytes: Bytes::from_static(b"piece") };
    plant(bench.volume(), vec![(key::piece(content, BlockIndex(0), Lsn(1), 0), Some(piece.encode()))]);
    Planted::new(Mended::ByRepair, move |found| *found == Problem::ContentUnowned { content, rows: 1 })
}

pub(super) async fn piece_owner(bench: &mut Bench) -> Planted {
    let (volume, inode) = (bench.volume(), bench.filled.small);
    let pieces = key::pieces(content_of(volume, inode), BlockIndex(0), None);
    let (row, value) = volume.store.scan_all(&pieces).unwrap().pop().unwrap();
    let stored = bench.filled.large;
    let piece = Piece { inode: stored, ..Piece::decode(&value).unwrap() };
    plant(volume, vec![(row.to_vec(), Some(piece.encode()))]);
    Planted::new(Mended::Never, move |found| *found == Problem::PieceOwner { inode, stored })
}

/// What lies behind the end is cut off, and nothing else.
pub(super) async fn behind_end(bench: &mut Bench) -> Planted {
    let inode = bench.filled.large;
    plant_inode(bench.volume(), inode, |record| {
        if let Content::File { size, .. } = &mut record.content {
            *size = 200_000;
        }
    });
    let is = move |problem: &Problem| matches!(problem, Problem::BehindEnd { inode: of, .. } if *of == inode);
    Planted::new(Mended::ByRepair, is).naming(&["/large"]).surviving(|tree| {
        tree.insert("/large".to_owned(), Some(vec![2; 200_000]));
    })
}

/// The second slot's extent lies over the first one's; its block was sealed for another place.
pub(super) async fn layout(bench: &mut Bench) -> Planted {
    let volume = bench.volume();
    let content = content_of(volume, bench.filled.large);
    let extent = extent_of(volume, bench.filled.large, 16);
    let (from, to) = (key::extent(content, BlockIndex(16)), key::extent(content, BlockIndex(8)));
    plant(volume, vec![(from, None), (to, Some(extent.encode()))]);
    let is = move |problem: &Problem| matches!(problem, Problem::Layout { content: of, block: BlockIndex(8), what } if *of == content && what.contains("over"));
    Planted::new(Mended::Never, is).naming(&["/large"]).losing(&["/large"])
}

pub(super) async fn reference_missing(bench: &mut Bench) -> Planted {
    let (content, block) = (content_of(bench.volume(), bench.filled.clone), BlockIndex(0));
    let address = extent_of(bench.volume(), bench.filled.clone, 0).address;
    plant(bench.volume(), vec![(key::reference(&address, content, block), None)]);
    let problem = Problem::ReferenceMissing { content, block };
    Planted::new(Mended::ByRepair, move |found| *found == problem).naming(&["/directory/clone"])
}

pub(super) async fn reference_stray(bench: &mut Bench) -> Planted {
    let address = extent_of(bench.volume(), bench.filled.original, 0).address;
    let (content, block) = (content_of(bench.volume(), bench.filled.large), BlockIndex(5));
    plant(bench.volume(), vec![(key::reference(&address, content, block), Some(Vec::new()))]);
    let (segment, frame) = (address.segment, address.frame);
    let problem = Problem::ReferenceStray { segment, frame, content, block };
    Planted::new(Mended::ByRepair, move |found| *found == problem)
}

/// A block is counted once, however many show it, and in the segment only as long as somebody does.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shared_blocks_are_counted_once() {
    let bench = Bench::new().await;
    let (volume, shared) = (bench.volume(), bench.filled.original);
    let address = extent_of(volume, shared, 0).address;
    assert_eq!(extent_of(volume, bench.filled.clone, 0).address, address);
    let rows = volume.store.scan_all(&key::references(&address)).unwrap();
    assert_eq!(rows.len(), 2);
    super::super::support::remove(volume, InodeId::ROOT, b"original").await;
    let report = bench.verify(&super::deep()).await;
    assert!(report.findings.is_empty(), "{report:#?}");
    volume.release_orphans().await.unwrap();
    volume.reclaim_contents().await.unwrap();
    assert_eq!(volume.store.scan_all(&key::references(&address)).unwrap().len(), 1);
    let report = bench.verify(&super::deep()).await;
    assert!(report.findings.is_empty(), "{report:#?}");
}
