//! What can be wrong with a file system.

use std::path::PathBuf;

use bytes::Bytes;

use crate::identity::{BlockIndex, ContentId, InodeId, SegmentId};
use crate::tiering::Tier;

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Files or their names are lost or cannot be read.
    Damage,
    /// A number that is derived from others is wrong; no data is hit.
    Counter,
    /// Space is taken by something that nobody refers to; no data is hit.
    Leak,
    /// Something that is of no use is not as it was written. No data is hit, but the disk is to be suspected.
    Notice,
}

/// A number that is derived from others, with what it says and what is true.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counter {
    /// Which.
    pub name: &'static str,
    /// What is stored.
    pub stored: u64,
    /// What was counted.
    pub counted: u64,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// There is no root directory.
    #[error("the root directory is missing")]
    RootMissing,
    /// A record that cannot be decoded.
    #[error("the record {key} cannot be read: {what}")]
    Record {
        /// Its key, in hexadecimal digits.
        key: String,
        /// What is wrong with it.
        what: String,
    },
    /// The index gave an error instead of records.
    #[error("the metadata index cannot be read: {what}")]
    IndexUnreadable {
        /// What it said.
        what: String,
    },
    /// An entry whose inode is not there.
    #[error("the entry {:?} of directory {directory} names inode {inode}, which is not there", Text(name))]
    EntryWithoutInode {
        /// The directory.
        directory: InodeId,
        /// Where the entry stands in it.
        cookie: u64,
        /// Its name.
        name: Bytes,
        /// The inode that it names.
        inode: InodeId,
    },
    /// Entries below something that is not a directory.
    #[error("{entries} entries stand below inode {directory}, which is no directory")]
    EntriesWithoutDirectory {
        /// The inode that is none.
        directory: InodeId,
        /// How many.
        entries: u64,
    },
    /// An entry that does not stand where its name belongs, so that it is listed and cannot be found, or found twice.
    #[error("the entry {:?} of directory {directory} stands in the wrong place: {what}", Text(name))]
    EntryMisplaced {
        /// The directory.
        directory: InodeId,
        /// Where the entry stands in it.
        cookie: u64,
        /// Its name.
        name: Bytes,
        /// What is wrong with the place.
        what: &'static str,
    },
    /// A tombstone behind which nothing stands, or that is not the first of its hash.
    #[error("directory {directory} has a tombstone at {cookie} that is of no use")]
    Tombstone {
        /// The directory.
        directory: InodeId,
        /// Where it stands.
        cookie: u64,
    },
    /// A directory with more than one entry.
    #[error("directory {directory} has {entries} entries that name it")]
    DirectoryLinked {
        /// The directory.
        directory: InodeId,
        /// How many.
        entries: u64,
    },
    /// A directory's `..` is not where its entry is.
    #[error("directory {directory} says that its parent is {stored}, but its entry is in {found}")]
    Parent {
        /// The directory.
        directory: InodeId,
        /// What it says.
        stored: InodeId,
        /// Where its entry is.
        found: InodeId,
    },
    /// An inode that has links but that no entry names.
    #[error("no entry names inode {inode}")]
    Unreachable {
        /// The inode.
        inode: InodeId,
    },
    /// A directory that hangs below itself, or below something that is no directory, and not below the root.
    #[error("directory {inode} does not hang below the root")]
    Loop {
        /// The directory.
        inode: InodeId,
    },
    /// An inode without links that is not in the orphan set.
    #[error("inode {inode} has no links and does not wait for its release")]
    UnlinkedNotOrphan {
        /// The inode.
        inode: InodeId,
    },
    /// An inode in the orphan set that has links.
    #[error("inode {inode} waits for its release though it has links")]
    OrphanLinked {
        /// The inode.
        inode: InodeId,
    },
    /// The orphan set names an inode that is not there.
    #[error("inode {inode} waits for its release and is not there")]
    OrphanMissing {
        /// The inode.
        inode: InodeId,
    },
    /// A counter of an inode.
    #[error("inode {inode}: {}", counter.text())]
    InodeCounter {
        /// The inode.
        inode: InodeId,
        /// Which counter.
        counter: Counter,
    },
    /// A counter of the whole file system.
    #[error("totals: {}", .0.text())]
    Total(Counter),
    /// The next number to be given was given already.
    #[error("the next inode or content would get number {next}, but {used} is in use")]
    NextNumber {
        /// What would be given.
        next: u64,
        /// The highest number in use.
        used: u64,
    },
    /// A file and the age index disagree.
    #[error("inode {inode} and the age index disagree: {what}")]
    Age {
        /// The file.
        inode: InodeId,
        /// The second of the entry that is wrong; `None` if one is missing.
        second: Option<u64>,
        /// How.
        what: &'static str,
    },
    /// Two files with one content.
    #[error("inodes {first} and {second} have the same content {content}")]
    ContentTwice {
        /// The content.
        content: ContentId,
        /// One file.
        first: InodeId,
        /// The other.
        second: InodeId,
    },
    /// A content that is to be released belongs to a file.
    #[error("the content {content} of inode {inode} is going to be released though it is in use")]
    ContentDoomed {
        /// The content.
        content: ContentId,
        /// The file.
        inode: InodeId,
    },
    /// Extents and pieces of a content that no file has and that is not to be released.
    #[error("{rows} extents and pieces belong to content {content}, which no file has")]
    ContentUnowned {
        /// The content.
        content: ContentId,
        /// How many.
        rows: u64,
    },
    /// A piece says that it belongs to another file.
    #[error("a piece of inode {inode} says that it is of inode {stored}")]
    PieceOwner {
        /// The file whose content it stands below.
        inode: InodeId,
        /// What it says.
        stored: InodeId,
    },
    /// Data behind the end of a file, which would come back when the file grows.
    #[error("inode {inode} has data behind its end, in block {block}")]
    BehindEnd {
        /// The file.
        inode: InodeId,
        /// The first such block.
        block: BlockIndex,
    },
    /// Extents or pieces of a content that do not lie as they must: what a read of them gives is not sure.
    #[error("block {block} of content {content} does not lie as it must: {what}")]
    Layout {
        /// The content.
        content: ContentId,
        /// The block of it.
        block: BlockIndex,
        /// How.
        what: &'static str,
    },
    /// An extent shows a shared block and has no reference, so that the block may be released while it is needed.
    #[error("block {block} of content {content} is shared, but has no reference")]
    ReferenceMissing {
        /// The content.
        content: ContentId,
        /// The block of it.
        block: BlockIndex,
    },
    /// A reference of no extent, which keeps a block from being released.
    #[error(
        "frame {frame} of segment {segment} has a reference of block {block} of content {content}, which does not show it"
    )]
    ReferenceStray {
        /// The segment.
        segment: SegmentId,
        /// The frame in it.
        frame: u32,
        /// The content that the reference names.
        content: ContentId,
        /// The block of it.
        block: BlockIndex,
    },
    /// Extents point into a segment that has no row.
    #[error("{extents} extents point into segment {segment}, which is not known")]
    SegmentUnknown {
        /// The segment.
        segment: SegmentId,
        /// How many.
        extents: u64,
    },
    /// Extents of one tier point into a segment of another one.
    #[error("segment {segment} has extents of another tier than its own")]
    SegmentTier {
        /// The segment.
        segment: SegmentId,
    },
    /// A counter of a segment.
    #[error("segment {segment}: {}", counter.text())]
    SegmentCounter {
        /// The segment.
        segment: SegmentId,
        /// Which counter.
        counter: Counter,
    },
    /// A segment with data in it is not there.
    #[error("segment {segment} of {} is missing, with {live_bytes} bytes of data in it", tier_name(*tier))]
    SegmentMissing {
        /// The segment.
        segment: SegmentId,
        /// Its tier.
        tier: Tier,
        /// Sealed bytes in use.
        live_bytes: u64,
    },
    /// A segment is shorter than what extents say.
    #[error("segment {segment} of {} has {length} bytes, but {needed} are in use", tier_name(*tier))]
    SegmentShort {
        /// The segment.
        segment: SegmentId,
        /// Its tier.
        tier: Tier,
        /// How long it is.
        length: u64,
        /// How long it must be.
        needed: u64,
    },
    /// A file or object of a segment that has no row.
    #[error("segment {segment} of {} ({bytes} bytes) is known to nobody", tier_name(*tier))]
    SegmentLeaked {
        /// The segment.
        segment: SegmentId,
        /// Its tier.
        tier: Tier,
        /// Its length.
        bytes: u64,
    },
    /// A block that a file needs does not authenticate.
    #[error("block {block} of content {content} at offset {offset} of segment {segment} in {} is damaged", tier_name(*tier))]
    BlockDamaged {
        /// The segment.
        segment: SegmentId,
        /// Its tier.
        tier: Tier,
        /// Where the block stands in it.
        offset: u64,
        /// The content.
        content: ContentId,
        /// The block of it.
        block: BlockIndex,
    },
    /// Headers or directories in a segment do not authenticate; blocks that are hit, too, are found on their own.
    #[error("segment {segment} of {} is damaged at offset {offset}: {what}", tier_name(*tier))]
    SegmentDamaged {
        /// The segment.
        segment: SegmentId,
        /// Its tier.
        tier: Tier,
        /// Where.
        offset: u64,
        /// What is wrong.
        what: String,
    },
    /// Blocks that no file needs any more do not authenticate.
    #[error("{blocks} blocks in segment {segment} of {} are damaged, of which no file needs any", tier_name(*tier))]
    GarbageDamaged {
        /// The segment.
        segment: SegmentId,
        /// Its tier.
        tier: Tier,
        /// How many.
        blocks: u64,
    },
    /// A file of the metadata is not as it was written.
    #[error("{}: {what}", path.display())]
    FileDamaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// The marker of the index cannot be read, so that the next start builds the index anew.
    #[error("{}: {what}", path.display())]
    MarkerDamaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// The index says something else than the checkpoints.
    #[error("the metadata index differs from the checkpoints, for one at key {example}")]
    IndexDiffers {
        /// Places where it does.
        keys: u64,
        /// The first key.
        example: String,
    },
    /// A file in the data directory that nobody knows.
    #[error("the file {} is known to nobody", path.display())]
    StrayFile {
        /// The file.
        path: PathBuf,
    },
    /// An object in the bucket below the file system's prefix that nobody knows.
    #[error("the object {name} is known to nobody")]
    StrayObject {
        /// Its name.
        name: String,
    },
}

/// Bytes of a name, as people read them.
struct Text<'a>(&'a [u8]);

impl std::fmt::Debug for Text<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Debug::fmt(&String::from_utf8_lossy(self.0), f)
    }
}

pub(super) fn tier_name(tier: Tier) -> &'static str {
    match tier {
        Tier::Standard => "Standard",
        Tier::InfrequentAccess => "Infrequent Access",
    }
}

impl Counter {
    fn text(&self) -> String {
        format!("{} is {}, but {} were counted", self.name, self.stored, self.counted)
    }
}
