use std::path::Path as FilePath;

use bytes::Bytes;

use super::*;
use crate::identity::{BlockIndex, ContentId};

const FILE_SYSTEM: [u8; 16] = [1; 16];
const SEGMENT: SegmentId = SegmentId([3; 16]);

fn open_directory(path: &FilePath) -> ColdTier {
    let config = ColdStoreConfig::Directory(path.to_path_buf());
    let data_key = DataKey::from_bytes([2; 32]);
    ColdTier::open(&config, FileSystemId::from_random(FILE_SYSTEM), Environment::system(), &data_key).unwrap()
}

fn blocks() -> Vec<PlainBlock> {
    let noise = |length| {
        let next = |state: &u64| Some(state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1));
        std::iter::successors(Some(7), next).map(|state| (state >> 56) as u8).take(length).collect::<Bytes>()
    };
    let block = |content, block, bytes| PlainBlock {
        identity: BlockIdentity { content: ContentId(content), block: BlockIndex(block) },
        bytes,
    };
    vec![
        block(1, 0, Bytes::from(vec![b'a'; 65_536])),
        block(1, 1, noise(65_536)),
        block(2, 0, noise(1)),
        block(3, 7, Bytes::from_static(b"short")),
    ]
}

fn wanted(addresses: &[BlockAddress]) -> Vec<Wanted> {
    addresses.iter().zip(blocks()).map(|(address, block)| (*address, block.identity)).collect()
}

#[tokio::test]
async fn what_is_put_is_read_listed_and_deleted() {
    let directory = tempfile::tempdir().unwrap();
    let tier = open_directory(&directory.path().join("cold"));
    tier.probe().await.unwrap();
    let addresses = tier.put(SEGMENT, blocks()).await.unwrap();
    assert!(addresses[0].sealed_bytes < 1000, "a block of one letter is compressed");
    assert_eq!(addresses[1].sealed_bytes, 65_552, "noise is kept as it is");

    let before = tier.requests();
    let read = tier.read_many(&wanted(&addresses)).await.unwrap();
    assert_eq!(read, blocks().into_iter().map(|block| block.bytes).collect::<Vec<_>>());
    assert_eq!(tier.requests().get - before.get, 1, "neighbours are read together");
    for ((address, identity), block) in wanted(&addresses).iter().zip(blocks()) {
        assert_eq!(tier.read(address, *identity).await.unwrap(), block.bytes);
    }
    let directory: Vec<_> =
        wanted(&addresses).into_iter().map(|(address, identity)| (identity, address)).collect();
    assert_eq!(tier.directory(SEGMENT).await.unwrap(), directory);

    let end = addresses[3].end();
    assert_eq!(tier.list().await.unwrap(), [(SEGMENT, end)]);
    tier.delete(SEGMENT).await.unwrap();
    tier.delete(SEGMENT).await.unwrap();
    assert!(tier.list().await.unwrap().is_empty());
    assert_eq!(tier.health(), None);
}

#[tokio::test]
async fn putting_the_same_again_succeeds_and_other_blocks_under_one_id_do_not() {
    let directory = tempfile::tempdir().unwrap();
    let tier = open_directory(directory.path());
    let first = tier.put(SEGMENT, blocks()).await.unwrap();
    assert_eq!(tier.put(SEGMENT, blocks()).await.unwrap(), first);
    let fewer = blocks().into_iter().take(2).collect();
    assert!(matches!(tier.put(SEGMENT, fewer).await, Err(Error::Unavailable { .. })));
    assert_eq!(tier.read_many(&wanted(&first)).await.unwrap().len(), 4);
}
