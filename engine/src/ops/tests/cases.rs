//! The hard cases, each by its name.

use std::time::Duration;

use super::invariants::extents;
use super::*;
use crate::data::{BlockIdentity, PlainBlock};
use crate::error::Error;
use crate::file_system::{SeekFor, Sought};
use crate::identity::{BlockIndex, ContentId, SegmentId};
use crate::ops::relocate::{Move, Select};

fn range(length: usize) -> Vec<u8> {
    noise(7, length)
}

/// Bytes that were ever written to segments and pointed to.
fn written(world: &World) -> u64 {
    world.volume.segments().unwrap().values().map(|record| record.written_bytes).sum()
}

/// Sealed bytes that somebody refers to.
fn live(world: &World) -> u64 {
    world.volume.segments().unwrap().values().map(|record| record.live_bytes).sum()
}

#[tokio::test]
async fn small_overwrites_cost_a_slot_once_and_then_only_what_they_touch() {
    let world = World::new().await;
    let file = world.file("file", &range(128 << 10)).await;
    assert_eq!(extents(&world.volume, file).len(), 2);
    world.write(file, 8 * KIB, &noise(1, 4096), Stability::FileSync).await;
    world.fold().await;
    world.check();
    let sizes: Vec<_> = extents(&world.volume, file).iter().map(|(_, visible, _)| *visible).collect();
    assert_eq!(
        sizes,
        [[4096; 16].as_slice(), &[65_536]].concat(),
        "the first slot is in units, the second is not"
    );
    let before = written(&world);
    world.write(file, 8 * KIB, &noise(2, 4096), Stability::FileSync).await;
    world.write(file, 40 * KIB + 5, &noise(3, 10), Stability::FileSync).await;
    world.fold().await;
    assert_eq!(written(&world) - before, 2 * (4096 + 16));
    let mut content = range(128 << 10);
    content[8192..12_288].copy_from_slice(&noise(2, 4096));
    content[40_965..40_975].copy_from_slice(&noise(3, 10));
    assert_eq!(world.read(file).await, content);
    // A rewriting from end to end puts it back to one block, and so does the way to the cold tier.
    world.write(file, 0, &range(128 << 10), Stability::Unstable).await;
    world.write(file, 128 * KIB, &range(4 << 10), Stability::Unstable).await;
    drop(world.volume.commit(file).await.unwrap());
    assert_eq!(extents(&world.volume, file).first().map(|(_, visible, _)| *visible), Some(65_536));
    world.write(file, 8 * KIB, b"x", Stability::FileSync).await;
    world.fold().await;
    world.transition(file, Tier::InfrequentAccess).await;
    world.check();
    assert_eq!(extents(&world.volume, file).len(), 3);
}

#[tokio::test]
async fn a_random_read_opens_only_its_unit() {
    let world = World::new().await;
    let file = world.file("file", &range(64 << 10)).await;
    world.write(file, 8 * KIB, &noise(1, 4096), Stability::FileSync).await;
    world.fold().await;
    let before = world.volume.cache.bytes();
    let read = world.volume.read(file, 20 * KIB, 4096).await.unwrap();
    assert_eq!(read.parts.concat(), range(64 << 10)[20 << 10..24 << 10]);
    assert!(world.volume.cache.bytes() - before < 5000, "more than a unit was opened");
}

#[tokio::test]
async fn truncation_in_the_middle_of_a_slot_of_units() {
    let world = World::new().await;
    let file = world.file("file", &range(64 << 10)).await;
    world.write(file, 8 * KIB, &noise(1, 4096), Stability::FileSync).await;
    world.fold().await;
    world.truncate(file, 10_000).await;
    world.check();
    world.truncate(file, 60_000).await;
    let mut content = range(64 << 10);
    content[8192..12_288].copy_from_slice(&noise(1, 4096));
    content.truncate(10_000);
    content.resize(60_000, 0);
    assert_eq!(world.read(file).await, content);
    assert_eq!(extents(&world.volume, file).last(), Some(&(8192, 10_000 - 8192, false)));
}

