//! Wrapping a key under a 256-bit key-encryption key that is in memory.
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 16 | salt |
//! | 16 | 32 | key, sealed under the key derived from the key-encryption key for `wrap` and the salt, counter 0; the file system is
//! authenticated with it |
//! | 48 | 16 | tag |
//!
//! The salt is derived from the wrapped key, the file system and the key-encryption key: wrapping the same again gives the same bytes,
//! and no two different keys are ever sealed under one derived key.

use zeroize::Zeroizing;

use super::DataKey;
use crate::codec::{Malformed, Reader};
use crate::error::Result;
use crate::identity::FileSystemId;

const SALT_BYTES: usize = 16;

/// Seals the key under the key-encryption key.
pub(super) fn wrap(kek: &DataKey, file_system: FileSystemId, key: &DataKey) -> Result<Vec<u8>> {
    let context = Zeroizing::new([file_system.to_bytes().as_slice(), key.bytes()].concat());
    let salt = kek.derive_secret("wrap salt", &context);
    let salt = salt.first_chunk::<SALT_BYTES>().copied().unwrap_or_default();
    let mut sealed = Zeroizing::new(key.bytes().to_vec());
    kek.derive("wrap", &salt).seal(0, &file_system.to_bytes(), &mut sealed)?;
    Ok([salt.as_slice(), sealed.as_slice()].concat())
}

/// Opens what [`wrap`] made with the same key-encryption key for the same file system.
pub(super) fn unwrap_key(
    kek: &DataKey,
    file_system: FileSystemId,
    wrapped: &[u8],
) -> Result<DataKey, Malformed> {
    let mut reader = Reader::new(wrapped);
    let salt = reader.array::<SALT_BYTES>()?;
    let mut key = Zeroizing::new(reader.rest().to_vec());
    let opened = kek.derive("wrap", &salt).open(0, &file_system.to_bytes(), &mut key);
    opened.map_err(|_| Malformed("the wrapped key does not authenticate"))?;
    let mut reader = Reader::new(&key);
    let bytes = reader.array()?;
    reader.finish()?;
    Ok(DataKey::from_bytes(bytes))
}
