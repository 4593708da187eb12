//! The seam to whatever holds the key-encryption key.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{DataKey, KeyFile, Passphrase};
use crate::codec::Malformed;
use crate::environment::Entropy;
use crate::error::{OpenError, Result};
use crate::identity::FileSystemId;
use crate::keys::passphrase::PassphraseKey;

/// Holds a key-encryption key: a key file or a passphrase today; Vault or a KMS behind the same functions, which may then answer
/// [`crate::Error::Unavailable`].
pub(crate) trait KeyProvider: Send + Sync {
    /// What it is; stands in the superblock.
    fn kind(&self) -> KeySourceKind;
    /// For people: where the key comes from. It stands in the superblock and in messages.
    fn describe(&self) -> String;
    /// What is needed beside the secret to make the same provider again; stands in the superblock, in clear.
    fn parameters(&self) -> Vec<u8>;
    /// Seals a key. The result opens only for the same file system.
    fn wrap(&self, file_system: FileSystemId, key: &DataKey) -> Result<Vec<u8>>;
    /// Opens what [`KeyProvider::wrap`] made; an [`OpenError`] that says so if this key did not make it.
    fn unwrap_key(&self, file_system: FileSystemId, wrapped: &[u8]) -> Result<DataKey>;
}

/// Where the key-encryption key comes from.
#[derive(Debug, Clone)]
pub enum KeySource {
    /// A file that holds it (`KeyFile::create` makes one; mode 0600).
    File(PathBuf),
    /// A passphrase that it is computed from.
    Passphrase(Passphrase),
}

/// The kinds of key sources.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeySourceKind {
    /// A key file.
    KeyFile,
    /// A passphrase.
    Passphrase,
}

impl KeySource {
    /// Which kind it is.
    pub fn kind(&self) -> KeySourceKind {
        match self {
            KeySource::File(_) => KeySourceKind::KeyFile,
            KeySource::Passphrase(_) => KeySourceKind::Passphrase,
        }
    }

    /// A provider for wrapping anew.
    pub(crate) fn new_provider(&self, entropy: &dyn Entropy) -> Result<Arc<dyn KeyProvider>> {
        Ok(match self {
            KeySource::File(path) => Arc::new(KeyFile::open(path)?),
            KeySource::Passphrase(passphrase) => Arc::new(PassphraseKey::fresh(passphrase, entropy)?),
        })
    }

    /// The provider that wrapped something with these parameters.
    pub(super) fn provider_with(
        &self,
        parameters: &[u8],
    ) -> Result<Result<Arc<dyn KeyProvider>, Malformed>, OpenError> {
        Ok(match self {
            KeySource::File(path) => {
                let file: Arc<dyn KeyProvider> = Arc::new(KeyFile::open(path)?);
                if parameters.is_empty() { Ok(file) } else { Err(Malformed("a key file has no parameters")) }
            }
            KeySource::Passphrase(passphrase) => PassphraseKey::with_parameters(passphrase, parameters)
                .map(|key| Arc::new(key) as Arc<dyn KeyProvider>),
        })
    }
}

impl KeySourceKind {
    pub(super) fn to_byte(self) -> u8 {
        match self {
            KeySourceKind::KeyFile => 1,
            KeySourceKind::Passphrase => 2,
        }
    }

    pub(super) fn from_byte(byte: u8) -> Result<Self, Malformed> {
        match byte {
            1 => Ok(KeySourceKind::KeyFile),
            2 => Ok(KeySourceKind::Passphrase),
            _ => Err(Malformed("unknown kind of key source")),
        }
    }

    /// How the server is told about it.
    pub(crate) fn flag(self) -> &'static str {
        match self {
            KeySourceKind::KeyFile => "--key-file",
            KeySourceKind::Passphrase => "--passphrase-file",
        }
    }
}

impl fmt::Display for KeySourceKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            KeySourceKind::KeyFile => "a key file",
            KeySourceKind::Passphrase => "a passphrase",
        })
    }
}
