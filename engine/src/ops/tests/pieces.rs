//! Small writes that lie in the metadata as pieces: how they are put over one another, and how many.

use super::*;
use crate::environment::StoppedClock;
use crate::identity::BlockIndex;
use crate::metadata::Haste;
use crate::ops::relocate::Select;
use crate::ops::write::Stamp;
use crate::{Authority, SeekFor, Sought};

/// Offsets in one slot, from which pieces of a byte do not touch.
fn apart(count: u64) -> impl Iterator<Item = u64> {
    (0..count).map(|number| number * 16)
}

#[tokio::test]
async fn the_newest_is_seen_where_joined_pieces_and_new_ones_of_one_record_meet() {
    let world = World::new().await;
    let file = world.create("file").await;
    let mut expected = vec![0; 62_000];
    // They touch, so that they become one piece when they are joined.
    for number in 0..32 {
        world.write(file, 60_000 + number * 8, &[1; 8], Stability::FileSync).await;
    }
    expected[60_000..60_256].fill(1);
    // More than are put at once, and the last one lies over the beginning of that piece.
    for number in 0..1024_usize {
        world.write(file, number as u64 * 2, &[2], Stability::Unstable).await;
        expected[number * 2] = 2;
    }
    world.write(file, 59_900, &[3; 200], Stability::Unstable).await;
    expected[59_900..60_100].fill(3);
    world.write(file, 61_999, &[4], Stability::Unstable).await;
    expected[61_999] = 4;
    world.volume.commit(file).await.unwrap().durable().await.unwrap();
    assert!(world.read(file).await == expected);
    world.check();
    world.fold().await;
    assert!(world.read(file).await == expected);
}

#[tokio::test]
async fn a_later_part_of_a_flush_lies_over_what_an_earlier_one_had_joined() {
    let world = World::new().await;
    let file = world.create("file").await;
    for number in 0..32 {
        world.write(file, 1000 + number * 8, &[1; 8], Stability::FileSync).await;
    }
    world.write(file, 0, &[2; 10], Stability::Unstable).await;
    world.write(file, 900, &[3; 200], Stability::Unstable).await;
    world.volume.commit(file).await.unwrap().durable().await.unwrap();
    let read = world.read(file).await;
    assert_eq!((read[899], read[1050], read[1099], read[1100]), (0, 3, 3, 1));
}

#[tokio::test]
async fn pieces_that_do_not_touch_are_not_written_again_and_again() {
    let world = World::new().await;
    let file = world.create("file").await;
    for offset in apart(1000) {
        world.write(file, offset, &[1], Stability::FileSync).await;
    }
    let before = world.volume.store.statistics().overlay_bytes;
    for offset in apart(100) {
        world.write(file, 16_000 + offset, &[2], Stability::FileSync).await;
    }
    let taken = world.volume.store.statistics().overlay_bytes - before;
    assert!(taken < 100 * 1000, "{taken} bytes for 100 pieces of a byte");
    world.check();
    let read = world.read(file).await;
    assert!(read.iter().enumerate().all(|(at, byte)| (*byte != 0) == (at % 16 == 0)));
}

#[tokio::test]
async fn seek_gets_past_a_slot_of_many_pieces() {
    let world = World::new().await;
    let file = world.create("file").await;
    for offset in apart(2000) {
        world.write(file, offset, &[1], Stability::FileSync).await;
    }
    world.write(file, 100_000, &[1; 5000], Stability::FileSync).await;
    let seek = |offset, wanted| world.volume.seek(file, offset, wanted).unwrap();
    assert_eq!(seek(0, SeekFor::Hole), Sought::At(1));
    assert_eq!(seek(1, SeekFor::Data), Sought::At(16));
    assert_eq!(seek(31_985, SeekFor::Data), Sought::At(100_000));
    assert_eq!(seek(100_000, SeekFor::Hole), Sought::At(105_000));
}

