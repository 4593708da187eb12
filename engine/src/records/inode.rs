//! An inode.
//!
//! | bytes  | field                                                              |
//! |--------|--------------------------------------------------------------------|
//! | 1      | format: 1                                                          |
//! | 1      | kind: 1 file, 2 directory, 3 symlink, 4 fifo, 5 socket, 6 block, 7 character |
//! | 4 × 6  | epoch, generation, mode, links, uid, gid                           |
//! | 12 × 4 | atime, mtime, ctime, last data access: seconds (8, signed), nanoseconds (4) |
//! | 8 × 2  | change, change ceiling                                             |
//! | rest   | by kind: see `encode_content`                                      |

use bytes::Bytes;

use crate::attributes::{Attributes, DeviceNumber, FileKind, Timestamp};
use crate::codec::{Malformed, Reader};
use crate::identity::{ContentId, Epoch, Generation, InodeId};

const FORMAT: u8 = 1;
/// What a file takes; only a symbolic link may take more.
const ENCODED_BYTES: usize = 148;

/// An inode as the metadata store keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Inode {
    /// The start of the file system in which it was last written.
    pub(crate) epoch: Epoch,
    pub(crate) generation: Generation,
    pub(crate) mode: u32,
    pub(crate) links: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) atime: Timestamp,
    pub(crate) mtime: Timestamp,
    pub(crate) ctime: Timestamp,
    /// When data was last read or written; folded in late, see `ops::access_log`.
    pub(crate) last_access: Timestamp,
    pub(crate) change: u64,
    /// UNSTABLE writes may have shown change numbers up to here; after a restart the number goes on from it, so that it never
    /// goes back.
    pub(crate) change_ceiling: u64,
    pub(crate) content: Content,
}

/// What an inode is made of, by kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Content {
    /// A regular file.
    File {
        /// Size in bytes.
        size: u64,
        /// The key of its extents and pieces.
        id: ContentId,
        /// Visible bytes of its extents in Standard.
        standard_bytes: u64,
        /// Visible bytes of its extents in Infrequent Access.
        cold_bytes: u64,
        /// Bytes of its pieces.
        piece_bytes: u64,
        /// The second under which it stands in the age index; it stands there while it has data in Standard.
        age_second: Option<u64>,
        /// The verifier of its exclusive creation.
        verifier: Option<[u8; 8]>,
    },
    /// A directory.
    Directory {
        /// Its parent; the root's is itself.
        parent: InodeId,
        /// Number of entries.
        entries: u64,
    },
    /// A symbolic link.
    Symlink {
        /// Where it points.
        target: Bytes,
    },
    /// A named pipe.
    Fifo,
    /// A socket.
    Socket,
    /// A block device.
    BlockDevice(DeviceNumber),
    /// A character device.
    CharacterDevice(DeviceNumber),
}

impl Content {
    /// An empty file.
    pub(crate) fn empty_file(id: ContentId) -> Content {
        Content::File {
            size: 0,
            id,
            standard_bytes: 0,
            cold_bytes: 0,
            piece_bytes: 0,
            age_second: None,
            verifier: None,
        }
    }
}

impl Inode {
    /// An empty directory of root's. The change that inserts it sets the epoch.
    pub(crate) fn directory(parent: InodeId, mode: u32, now: Timestamp) -> Inode {
        Inode {
            epoch: Epoch(0),
            generation: Generation(1),
            mode,
            links: 2,
            uid: 0,
            gid: 0,
            atime: now,
            mtime: now,
            ctime: now,
            last_access: now,
            change: 1,
            change_ceiling: 1,
            content: Content::Directory { parent, entries: 0 },
        }
    }

    pub(crate) fn kind(&self) -> FileKind {
        match self.content {
            Content::File { .. } => FileKind::Regular,
            Content::Directory { .. } => FileKind::Directory,
            Content::Symlink { .. } => FileKind::Symlink,
            Content::Fifo => FileKind::Fifo,
            Content::Socket => FileKind::Socket,
            Content::BlockDevice(_) => FileKind::BlockDevice,
            Content::CharacterDevice(_) => FileKind::CharacterDevice,
        }
    }

