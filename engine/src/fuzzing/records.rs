//! Records, keys and what they are made of.

use bytes::Bytes;

use super::Decoder;
use super::input::Input;
use crate::attributes::{DeviceNumber, Timestamp};
use crate::codec::{Reader, Writer};
use crate::data::BlockAddress;
use crate::data::block::Codec;
use crate::identity::{BlockIndex, ContentId, Epoch, FileSystemId, Generation, InodeId, Lsn, SegmentId};
use crate::records::{Content, Dentry, Extent, Inode, Piece, SegmentRecord, SegmentState, Totals, key};
use crate::tiering::Tier;

pub(super) const DECODERS: &[Decoder] = &[
    Decoder { name: "codec", run: codec, seeds: codec_seeds },
    Decoder { name: "inode", run: inode, seeds: inode_seeds },
    Decoder { name: "dentry", run: dentry, seeds: dentry_seeds },
    Decoder { name: "extent", run: extent, seeds: extent_seeds },
    Decoder { name: "block-address", run: block_address, seeds: block_address_seeds },
    Decoder { name: "piece", run: piece, seeds: piece_seeds },
    Decoder { name: "segment-row", run: segment_row, seeds: segment_row_seeds },
    Decoder { name: "totals", run: totals, seeds: totals_seeds },
    Decoder { name: "keys", run: keys, seeds: keys_seeds },
    Decoder { name: "key-bytes", run: key_bytes, seeds: key_bytes_seeds },
    Decoder { name: "note-key", run: note_key, seeds: || vec![b"nfs4/client/4c69".to_vec()] },
    Decoder { name: "names", run: names, seeds: || vec![b"fs-0123456789abcdef0".to_vec(), vec![b'a'; 32]] },
];

/// The first byte says how many bytes say what to take from the rest; what was taken is written again.
fn codec(data: &[u8]) {
    let mut input = Input::new(data);
    let script = input.short();
    let source = input.rest();
    let (mut reader, mut writer) = (Reader::new(source), Writer::new());
    for step in script {
        let before = reader.rest().len();
        let taken = match step % 6 {
            0 => reader.u8().map(|value| writer.u8(value).len()),
            1 => reader.u32().map(|value| writer.u32(value).len()),
            2 => reader.u64().map(|value| writer.u64(value).len()),
            3 => reader.array::<16>().map(|value| writer.bytes(&value).len()),
            4 => reader.sized().map(|value| writer.sized(value).len()),
            _ => reader.bytes(usize::from(*step)).map(|value| writer.bytes(value).len()),
        };
        if taken.is_err() {
            assert!(reader.rest().len() + 4 >= before, "a failure takes no more than a length");
            return;
        }
    }
    assert_eq!(source, [writer.as_slice(), reader.rest()].concat());
    assert_eq!(reader.is_empty(), reader.finish().is_ok());
}

fn codec_seeds() -> Vec<Vec<u8>> {
    let mut content = Writer::new();
    content.u8(1).u32(2).u64(3).bytes(&[4; 16]).sized(b"five").bytes(b"sixsi");
    vec![[&[6, 0, 1, 2, 3, 4, 5], content.as_slice()].concat()]
}

fn inode(data: &[u8]) {
    let Ok(inode) = Inode::decode(data) else { return };
    assert_eq!(inode.encode(), data);
    for time in [inode.atime, inode.mtime, inode.ctime, inode.last_access] {
        assert!(time.nanoseconds < 1_000_000_000);
    }
    if let Content::Symlink { target } = &inode.content {
        assert!(target.len() <= data.len());
    }
}

fn inode_seeds() -> Vec<Vec<u8>> {
    let file = Content::File {
        size: 70_000,
        id: ContentId(2),
        standard_bytes: 65_536,
        cold_bytes: 4,
        piece_bytes: 5,
        age_second: Some(6),
        verifier: Some([7; 8]),
    };
    let device = DeviceNumber { major: 8, minor: 1 };
    let contents = [
        file,
        Content::empty_file(ContentId(9)),
        Content::Directory { parent: InodeId(1), entries: 2 },
        Content::Symlink { target: Bytes::from_static(b"../target") },
        Content::Fifo,
        Content::Socket,
        Content::BlockDevice(device),
        Content::CharacterDevice(device),
    ];
    let time = Timestamp { seconds: 1_700_000_000, nanoseconds: 999_999_999 };
    let inode = |content| Inode {
        epoch: Epoch(12),
        generation: Generation(1),
        mode: 0o4755,
        links: 2,
        uid: 3,
        gid: 4,
        atime: time,
        mtime: time,
        ctime: time,
        last_access: time,
        change: 9,
        change_ceiling: 10,
        content,
    };
    contents.into_iter().map(|content| inode(content).encode()).collect()
}

