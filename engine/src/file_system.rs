//! The facade: a mounted file system and the operations on it.
use bytes::Bytes;

use std::path::{Path, PathBuf};

use crate::attributes::{Attributes, DeviceNumber, FileKind, SetAttributes, Timestamp};
use crate::credential::{Access, Credential};
use crate::environment::Environment;
use crate::error::Result;
use crate::identity::{Epoch, FileSystemId, Generation, InodeId};
use crate::journal::{Pending, Ticket};
use crate::tiering::{DueCursor, DuePage, FileFacts, Status, Tier, Transitioned};

/// A file system that is open for reading and writing. Cheap to clone.
#[derive(Clone)]
pub struct FileSystem {}

/// How a file system is opened.
#[derive(Debug, Clone)]
pub struct OpenOptions {
    /// The file with the key-encryption key (`KeyFile::create` makes one; mode 0600).
    pub key_file: PathBuf,
    /// Where the cold tiers live.
    pub cold: ColdStoreConfig,
    /// Time and randomness.
    pub environment: Environment,
    /// Memory and disk budgets.
    pub budgets: Budgets,
}

/// Where the cold tiers live.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ColdStoreConfig {
    /// A local directory, through the same code as a bucket.
    Directory(PathBuf),
    /// An S3-compatible bucket; credentials from the usual `AWS_*` variables.
    Bucket {
        /// Bucket name.
        name: String,
        /// Key prefix without slashes at its ends; may be empty.
        prefix: String,
        /// Such as `http://127.0.0.1:9000`; `None` for AWS.
        endpoint: Option<String>,
        /// Region; `us-east-1` if not given.
        region: Option<String>,
    },
}

/// Memory and disk budgets, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budgets {
    /// Journal files on the disk.
    pub journal_bytes: u64,
    /// Recent metadata changes in memory.
    pub overlay_bytes: u64,
    /// sled's cache.
    pub index_cache_bytes: u64,
    /// UNSTABLE data in memory.
    pub write_buffer_bytes: u64,
    /// Opened blocks in memory.
    pub block_cache_bytes: u64,
    /// Size at which a Standard segment is closed.
    pub segment_bytes: u64,
    /// Size at which a cold object is closed.
    pub object_bytes: u64,
}

impl Default for Budgets {
    fn default() -> Self {
        const MIB: u64 = 1 << 20;
        Budgets {
            journal_bytes: 256 * MIB,
            overlay_bytes: 64 * MIB,
            index_cache_bytes: 128 * MIB,
            write_buffer_bytes: 256 * MIB,
            block_cache_bytes: 256 * MIB,
            segment_bytes: 128 * MIB,
            object_bytes: 32 * MIB,
        }
    }
}

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
    /// For [`Stability::FileSync`]: wait for it before the answer. Else nothing to wait for.
    pub ticket: Ticket,
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

/// Keeps an inode alive while it is open, though its last name may be removed. Dropping it lets go.
#[derive(Debug)]
pub struct Pin {
    inode: InodeId,
}

impl Pin {
    /// The inode.
    pub fn inode(&self) -> InodeId {
        self.inode
    }
}

