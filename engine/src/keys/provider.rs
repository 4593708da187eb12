//! The seam to whatever holds the key-encryption key.

use super::DataKey;
use crate::error::Result;
use crate::identity::FileSystemId;

/// Holds a key-encryption key: a key file today; a passphrase, Vault or a KMS behind the same three functions.
pub(crate) trait KeyProvider: Send + Sync {
    /// For people: where the key comes from. It stands in the superblock and in messages.
    fn describe(&self) -> String;
    /// Seals a data key. The result opens only for the same file system.
    fn wrap(&self, file_system: FileSystemId, key: &DataKey) -> Result<Vec<u8>>;
    /// Opens what [`KeyProvider::wrap`] made; [`crate::OpenError::WrongKey`] if this key did not make it.
    fn unwrap_key(&self, file_system: FileSystemId, wrapped: &[u8]) -> Result<DataKey>;
}
