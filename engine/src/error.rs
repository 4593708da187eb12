//! What can go wrong, and what the caller should do next.

use std::path::PathBuf;
use std::time::Duration;

use crate::identity::KeyGeneration;
use crate::keys::KeySourceKind;

/// The engine's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of the engine. [`Error::kind`] says what to do about it.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// No entry of that name.
    #[error("no such file or directory")]
    NotFound,
    /// The inode is gone, or the handle never was one of this file system.
    #[error("stale file handle")]
    Stale,
    /// An entry of that name is there already.
    #[error("file exists")]
    Exists,
    /// A directory was needed.
    #[error("not a directory")]
    NotDirectory,
    /// Something other than a directory was needed.
    #[error("is a directory")]
    IsDirectory,
    /// A regular file was needed.
    #[error("wrong type of file for this operation")]
    WrongType,
    /// A directory with entries cannot be removed or replaced.
    #[error("directory not empty")]
    NotEmpty,
    /// The mode bits deny it.
    #[error("permission denied")]
    AccessDenied,
    /// Only the owner (or root) may do it.
    #[error("operation not permitted")]
    NotPermitted,
    /// A name longer than [`crate::limits::NAME_BYTES_MAX`].
    #[error("file name too long: the limit is {max} bytes")]
    NameTooLong {
        /// The limit in bytes.
        max: usize,
    },
    /// A name that cannot be: empty, `.`, `..`, or with a `/` or NUL.
    #[error("invalid file name")]
    InvalidName,
    /// A file beyond [`crate::limits::FILE_SIZE_MAX`].
    #[error("file too large")]
    FileTooLarge,
    /// More links than [`crate::limits::LINKS_MAX`].
    #[error("too many links")]
    TooManyLinks,
    /// An argument outside of its domain.
    #[error("invalid argument: {what}")]
    Invalid {
        /// What is wrong with it.
        what: &'static str,
    },
    /// No room for data; what is freed is usable again at once.
    #[error("no space left on device")]
    NoSpace,
    /// The cold store does not answer now, or the metadata index, which is to be sealed anew, is being built. Nothing is lost; try again.
    #[error("{reason}; retry in {retry_after:?}")]
    Unavailable {
        /// What is away, and what it said.
        reason: String,
        /// When to try again.
        retry_after: Duration,
    },
    /// Stored bytes do not authenticate, or a structure contradicts itself.
    #[error("corrupt data: {what}")]
    Corrupt {
        /// Where, and what is wrong.
        what: String,
    },
    /// A flush failed: nothing more is accepted until the server is started anew.
    #[error("the file system stopped accepting changes: {reason}")]
    Halted {
        /// The failure that stopped it.
        reason: String,
    },
    /// The operating system refused.
    #[error("{action} {}: {source}", path.display())]
    Io {
        /// What was tried, such as `"cannot open"`.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// The system's error.
        #[source]
        source: std::sync::Arc<std::io::Error>,
    },
    /// The file system cannot be opened as asked; the text says why and what to do.
    #[error(transparent)]
    Open(#[from] OpenError),
}