#[expect(unused_variables, clippy::todo, clippy::unused_async, reason = "STUB: signatures only")]
impl FileSystem {
    /// Its id.
    pub fn id(&self) -> FileSystemId {
        todo!()
    }
    /// Counts its starts; durable before anything of this start is.
    pub fn epoch(&self) -> Epoch {
        todo!()
    }
    /// A secret for MACs of the layers above (file handles), the same over restarts, different for each purpose.
    pub fn derive_secret(&self, purpose: &str) -> [u8; 32] {
        todo!()
    }
    /// Changes whenever UNSTABLE data may have been lost: with each start.
    pub fn write_verifier(&self) -> [u8; 8] {
        todo!()
    }
    /// The attributes behind a handle, or [`crate::Error::Stale`].
    pub fn resolve(&self, inode: InodeId, generation: Generation) -> Result<Attributes> {
        todo!()
    }
    /// The attributes of an inode.
    pub fn attributes(&self, inode: InodeId) -> Result<Attributes> {
        todo!()
    }
    /// LOOKUP; needs search permission.
    pub fn lookup(&self, who: &Credential, entry: Entry<'_>) -> Result<Attributes> {
        todo!()
    }
    /// LOOKUPP; [`crate::Error::NotFound`] at the root.
    pub fn lookup_parent(&self, who: &Credential, directory: InodeId) -> Result<Attributes> {
        todo!()
    }
    /// Which of the wanted permissions the identity has.
    pub fn access(&self, who: &Credential, inode: InodeId, wanted: Access) -> Result<Access> {
        todo!()
    }
    /// READLINK.
    pub fn read_link(&self, inode: InodeId) -> Result<Bytes> {
        todo!()
    }
    /// READDIR: up to `entries_max` entries after the cookie; needs read permission.
    pub fn read_directory(
        &self,
        who: &Credential,
        directory: InodeId,
        after: Cookie,
        entries_max: usize,
    ) -> Result<DirectoryPage> {
        todo!()
    }
    /// For `df`.
    pub fn space(&self) -> Result<Space> {
        todo!()
    }
    /// Keeps the inode alive until the pin is dropped.
    pub fn pin(&self, inode: InodeId) -> Result<Pin> {
        todo!()
    }
    /// Releases the unlinked inodes that nobody has pinned. The gateway calls it when the grace period has ended.
    pub async fn release_orphans(&self) -> Result<()> {
        todo!()
    }
    /// OPEN with create. Owner and group are the identity's unless the directory is set-gid.
    pub async fn create(
        &self,
        who: &Credential,
        entry: Entry<'_>,
        mode: CreateMode,
        set: &SetAttributes,
    ) -> Result<Pending<Created>> {
        todo!()
    }
    /// MKDIR.
    pub async fn make_directory(
        &self,
        who: &Credential,
        entry: Entry<'_>,
        set: &SetAttributes,
    ) -> Result<Pending<Created>> {
        todo!()
    }
    /// SYMLINK.
    pub async fn make_symlink(
        &self,
        who: &Credential,
        entry: Entry<'_>,
        target: &[u8],
        set: &SetAttributes,
    ) -> Result<Pending<Created>> {
        todo!()
    }
    /// MKNOD: fifo, socket or device.
    pub async fn make_node(
        &self,
        who: &Credential,
        entry: Entry<'_>,
        kind: FileKind,
        device: DeviceNumber,
        set: &SetAttributes,
    ) -> Result<Pending<Created>> {
        todo!()
    }
    /// LINK.
    pub async fn link(&self, who: &Credential, inode: InodeId, entry: Entry<'_>) -> Result<Pending<Created>> {
        todo!()
    }
    /// REMOVE: of a file or of an empty directory.
    pub async fn remove(&self, who: &Credential, entry: Entry<'_>) -> Result<Pending<Removed>> {
        todo!()
    }
    /// RENAME, over an existing entry too.
    pub async fn rename(&self, who: &Credential, from: Entry<'_>, to: Entry<'_>) -> Result<Pending<Renamed>> {
        todo!()
    }
    /// SETATTR.
    pub async fn set_attributes(
        &self,
        who: &Credential,
        inode: InodeId,
        set: &SetAttributes,
        authority: Authority,
    ) -> Result<Pending<Attributes>> {
        todo!()
    }
    /// READ. The caller has checked permission. Cold data is fetched; [`crate::Error::Unavailable`] if the store is away.
    pub async fn read(&self, inode: InodeId, offset: u64, length: usize) -> Result<ReadData> {
        todo!()
    }
    /// WRITE. The caller has checked permission; `who` decides whether set-id bits are cleared.
    pub async fn write(
        &self,
        who: &Credential,
        inode: InodeId,
        offset: u64,
        data: Bytes,
        stability: Stability,
    ) -> Result<Written> {
        todo!()
    }
    /// COMMIT of the whole file: the ticket is durable when all data written before this call is.
    pub async fn commit(&self, inode: InodeId) -> Result<Ticket> {
        todo!()
    }
    /// The inode at an absolute path; symbolic links are not followed.
    pub fn resolve_path(&self, path: &[u8]) -> Result<Attributes> {
        todo!()
    }
    /// What a policy decides on. Only regular files have facts: else [`crate::Error::WrongType`].
    pub fn facts(&self, inode: InodeId) -> Result<FileFacts> {
        todo!()
    }
    /// Up to `limit` files with data in Standard that were last accessed at or before the time, oldest first, after the cursor.
    /// Costs what is due, not what exists.
    pub fn due(&self, before: Timestamp, after: &DueCursor, limit: usize) -> Result<DuePage> {
        todo!()
    }
    /// Moves the content of files to a tier, packing many small files into one object. What is changed meanwhile stays. On
    /// success all of it is durable; an error leaves every file readable where it is.
    pub async fn transition(&self, files: &[InodeId], to: Tier) -> Result<Transitioned> {
        todo!()
    }
    /// Takes up to `limit` files whose cold data was read since the last call (bounded; some may be forgotten).
    pub fn take_cold_reads(&self, limit: usize) -> Vec<InodeId> {
        todo!()
    }
    /// How things stand.
    pub fn status(&self) -> Result<Status> {
        todo!()
    }
    /// Makes a file system below the data directory. The first server start does it.
    pub fn make(data: &Path, options: &OpenOptions) -> Result<FileSystemId> {
        todo!()
    }
    /// The ids of the file systems below a data directory.
    pub fn list(data: &Path) -> Result<Vec<FileSystemId>> {
        todo!()
    }
    /// Opens a file system below the data directory, recovering it if it was not shut down. Must run inside a tokio runtime.
    pub async fn open(data: &Path, id: FileSystemId, options: OpenOptions) -> Result<FileSystem> {
        todo!()
    }
    /// A small durable record of the layers above, by key.
    pub fn note(&self, key: &str) -> Result<Option<Bytes>> {
        todo!()
    }
    /// All notes whose key starts so.
    pub fn notes(&self, prefix: &str) -> Result<Vec<(String, Bytes)>> {
        todo!()
    }
    /// Sets a note, or removes it.
    pub async fn set_note(&self, key: &str, value: Option<&[u8]>) -> Result<Ticket> {
        todo!()
    }
    /// Flushes, checkpoints and closes. A file system that is merely dropped is recovered at the next open.
    pub async fn shutdown(&self) -> Result<()> {
        todo!()
    }
}
