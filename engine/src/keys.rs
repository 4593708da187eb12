//! Keys: the file system's data key, the keys derived from it, and sealing.
//!
//! A key-encryption key from a provider wraps the data key; each journal file, checkpoint, index and segment has its own
//! sealing key, derived from the data key and a random id. The nonce is a counter under that key, so that it never repeats.

#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod key_file;
mod lock;
mod provider;
mod sealed_file;
mod sealing;
mod superblock;

pub use key_file::KeyFile;
pub(crate) use lock::DirectoryLock;
pub(crate) use provider::KeyProvider;
pub(crate) use sealed_file::SealedFile;
pub(crate) use sealing::{DataKey, SEAL_BYTES, SealingKey};
pub(crate) use superblock::Superblock;