fn dentry(data: &[u8]) {
    let Ok(dentry) = Dentry::decode(&Bytes::copy_from_slice(data)) else { return };
    assert_eq!(dentry.encode(), data);
    assert_eq!(dentry.is_tombstone(), dentry == Dentry::tombstone());
}

fn dentry_seeds() -> Vec<Vec<u8>> {
    let entry = Dentry { inode: InodeId(7), name: Bytes::from_static(b"\xff name") };
    vec![Dentry::tombstone().encode(), entry.encode()]
}

fn extent(data: &[u8]) {
    let Ok(extent) = Extent::decode(data) else { return };
    assert_eq!(extent.encode(), data);
    assert!(extent.visible_bytes <= extent.address.plain_bytes);
}

fn address(codec: Codec) -> BlockAddress {
    let sealed_bytes = if codec == Codec::Plain { 4096 + 16 } else { 100 };
    let segment = SegmentId([3; 16]);
    BlockAddress { segment, offset: 44, sealed_bytes, frame: 3, plain_bytes: 4096, codec }
}

fn extent_seeds() -> Vec<Vec<u8>> {
    let extent = |tier, codec| Extent { visible_bytes: 4000, ..Extent::whole(tier, address(codec)) };
    let shared = extent(Tier::Standard, Codec::Plain).to_shared(ContentId(7), BlockIndex(16));
    let seeds = [extent(Tier::Standard, Codec::Plain), extent(Tier::InfrequentAccess, Codec::Zstd), shared];
    seeds.iter().map(Extent::encode).collect()
}

fn block_address(data: &[u8]) {
    let mut reader = Reader::new(data);
    let Ok(address) = BlockAddress::decode(&mut reader) else { return };
    let mut encoded = Vec::new();
    address.encode(&mut encoded);
    assert_eq!([encoded.as_slice(), reader.rest()].concat(), data);
    assert!(address.end() > address.offset);
}

fn block_address_seeds() -> Vec<Vec<u8>> {
    let encode = |codec| {
        let mut bytes = Vec::new();
        address(codec).encode(&mut bytes);
        bytes
    };
    vec![encode(Codec::Plain), encode(Codec::Zstd)]
}

fn piece(data: &[u8]) {
    let Ok(piece) = Piece::decode(&Bytes::copy_from_slice(data)) else { return };
    assert_eq!(piece.encode(), data);
}

fn piece_seeds() -> Vec<Vec<u8>> {
    vec![Piece { inode: InodeId(3), offset: 100, bytes: Bytes::from_static(b"bytes") }.encode()]
}

fn segment_row(data: &[u8]) {
    let Ok(row) = SegmentRecord::decode(data) else { return };
    assert_eq!(row.encode(), data);
}

fn segment_row_seeds() -> Vec<Vec<u8>> {
    let row =
        |tier, state| SegmentRecord { tier, state, live_bytes: 1 << 20, written_bytes: 1 << 21 }.encode();
    vec![row(Tier::Standard, SegmentState::Announced), row(Tier::InfrequentAccess, SegmentState::InUse)]
}

fn totals(data: &[u8]) {
    let Ok(totals) = Totals::decode(data) else { return };
    assert_eq!(totals.encode(), data);
}

fn totals_seeds() -> Vec<Vec<u8>> {
    vec![Totals { next_id: 9, inodes: 2, files: 1, ..Totals::default() }.encode()]
}

