//! What is in the file system.

use std::collections::BTreeMap;
use std::fmt;

use crate::golden::fixed::START;
use crate::records::{self, key};
use crate::volume::Look;
use crate::{Attributes, Cookie, Credential, DeviceNumber, FileKind, FileSystem, InodeId, Timestamp};

/// All names, by path.
pub(super) type Tree = BTreeMap<Vec<u8>, Node>;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Node {
    pub(super) kind: Kind,
    pub(super) mode: u32,
    pub(super) owner: (u32, u32),
    pub(super) links: u32,
    /// Of those that were set.
    pub(super) mtime: Option<Timestamp>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    File(Content),
    Directory,
    Symlink(Vec<u8>),
    Fifo,
    Socket,
    BlockDevice(DeviceNumber),
    CharacterDevice(DeviceNumber),
}

#[derive(Clone, PartialEq, Eq)]
pub(super) struct Content(pub(super) Vec<u8>);

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sum = self.0.iter().fold(0_u64, |sum, byte| sum.wrapping_mul(31).wrapping_add(u64::from(*byte)));
        write!(f, "{} bytes, sum {sum:x}", self.0.len())
    }
}

/// A time that a user set.
pub(super) const MTIME: Timestamp = Timestamp { seconds: -5, nanoseconds: 999_999_999 };
pub(super) const DEVICE: DeviceNumber = DeviceNumber { major: 8, minor: 0x0001_0203 };
pub(super) const TARGET: &[u8] = b"cold/a symlink shows \xff what is set";
pub(super) const NOTES: [(&str, &[u8]); 3] = [
    ("engine/golden", b"a note\0"),
    ("lifecycle/policy", br#"{"version":1,"to_ia":"7d","to_primary":"on-first-access"}"#),
    ("nfs4/client/4c696e7578", b"\x01verifier"),
];

/// Bytes that zstd does not make smaller.
pub(super) fn noise(length: usize) -> Vec<u8> {
    let next = |state: &u64| Some(state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1));
    std::iter::successors(Some(7), next).map(|state| (state >> 56) as u8).take(length).collect()
}

/// Bytes that it does.
pub(super) fn text(length: usize) -> Vec<u8> {
    (0..)
        .flat_map(|line| format!("Line {line} of what was written once.\n").into_bytes())
        .take(length)
        .collect()
}

pub(super) const LARGE: usize = 80_000;
pub(super) const CLONED_FROM: u64 = 8192;
pub(super) const SPARSE: usize = 5_000_000;
pub(super) const COLD_TEXT: usize = 70_000;
pub(super) const HALF: usize = 6000;
pub(super) const LONG_NAME: [u8; 255] = [b'n'; 255];

/// With a range of it changed.
pub(super) fn with(mut content: Vec<u8>, at: usize, bytes: &[u8]) -> Vec<u8> {
    content[at..at + bytes.len()].copy_from_slice(bytes);
    content
}

fn sparse() -> Vec<u8> {
    with(with(vec![0; SPARSE], 0, &text(5000)), 4_000_000, &text(3000))
}

fn file(content: Vec<u8>) -> Node {
    Node { kind: Kind::File(Content(content)), mode: 0o644, owner: (0, 0), links: 1, mtime: None }
}

fn other(kind: Kind) -> Node {
    Node { kind, mode: 0o600, owner: (0, 0), links: 1, mtime: None }
}

fn parent(subdirectories: u32) -> Node {
    Node { mode: 0o755, links: 2 + subdirectories, ..other(Kind::Directory) }
}

/// What was made.
pub(super) fn expected() -> Tree {
    let small = || Node { mode: 0o4640, owner: (1000, 100), links: 2, mtime: Some(MTIME), ..file(text(100)) };
    let large = noise(LARGE);
    let clone = file(large[usize::try_from(CLONED_FROM).unwrap()..].to_vec());
    let symlink = Node { mode: 0o777, ..other(Kind::Symlink(TARGET.to_vec())) };
    let nodes: Vec<(&[u8], Node)> = vec![
        (b"/", parent(5)),
        (b"/a", parent(1)),
        (b"/a/b", parent(1)),
        (b"/a/b/empty", Node { mode: 0o1777, ..parent(0) }),
        (b"/clone", clone),
        (b"/cold", parent(0)),
        (b"/cold/half", file(with(text(HALF), 3000, b"over what is cold"))),
        (b"/cold/noise", file(noise(5000))),
        (b"/cold/small", file(text(300))),
        (b"/cold/text", file(text(COLD_TEXT))),
        (b"/empty", file(Vec::new())),
        (b"/exclusive", file(text(10))),
        (b"/large", file(with(large, 70_000, b"a piece over a block"))),
        (b"/links", parent(0)),
        (b"/links/other name", small()),
        (b"/nodes", parent(0)),
        (b"/nodes/block", other(Kind::BlockDevice(DEVICE))),
        (b"/nodes/character", other(Kind::CharacterDevice(DEVICE))),
        (b"/nodes/fifo", other(Kind::Fifo)),
        (b"/nodes/socket", other(Kind::Socket)),
        (b"/odd", parent(0)),
        (b"/odd/\xff\xfe not text", file(text(1))),
        (b"/odd/new\nline", file(text(2))),
        (b"/odd/\xe2\x98\x83", file(text(3))),
        (b"/small", small()),
        (b"/sparse", file(sparse())),
        (b"/symlink", symlink),
        (b"/truncated", file(b"new".to_vec())),
    ];
    let mut tree: Tree = nodes.into_iter().map(|(path, node)| (path.to_vec(), node)).collect();
    tree.insert([b"/odd/".as_slice(), &LONG_NAME].concat(), file(text(4)));
    tree
}

