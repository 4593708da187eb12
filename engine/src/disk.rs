//! The seam to local storage: every file that the engine writes itself goes through [`Disk`], so that a simulated
//! disk can stand in for the real one. (sled writes beside it; its directory is never trusted after a crash.)
//!
//! # Crash consistency
//! A file's bytes are durable after [`DiskFile::sync_data`] (or when written to a [`OpenHow::DirectDurable`] file); its
//! name is durable only after [`Disk::sync_directory`] of its directory. A failed sync is final: the caller must not retry it.

mod publish;
mod real;
#[cfg(test)]
pub(crate) mod simulated;

use std::io;
use std::path::Path;
use std::sync::Arc;

pub(crate) use publish::{
    cannot_sync, keep_names, keep_path, make_directory, publish, read_small, sync_parent,
};
pub use real::RealDisk;

/// A directory tree on stable storage.
pub trait Disk: Send + Sync + 'static {
    /// Opens a file.
    fn open(&self, path: &Path, how: OpenHow) -> io::Result<Arc<dyn DiskFile>>;
    /// Replaces `to` by `from` atomically.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Gives a file a name that nothing has: [`io::ErrorKind::AlreadyExists`] if something has it. On a disk that one process uses it is
    /// enough to look first.
    fn rename_new(&self, from: &Path, to: &Path) -> io::Result<()> {
        match self.open(to, OpenHow::Read) {
            Ok(_) => Err(io::ErrorKind::AlreadyExists.into()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.rename(from, to),
            Err(error) => Err(error),
        }
    }
    /// Removes a file; a missing one is not an error, so that a deletion can be repeated.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// The names in a directory, in no order.
    fn list(&self, directory: &Path) -> io::Result<Vec<String>>;
    /// Makes a directory (mode 0700) unless it is there; parents too.
    fn create_directory(&self, path: &Path) -> io::Result<()>;
    /// Makes the names in a directory durable.
    fn sync_directory(&self, path: &Path) -> io::Result<()>;
    /// Bytes that may still be written to the file system that holds the path.
    fn free_bytes(&self, path: &Path) -> io::Result<u64>;
    /// Takes the lock on a file, which is made if it is not there: [`io::ErrorKind::WouldBlock`] if somebody else has it. It is held
    /// until the result is dropped, or its holder dies.
    fn lock(&self, path: &Path) -> io::Result<DiskLock>;
    /// Names the run of the machine since it was started, if that can be told: what a killed process had written and not synced is
    /// there as long as it is the same.
    fn boot(&self) -> Option<String>;
}

/// Held as long as a lock is.
pub type DiskLock = Box<dyn std::any::Any + Send + Sync>;

impl std::fmt::Debug for dyn Disk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Disk")
    }
}

/// An open file.
pub trait DiskFile: Send + Sync + 'static {
    /// Reads up to the buffer's length; fewer bytes only at the end of the file.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;
    /// Reads as [`DiskFile::read_at`] does, but only what is in memory: `None` if it is not, or if that cannot be told. A disk begins
    /// to fetch what is missing, so that a later call may find it.
    fn read_at_once(&self, buffer: &mut [u8], offset: u64) -> io::Result<Option<usize>> {
        let _ = (buffer, offset);
        Ok(None)
    }
    /// Writes all bytes.
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;
    /// Makes data and length durable.
    fn sync_data(&self) -> io::Result<()>;
    /// The length in bytes.
    fn length(&self) -> io::Result<u64>;
    /// Cuts or extends with zeros.
    fn set_length(&self, length: u64) -> io::Result<()>;
}

/// How a file is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpenHow {
    /// For reading; must exist.
    Read,
    /// For reading and writing; must not exist. Mode 0600.
    CreateNew,
    /// The same for a file that is written in long pieces: of a piece whose bytes are `direct_place`d in memory, the whole pages go past
    /// the page cache, if the file system has direct I/O. As with any other write they are durable after [`DiskFile::sync_data`].
    CreateStream,
    /// For writing past the page cache; must exist. Each write is durable when it returns; buffers, offsets and lengths must be
    /// multiples of [`DIRECT_ALIGNMENT`]. Where the file system has no direct I/O it is O_DSYNC alone.
    DirectDurable,
}

impl OpenHow {
    /// Whether the file must not exist.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn is_new(self) -> bool {
        matches!(self, OpenHow::CreateNew | OpenHow::CreateStream)
    }
}

/// The alignment that direct I/O needs everywhere.
pub const DIRECT_ALIGNMENT: usize = 4096;

/// How many bytes of a buffer to leave out, so that what follows can be written to the offset past the page cache: it then has the
/// distance from a page in memory that it has in the file.
pub(crate) fn direct_place(buffer: &[u8], offset: u64) -> usize {
    let within = usize::try_from(offset % DIRECT_ALIGNMENT as u64).unwrap_or(0);
    (buffer.as_ptr().align_offset(DIRECT_ALIGNMENT) + within) % DIRECT_ALIGNMENT
}

/// A zeroed buffer that starts at a multiple of [`DIRECT_ALIGNMENT`].
#[derive(Debug)]
pub struct AlignedBuffer {
    storage: Vec<u8>,
    start: usize,
    length: usize,
}

impl AlignedBuffer {
    /// A buffer of that many bytes, rounded up to the alignment.
    pub fn zeroed(length: usize) -> Self {
        let length = length.next_multiple_of(DIRECT_ALIGNMENT);
        let storage = vec![0; length + DIRECT_ALIGNMENT];
        let start = storage.as_ptr().align_offset(DIRECT_ALIGNMENT);
        AlignedBuffer { storage, start, length }
    }

    /// The bytes.
    pub fn as_slice(&self) -> &[u8] {
        self.storage.get(self.start..self.start + self.length).unwrap_or_default()
    }

    /// The bytes, to be changed.
    pub fn as_mut_slice(&mut self) -> &mut [u8] {
        self.storage.get_mut(self.start..self.start + self.length).unwrap_or_default()
    }
}
