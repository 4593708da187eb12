//! What a file is, as its users see it.

use crate::identity::{Generation, InodeId};

/// A point in wall-clock time, to the nanosecond. `nanoseconds` is below 1,000,000,000.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp {
    /// Seconds since 1970-01-01T00:00:00Z; may be negative.
    pub seconds: i64,
    /// Nanoseconds within the second.
    pub nanoseconds: u32,
}

/// The kind of an inode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FileKind {
    /// A regular file.
    Regular,
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
    /// A named pipe.
    Fifo,
    /// A socket.
    Socket,
    /// A block device.
    BlockDevice,
    /// A character device.
    CharacterDevice,
}

/// The major and minor number of a device node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DeviceNumber {
    /// Major number.
    pub major: u32,
    /// Minor number.
    pub minor: u32,
}

/// The attributes of an inode at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attributes {
    /// Inode number.
    pub inode: InodeId,
    /// Generation of the number.
    pub generation: Generation,
    /// Kind.
    pub kind: FileKind,
    /// Permission bits with set-id and sticky bits: `0o7777` at most.
    pub mode: u32,
    /// Number of hard links; a directory has two and one for each subdirectory.
    pub links: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Size in bytes.
    pub size: u64,
    /// Bytes in use, in all tiers; below `size` for a sparse file.
    pub space_used: u64,
    /// Device number of a device node, else zero.
    pub device: DeviceNumber,
    /// Access time as POSIX has it. Never moved by a read, as in EFS.
    pub atime: Timestamp,
    /// Modification time of the content.
    pub mtime: Timestamp,
    /// Change time of content or attributes.
    pub ctime: Timestamp,
    /// Grows with every change of content or attributes, over restarts too; a tier transition leaves it alone.
    pub change: u64,
}

/// How SETATTR gives a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SetTime {
    /// The server's clock. Needs write permission only.
    Now,
    /// This time. Needs ownership.
    To(Timestamp),
}

/// Attributes to change; `None` leaves one as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SetAttributes {
    /// New permission bits.
    pub mode: Option<u32>,
    /// New owner.
    pub uid: Option<u32>,
    /// New group.
    pub gid: Option<u32>,
    /// New size: truncation or extension with a hole.
    pub size: Option<u64>,
    /// New access time.
    pub atime: Option<SetTime>,
    /// New modification time.
    pub mtime: Option<SetTime>,
}
