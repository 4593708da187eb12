//! The facade: an open file system and the operations on it.

mod making;
pub(crate) mod open;
mod options;
mod pin;
mod results;

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;

use crate::attributes::{Attributes, DeviceNumber, FileKind, SetAttributes, Timestamp};
use crate::credential::{Access, Credential};
#[cfg(test)]
use crate::disk::Disk;
use crate::disk::RealDisk;
use crate::environment::Environment;
use crate::error::Result;
use crate::garbage::{Collected, CollectionPlan};
use crate::identity::{Epoch, FileSystemId, Generation, InodeId};
use crate::journal::{Pending, Ticket};
use crate::keys::{KeySource, KeyStatus};
use crate::ops::NewContent;
use crate::tiering::{DueCursor, DuePage, FileFacts, Status, Tier, Transitioned};
use crate::upkeep::ScrubOptions;
use crate::verify::{Repaired, VerifyOptions, VerifyProgress, VerifyReport};
use crate::volume::Volume;

pub use options::{ColdStoreConfig, OpenOptions};
pub use pin::Pin;
pub use results::*;

/// A file system that is open for reading and writing. Cheap to clone.
#[derive(Clone)]
pub struct FileSystem {
    volume: Arc<Volume>,
}

impl FileSystem {
    /// A volume that was opened by other means.
    #[cfg(test)]
    pub(crate) fn of(volume: Arc<Volume>) -> Self {
        FileSystem { volume }
    }

    /// What is behind the facade.
    #[cfg(test)]
    pub(crate) fn volume(&self) -> &Arc<Volume> {
        &self.volume
    }

    /// Its id.
    pub fn id(&self) -> FileSystemId {
        self.volume.id
    }

    /// Counts its starts; durable before anything of this start is.
    pub fn epoch(&self) -> Epoch {
        self.volume.epoch
    }

    /// A secret for MACs of the layers above (file handles), the same over restarts, different for each purpose.
    pub fn derive_secret(&self, purpose: &str) -> [u8; 32] {
        *self.volume.keys.identity().derive_secret("layer", purpose.as_bytes())
    }

    /// Changes whenever UNSTABLE data may have been lost: with each start.
    pub fn write_verifier(&self) -> [u8; 8] {
        self.volume.write_verifier()
    }

    /// The attributes behind a handle, or [`crate::Error::Stale`].
    pub fn resolve(&self, inode: InodeId, generation: Generation) -> Result<Attributes> {
        self.volume.resolve(inode, generation)
    }

    /// The attributes of an inode.
    pub fn attributes(&self, inode: InodeId) -> Result<Attributes> {
        self.volume.attributes(inode)
    }

    /// LOOKUP; needs search permission.
    pub fn lookup(&self, who: &Credential, entry: Entry<'_>) -> Result<Attributes> {
        self.volume.lookup(who, entry)
    }

    /// LOOKUPP; [`crate::Error::NotFound`] at the root.
    pub fn lookup_parent(&self, who: &Credential, directory: InodeId) -> Result<Attributes> {
        self.volume.lookup_parent(who, directory)
    }

    /// Which of the wanted permissions the identity has.
    pub fn access(&self, who: &Credential, inode: InodeId, wanted: Access) -> Result<Access> {
        self.volume.access(who, inode, wanted)
    }

    /// READLINK.
    pub fn read_link(&self, inode: InodeId) -> Result<Bytes> {
        self.volume.read_link(inode)
    }

    /// READDIR: up to `entries_max` entries after the cookie; needs read permission.
    pub fn read_directory(
        &self,
        who: &Credential,
        directory: InodeId,
        after: Cookie,
        entries_max: usize,
    ) -> Result<DirectoryPage> {
        self.volume.read_directory(who, directory, after, entries_max)
    }

    /// For `df`.
    pub fn space(&self) -> Result<Space> {
        self.volume.space_usage()
    }

    /// Keeps the inode alive until the pin is dropped.
    pub fn pin(&self, inode: InodeId) -> Result<Pin> {
        Pin::new(&self.volume, inode)
    }

    /// Releases the unlinked inodes that nobody has pinned. The gateway calls it when the grace period has ended.
    pub async fn release_orphans(&self) -> Result<()> {
        self.volume.release_orphans().await
    }

    /// OPEN with create. Owner and group are the identity's unless the directory is set-gid.
    pub async fn create(
        &self,
        who: &Credential,
        entry: Entry<'_>,
        mode: CreateMode,
        set: &SetAttributes,
    ) -> Result<Pending<Created>> {
        self.volume.create_file(who, entry, mode, set).await
    }

    /// MKDIR.
    pub async fn make_directory(
        &self,
        who: &Credential,
        entry: Entry<'_>,
        set: &SetAttributes,
    ) -> Result<Pending<Created>> {
        self.volume.create_other(who, entry, NewContent::Directory, set).await
    }

    /// SYMLINK.
    pub async fn make_symlink(
        &self,
        who: &Credential,
        entry: Entry<'_>,
        target: &[u8],
        set: &SetAttributes,
    ) -> Result<Pending<Created>> {
        self.volume.create_other(who, entry, NewContent::Symlink(target), set).await
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
        self.volume.create_other(who, entry, NewContent::Node(kind, device), set).await
    }

