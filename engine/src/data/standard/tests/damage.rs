//! Segment files that were damaged or torn.

use std::path::PathBuf;

use super::*;

/// A closed segment with two batches, its file and its bytes.
struct Prepared {
    _directory: tempfile::TempDir,
    path: PathBuf,
    bytes: Vec<u8>,
    segment: SegmentId,
    stored: Vec<(PlainBlock, BlockAddress)>,
    first_batch_end: usize,
    tier: StandardTier,
}

async fn prepare() -> Prepared {
    let directory = tempfile::tempdir().unwrap();
    let tier = open(directory.path());
    let mut stored = append_checked(&tier, vec![block(1, 0, 20), block(1, 1, 20)]).await;
    let first_batch_end = stored[1].1.end() as usize;
    stored.extend(append_checked(&tier, vec![block(2, 0, 30)]).await);
    let segment = tier.active().unwrap();
    tier.close_active().await.unwrap();
    let path = directory.path().join(segment.to_string());
    let bytes = std::fs::read(&path).unwrap();
    Prepared { _directory: directory, path, bytes, segment, stored, first_batch_end, tier }
}

#[tokio::test]
async fn every_flipped_byte_is_noticed_and_never_read_as_data() {
    let prepared = prepare().await;
    let Prepared { path, bytes, segment, stored, first_batch_end, tier, .. } = &prepared;
    for position in 0..bytes.len() {
        let mut flipped = bytes.clone();
        flipped[position] ^= 0x40;
        std::fs::write(path, &flipped).unwrap();
        let mut noticed = false;
        for (block, address) in stored {
            match tier.read(address, block.identity).await {
                Ok(read) => assert_eq!(read, block.bytes),
                Err(Error::Corrupt { what }) => {
                    assert!(what.contains(&segment.to_string()) && what.contains("frame"), "{what}");
                    noticed = true;
                }
                Err(error) => panic!("{error}"),
            }
        }
        match tier.directory(*segment).await {
            // The description of the last batch cannot be told from one that a crash left unfinished: it is left out whole.
            Ok(directory) if position >= *first_batch_end => noticed |= directory.len() == 2,
            Ok(directory) => assert_eq!(directory.len(), 3),
            Err(Error::Corrupt { .. }) => noticed = true,
            Err(error) => panic!("{error}"),
        }
        assert!(noticed, "byte {position}");
    }
}

#[tokio::test]
async fn a_last_batch_cut_anywhere_is_left_out() {
    let prepared = prepare().await;
    let Prepared { path, bytes, segment, stored, first_batch_end, tier, .. } = &prepared;
    for length in *first_batch_end..bytes.len() {
        std::fs::write(path, &bytes[..length]).unwrap();
        assert_eq!(tier.directory(*segment).await.unwrap().len(), 2, "{length} bytes");
        let mut torn = bytes[..length].to_vec();
        torn.resize(bytes.len() + 5000, 0);
        std::fs::write(path, &torn).unwrap();
        // The frames are behind the directory, so it may be whole when they are not.
        let frames_at = stored[2].1.offset as usize;
        let listed = tier.directory(*segment).await.unwrap().len();
        assert_eq!(listed, if length < frames_at { 2 } else { 3 }, "{length} bytes and zeros");
        let (block, address) = &stored[2];
        // A tag may end with zeros.
        let is_whole = torn.starts_with(bytes);
        assert_eq!(tier.read(address, block.identity).await.is_ok(), is_whole, "{length} bytes and zeros");
    }
}

#[tokio::test]
async fn two_files_exchanged_are_noticed() {
    let one = prepare().await;
    let other = prepare().await;
    std::fs::write(&one.path, &other.bytes).unwrap();
    assert!(matches!(one.tier.directory(one.segment).await, Err(Error::Corrupt { .. })));
    for (block, address) in &one.stored {
        assert!(matches!(one.tier.read(address, block.identity).await, Err(Error::Corrupt { .. })));
    }
}