    /// The size in bytes, as users see it.
    pub(crate) fn size(&self) -> u64 {
        match &self.content {
            Content::File { size, .. } => *size,
            Content::Directory { .. } => 4096,
            Content::Symlink { target } => target.len() as u64,
            Content::Fifo | Content::Socket | Content::BlockDevice(_) | Content::CharacterDevice(_) => 0,
        }
    }

    /// The attributes; `unflushed` are bytes of UNSTABLE data in memory.
    pub(crate) fn attributes(&self, inode: InodeId, unflushed: u64) -> Attributes {
        let size = self.size();
        let space_used = match &self.content {
            Content::File { standard_bytes, cold_bytes, piece_bytes, .. } => {
                let stored = standard_bytes + cold_bytes + piece_bytes + unflushed;
                stored.min(size).next_multiple_of(4096)
            }
            Content::Directory { .. } => 4096,
            _ => 0,
        };
        let device = match self.content {
            Content::BlockDevice(device) | Content::CharacterDevice(device) => device,
            _ => DeviceNumber::default(),
        };
        Attributes {
            inode,
            generation: self.generation,
            kind: self.kind(),
            mode: self.mode,
            links: self.links,
            uid: self.uid,
            gid: self.gid,
            size,
            space_used,
            device,
            atime: self.atime,
            mtime: self.mtime,
            ctime: self.ctime,
            change: self.change,
        }
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(ENCODED_BYTES);
        out.extend_from_slice(&[FORMAT, kind_code(self.kind())]);
        for field in [self.epoch.0, self.generation.0, self.mode, self.links, self.uid, self.gid] {
            out.extend_from_slice(&field.to_be_bytes());
        }
        for time in [self.atime, self.mtime, self.ctime, self.last_access] {
            out.extend_from_slice(&time.seconds.to_be_bytes());
            out.extend_from_slice(&time.nanoseconds.to_be_bytes());
        }
        out.extend_from_slice(&self.change.to_be_bytes());
        out.extend_from_slice(&self.change_ceiling.to_be_bytes());
        encode_content(&self.content, &mut out);
        out
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(bytes);
        if reader.u8()? != FORMAT {
            return Err(Malformed("inode format"));
        }
        let kind = reader.u8()?;
        let epoch = Epoch(reader.u32()?);
        let generation = Generation(reader.u32()?);
        let (mode, links, uid, gid) = (reader.u32()?, reader.u32()?, reader.u32()?, reader.u32()?);
        let mut times = [Timestamp::default(); 4];
        for time in &mut times {
            *time = decode_time(&mut reader)?;
        }
        let [atime, mtime, ctime, last_access] = times;
        let (change, change_ceiling) = (reader.u64()?, reader.u64()?);
        let content = decode_content(kind, &mut reader)?;
        reader.finish()?;
        Ok(Inode {
            epoch,
            generation,
            mode,
            links,
            uid,
            gid,
            atime,
            mtime,
            ctime,
            last_access,
            change,
            change_ceiling,
            content,
        })
    }
}

fn decode_time(reader: &mut Reader<'_>) -> Result<Timestamp, Malformed> {
    let seconds = i64::from_be_bytes(reader.array()?);
    let nanoseconds = reader.u32()?;
    if nanoseconds >= 1_000_000_000 {
        return Err(Malformed("nanoseconds"));
    }
    Ok(Timestamp { seconds, nanoseconds })
}

fn kind_code(kind: FileKind) -> u8 {
    match kind {
        FileKind::Regular => 1,
        FileKind::Directory => 2,
        FileKind::Symlink => 3,
        FileKind::Fifo => 4,
        FileKind::Socket => 5,
        FileKind::BlockDevice => 6,
        FileKind::CharacterDevice => 7,
    }
}

