use std::path::Path as FilePath;
use std::sync::Arc;

use bytes::Bytes;

use super::*;
use crate::identity::{BlockIndex, ContentId};
use crate::keys::DataKey;
use crate::tiers::store::fault::{Fault, FaultyStore};

const FILE_SYSTEM: [u8; 16] = [1; 16];
const SEGMENT: SegmentId = SegmentId([3; 16]);

fn keys() -> KeyRing {
    KeyRing::of_generation(SEGMENT.generation(), DataKey::from_bytes([2; 32]))
}

fn open_directory(path: &FilePath) -> ColdTier {
    let config = ColdStoreConfig::Directory(path.to_path_buf());
    ColdTier::open(&config, FileSystemId::from_random(FILE_SYSTEM), Environment::system(), &keys()).unwrap()
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
async fn what_a_killed_upload_and_a_killed_probe_left_goes() {
    let directory = tempfile::tempdir().unwrap();
    let tier = open_directory(directory.path());
    let segment = directory.path().join(tier.location.segment(SEGMENT).as_ref());
    let probe = directory.path().join(tier.location.probes().as_ref()).join("01");
    let staged = |path: &FilePath| FilePath::new(&format!("{}#1", path.display())).to_owned();
    let left = [staged(&segment), probe.clone(), staged(&probe)];
    for path in &left {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, b"part").unwrap();
    }
    tier.delete(SEGMENT).await.unwrap();
    tier.probe().await.unwrap();
    for path in &left {
        assert!(!path.exists(), "{}", path.display());
    }
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

fn on(store: &Arc<FaultyStore>) -> ColdTier {
    let config = ColdStoreConfig::Directory("/nowhere".into());
    let (file_system, environment) = (FileSystemId::from_random(FILE_SYSTEM), Environment::system());
    ColdTier {
        local: LocalObjects::none(),
        stack: Stack::new(store.clone(), &environment),
        location: Location::new(&config, file_system),
        file_system,
        keys: keys(),
        environment,
    }
}

#[tokio::test(start_paused = true)]
async fn a_put_survives_lost_answers_and_broken_bodies() {
    use Fault::{LoseReply, Refuse, Status, Truncate};
    let plan = [Refuse, LoseReply, Status(503), Refuse, LoseReply];
    let store = FaultyStore::new(&plan);
    let tier = on(&store);
    let addresses = tier.put(SEGMENT, blocks()).await.unwrap();
    assert_eq!(tier.requests().put, 5, "the fifth finds what the second left");
    store.always(Truncate);
    assert!(matches!(tier.read_many(&wanted(&addresses)).await, Err(Error::Unavailable { .. })));
}

#[tokio::test(start_paused = true)]
async fn a_store_that_keeps_something_else_is_found_out_at_once() {
    for fault in [Fault::Truncate, Fault::Forget] {
        let store = FaultyStore::new(&[fault]);
        let error = on(&store).put(SEGMENT, blocks()).await.unwrap_err();
        assert!(
            matches!(&error, Error::Unavailable { reason, .. } if reason.contains("after the upload")),
            "{error}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn an_outage_is_an_error_to_wait_for_and_is_seen() {
    let store = FaultyStore::new(&[]);
    let tier = on(&store);
    let addresses = tier.put(SEGMENT, blocks()).await.unwrap();
    store.always(Fault::Refuse);
    let error = tier.read(&addresses[0], blocks()[0].identity).await.unwrap_err();
    assert!(matches!(error, Error::Unavailable { .. }), "{error}");
    assert!(tier.health().is_some());
    store.always(Fault::Pass);
    tokio::time::advance(std::time::Duration::from_secs(1)).await;
    assert_eq!(tier.read(&addresses[0], blocks()[0].identity).await.unwrap(), blocks()[0].bytes);
    assert_eq!(tier.health(), None);
}

#[tokio::test(start_paused = true)]
async fn the_probe_says_what_is_wrong() {
    use Fault::{Disobey, Forget, Pass, Refuse, Status};
    let cases: [(&[Fault], &str); 7] = [
        (&[Status(404)], "no such bucket"),
        (&[Status(403)], "access is denied"),
        (&[Refuse], "cannot be reached"),
        (&[Status(503)], "cannot be reached"),
        (&[Pass, Disobey], "no conditional PUT"),
        (&[Pass, Pass, Disobey], "range reads"),
        (&[Forget], "no conditional PUT"),
    ];
    for (plan, expected) in cases {
        let store = FaultyStore::new(plan);
        match on(&store).probe().await {
            Err(Error::Open(OpenError::ColdStore { what })) => {
                assert!(what.contains(expected), "{plan:?}: {what}")
            }
            other => panic!("{plan:?}: {other:?}"),
        }
        let left: Vec<_> =
            futures::StreamExt::collect::<Vec<_>>(object_store::ObjectStore::list(&store.objects, None))
                .await;
        assert!(left.is_empty(), "{plan:?} leaves {left:?}");
    }
    let store = FaultyStore::new(&[]);
    store.always(Fault::Delay(std::time::Duration::from_secs(3600)));
    let start = tokio::time::Instant::now();
    assert!(on(&store).probe().await.is_err());
    assert!(start.elapsed() <= std::time::Duration::from_secs(10));
}

#[tokio::test]
async fn every_flipped_byte_of_an_object_is_noticed() {
    let directory = tempfile::tempdir().unwrap();
    let tier = open_directory(directory.path());
    let small: Vec<_> = blocks().into_iter().skip(2).collect();
    let addresses = tier.put(SEGMENT, small.clone()).await.unwrap();
    let path = directory.path().join(tier.location.segment(SEGMENT).as_ref());
    let bytes = std::fs::read(&path).unwrap();
    for position in 0..bytes.len() {
        let mut flipped = bytes.clone();
        flipped[position] ^= 1;
        std::fs::write(&path, &flipped).unwrap();
        let mut noticed = matches!(tier.directory(SEGMENT).await, Err(Error::Corrupt { .. }));
        for (address, block) in addresses.iter().zip(&small) {
            match tier.read(address, block.identity).await {
                Ok(read) => assert_eq!(read, block.bytes),
                Err(Error::Corrupt { what }) => noticed |= what.contains("frame"),
                Err(error) => panic!("{error}"),
            }
        }
        assert!(noticed, "byte {position}");
    }
    for length in 0..bytes.len() {
        std::fs::write(&path, &bytes[..length]).unwrap();
        assert!(matches!(tier.directory(SEGMENT).await, Err(Error::Corrupt { .. })), "{length} bytes");
        let last = tier.read(&addresses[1], small[1].identity).await;
        assert!(matches!(last, Err(Error::Corrupt { .. })), "{length} bytes: {last:?}");
    }
    std::fs::remove_file(&path).unwrap();
    assert!(matches!(tier.read(&addresses[0], small[0].identity).await, Err(Error::Corrupt { .. })));
}

#[tokio::test]
async fn a_long_directory_takes_a_second_request() {
    let store = FaultyStore::new(&[]);
    let tier = on(&store);
    let block = |index| PlainBlock {
        identity: BlockIdentity { content: ContentId(1), block: BlockIndex(index) },
        bytes: Bytes::from_static(b"small"),
    };
    tier.put(SEGMENT, (0..6000).map(block).collect()).await.unwrap();
    let before = tier.requests().get;
    let directory = tier.directory(SEGMENT).await.unwrap();
    assert_eq!(directory.len(), 6000);
    assert!(
        directory.iter().enumerate().all(|(index, (identity, _))| identity.block == BlockIndex(index as u64))
    );
    assert_eq!(tier.requests().get - before, 2);
}

/// Objects are asked for one by one where it matters.
#[tokio::test]
async fn a_list_may_be_stale_and_the_length_of_an_object_is_not() {
    let store = FaultyStore::new(&[]);
    let config = ColdStoreConfig::Bucket {
        name: "bucket".into(),
        prefix: String::new(),
        endpoint: None,
        region: None,
    };
    let file_system = FileSystemId::from_random(FILE_SYSTEM);
    let tier = ColdTier::over(store.clone(), &config, file_system, Environment::system(), &keys());
    let end = tier.put(SEGMENT, blocks()).await.unwrap()[3].end();
    store.lag(1, 100);
    assert_eq!((tier.list().await.unwrap(), tier.length(SEGMENT).await.unwrap()), (vec![], Some(end)));
    tier.delete(SEGMENT).await.unwrap();
    assert_eq!(
        (tier.list().await.unwrap(), tier.length(SEGMENT).await.unwrap()),
        (vec![(SEGMENT, end)], None)
    );
    // The probe's object is shown too when it is long gone.
    tier.probe().await.unwrap();
    assert_eq!(tier.strays().await.unwrap(), Vec::<String>::new());
    store.lag(1, 0);
    assert!(tier.list().await.unwrap().is_empty());
}

#[test]
fn objects_are_named_by_file_system_and_segment() {
    let bucket = ColdStoreConfig::Bucket {
        name: "bucket".into(),
        prefix: "some/where".into(),
        endpoint: None,
        region: None,
    };
    let location = Location::new(&bucket, FileSystemId::from_random(FILE_SYSTEM));
    let path = location.segment(SEGMENT);
    let expected = "some/where/fs-01010101010101010/segments/03/03030303030303030303030303030303";
    assert_eq!(path.as_ref(), expected);
    assert_eq!(location.parse(&path), Some(SEGMENT));
    for other in [expected.replace("/03/", "/04/"), expected.replace("some", "any"), format!("{expected}0")] {
        assert_eq!(location.parse(&Path::from(other)), None);
    }
}
