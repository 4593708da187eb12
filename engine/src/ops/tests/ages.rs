//! Which files are due, when many of those at the old end of the index were accessed since.

use super::*;
use crate::attributes::Timestamp;
use crate::tiering::DueCursor;

fn after(time: Timestamp, seconds: i64) -> Timestamp {
    Timestamp { seconds: time.seconds + seconds, nanoseconds: 0 }
}

#[tokio::test]
async fn files_that_are_read_do_not_hide_one_that_is_due() {
    let world = World::new().await;
    let now = world.volume.environment.clock.now();
    for number in 0..100 {
        let hot = world.file(&format!("hot-{number}"), &[1; 10]).await;
        world.volume.access_log.touch(hot, after(now, 1000));
    }
    let cold = world.file("cold", &[1; 10]).await;
    let due = |before, limit| {
        let page = world.volume.due(before, &DueCursor::default(), limit).unwrap();
        page.files.iter().map(|facts| facts.inode).collect::<Vec<_>>()
    };
    assert_eq!(due(after(now, 60), 1), [cold]);
    assert_eq!(due(after(now, 1_000_000), 1), [cold], "the others moved behind it");
    assert_eq!(due(after(now, 1_000_000), 1000).len(), 101);
    world.check();
}