#[tokio::test]
async fn a_long_truncation_of_units_takes_several_records() {
    let world = World::new().await;
    let file = world.create("file").await;
    for number in 0..4500 {
        world
            .volume
            .write(
                &Credential::root(),
                file,
                number * 8 * KIB,
                Bytes::from(vec![1; 512]),
                Stability::Unstable,
            )
            .await
            .unwrap();
    }
    drop(world.volume.commit(file).await.unwrap());
    world.fold().await;
    assert_eq!(extents(&world.volume, file).len(), 4500);
    assert_eq!(world.volume.cutting_points(file, 1).unwrap().len(), 1);
    world.truncate(file, 100).await;
    world.check();
    assert_eq!(world.read(file).await, [1; 100]);
}

#[tokio::test]
async fn a_hole_stores_nothing_and_reads_as_zeros() {
    let world = World::new().await;
    let file = world.file("file", &range(256 << 10)).await;
    world.punch(file, 64 * KIB..192 * KIB).await;
    world.check();
    let facts = world.volume.facts(file).unwrap();
    assert_eq!((facts.size, facts.standard_bytes), (256 * KIB, 128 * KIB));
    assert_eq!(world.volume.seek(file, 0, SeekFor::Hole).unwrap(), Sought::At(64 * KIB));
    assert_eq!(world.volume.seek(file, 64 * KIB, SeekFor::Data).unwrap(), Sought::At(192 * KIB));
    assert_eq!(world.volume.seek(file, 200 * KIB, SeekFor::Hole).unwrap(), Sought::At(256 * KIB));
    assert_eq!(world.volume.seek(file, 256 * KIB, SeekFor::Data).unwrap(), Sought::BeyondEnd);
    // Within a slot, not at the bounds of units: the rest of the block goes on being shown, and the edges are zeros.
    world.punch(file, 5_000..30_000).await;
    world.check();
    let mut content = range(256 << 10);
    content[64 << 10..192 << 10].fill(0);
    content[5_000..30_000].fill(0);
    assert_eq!(world.read(file).await, content);
    world.fold().await;
    world.collect().await;
    world.check();
    assert_eq!(world.read(file).await, content);
    world.punch(file, 0..u64::MAX).await;
    world.check();
    assert_eq!(live(&world), 0);
    assert_eq!(world.read(file).await, vec![0; 256 << 10]);
    assert_eq!(world.volume.seek(file, 5, SeekFor::Data).unwrap(), Sought::EndOfFile);
}

#[tokio::test]
async fn punching_under_unflushed_data_takes_it_too_and_keeps_the_size() {
    let world = World::new().await;
    let file = world.create("file").await;
    world.write(file, 0, &range(100_000), Stability::Unstable).await;
    world.punch(file, 90_000..100_000).await;
    world.write(file, 20_000, &[9; 10], Stability::Unstable).await;
    let mut content = range(90_000);
    content.resize(100_000, 0);
    content[20_000..20_010].fill(9);
    assert_eq!(world.read(file).await, content);
    drop(world.volume.commit(file).await.unwrap());
    world.check();
    assert_eq!(world.read(file).await, content);
}

#[tokio::test]
async fn zeroing_behind_the_end_makes_the_file_longer_if_asked_to() {
    let world = World::new().await;
    let file = world.file("file", &range(10_000)).await;
    world.punch(file, 9_000..20_000).await;
    assert_eq!(world.volume.attributes(file).unwrap().size, 10_000);
    let zeroed = world.volume.zero(&Credential::root(), file, 8_000..20_000, ZeroSize::Extend).await.unwrap();
    zeroed.durable().await.unwrap();
    world.check();
    let mut content = range(8_000);
    content.resize(20_000, 0);
    assert_eq!(world.read(file).await, content);
}

