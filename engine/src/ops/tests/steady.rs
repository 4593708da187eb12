//! Space under steady overwriting, with upkeep driven by hand.

use super::*;
use crate::upkeep::plan::Space;

fn space(world: &World, tier: Tier) -> Space {
    let segments = world.volume.segments().unwrap();
    Space::of(segments.values().filter(|record| record.tier == tier))
}

/// One round of upkeep.
async fn upkeep(world: &World) {
    world.fold().await;
    world.volume.collect_garbage().await.unwrap();
    world.volume.delete_dead_segments().await.unwrap();
}

async fn overwrite(world: &World, file: InodeId, chance: &mut Chance, count: u64) {
    let size = world.volume.attributes(file).unwrap().size;
    for _ in 0..count {
        let at = chance.below(size / 4096) * 4096;
        let data = Bytes::from(noise(chance.next(), 4096));
        let written =
            world.volume.write(&Credential::root(), file, at, data, Stability::FileSync).await.unwrap();
        drop(written.ticket);
    }
}

#[tokio::test]
async fn random_overwriting_takes_less_than_one_and_a_half_times_the_space() {
    let world = World::new().await;
    let file = world.file("file", &noise(1, 4 << 20)).await;
    let mut chance = Chance::new(5);
    let (mut user, mut rewritten) = (0, 0);
    for round in 0..60 {
        overwrite(&world, file, &mut chance, 64).await;
        user += 64 * 4096;
        world.fold().await;
        let before = space(&world, Tier::Standard);
        upkeep(&world).await;
        let after = space(&world, Tier::Standard);
        rewritten += (before.stored - before.live).saturating_sub(after.stored - after.live);
        assert!(after.stored * 2 < after.live * 3, "round {round}: {after:?}");
    }
    world.check();
    // What was freed must have been written before: by the user, by the first cutting into units, or by the collector.
    assert!(rewritten < 2 * user + (8 << 20), "{rewritten} for {user}");
    // Nothing more is done when nothing more is written.
    let good = world.volume.segments().unwrap();
    for _ in 0..3 {
        upkeep(&world).await;
    }
    assert_eq!(world.volume.segments().unwrap(), good);
    assert!(world.volume.collection_plan().unwrap().segments.is_empty());
}

#[tokio::test]
async fn the_cold_tier_too_at_a_bounded_price_in_requests() {
    let world = World::new().await;
    let file = world.file("file", &noise(1, 2 << 20)).await;
    world.transition(file, Tier::InfrequentAccess).await;
    let mut chance = Chance::new(6);
    for round in 0..20 {
        overwrite(&world, file, &mut chance, 4).await;
        world.fold().await;
        world.transition(file, Tier::InfrequentAccess).await;
        upkeep(&world).await;
        let after = space(&world, Tier::InfrequentAccess);
        assert!(after.stored * 2 < after.live * 3, "round {round}: {after:?}");
    }
    world.check();
    let requests = world.volume.cold.requests();
    // Each round uploads one or two objects and reads them back; four blocks are read for folding, and now and then objects go.
    assert!(requests.put < 60 && requests.get < 500 && requests.delete < 60, "{requests:?}");
}

#[tokio::test]
async fn a_plan_says_what_a_collection_then_does() {
    let world = World::new().await;
    let file = world.file("file", &noise(1, 1 << 20)).await;
    let doomed = world.file("doomed", &noise(2, 600 << 10)).await;
    world.volume.standard.close_active().await.unwrap();
    world.remove("doomed").await;
    assert!(world.volume.attributes(doomed).is_err());
    world.punch(file, 0..700 * KIB).await;
    let plan = world.volume.collection_plan().unwrap();
    let before = world.volume.segments().unwrap();
    assert_eq!(world.volume.collection_plan().unwrap(), plan, "a look changes nothing");
    assert!(!plan.segments.is_empty());
    let done = world.volume.collect_now().await.unwrap();
    let after = world.volume.segments().unwrap();
    for planned in &plan.segments {
        let id = *before.keys().find(|id| id.to_string() == planned.id).unwrap();
        assert!(!after.contains_key(&id), "{planned:?} is still there");
    }
    assert_eq!(done.deleted_segments, plan.segments.len() as u64);
    world.check();
    assert_eq!(world.read(file).await[700 << 10..], noise(1, 1 << 20)[700 << 10..]);
}

/// What cannot be deleted keeps nothing else, is passed by for a while, and goes when it can.
#[tokio::test]
async fn a_segment_that_cannot_be_deleted_does_not_keep_the_others() {
    let world = World::new().await;
    for name in ["a", "b", "c"] {
        world.file(name, &noise(1, 300 << 10)).await;
        world.volume.standard.close_active().await.unwrap();
    }
    for name in ["a", "b", "c"] {
        world.remove(name).await;
    }
    let dead = world.volume.dead_segments().unwrap();
    assert!(dead.len() >= 3, "{dead:?}");
    let home = std::fs::read_dir(world.directory.path().join("data")).unwrap();
    let home = home.map(|entry| entry.unwrap().path()).find(|path| path.is_dir()).unwrap();
    let stuck = dead[0].0;
    let path = home.join("segments").join(stuck.to_string());
    // A directory is not unlinked.
    std::fs::remove_file(&path).unwrap();
    std::fs::create_dir(&path).unwrap();

    assert!(world.volume.delete_dead_segments().await.is_err());
    let left = |world: &World| -> Vec<_> {
        world.volume.dead_segments().unwrap().into_iter().map(|(id, _)| id).collect()
    };
    assert_eq!(left(&world), [stuck]);
    let now = world.volume.environment.clock.monotonic();
    world.volume.release_segments(now).await.unwrap();
    assert_eq!(left(&world), [stuck], "it rests");

    std::fs::remove_dir(&path).unwrap();
    world.volume.delete_dead_segments().await.unwrap();
    assert_eq!(left(&world), []);
    world.check();
}