/// File: size, content, Standard bytes, cold bytes, piece bytes (8 each), age second (1 + 8), verifier (1 + 8).
/// Directory: parent, entries (8 each). Symlink: the target to the end. Device: major, minor (4 each).
fn encode_content(content: &Content, out: &mut Vec<u8>) {
    match content {
        Content::File { size, id, standard_bytes, cold_bytes, piece_bytes, age_second, verifier } => {
            for field in [*size, id.0, *standard_bytes, *cold_bytes, *piece_bytes] {
                out.extend_from_slice(&field.to_be_bytes());
            }
            out.push(u8::from(age_second.is_some()));
            out.extend_from_slice(&age_second.unwrap_or(0).to_be_bytes());
            out.push(u8::from(verifier.is_some()));
            out.extend_from_slice(&verifier.unwrap_or_default());
        }
        Content::Directory { parent, entries } => {
            out.extend_from_slice(&parent.0.to_be_bytes());
            out.extend_from_slice(&entries.to_be_bytes());
        }
        Content::Symlink { target } => out.extend_from_slice(target),
        Content::Fifo | Content::Socket => {}
        Content::BlockDevice(device) | Content::CharacterDevice(device) => {
            out.extend_from_slice(&device.major.to_be_bytes());
            out.extend_from_slice(&device.minor.to_be_bytes());
        }
    }
}

fn decode_content(kind: u8, reader: &mut Reader<'_>) -> Result<Content, Malformed> {
    Ok(match kind {
        1 => Content::File {
            size: reader.u64()?,
            id: ContentId(reader.u64()?),
            standard_bytes: reader.u64()?,
            cold_bytes: reader.u64()?,
            piece_bytes: reader.u64()?,
            age_second: decode_option(reader)?.map(u64::from_be_bytes),
            verifier: decode_option(reader)?,
        },
        2 => Content::Directory { parent: InodeId(reader.u64()?), entries: reader.u64()? },
        3 => Content::Symlink { target: Bytes::copy_from_slice(reader.bytes(reader.rest().len())?) },
        4 => Content::Fifo,
        5 => Content::Socket,
        6 => Content::BlockDevice(decode_device(reader)?),
        7 => Content::CharacterDevice(decode_device(reader)?),
        _ => return Err(Malformed("inode kind")),
    })
}

fn decode_option(reader: &mut Reader<'_>) -> Result<Option<[u8; 8]>, Malformed> {
    let present = reader.u8()?;
    let value = reader.array()?;
    match present {
        0 if value == [0; 8] => Ok(None),
        1 => Ok(Some(value)),
        _ => Err(Malformed("presence of a field")),
    }
}

fn decode_device(reader: &mut Reader<'_>) -> Result<DeviceNumber, Malformed> {
    Ok(DeviceNumber { major: reader.u32()?, minor: reader.u32()? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn inode(content: Content) -> Inode {
        let time = |seconds| Timestamp { seconds, nanoseconds: 999_999_999 };
        Inode {
            epoch: Epoch(12),
            generation: Generation(1),
            mode: 0o4755,
            links: 2,
            uid: 3,
            gid: 4,
            atime: time(-5),
            mtime: time(6),
            ctime: time(7),
            last_access: time(8),
            change: 9,
            change_ceiling: 10,
            content,
        }
    }

    #[test]
    fn every_kind_round_trips() {
        let device = DeviceNumber { major: 8, minor: 1 };
        for content in [
            Content::File {
                size: 1,
                id: ContentId(2),
                standard_bytes: 3,
                cold_bytes: 4,
                piece_bytes: 5,
                age_second: Some(6),
                verifier: Some([7; 8]),
            },
            Content::empty_file(ContentId(9)),
            Content::Directory { parent: InodeId(1), entries: 2 },
            Content::Symlink { target: Bytes::from_static(b"/x") },
            Content::Fifo,
            Content::Socket,
            Content::BlockDevice(device),
            Content::CharacterDevice(device),
        ] {
            let inode = inode(content);
            assert_eq!(Inode::decode(&inode.encode()), Ok(inode));
        }
    }

    #[test]
    fn a_field_that_is_absent_has_no_value() {
        let mut bytes = inode(Content::empty_file(ContentId(9))).encode();
        *bytes.last_mut().unwrap() = 1;
        assert_eq!(Inode::decode(&bytes), Err(Malformed("presence of a field")));
    }

    proptest! {
        #[test]
        fn any_bytes_decode_to_what_encodes_to_them_or_to_an_error(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(inode) = Inode::decode(&bytes) {
                prop_assert_eq!(Inode::decode(&inode.encode()), Ok(inode));
            }
        }
    }
}