#[tokio::test]
async fn punching_and_cloning_a_cold_file_asks_nothing_of_the_store() {
    let world = World::new().await;
    let file = world.file("file", &range(200 << 10)).await;
    world.transition(file, Tier::InfrequentAccess).await;
    let clone = world.create("clone").await;
    let before = world.volume.cold.requests();
    world.punch(file, 10_000..150_000).await;
    world.clone_range(file, clone, whole(0)).await;
    assert_eq!(world.volume.cold.requests(), before);
    world.check();
    let mut content = range(200 << 10);
    content[10_000..150_000].fill(0);
    assert_eq!(world.read(clone).await, content);
    assert_eq!(world.read(file).await, content);
}

#[tokio::test]
async fn overwriting_the_source_leaves_the_clone() {
    let world = World::new().await;
    let source = world.file("source", &range(200_000)).await;
    let clone = world.create("clone").await;
    let before = live(&world);
    world.clone_range(source, clone, whole(0)).await;
    world.check();
    assert_eq!(live(&world), before, "a shared block counts once");
    world.write(source, 70_000, &noise(3, 5_000), Stability::FileSync).await;
    world.fold().await;
    world.write(source, 0, &noise(4, 131_072), Stability::Unstable).await;
    world.write(source, 131_072, &noise(5, 10), Stability::Unstable).await;
    drop(world.volume.commit(source).await.unwrap());
    world.check();
    assert_eq!(world.read(clone).await, range(200_000));
    world.write(clone, 0, b"mine", Stability::FileSync).await;
    world.fold().await;
    world.check();
    assert_eq!(world.read(source).await[..10], noise(4, 10));
}

#[tokio::test]
async fn removing_the_source_and_collecting_leaves_the_clone() {
    let world = World::new().await;
    let source = world.file("source", &range(300_000)).await;
    let clone = world.create("clone").await;
    // Of each slot a part, to an uneven place.
    let part = CloneRange { source_offset: 8 * KIB, destination_offset: 36 * KIB, length: 200 * KIB };
    world.clone_range(source, clone, part).await;
    world.remove("source").await;
    world.check();
    world.collect().await;
    world.check();
    let mut content = vec![0; 36 << 10];
    content.extend_from_slice(&range(300_000)[8 << 10..208 << 10]);
    assert_eq!(world.read(clone).await, content);
    world.remove("clone").await;
    world.collect().await;
    world.check();
    assert!(world.volume.segments().unwrap().is_empty(), "all is given back");
}

#[tokio::test]
async fn a_collection_moves_a_shared_block_once_and_swings_all_its_users() {
    let world = World::new().await;
    let keep = world.file("keep", &range(64 << 10)).await;
    let garbage = world.file("garbage", &noise(9, 300 << 10)).await;
    for number in 0..3 {
        let clone = world.create(&format!("clone-{number}")).await;
        world.clone_range(keep, clone, whole(0)).await;
    }
    world.remove("garbage").await;
    assert!(world.volume.attributes(garbage).is_err());
    let address =
        |world: &World| world.volume.segments().unwrap().keys().copied().collect::<Vec<SegmentId>>();
    let before = address(&world);
    world.collect().await;
    world.check();
    assert!(address(&world).iter().all(|id| !before.contains(id)), "the old segments are gone");
    assert_eq!(live(&world), 65_792);
    for number in 0..3 {
        let name = format!("clone-{number}");
        let entry = Entry { directory: InodeId::ROOT, name: name.as_bytes() };
        let clone = world.volume.lookup(&Credential::root(), entry).unwrap().inode;
        assert_eq!(world.read(clone).await, range(64 << 10));
    }
}