    /// LINK.
    pub async fn link(&self, who: &Credential, inode: InodeId, entry: Entry<'_>) -> Result<Pending<Created>> {
        self.volume.link(who, inode, entry).await
    }

    /// REMOVE: of a file or of an empty directory.
    pub async fn remove(&self, who: &Credential, entry: Entry<'_>) -> Result<Pending<Removed>> {
        self.volume.remove(who, entry).await
    }

    /// RENAME, over an existing entry too.
    pub async fn rename(&self, who: &Credential, from: Entry<'_>, to: Entry<'_>) -> Result<Pending<Renamed>> {
        self.volume.rename(who, from, to).await
    }

    /// SETATTR.
    pub async fn set_attributes(
        &self,
        who: &Credential,
        inode: InodeId,
        set: &SetAttributes,
        authority: Authority,
    ) -> Result<Pending<Attributes>> {
        self.volume.set_attributes(who, inode, set, authority).await
    }

    /// READ. The caller has checked permission. Cold data is fetched; [`crate::Error::Unavailable`] if the store is away.
    pub async fn read(&self, inode: InodeId, offset: u64, length: usize) -> Result<ReadData> {
        self.volume.read(inode, offset, length).await
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
        self.volume.write(who, inode, offset, data, stability).await
    }

    /// DEALLOCATE: makes a hole of a range; what is behind the end of the file is left out. The caller has checked permission. No data
    /// is read or moved, in no tier. A long range may take several records, from its start to its end.
    pub async fn deallocate(&self, who: &Credential, inode: InodeId, range: Range<u64>) -> Result<Ticket> {
        self.volume.zero(who, inode, range, ZeroSize::Keep).await
    }

    /// Zeros a range by making a hole of it. As [`FileSystem::deallocate`], but the file may grow.
    pub async fn zero_range(
        &self,
        who: &Credential,
        inode: InodeId,
        range: Range<u64>,
        size: ZeroSize,
    ) -> Result<Ticket> {
        self.volume.zero(who, inode, range, size).await
    }

    /// SEEK: where the next data or the next hole is. Costs a look at the metadata only.
    pub fn seek(&self, inode: InodeId, offset: u64, wanted: SeekFor) -> Result<Sought> {
        self.volume.seek(inode, offset, wanted)
    }

    /// CLONE: makes a range of the destination show what a range of the source holds, by sharing its blocks. The caller has checked
    /// permission. Source and destination may be the same file if the ranges do not overlap. Else, and where the alignment is wrong or
    /// the range goes beyond the end of the source, [`crate::Error::Invalid`]. A long range may take several records, from its start to
    /// its end, and what is written to the source meanwhile may be in it or not.
    pub async fn clone_range(
        &self,
        who: &Credential,
        source: InodeId,
        destination: InodeId,
        range: CloneRange,
    ) -> Result<Ticket> {
        self.volume.clone_range(who, source, destination, range).await
    }

    /// Durable when all changes are that can be seen now: for an answer that tells of what others changed as of something that stays.
    pub fn all_visible(&self) -> Ticket {
        self.volume.store.everything()
    }

    /// COMMIT of the whole file: the ticket is durable when all data written before this call is.
    pub async fn commit(&self, inode: InodeId) -> Result<Ticket> {
        self.volume.commit(inode).await
    }

    /// The inode at an absolute path; symbolic links are not followed.
    pub fn resolve_path(&self, path: &[u8]) -> Result<Attributes> {
        self.volume.resolve_path(path)
    }

    /// What a policy decides on. Only regular files have facts: else [`crate::Error::WrongType`].
    pub fn facts(&self, inode: InodeId) -> Result<FileFacts> {
        self.volume.facts(inode)
    }

    /// Up to `limit` files with data in Standard that were last accessed at or before the time, oldest first, after the cursor.
    /// Costs what is due, not what exists.
    pub fn due(&self, before: Timestamp, after: &DueCursor, limit: usize) -> Result<DuePage> {
        self.volume.due(before, after, limit)
    }

    /// Moves the content of files to a tier, packing many small files into one object. What is changed meanwhile stays. On
    /// success all of it is durable; an error leaves every file readable where it is.
    pub async fn transition(&self, files: &[InodeId], to: Tier) -> Result<Transitioned> {
        self.volume.transition(files, to).await
    }

    /// Takes up to `limit` files whose cold data was read since the last call (bounded; some may be forgotten).
    pub fn take_cold_reads(&self, limit: usize) -> Vec<InodeId> {
        self.volume.access_log.take_cold_reads(limit)
    }

    /// What a collection of garbage would do now, and why. Changes nothing.
    pub fn collection_plan(&self) -> Result<CollectionPlan> {
        self.volume.collection_plan()
    }

    /// Rewrites the segments that have too much garbage and deletes those with nothing live in them, now and without a budget.
    pub async fn collect(&self) -> Result<Collected> {
        self.volume.collect_now().await
    }

    /// How things stand.
    pub fn status(&self) -> Result<Status> {
        self.volume.status()
    }

