//! Golden files: an object of the cold tier.

use std::path::{Path, PathBuf};

use ::golden::Format;
use bytes::Bytes;
use tokio::runtime::{Builder, Runtime};

use super::ColdTier;
use crate::data::block::{BlockIdentity, Codec, PlainBlock};
use crate::file_system::ColdStoreConfig;
use crate::golden::fixed::{environment, file_system, ring};
use crate::identity::{BlockIndex, ContentId, SegmentId};

pub(crate) const FORMATS: &[Format] = &[
    Format { name: "cold-object-1", write: None, read: read_cold_object },
    Format { name: "cold-object", write: Some(cold_object), read: read_cold_object },
];

const SEGMENT: SegmentId = SegmentId([0xe0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 0, 2]);
const NAME: &str = "fs-5a5a5a5a5a5a5a5a5/segments/e0/e00102030405060708090a0b0c0d0002";

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_time().build().unwrap()
}

fn open(directory: &Path) -> ColdTier {
    let config = ColdStoreConfig::Directory(directory.to_owned());
    ColdTier::open(&config, file_system(), environment(), &ring()).unwrap()
}

/// One that zstd makes smaller, and one that it does not.
fn blocks() -> Vec<PlainBlock> {
    let block = |content, block, bytes| PlainBlock {
        identity: BlockIdentity { content: ContentId(content), block: BlockIndex(block) },
        bytes,
    };
    let text = b"tide and time and tide and time and tide ".repeat(100);
    vec![block(2, 0, Bytes::from(text)), block(3, 16, Bytes::from_static(b"short"))]
}

fn cold_object() -> Vec<u8> {
    let directory = tempfile::tempdir().unwrap();
    let tier = open(directory.path());
    let addresses = runtime().block_on(tier.put(SEGMENT, blocks())).unwrap();
    let codecs: Vec<Codec> = addresses.iter().map(|address| address.codec).collect();
    assert_eq!(codecs, [Codec::Zstd, Codec::Plain]);
    std::fs::read(directory.path().join(NAME)).unwrap()
}

fn read_cold_object(stored: &[u8]) {
    let directory = tempfile::tempdir().unwrap();
    let path: PathBuf = directory.path().join(NAME);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, stored).unwrap();
    let tier = open(directory.path());
    let runtime = runtime();
    assert_eq!(runtime.block_on(tier.list()).unwrap(), [(SEGMENT, stored.len() as u64)]);
    let found = runtime.block_on(tier.directory(SEGMENT)).unwrap();
    assert_eq!(found.len(), blocks().len());
    for ((identity, address), block) in found.into_iter().zip(blocks()) {
        assert_eq!(identity, block.identity);
        assert_eq!(runtime.block_on(tier.read(&address, identity)).unwrap(), block.bytes);
    }
}
