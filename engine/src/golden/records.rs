//! Records: values and keys of each family.

use std::fmt::Debug;

use ::golden::{Format, join_rows, split_rows};
use bytes::Bytes;

use crate::attributes::{DeviceNumber, Timestamp};
use crate::codec::Malformed;
use crate::data::block::Codec;
use crate::data::{BlockAddress, BlockIdentity};
use crate::identity::{BlockIndex, ContentId, Epoch, Generation, InodeId, Lsn, SegmentId};
use crate::keys::IdentitySecret;
use crate::records::{
    Content, Dentry, Extent, Inode, Piece, SegmentRecord, SegmentState, Shared, Totals, key,
};
use crate::tiering::Tier;
use crate::volume::NameHasher;

pub(super) const FORMATS: &[Format] = &[
    Format {
        name: "inode",
        write: Some(|| write(&inodes(), Inode::encode)),
        read: |stored| read(stored, &inodes(), |bytes| Inode::decode(bytes)),
    },
    Format {
        name: "dentry",
        write: Some(|| write(&dentries(), Dentry::encode)),
        read: |stored| read(stored, &dentries(), Dentry::decode),
    },
    Format {
        name: "extent",
        write: Some(|| write(&extents(), Extent::encode)),
        read: |stored| read(stored, &extents(), |bytes| Extent::decode(bytes)),
    },
    Format {
        name: "piece",
        write: Some(|| write(&pieces(), Piece::encode)),
        read: |stored| read(stored, &pieces(), Piece::decode),
    },
    Format {
        name: "segment-row",
        write: Some(|| write(&segment_rows(), SegmentRecord::encode)),
        read: |stored| read(stored, &segment_rows(), |bytes| SegmentRecord::decode(bytes)),
    },
    Format {
        name: "totals",
        write: Some(|| write(&totals(), Totals::encode)),
        read: |stored| read(stored, &totals(), |bytes| Totals::decode(bytes)),
    },
    Format { name: "record-keys", write: Some(|| write(&keys(), Vec::clone)), read: read_keys },
    Format {
        name: "cookies",
        write: Some(|| write(&cookies(), |cookie| cookie.to_vec())),
        read: read_cookies,
    },
];