/// Why a file system cannot be opened or made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// Another process holds the lock.
    #[error("data directory {} is in use by another process; stop that server first or choose another --data", path.display())]
    InUse {
        /// The directory.
        path: PathBuf,
    },
    /// There is no file system here.
    #[error("{} holds no tidefs file system", path.display())]
    NotAFileSystem {
        /// The directory.
        path: PathBuf,
    },
    /// Made by a newer tidefs.
    #[error("{} has format version {found}, but this tidefs knows up to {known}; use a newer tidefs", path.display())]
    UnknownVersion {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u32,
        /// The newest known version.
        known: u32,
    },
    /// The key file is not there.
    #[error("key file {} is missing; restore it from your backup: without it the data cannot be read", path.display())]
    KeyMissing {
        /// The file.
        path: PathBuf,
    },
    /// The key file can be read by others.
    #[error("key file {} has mode {mode:04o} and can be read by others; run: chmod 600 {}", path.display(), path.display())]
    KeyReadableByOthers {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// The key file does not hold a key.
    #[error("key file {} is damaged: {what}; restore it from your backup", path.display())]
    KeyDamaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: &'static str,
    },
    /// The key is a key, but not the one this file system was sealed with.
    #[error("the key in {key} does not open file system {file_system}; name the right one with --key-file")]
    WrongKey {
        /// Which file system.
        file_system: String,
        /// Where the key came from.
        key: String,
    },
    /// The file system is wrapped with a key of another kind.
    #[error("file system {file_system} is wrapped with {wrapped}, not with {given}; name it with {}", wrapped.flag())]
    OtherKeySource {
        /// Which file system.
        file_system: String,
        /// What it was wrapped with.
        wrapped: KeySourceKind,
        /// What was given.
        given: KeySourceKind,
    },
    /// The passphrase is not the one that this file system was wrapped with.
    #[error(
        "the passphrase does not open file system {file_system}; give the right one with --passphrase-file"
    )]
    WrongPassphrase {
        /// Which file system.
        file_system: String,
    },
    /// The file with the passphrase cannot be used.
    #[error("passphrase file {}: {what}", path.display())]
    PassphraseFile {
        /// The file.
        path: PathBuf,
        /// What is wrong and what to do.
        what: String,
    },
    /// Something is sealed under a data key that the superblock does not hold (any more).
    #[error(
        "{what} is sealed under key generation {generation}, which the superblock does not hold: one of the two is older than the other; restore the whole directory from one backup"
    )]
    KeyGenerationMissing {
        /// What is sealed.
        what: String,
        /// Its generation.
        generation: KeyGeneration,
    },
    /// The keys were destroyed on purpose.
    #[error(
        "file system {file_system} was shredded: its keys are destroyed and nothing can open it; remove its directory"
    )]
    Shredded {
        /// Which file system.
        file_system: String,
    },
    /// A file of the file system contradicts itself or another one.
    #[error("data directory is damaged: {}: {what}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// The cold store is not this file system's, or lacks what tidefs needs.
    #[error("the object store cannot be used: {what}")]
    ColdStore {
        /// What is wrong and what to do.
        what: String,
    },
}

/// What the caller should do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// The request cannot succeed as it is.
    Refused,
    /// Try again after the time.
    Retry(Duration),
    /// Free space, then try again.
    NoSpace,
    /// Stored data is damaged: run `tidefs verify`, restore what it names.
    Corrupt,
    /// A person must look at the machine.
    Fatal,
}

impl Error {
    /// What the caller should do next.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Error::Unavailable { retry_after, .. } => ErrorKind::Retry(*retry_after),
            Error::NoSpace => ErrorKind::NoSpace,
            Error::Corrupt { .. } => ErrorKind::Corrupt,
            Error::Halted { .. } | Error::Io { .. } | Error::Open(_) => ErrorKind::Fatal,
            Error::NotFound
            | Error::Stale
            | Error::Exists
            | Error::NotDirectory
            | Error::IsDirectory
            | Error::WrongType
            | Error::NotEmpty
            | Error::AccessDenied
            | Error::NotPermitted
            | Error::NameTooLong { .. }
            | Error::InvalidName
            | Error::FileTooLarge
            | Error::TooManyLinks
            | Error::Invalid { .. } => ErrorKind::Refused,
        }
    }

    /// Wraps an error of the operating system.
    pub(crate) fn io(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Error {
        let path = path.into();
        move |source| match source.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => Error::NoSpace,
            _ => Error::Io { action, path, source: std::sync::Arc::new(source) },
        }
    }

    /// A structure that contradicts itself.
    pub(crate) fn corrupt(what: impl Into<String>) -> Error {
        Error::Corrupt { what: what.into() }
    }
}
