//! Keys: the file system's data key, the keys derived from it, and sealing.
//!
//! A key-encryption key from a provider wraps the data key; each journal file, checkpoint, index and segment has its own
//! sealing key, derived from the data key and a random id. The nonce is a counter under that key, so that it never repeats.

mod sealed_file;
mod sealing;

pub(crate) use sealed_file::SealedFile;
pub(crate) use sealing::{DataKey, SEAL_BYTES, SealingKey};
