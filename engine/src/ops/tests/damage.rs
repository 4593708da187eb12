//! Damage on the disk that a read meets.

use std::os::unix::fs::FileExt;

use super::*;
use crate::error::{Error, Result};
use crate::identity::BlockIndex;
use crate::records::Content;
use crate::tiering::HealthState;
use crate::volume::Look;

const SLOT: u64 = 64 * KIB;

/// Changes a bit in the middle of the block at an offset of a file; another time it changes it back.
fn flip(world: &World, file: InodeId, offset: u64) {
    let Content::File { id, .. } = world.volume.stored_inode(file).unwrap().content else {
        panic!("no file")
    };
    let slot = BlockIndex::of_byte(offset).slot();
    let (_, extent) = world.volume.store.extents(id, slot, BlockIndex(u64::MAX)).unwrap()[0];
    let address = extent.address;
    let home = world.directory.path().join("data").join(world.volume.id.to_string());
    let path = home.join("segments").join(address.segment.to_string());
    let segment = std::fs::OpenOptions::new().read(true).write(true).open(path).unwrap();
    let at = address.offset + u64::from(address.sealed_bytes) / 2;
    let mut byte = [0];
    segment.read_exact_at(&mut byte, at).unwrap();
    segment.write_all_at(&[byte[0] ^ 1], at).unwrap();
}

async fn read(world: &World, file: InodeId, range: Range<u64>) -> Result<Vec<u8>> {
    let length = usize::try_from(range.end - range.start).unwrap();
    Ok(world.volume.read(file, range.start, length).await?.parts.concat())
}

fn reasons(world: &World) -> Vec<String> {
    let health = world.volume.status().unwrap().health;
    assert_eq!(health.state == HealthState::Ok, health.reasons.is_empty());
    health.reasons
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_of_a_damaged_block_fails_and_shows_in_the_status_until_the_file_is_replaced() {
    let world = World::new().await;
    let (content, other_content) = (noise(1, 300_000), noise(2, 300_000));
    let (hit, other) = (world.file("hit", &content).await, world.file("other", &other_content).await);
    world.volume.standard.close_active().await.unwrap();
    flip(&world, hit, SLOT);
    assert_eq!(reasons(&world), Vec::<String>::new(), "nobody knows yet");

    for range in [SLOT..2 * SLOT, 0..300_000, SLOT + 30_000..SLOT + 40_000] {
        let error = read(&world, hit, range.clone()).await.unwrap_err();
        let names_it =
            matches!(&error, Error::Corrupt { what } if what.starts_with(&format!("inode {hit}: ")));
        assert!(names_it, "{range:?}: {error}");
    }
    assert_eq!(read(&world, hit, 0..SLOT).await.unwrap(), content[..SLOT as usize]);
    assert_eq!(read(&world, hit, 2 * SLOT..300_000).await.unwrap(), content[2 * SLOT as usize..]);
    assert_eq!(world.read(other).await, other_content);
    let said = reasons(&world);
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].starts_with("3 reads ") && said[0].contains(&format!(", of inode {hit}: ")), "{said:?}");
    assert!(said[0].contains("tidefs verify --deep"), "{said:?}");

    world.truncate(hit, 0).await;
    assert_eq!(reasons(&world), Vec::<String>::new());
    world.write(hit, 0, &content, Stability::FileSync).await;
    assert_eq!(world.read(hit).await, content);
    assert_eq!(reasons(&world), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_status_forgets_what_was_removed_and_what_reads_well_again() {
    let world = World::new().await;
    let (mended, removed) =
        (world.file("mended", &noise(1, 70_000)).await, world.file("removed", &noise(2, 70_000)).await);
    world.volume.standard.close_active().await.unwrap();
    for file in [mended, removed] {
        flip(&world, file, 0);
        read(&world, file, 0..SLOT).await.unwrap_err();
    }
    let newest_first = format!(", of inode {removed}, inode {mended}: ");
    assert!(reasons(&world)[0].contains(&newest_first), "{:?}", reasons(&world));
    flip(&world, mended, 0);
    read(&world, mended, SLOT..70_000).await.unwrap();
    assert!(reasons(&world)[0].contains(&newest_first), "another part says nothing of it");
    assert_eq!(read(&world, mended, 0..70_000).await.unwrap(), noise(1, 70_000));
    assert!(reasons(&world)[0].contains(&format!(", of inode {removed}: ")), "{:?}", reasons(&world));
    world.remove("removed").await;
    assert_eq!(reasons(&world), Vec::<String>::new());
}
