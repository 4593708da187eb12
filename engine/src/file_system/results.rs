//! What the operations take and return.

use bytes::Bytes;

use crate::attributes::Attributes;
use crate::identity::InodeId;
use crate::journal::Ticket;

/// How far a write must have got when it is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stability {
    /// In memory; lost by a crash before COMMIT, which the write verifier then shows.
    Unstable,
    /// On stable storage, with the attributes.
    FileSync,
}

/// What CREATE does about an existing file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CreateMode {
    /// Opens it; of the attributes only `size == 0` is applied.
    Unchecked,
    /// Fails with [`crate::Error::Exists`].
    Guarded,
    /// Opens it if it was created with the same verifier, else fails with [`crate::Error::Exists`].
    Exclusive([u8; 8]),
}

/// Whether CREATE made the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CreateOutcome {
    /// Made by this call (or by an earlier one with the same verifier).
    Created,
    /// It was there.
    Existed,
}

/// A directory's change attribute before and after an operation, taken atomically with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DirectoryChange {
    /// Before.
    pub before: u64,
    /// After.
    pub after: u64,
}

/// The result of making an entry.
#[derive(Debug, Clone)]
pub struct Created {
    /// Of the inode that the entry names.
    pub attributes: Attributes,
    /// Whether the inode is new.
    pub outcome: CreateOutcome,
    /// Of the directory.
    pub directory: DirectoryChange,
}

/// The result of removing an entry.
#[derive(Debug, Clone, Copy)]
pub struct Removed {
    /// The inode that the entry named.
    pub inode: InodeId,
    /// Of the directory.
    pub directory: DirectoryChange,
}

/// A name in a directory.
#[derive(Debug, Clone, Copy)]
pub struct Entry<'a> {
    /// The directory.
    pub directory: InodeId,
    /// The name in it.
    pub name: &'a [u8],
}

/// The result of a rename.
#[derive(Debug, Clone, Copy)]
pub struct Renamed {
    /// Of the directory that lost the entry.
    pub source: DirectoryChange,
    /// Of the directory that got it.
    pub target: DirectoryChange,
}

/// A stable position in a directory: 0 is the start, others come from [`DirectoryEntry`]; never 1 or 2, and below 2^63.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cookie(pub u64);

/// One entry of a listing.
#[derive(Debug, Clone)]
pub struct DirectoryEntry {
    /// The position of this entry: a listing after it goes on with the next one.
    pub cookie: Cookie,
    /// The name.
    pub name: Bytes,
    /// Of the inode.
    pub attributes: Attributes,
}

/// Part of a listing.
#[derive(Debug, Clone)]
pub struct DirectoryPage {
    /// In the order of their cookies. `.` and `..` are not among them.
    pub entries: Vec<DirectoryEntry>,
    /// Whether the listing ends here.
    pub end: bool,
}

/// What READ found.
#[derive(Debug, Clone)]
pub struct ReadData {
    /// The bytes, in order; together shorter than asked only at the end of the file.
    pub parts: Vec<Bytes>,
    /// Whether the read reached the end of the file.
    pub end_of_file: bool,
}

/// What WRITE did.
#[derive(Debug)]
pub struct Written {
    /// Bytes taken: all of them.
    pub length: usize,
    /// Wait for it before the answer. For [`Stability::Unstable`] it is mostly nothing, but now and then the durable reservation of
    /// change numbers, without which a crash would take the change attribute back.
    pub ticket: Ticket,
}

/// What becomes of the size of a file when a range of it is zeroed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ZeroSize {
    /// It stays.
    Keep,
    /// It grows to the end of the range, if it is less.
    Extend,
}

/// What SEEK looks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SeekFor {
    /// The next byte that is data.
    Data,
    /// The next byte that is in a hole.
    Hole,
}

/// What SEEK found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sought {
    /// The byte, at or behind where it began.
    At(u64),
    /// No data comes any more before the end of the file.
    EndOfFile,
    /// It began at or behind the end of the file.
    BeyondEnd,
}

/// A range of one file that is cloned to another place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CloneRange {
    /// Where it begins in the source; a multiple of 4 KiB.
    pub source_offset: u64,
    /// Where it begins in the destination; a multiple of 4 KiB.
    pub destination_offset: u64,
    /// How long it is: a multiple of 4 KiB, or up to the end of the source. 0 is up to the end.
    pub length: u64,
}

/// On whose authority attributes are set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Authority {
    /// The mode bits decide.
    Mode,
    /// The caller holds the file open for writing, so that the size may change whatever the mode says now.
    OpenForWriting,
}

/// For `df`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    /// Bytes in all.
    pub total_bytes: u64,
    /// Bytes free for anybody.
    pub free_bytes: u64,
    /// Inodes in all.
    pub total_files: u64,
    /// Inodes free.
    pub free_files: u64,
}