    /// Checks everything that the file system says about itself, while it is in use. What is found is in the report, not an error.
    pub async fn verify(&self, options: &VerifyOptions, progress: &VerifyProgress) -> Result<VerifyReport> {
        self.volume.verify(options, progress).await
    }

    /// Verifies, and mends what can be mended: names, counters and leaks, never data. [`VerifyReport::plan`] says before what it would do.
    pub async fn repair(&self, options: &VerifyOptions, progress: &VerifyProgress) -> Result<Repaired> {
        self.volume.repair(options, progress).await
    }

    /// Reads and authenticates all local data in the background, now and then, until the file system is closed. What is found is in the
    /// status, and in the log.
    pub fn scrub(&self, options: ScrubOptions) -> Result<()> {
        self.volume.start_scrub(options)
    }

    /// As [`FileSystem::verify`], for a file system that no process has open. It changes nothing, and reports damage that an open would
    /// fail on. The metadata index is not looked at.
    pub async fn verify_offline(
        data: &Path,
        id: FileSystemId,
        open: &OpenOptions,
        options: &VerifyOptions,
        progress: &VerifyProgress,
    ) -> Result<VerifyReport> {
        crate::verify::offline::verify(data, id, open, options, progress).await
    }

    /// As [`FileSystem::repair`], for a file system that no process has open. The metadata index is discarded and built anew from
    /// checkpoints and journal, whether anything is found or not; if one of these is damaged nothing is changed at all.
    pub async fn repair_offline(
        data: &Path,
        id: FileSystemId,
        open: &OpenOptions,
        options: &VerifyOptions,
        progress: &VerifyProgress,
    ) -> Result<Repaired> {
        let substitutes = open::Substitutes::default();
        crate::verify::offline::repair(data, id, open, (options, progress), substitutes).await
    }

    /// Makes a file system below the data directory. The first server start does it.
    pub fn make(data: &Path, options: &OpenOptions) -> Result<FileSystemId> {
        making::make(data, options)
    }

    /// Takes back a file system that was just made, is not open, and was never served. Durable when it returns: what is in the directory
    /// whose path is returned will be removed by the next making, if nobody does it before.
    pub fn take_back(data: &Path, id: FileSystemId, options: &OpenOptions) -> Result<PathBuf> {
        making::take_back(data, id, options)
    }

    /// The ids of the file systems on another disk than the machine's.
    #[cfg(test)]
    pub(crate) fn list_on(disk: &dyn Disk, data: &Path) -> Result<Vec<FileSystemId>> {
        making::list(disk, data)
    }

    /// The ids of the file systems below a data directory.
    pub fn list(data: &Path) -> Result<Vec<FileSystemId>> {
        making::list(&RealDisk, data)
    }

    /// How the keys stand.
    pub fn key_status(&self) -> Result<KeyStatus> {
        self.volume.key_status()
    }

    /// Wraps the keys anew, with another key-encryption key if one is given, and adds a data key: everything new is sealed under it from
    /// now on, and in the background everything else. Durable when it returns. The caller opens with the new source from then on.
    pub async fn rotate_key(&self, new: Option<KeySource>) -> Result<KeyStatus> {
        self.volume.rotate_key(new).await?;
        self.volume.key_status()
    }

    /// How the keys of a file system stand that nobody has open.
    pub fn key_status_offline(data: &Path, id: FileSystemId, options: &OpenOptions) -> Result<KeyStatus> {
        open::with_keys(data, id, options, |_| Ok(()))
    }

    /// As [`FileSystem::rotate_key`], for a file system that nobody has open. The next open seals its data anew.
    pub fn rotate_key_offline(
        data: &Path,
        id: FileSystemId,
        options: &OpenOptions,
        new: Option<&KeySource>,
    ) -> Result<KeyStatus> {
        open::with_keys(data, id, options, |keys| keys.rotate(new).map(drop))
    }

    /// Destroys the keys of a file system that nobody has open. Nothing opens it any more.
    pub fn shred(data: &Path, id: FileSystemId, environment: &Environment) -> Result<()> {
        crate::keys::shred(&data.join(id.to_string()), environment, id)
    }

    /// Opens a file system below the data directory, recovering it if it was not shut down. Must run inside a tokio runtime.
    pub async fn open(data: &Path, id: FileSystemId, options: OpenOptions) -> Result<FileSystem> {
        let volume = open::open(data, id, options).await?;
        Ok(FileSystem { volume })
    }

    /// A small durable record of the layers above, by key.
    pub fn note(&self, key: &str) -> Result<Option<Bytes>> {
        self.volume.note(key)
    }

    /// All notes whose key starts so.
    pub fn notes(&self, prefix: &str) -> Result<Vec<(String, Bytes)>> {
        self.volume.notes(prefix)
    }

    /// Sets a note, or removes it.
    pub async fn set_note(&self, key: &str, value: Option<&[u8]>) -> Result<Ticket> {
        self.volume.set_note(key, value).await
    }

    /// Flushes, checkpoints and closes. A file system that is merely dropped is recovered at the next open.
    pub async fn shutdown(&self) -> Result<()> {
        self.volume.shutdown().await
    }
}
