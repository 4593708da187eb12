//! Keys: the file system's data keys, the keys derived from them, and sealing.
//!
//! A key-encryption key from a provider wraps a master key, which seals the ring: the data keys by generation, and one secret that never
//! changes. Each journal file, checkpoint, index and segment has its own sealing key, derived from a data key and a random id, and says
//! which generation that data key is of. The nonce is a counter under the sealing key, so that it never repeats.

mod cipher;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
#[cfg(test)]
pub(crate) mod golden;
mod keeper;
mod key_file;
mod lock;
mod passphrase;
mod private_file;
mod provider;
mod ring;
mod sealed_file;
mod sealing;
mod status;
mod superblock;
mod wrapping;

pub(crate) use keeper::{KeyKeeper, shred};
pub use key_file::KeyFile;
pub(crate) use lock::DirectoryLock;
pub use passphrase::{Passphrase, PassphraseCost};
pub(crate) use provider::KeyProvider;
pub use provider::{KeySource, KeySourceKind};
pub(crate) use ring::KeyRing;
pub(crate) use sealed_file::SealedFile;
pub(crate) use sealing::{DataKey, IdentitySecret, NotAuthentic, SEAL_BYTES, SealingKey};
pub use status::{KeyGenerationStatus, KeyStatus, ResealStatus};