#[tokio::test]
async fn a_transition_of_a_clone_leaves_the_source_where_it_is() {
    let world = World::new().await;
    let source = world.file("source", &range(150_000)).await;
    let clone = world.create("clone").await;
    world.clone_range(source, clone, whole(0)).await;
    world.transition(clone, Tier::InfrequentAccess).await;
    world.check();
    let facts = |file| world.volume.facts(file).unwrap();
    assert_eq!((facts(source).standard_bytes, facts(source).infrequent_access_bytes), (150_000, 0));
    assert_eq!((facts(clone).standard_bytes, facts(clone).infrequent_access_bytes), (0, 150_000));
    let second = world.create("second").await;
    world.clone_range(clone, second, whole(0)).await;
    world.remove("clone").await;
    world.transition(second, Tier::Standard).await;
    world.collect().await;
    world.check();
    assert_eq!(world.read(second).await, range(150_000));
    assert_eq!(world.read(source).await, range(150_000));
}

#[tokio::test]
async fn a_clone_takes_pieces_and_unflushed_data_with_it() {
    let world = World::new().await;
    let source = world.file("source", &range(100_000)).await;
    world.write(source, 50_000, &noise(2, 100), Stability::FileSync).await;
    world.write(source, 99_999, &noise(3, 9_000), Stability::Unstable).await;
    let clone = world.file("clone", &noise(4, 300_000)).await;
    world.clone_range(source, clone, CloneRange { length: 96 * KIB, ..whole(0) }).await;
    world.check();
    let mut content = range(100_000);
    content[50_000..50_100].copy_from_slice(&noise(2, 100));
    content.truncate(96 << 10);
    content.extend_from_slice(&noise(4, 300_000)[96 << 10..]);
    assert_eq!(world.read(clone).await, content);
}

#[tokio::test]
async fn a_clone_within_a_file_moves_blocks_but_not_onto_itself() {
    let world = World::new().await;
    let file = world.file("file", &range(64 << 10)).await;
    world
        .clone_range(
            file,
            file,
            CloneRange { source_offset: 0, destination_offset: 60 * KIB, length: 4 * KIB },
        )
        .await;
    world.check();
    let mut content = range(64 << 10);
    content.copy_within(0..4096, 60 << 10);
    assert_eq!(world.read(file).await, content);
    for wrong in [
        CloneRange { source_offset: 0, destination_offset: 4 * KIB, length: 8 * KIB },
        CloneRange { source_offset: 1, destination_offset: 64 * KIB, length: 4 * KIB },
        CloneRange { source_offset: 0, destination_offset: 64 * KIB, length: 100 },
        CloneRange { source_offset: 0, destination_offset: 64 * KIB, length: 68 * KIB },
    ] {
        let refused = world.volume.clone_range(&Credential::root(), file, file, wrong).await;
        assert!(matches!(refused, Err(Error::Invalid { .. })), "{wrong:?}");
    }
}

#[tokio::test]
async fn a_missing_segment_is_an_error_and_never_zeros() {
    let world = World::new().await;
    let file = world.file("file", &range(100_000)).await;
    let clone = world.create("clone").await;
    world.clone_range(file, clone, whole(0)).await;
    world.volume.standard.close_active().await.unwrap();
    for id in world.volume.segments().unwrap().into_keys() {
        world.volume.standard.remove(id).await.unwrap();
    }
    for file in [file, clone] {
        let read = world.volume.read(file, 0, 100).await;
        assert!(matches!(read, Err(Error::Corrupt { .. })), "{read:?}");
    }
    // What nobody can read cannot be collected either; it stays an error, and is not tried for ever.
    world.write(file, 0, b"x", Stability::FileSync).await;
    assert!(matches!(world.volume.fold_pieces(true).await, Err(Error::Corrupt { .. })));
    assert!(world.directory.path().exists());
}