/// What is there.
pub(super) async fn found(fs: &FileSystem) -> Tree {
    let mut tree = Tree::new();
    let mut left = vec![(b"/".to_vec(), fs.attributes(InodeId::ROOT).unwrap())];
    while let Some((path, attributes)) = left.pop() {
        if attributes.kind == FileKind::Directory {
            left.extend(entries(fs, &path, attributes.inode));
        }
        let looked_up = fs.resolve_path(&path).unwrap();
        assert_eq!(looked_up.inode, attributes.inode, "{}", String::from_utf8_lossy(&path));
        tree.insert(path, node(fs, &attributes).await);
    }
    tree
}

fn entries(fs: &FileSystem, path: &[u8], directory: InodeId) -> Vec<(Vec<u8>, Attributes)> {
    let prefix = if path == b"/" { b"" } else { path };
    let (mut found, mut after) = (Vec::new(), Cookie(0));
    loop {
        let page = fs.read_directory(&Credential::root(), directory, after, 3).unwrap();
        for entry in page.entries {
            after = entry.cookie;
            found.push(([prefix, b"/", &entry.name].concat(), entry.attributes));
        }
        if page.end {
            return found;
        }
    }
}

async fn node(fs: &FileSystem, attributes: &Attributes) -> Node {
    let inode = attributes.inode;
    let kind = match attributes.kind {
        FileKind::Regular => Kind::File(Content(read(fs, inode, attributes.size).await)),
        FileKind::Directory => Kind::Directory,
        FileKind::Symlink => Kind::Symlink(fs.read_link(inode).unwrap().to_vec()),
        FileKind::Fifo => Kind::Fifo,
        FileKind::Socket => Kind::Socket,
        FileKind::BlockDevice => Kind::BlockDevice(attributes.device),
        FileKind::CharacterDevice => Kind::CharacterDevice(attributes.device),
    };
    let mtime = Some(attributes.mtime).filter(|time| time.seconds < START);
    let owner = (attributes.uid, attributes.gid);
    Node { kind, mode: attributes.mode, owner, links: attributes.links, mtime }
}

async fn read(fs: &FileSystem, inode: InodeId, size: u64) -> Vec<u8> {
    let mut content = Vec::new();
    while (content.len() as u64) < size {
        let part = fs.read(inode, content.len() as u64, 1 << 20).await.unwrap().parts.concat();
        assert!(!part.is_empty());
        content.extend(part);
    }
    content
}

/// Each byte is where it was: bytes in Standard, cold ones and those of pieces.
pub(super) fn check_places(fs: &FileSystem) {
    let places = |path: &str| {
        let inode = fs.resolve_path(path.as_bytes()).unwrap().inode;
        match fs.volume().stored_inode(inode).unwrap().content {
            records::Content::File { standard_bytes, cold_bytes, piece_bytes, .. } => {
                (standard_bytes, cold_bytes, piece_bytes)
            }
            other => panic!("{path}: {other:?}"),
        }
    };
    assert_eq!(places("/large"), (LARGE as u64, 0, 20));
    assert_eq!(places("/clone"), (LARGE as u64 - CLONED_FROM, 0, 0));
    assert_eq!(places("/small"), (0, 0, 100));
    assert_eq!(places("/cold/text"), (0, COLD_TEXT as u64, 0));
    assert_eq!(places("/cold/half"), (0, HALF as u64, 17));
    // The second block of it begins with the unit of 4 KiB.
    assert_eq!(places("/sparse"), (5000 + 4_000_000 % 4096 + 3000, 0, 0));
}

/// There are records of all families, but for dead contents (`x`): those may be released by now.
pub(super) fn check_families(fs: &FileSystem) {
    for family in b"adeinoprst" {
        let rows = fs.volume().store.scan_all(&key::family(*family, b"")).unwrap();
        assert!(!rows.is_empty(), "{}", char::from(*family));
    }
}

pub(super) fn check_notes(fs: &FileSystem) {
    let notes = fs.notes("").unwrap();
    let notes: Vec<_> = notes.iter().map(|(key, value)| (key.as_str(), value.as_ref())).collect();
    assert_eq!(notes, NOTES);
}
