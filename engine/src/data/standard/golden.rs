//! Golden files: a segment of the Standard tier.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ::golden::Format;
use bytes::Bytes;
use tokio::runtime::{Builder, Runtime};

use super::{StandardTier, Urgency};
use crate::data::block::{BlockIdentity, PlainBlock};
use crate::fuzzing::memory::MemoryDisk;
use crate::golden::fixed::{environment, file_system, ring};
use crate::identity::{BlockIndex, ContentId, SegmentId};

pub(crate) const FORMATS: &[Format] = &[
    Format {
        name: "standard-segment-1",
        write: None,
        read: |stored| read_segment(stored, &batches().concat()),
    },
    Format { name: "standard-segment", write: Some(standard_segment), read: read_standard_segment },
];

const DIRECTORY: &str = "/segments";
/// What the fixed numbers make, and the second key.
const NAME: &str = "e220a8397b1dcdaf6e789e6aa1b90002";

fn runtime() -> Runtime {
    Builder::new_current_thread().build().unwrap()
}

fn open(disk: &MemoryDisk) -> StandardTier {
    let disk = Arc::new(disk.clone());
    StandardTier::open(Path::new(DIRECTORY), disk, environment(), &ring(), file_system(), 1 << 20).unwrap()
}

fn path() -> PathBuf {
    Path::new(DIRECTORY).join(NAME)
}

/// Two batches.
fn batches() -> [Vec<PlainBlock>; 2] {
    let block = |content, block, bytes: &'static [u8]| PlainBlock {
        identity: BlockIdentity { content: ContentId(content), block: BlockIndex(block) },
        bytes: Bytes::from_static(bytes),
    };
    [vec![block(2, 0, b"first"), block(2, 16, &[0x2a; 600])], vec![block(1 << 40, 1 << 33, b"x")]]
}

/// A block in cells, which version 1 does not have.
fn in_cells() -> Vec<PlainBlock> {
    let identity = BlockIdentity { content: ContentId(3), block: BlockIndex(0) };
    vec![PlainBlock { identity, bytes: Bytes::from_static(&[0x2b; 4100]) }]
}

fn standard_segment() -> Vec<u8> {
    let disk = MemoryDisk::default();
    let tier = open(&disk);
    for batch in batches().into_iter().chain([in_cells()]) {
        runtime().block_on(tier.append(batch, Urgency::Waited)).unwrap();
    }
    disk.bytes(&path())
}

fn read_standard_segment(stored: &[u8]) {
    read_segment(stored, &[batches().concat(), in_cells()].concat());
}

fn read_segment(stored: &[u8], blocks: &[PlainBlock]) {
    let tier = open(&MemoryDisk::with(&path(), stored));
    let mut id = [0; 16];
    hex::decode_to_slice(NAME, &mut id).unwrap();
    assert_eq!(tier.list().unwrap(), [(SegmentId(id), stored.len() as u64)]);
    let directory = runtime().block_on(tier.directory(SegmentId(id))).unwrap();
    assert_eq!(directory.len(), blocks.len());
    for ((identity, address), block) in directory.into_iter().zip(blocks) {
        assert_eq!(identity, block.identity);
        assert_eq!(runtime().block_on(tier.read(&address, identity)).unwrap(), block.bytes);
    }
}