#[tokio::test]
async fn a_flush_changes_nothing_that_users_see() {
    let world = World::new().await;
    let file = world.create("file").await;
    for bytes in [100, 300_000] {
        world.write(file, 0, &vec![1; bytes], Stability::Unstable).await;
        let before = world.volume.attributes(file).unwrap();
        world.volume.commit(file).await.unwrap().durable().await.unwrap();
        let after = world.volume.attributes(file).unwrap();
        assert_eq!((after.change, after.ctime, after.mtime), (before.change, before.ctime, before.mtime));
        world.write(file, 0, &[2], Stability::FileSync).await;
        assert!(world.volume.attributes(file).unwrap().change > after.change);
    }
}

/// What was appended in vain is garbage that the segment knows of.
#[tokio::test]
async fn blocks_that_nothing_points_to_are_counted() {
    let world = World::new().await;
    let file = world.file("file", &noise(1, 128 << 10)).await;
    world.write(file, 0, &[1; 100], Stability::FileSync).await;
    let gathered = world.volume.gather(file, Select::WithPieces, BlockIndex(0), 100).await.unwrap();
    world.write(file, 0, &[2; 200], Stability::FileSync).await;
    let swung = world.volume.write_and_swing(&gathered.moves, Tier::Standard).await.unwrap();
    assert_eq!(swung.skipped, 1);
    let rows = world.volume.segments().unwrap();
    let live: u64 = rows.values().map(|row| row.live_bytes).sum();
    let written: u64 = rows.values().map(|row| row.written_bytes).sum();
    assert!(live >= 128 << 10 && written >= live + (64 << 10), "{live} of {written}");
    world.check();
}

/// As many pieces as a slot can have: the odd bytes come in another record than the even ones.
#[tokio::test]
async fn a_slot_full_of_pieces_of_one_byte_is_folded_and_cut() {
    let world = World::new().await;
    let files = [world.create("folded").await, world.create("cut").await];
    for (file, first) in files.into_iter().flat_map(|file| [(file, 0), (file, 1)]) {
        let bytes = |at| (at, Bytes::copy_from_slice(&[at as u8]));
        let ranges: Vec<_> = (first..65_536).step_by(2).map(bytes).collect();
        let mut change = world.volume.begin().unwrap();
        let stamp = Stamp { now: change.now(), end: 65_536, who: None };
        world.volume.put_pieces(&mut change, file, &ranges, stamp).unwrap();
        change.commit().accepted().unwrap().durable().await.unwrap();
    }
    let expected: Vec<u8> = (0..65_536_u32).map(|at| at as u8).collect();
    assert!(world.read(files[0]).await == expected);
    let set = SetAttributes { size: Some(10), ..SetAttributes::default() };
    let root = Credential::root();
    world
        .volume
        .set_attributes(&root, files[1], &set, Authority::OpenForWriting)
        .await
        .unwrap()
        .durable()
        .await
        .unwrap();
    assert_eq!(world.read(files[1]).await, expected[..10]);
    world.fold().await;
    assert!(world.read(files[0]).await == expected);
    assert_eq!(world.volume.store.scan(b"p", b"q", 1).unwrap(), []);
    world.check();
}

/// By this clock upkeep folds few pieces only when it is asked to, and the fold waits for ever.
#[tokio::test]
async fn a_fold_that_waits_for_pieces_has_upkeep_fold_them() {
    let environment = Environment { clock: Arc::new(StoppedClock), ..Environment::system() };
    let world = World::with_upkeep(environment).await;
    let file = world.create("file").await;
    world.write(file, 0, b"data", Stability::FileSync).await;
    assert_eq!(world.volume.totals().unwrap().piece_bytes, 4);
    let fold = world.volume.store.checkpoint_with(Haste::None);
    let fold = tokio::time::timeout(std::time::Duration::from_secs(60), fold).await;
    fold.expect("upkeep folds what the fold asks for").unwrap();
    assert_eq!(world.volume.totals().unwrap().piece_bytes, 0);
    assert_eq!(world.read(file).await, b"data");
    world.check();
}