/// A write or a truncation may overtake a flush whose blocks are in a segment already.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_segment_that_nobody_points_to_goes_when_it_is_closed() {
    let world = World::new().await;
    let volume = &world.volume;
    let identity = BlockIdentity { content: ContentId(1), block: BlockIndex(0) };
    let block = PlainBlock { identity, bytes: Bytes::from(noise(1, 4096)) };
    let segment = {
        let _writing = volume.data_writes.read().await;
        volume.append_standard(vec![block], crate::data::Urgency::Waited).await.unwrap()[0].segment
    };
    let there = || volume.standard.list().unwrap().iter().any(|(id, _)| *id == segment);
    volume.release_segments(Duration::ZERO).await.unwrap();
    assert!(there(), "more may be appended to it");
    volume.standard.close_active().await.unwrap();
    volume.release_segments(Duration::ZERO).await.unwrap();
    assert!(!there());
}

/// A file of one slot in units, and a fold of a write to its fourth unit that has been read and not yet written.
async fn fold_under_way(world: &World) -> (InodeId, Vec<u8>, Vec<Move>) {
    let mut content = range(64 << 10);
    let file = world.file("file", &content).await;
    for (seed, at) in [(1, 0), (2, 12_288)] {
        content[at..at + 4096].copy_from_slice(&noise(seed, 4096));
        world.write(file, at as u64, &noise(seed, 4096), Stability::FileSync).await;
    }
    world.fold().await;
    assert_eq!(extents(&world.volume, file).len(), 16);
    content[12_288..16_384].copy_from_slice(&noise(3, 4096));
    world.write(file, 12 * KIB, &noise(3, 4096), Stability::FileSync).await;
    let gathered = world.volume.gather(file, Select::WithPieces, BlockIndex(0), 1024).await.unwrap();
    (file, content, gathered.moves)
}

#[tokio::test]
async fn a_fold_is_not_disturbed_by_a_change_beside_it() {
    let world = World::new().await;
    let (file, mut content, moves) = fold_under_way(&world).await;
    world.punch(file, 16 * KIB..24 * KIB).await;
    content[16_384..24_576].fill(0);
    let swung = world.volume.write_and_swing(&moves, Tier::Standard).await.unwrap();
    assert_eq!((swung.skipped, swung.bytes.get(&file)), (0, Some(&4096)));
    world.check();
    assert_eq!(extents(&world.volume, file).len(), 14);
    assert_eq!(world.read(file).await, content);
}

#[tokio::test]
async fn a_fold_leaves_alone_what_was_moved_or_cut_meanwhile() {
    for cut in [false, true] {
        let world = World::new().await;
        let (file, mut content, moves) = fold_under_way(&world).await;
        if cut {
            world.truncate(file, 13 * KIB).await;
            content.truncate(13 << 10);
        } else {
            world.collect().await;
        }
        let before = extents(&world.volume, file);
        let swung = world.volume.write_and_swing(&moves, Tier::Standard).await.unwrap();
        assert_eq!((swung.skipped, swung.bytes.get(&file)), (1, None), "cut: {cut}");
        world.check();
        assert!(extents(&world.volume, file) == before);
        assert_eq!(world.read(file).await, content);
    }
}

#[tokio::test]
async fn a_fold_over_a_hole_leaves_alone_what_was_laid_there_meanwhile() {
    let world = World::new().await;
    let file = world.file("file", &range(64 << 10)).await;
    world.punch(file, 8 * KIB..16 * KIB).await;
    world.write(file, 10 * KIB, &noise(1, 1024), Stability::FileSync).await;
    let gathered = world.volume.gather(file, Select::WithPieces, BlockIndex(0), 1024).await.unwrap();
    let other = world.file("other", &noise(2, 64 << 10)).await;
    let laid = CloneRange { source_offset: 8 * KIB, destination_offset: 12 * KIB, length: 4 * KIB };
    world.clone_range(other, file, laid).await;
    let content = world.read(file).await;
    world.volume.write_and_swing(&gathered.moves, Tier::Standard).await.unwrap();
    world.check();
    assert_eq!(world.read(file).await, content);
    assert_eq!(content[12_288..16_384], noise(2, 64 << 10)[8192..12_288]);
}
