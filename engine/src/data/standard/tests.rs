mod damage;
mod failing_disk;

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;

use super::*;
use crate::disk::RealDisk;
use crate::identity::{BlockIndex, ContentId};
use crate::keys::DataKey;

const SEGMENT_BYTES: u64 = 1 << 20;

fn open(directory: &Path) -> StandardTier {
    open_on(directory, Arc::new(RealDisk))
}

fn open_on(directory: &Path, disk: Arc<dyn Disk>) -> StandardTier {
    let file_system = FileSystemId::from_random([1; 16]);
    let keys = KeyRing::of(DataKey::from_bytes([2; 32]));
    StandardTier::open(directory, disk, Environment::system(), &keys, file_system, SEGMENT_BYTES).unwrap()
}

fn block(content: u64, index: u64, length: usize) -> PlainBlock {
    let byte = |position: usize| (position as u64 * 31 + content * 7 + index) as u8;
    PlainBlock {
        identity: BlockIdentity { content: ContentId(content), block: BlockIndex(index) },
        bytes: (0..length).map(byte).collect(),
    }
}

async fn append_checked(tier: &StandardTier, blocks: Vec<PlainBlock>) -> Vec<(PlainBlock, BlockAddress)> {
    let addresses = tier.append(blocks.clone(), Urgency::Waited).await.unwrap();
    assert_eq!(addresses.len(), blocks.len());
    for (block, address) in blocks.iter().zip(&addresses) {
        assert_eq!(tier.read(address, block.identity).await.unwrap(), block.bytes);
    }
    blocks.into_iter().zip(addresses).collect()
}

#[tokio::test]
async fn blocks_are_read_back_also_by_the_next_start() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("segments");
    let tier = open(&path);
    let mut stored = append_checked(&tier, vec![block(1, 0, 65_536), block(1, 1, 1), block(2, 0, 700)]).await;
    stored.extend(append_checked(&tier, vec![block(2, 1, 4096)]).await);
    let segment = tier.active().unwrap();
    drop(tier);

    let tier = open(&path);
    assert_eq!(tier.active(), None);
    let wanted: Vec<_> = stored.iter().rev().map(|(block, address)| (*address, block.identity)).collect();
    let read = tier.read_many(&wanted).await.unwrap();
    let expected: Vec<Bytes> = stored.iter().rev().map(|(block, _)| block.bytes.clone()).collect();
    assert_eq!(read, expected);
    let directory: Vec<_> = stored.iter().map(|(block, address)| (block.identity, *address)).collect();
    assert_eq!(tier.directory(segment).await.unwrap(), directory);

    append_checked(&tier, vec![block(3, 0, 10)]).await;
    assert_ne!(tier.active(), Some(segment), "a segment is never reopened for writing");
}

#[tokio::test]
async fn a_page_of_a_block_is_read_without_the_rest() {
    let directory = tempfile::tempdir().unwrap();
    let tier = open(directory.path());
    let (block, address) = append_checked(&tier, vec![block(1, 0, 65_536)]).await.remove(0);
    let page = |at: u32| BlockPart::with(address, at..at + 4096).unwrap();
    let path = directory.path().join(address.segment.to_string());
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[usize::try_from(page(8192).offset()).unwrap()] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    drop(tier);

    let tier = open(directory.path());
    for _warm in 0..2 {
        for at in (0..65_536).step_by(4096) {
            let read = tier.read_part(&page(at), block.identity).await;
            match at {
                8192 => assert!(matches!(read, Err(Error::Corrupt { .. })), "the damaged one"),
                at => assert_eq!(read.unwrap(), block.bytes.slice(at as usize..at as usize + 4096)),
            }
        }
    }
    assert!(matches!(tier.read(&address, block.identity).await, Err(Error::Corrupt { .. })));
}

#[tokio::test]
async fn a_full_or_closed_segment_is_followed_by_a_new_one() {
    let directory = tempfile::tempdir().unwrap();
    let tier = open(directory.path());
    let mut segments = HashMap::new();
    for index in 0..40 {
        for (_, address) in append_checked(&tier, vec![block(1, index, 65_536)]).await {
            *segments.entry(address.segment).or_insert(0) += 1;
        }
    }
    assert_eq!(segments.len(), 3);
    assert_eq!(tier.list().unwrap().len(), 3);
    let active = tier.active().unwrap();
    tier.close_active().await.unwrap();
    assert_eq!(tier.active(), None);
    append_checked(&tier, vec![block(1, 99, 5)]).await;
    assert_ne!(tier.active(), Some(active));
}

#[tokio::test]
async fn concurrent_appends_each_get_their_own_addresses() {
    let directory = tempfile::tempdir().unwrap();
    let tier = Arc::new(open(directory.path()));
    let tasks = (0..50).map(|content| {
        let tier = Arc::clone(&tier);
        tokio::spawn(async move {
            append_checked(&tier, vec![block(content, 0, 100), block(content, 1, 200)]).await
        })
    });
    futures::future::try_join_all(tasks).await.unwrap();
}

#[tokio::test]
async fn a_removed_segment_is_gone_and_removing_it_again_is_no_error() {
    let directory = tempfile::tempdir().unwrap();
    let tier = open(directory.path());
    let (block, address) = append_checked(&tier, vec![block(1, 0, 10)]).await.remove(0);
    assert!(matches!(tier.remove(address.segment).await, Err(Error::Invalid { .. })), "it is being written");
    tier.close_active().await.unwrap();
    tier.remove(address.segment).await.unwrap();
    tier.remove(address.segment).await.unwrap();
    assert!(tier.list().unwrap().is_empty());
    assert!(matches!(tier.read(&address, block.identity).await, Err(Error::Corrupt { .. })));
}