/// Keys of any numbers give the numbers back, and stand in the ranges that are scanned for them.
fn keys(data: &[u8]) {
    let mut input = Input::new(data);
    let (one, two, lsn, offset) = (input.u64(), input.u64(), input.u64(), input.u32());
    let (inode, content, block) = (InodeId(one), ContentId(one), BlockIndex(two));
    let within = |key: &[u8], range: &key::KeyRange| *range.0 <= *key && *key < *range.1;

    let dentry = key::dentry(inode, two);
    assert_eq!(key::dentry_cookie(&dentry), Some(two));
    assert!(
        within(&dentry, &key::dentries(inode, two, two))
            && within(&dentry, &key::dentries(inode, 0, u64::MAX))
    );
    let extent = key::extent(content, block);
    assert_eq!(key::extent_block(&extent), Some(block));
    assert!(within(&extent, &key::extents(content, block, None)));
    let piece = key::piece(content, block, Lsn(lsn), offset);
    assert_eq!(key::piece_block(&piece), Some(block));
    assert!(within(&piece, &key::pieces(content, block, None)));
    if let Some(next) = two.checked_add(1).map(BlockIndex) {
        assert!(within(&extent, &key::extents(content, block, Some(next))));
        assert!(within(&piece, &key::pieces(content, block, Some(next))));
        assert!(!within(&extent, &key::extents(content, next, None)));
    }
    if let Some(other) = one.checked_add(1).map(ContentId) {
        assert!(!within(&key::extent(other, BlockIndex(0)), &key::extents(content, BlockIndex(0), None)));
        assert!(!within(&key::extent(content, block), &key::extents(other, BlockIndex(0), None)));
    }
    assert_eq!(key::orphan_inode(&key::orphan(inode)), Some(inode));
    assert_eq!(key::dead_content_id(&key::dead_content(content)), Some(content));
    let segment = SegmentId(input.array());
    assert_eq!(key::segment_id(&key::segment(segment)), Some(segment));
    let access = Timestamp { seconds: i64::from_be_bytes(lsn.to_be_bytes()), nanoseconds: 0 };
    let age = key::age(access, inode);
    assert_eq!(key::age_parts(&age), Some((key::age_second(access), inode)));
    assert!(within(&age, &key::ages_until(access)));
    let prefix = input.short();
    let family = key::family(b'n', prefix);
    assert!(within(&[b"n", prefix, &[0xff; 3]].concat(), &family));
    assert!(*key::after(&dentry) > *dentry);
}

fn keys_seeds() -> Vec<Vec<u8>> {
    let numbers = |number: u64| [number.to_be_bytes(); 8].concat();
    vec![numbers(1), numbers(u64::MAX), numbers(1 << 63), (0..60).collect()]
}

/// What takes numbers out of keys is given any bytes.
fn key_bytes(data: &[u8]) {
    if let Some(segment) = key::segment_id(data) {
        assert_eq!(key::segment(segment).get(1..), data.get(1..));
    }
    if let Some(inode) = key::orphan_inode(data) {
        assert_eq!(key::orphan(inode).get(1..), data.get(1..));
    }
    if let Some(content) = key::dead_content_id(data) {
        assert_eq!(key::dead_content(content).get(1..), data.get(1..));
    }
    if let Some((second, _)) = key::age_parts(data) {
        assert_eq!(data.get(1..9), Some(second.to_be_bytes().as_slice()));
    }
    if let Some(cookie) = key::dentry_cookie(data) {
        assert_eq!(data.get(9..17), Some(cookie.to_be_bytes().as_slice()));
        assert_eq!(key::extent_block(data), Some(BlockIndex(cookie)));
        assert_eq!(key::piece_block(data), Some(BlockIndex(cookie)));
    }
}

fn key_bytes_seeds() -> Vec<Vec<u8>> {
    let (inode, content) = (InodeId(1), ContentId(2));
    vec![
        key::dentry(inode, 3),
        key::extent(content, BlockIndex(4)),
        key::piece(content, BlockIndex(5), Lsn(6), 7),
        key::segment(SegmentId([8; 16])),
        key::orphan(inode),
        key::dead_content(content),
        key::age(Timestamp { seconds: 9, nanoseconds: 0 }, inode),
        key::totals(),
    ]
}

fn note_key(data: &[u8]) {
    if let Ok(name) = std::str::from_utf8(data) {
        assert_eq!(key::note_name(&key::note(name)).as_deref(), Some(name));
    }
    if let Some(name) = key::note_name(data) {
        assert_eq!(key::note(&name).get(1..), data.get(1..));
    }
}

/// Names of file systems and of segments.
fn names(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Some(id) = FileSystemId::parse(text) {
        assert_eq!(id.to_string(), text);
        assert_eq!(FileSystemId::from_bytes(id.to_bytes()), Some(id));
    }
    if let Some(segment) = crate::data::standard::parse_name(text) {
        assert_eq!(segment.to_string(), text);
    }
}