/// Values by names for people.
type Named<T> = Vec<(&'static str, T)>;

fn write<T>(values: &Named<T>, encode: impl Fn(&T) -> Vec<u8>) -> Vec<u8> {
    join_rows(&values.iter().map(|(name, value)| ((*name).to_owned(), encode(value))).collect::<Vec<_>>())
}

fn read<T: PartialEq + Debug>(
    stored: &[u8],
    expected: &Named<T>,
    decode: impl Fn(&Bytes) -> Result<T, Malformed>,
) {
    let found = split_rows(stored);
    assert_eq!(found.len(), expected.len());
    for ((name, bytes), (expected_name, value)) in found.into_iter().zip(expected) {
        assert_eq!(name, *expected_name);
        assert_eq!(decode(&bytes.into()).as_ref(), Ok(value), "{name}");
    }
}

fn inodes() -> Named<Inode> {
    let time = |seconds| Timestamp { seconds, nanoseconds: 999_999_999 };
    let inode = |content| Inode {
        epoch: Epoch(12),
        generation: Generation(1),
        mode: 0o4755,
        links: 2,
        uid: 1000,
        gid: u32::MAX,
        atime: time(-5),
        mtime: time(1_700_000_000),
        ctime: time(1_700_000_001),
        last_access: time(1_700_000_002),
        change: 9,
        change_ceiling: 1 << 40,
        content,
    };
    let file = Content::File {
        size: 70_000,
        id: ContentId(2),
        standard_bytes: 65_536,
        cold_bytes: 4096,
        piece_bytes: 5,
        age_second: Some(1_700_000_002),
        verifier: Some([7; 8]),
    };
    let device = DeviceNumber { major: 8, minor: 1 };
    vec![
        ("file", inode(file)),
        ("empty file", inode(Content::empty_file(ContentId(9)))),
        ("directory", inode(Content::Directory { parent: InodeId(1), entries: 2 })),
        ("symlink", inode(Content::Symlink { target: Bytes::from_static(b"../\xff") })),
        ("fifo", inode(Content::Fifo)),
        ("socket", inode(Content::Socket)),
        ("block device", inode(Content::BlockDevice(device))),
        ("character device", inode(Content::CharacterDevice(device))),
    ]
}

fn dentries() -> Named<Dentry> {
    let entry = Dentry { inode: InodeId(7), name: Bytes::from_static(b"\xff name") };
    vec![("entry", entry), ("tombstone", Dentry::tombstone())]
}

const SEGMENT: SegmentId = SegmentId([0xe0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 0, 2]);

fn address(codec: Codec) -> BlockAddress {
    let sealed_bytes = if codec == Codec::Plain { 65_552 } else { 100 };
    let offset = 0x01_0203_0405;
    BlockAddress { segment: SEGMENT, offset, sealed_bytes, frame: 9, plain_bytes: 65_536, codec }
}

fn extents() -> Named<Extent> {
    let own = Extent::whole(Tier::Standard, address(Codec::Plain));
    let cold = Extent::whole(Tier::InfrequentAccess, address(Codec::Zstd));
    let origin = BlockIdentity { content: ContentId(5), block: BlockIndex(16) };
    let shared = Some(Shared { origin, skipped_bytes: 8192 });
    vec![
        ("own", own),
        ("own, its beginning", Extent { visible_bytes: 1, ..own }),
        ("own, cold", cold),
        ("shared", Extent { visible_bytes: 57_344, shared, ..own }),
        ("shared, cold", Extent { visible_bytes: 4096, shared, ..cold }),
    ]
}

fn pieces() -> Named<Piece> {
    let piece = |bytes| Piece { inode: InodeId(3), offset: 65_530, bytes: Bytes::from_static(bytes) };
    vec![("piece", piece(b"bytes"))]
}

fn segment_rows() -> Named<SegmentRecord> {
    let row = |tier, state| SegmentRecord { tier, state, live_bytes: 1 << 20, written_bytes: (1 << 40) + 5 };
    vec![
        ("announced", row(Tier::Standard, SegmentState::Announced)),
        ("in use", row(Tier::Standard, SegmentState::InUse)),
        ("cold", row(Tier::InfrequentAccess, SegmentState::InUse)),
    ]
}

fn totals() -> Named<Totals> {
    let totals = Totals {
        next_id: 1 << 40,
        inodes: 2,
        files: 3,
        cold_files: 4,
        standard_bytes: 5,
        cold_bytes: 6,
        piece_bytes: 7,
    };
    vec![("totals", totals)]
}

const INODE: InodeId = InodeId(0x0102);
const CONTENT: ContentId = ContentId(0x0304);
const BLOCK: BlockIndex = BlockIndex(0x0510);
const COOKIE: u64 = 0x7eee_dddd_cccc_bbaa;
const ACCESS: Timestamp = Timestamp { seconds: 1_700_000_000, nanoseconds: 5 };
const NOTE: &str = "layer/note";

fn keys() -> Named<Vec<u8>> {
    vec![
        ("a", key::age(ACCESS, INODE)),
        ("a, before 1970", key::age(Timestamp { seconds: -1, nanoseconds: 0 }, INODE)),
        ("d", key::dentry(INODE, COOKIE)),
        ("e", key::extent(CONTENT, BLOCK)),
        ("i", key::inode(INODE)),
        ("n", key::note(NOTE)),
        ("o", key::orphan(INODE)),
        ("p", key::piece(CONTENT, BLOCK, Lsn(0x0607), 0x0809)),
        ("r", key::reference(&address(Codec::Plain), CONTENT, BLOCK)),
        ("s", key::segment(SEGMENT)),
        ("t", key::totals()),
        ("x", key::dead_content(CONTENT)),
    ]
}

/// What is taken out of the keys is what was put in, and each is found where its family is looked for.
fn read_keys(stored: &[u8]) {
    let rows = split_rows(stored);
    assert_eq!(rows.len(), keys().len());
    let found = |name: &str| {
        let row = rows.iter().find(|(found, _)| found == name);
        row.unwrap_or_else(|| panic!("there is no row {name}")).1.as_slice()
    };
    let within = |name: &str, range: key::KeyRange| *range.0 <= *found(name) && *found(name) < *range.1;
    assert_eq!(key::age_parts(found("a")), Some((1_700_000_000, INODE)));
    assert_eq!(key::age_parts(found("a, before 1970")), Some((0, INODE)));
    assert!(within("a", key::ages_until(ACCESS)));
    assert_eq!(key::dentry_parts(found("d")), Some((INODE, COOKIE)));
    assert!(within("d", key::dentries(INODE, COOKIE, COOKIE)));
    assert_eq!(key::content_block(found("e")), Some((CONTENT, BLOCK)));
    assert!(within("e", key::extents(CONTENT, BLOCK, None)));
    assert_eq!(found("i"), key::inode(INODE));
    assert_eq!(key::note_name(found("n")).as_deref(), Some(NOTE));
    assert!(within("n", key::family(b'n', b"layer/")));
    assert_eq!(key::orphan_inode(found("o")), Some(INODE));
    assert_eq!(key::content_block(found("p")), Some((CONTENT, BLOCK)));
    assert_eq!(key::piece_lsn(found("p")), Some(Lsn(0x0607)));
    assert!(within("p", key::pieces(CONTENT, BLOCK, None)));
    assert_eq!(key::reference_segment(found("r")), Some(SEGMENT));
    assert_eq!(key::reference_parts(found("r")), Some((9, CONTENT, BLOCK)));
    assert!(within("r", key::references(&address(Codec::Plain))));
    assert_eq!(key::segment_id(found("s")), Some(SEGMENT));
    assert_eq!(found("t"), key::totals());
    assert_eq!(key::dead_content_id(found("x")), Some(CONTENT));
}

/// Where names stand in their directories.
fn cookies() -> Named<[u8; 8]> {
    let names = NameHasher::new(&IdentitySecret::from_bytes([4; 32]));
    let cookie = |directory, name: &[u8]| names.first_cookie(directory, name).to_be_bytes();
    vec![
        ("name in the root", cookie(InodeId::ROOT, b"name")),
        ("name in another directory", cookie(INODE, b"name")),
        ("a long name that is no text", cookie(INODE, &[0xff; 255])),
    ]
}

/// A name is found where it was put.
fn read_cookies(stored: &[u8]) {
    let expected = cookies().into_iter().map(|(name, cookie)| (name.to_owned(), cookie.to_vec()));
    assert_eq!(split_rows(stored), expected.collect::<Vec<_>>());
}
