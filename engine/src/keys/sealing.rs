//! Deriving keys, and sealing under them.

use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::Zeroizing;

use super::cipher::{Cipher, TAG_BYTES};
use crate::environment::Entropy;
use crate::error::{Error, Result};

/// How much longer sealed bytes are than plain ones: the authentication tag.
pub(crate) const SEAL_BYTES: usize = TAG_BYTES;

/// A 256-bit key that others are derived from: a data key of a file system, or one that wraps.
#[derive(Clone)]
pub(crate) struct DataKey(Zeroizing<[u8; 32]>);

impl DataKey {
    /// A new random key.
    pub(crate) fn generate(entropy: &dyn Entropy) -> Self {
        let mut key = Zeroizing::new([0; 32]);
        entropy.fill(key.as_mut_slice());
        DataKey(key)
    }

    /// The key of these bytes.
    pub(crate) fn from_bytes(bytes: [u8; 32]) -> Self {
        DataKey(Zeroizing::new(bytes))
    }

    /// The bytes, to be wrapped.
    pub(crate) fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// A secret for one purpose and context; a context is the random id of the thing that the secret is for.
    pub(crate) fn derive_secret(&self, purpose: &str, context: &[u8]) -> Zeroizing<[u8; 32]> {
        let mut secret = Zeroizing::new([0; 32]);
        let expanded = Hkdf::<Sha256>::new(Some(context), self.0.as_slice())
            .expand_multi_info(&[b"tidefs/1/", purpose.as_bytes()], secret.as_mut_slice());
        debug_assert!(expanded.is_ok(), "32 bytes are within HKDF's limit");
        secret
    }

    /// A sealing key for one purpose and context.
    pub(crate) fn derive(&self, purpose: &str, context: &[u8]) -> SealingKey {
        SealingKey(Cipher::new(&self.derive_secret(purpose, context)))
    }
}

/// The secret of a file system that never changes, for what must survive a change of its data keys: the hashes of names, and MACs.
#[derive(Clone)]
pub(crate) struct IdentitySecret(DataKey);

impl IdentitySecret {
    pub(crate) fn generate(entropy: &dyn Entropy) -> Self {
        IdentitySecret(DataKey::generate(entropy))
    }

    pub(crate) fn from_bytes(bytes: [u8; 32]) -> Self {
        IdentitySecret(DataKey::from_bytes(bytes))
    }

    /// The bytes, to be sealed.
    pub(super) fn bytes(&self) -> &[u8; 32] {
        self.0.bytes()
    }

    /// A secret for one purpose and context.
    pub(crate) fn derive_secret(&self, purpose: &str, context: &[u8]) -> Zeroizing<[u8; 32]> {
        self.0.derive_secret(purpose, context)
    }
}

/// Seals and opens under one key. The caller never uses one counter twice.
#[derive(Clone)]
pub(crate) struct SealingKey(Cipher);

impl SealingKey {
    /// Seals the buffer in place and appends the tag.
    pub(crate) fn seal(&self, counter: u64, bound: &[u8], buffer: &mut Vec<u8>) -> Result<()> {
        let tag = self.seal_detached(counter, bound, buffer)?;
        buffer.extend_from_slice(&tag);
        Ok(())
    }

    /// Seals the bytes in place and returns the tag.
    pub(crate) fn seal_detached(
        &self,
        counter: u64,
        bound: &[u8],
        bytes: &mut [u8],
    ) -> Result<[u8; SEAL_BYTES]> {
        self.0.seal(counter, bound, bytes).map_err(|_| Error::Invalid { what: "too long to seal" })
    }

    /// Seals into a place that is longer than the plain bytes by [`SEAL_BYTES`], for the tag behind them.
    pub(crate) fn seal_into(
        &self,
        counter: u64,
        bound: &[u8],
        plain: &[u8],
        sealed: &mut [u8],
    ) -> Result<()> {
        let too_long = || Error::Invalid { what: "too long to seal" };
        let (bytes, tag) = sealed.split_last_chunk_mut::<SEAL_BYTES>().ok_or_else(too_long)?;
        *tag = self.0.seal_into(counter, bound, plain, bytes).map_err(|_| too_long())?;
        Ok(())
    }

    /// Opens a buffer that [`SealingKey::seal`] made, in place, and cuts the tag off. What failed to open is of no meaning.
    pub(crate) fn open(&self, counter: u64, bound: &[u8], buffer: &mut Vec<u8>) -> Result<(), NotAuthentic> {
        let (bytes, tag) = buffer.split_last_chunk_mut::<SEAL_BYTES>().ok_or(NotAuthentic)?;
        self.0.open(counter, bound, bytes, tag).map_err(|_| NotAuthentic)?;
        buffer.truncate(buffer.len() - SEAL_BYTES);
        Ok(())
    }

    /// What [`SealingKey::seal`] made of the bytes that it returns.
    pub(crate) fn opened(&self, counter: u64, bound: &[u8], sealed: &[u8]) -> Result<Vec<u8>, NotAuthentic> {
        let mut plain = vec![0; sealed.len().checked_sub(SEAL_BYTES).ok_or(NotAuthentic)?];
        self.open_into(counter, bound, sealed, &mut plain)?;
        Ok(plain)
    }

    /// The same, into a place that is as long as the plain bytes are.
    pub(crate) fn open_into(
        &self,
        counter: u64,
        bound: &[u8],
        sealed: &[u8],
        plain: &mut [u8],
    ) -> Result<(), NotAuthentic> {
        let (bytes, tag) = sealed.split_last_chunk::<SEAL_BYTES>().ok_or(NotAuthentic)?;
        self.0.open_into(counter, bound, (bytes, tag), plain).map_err(|_| NotAuthentic)
    }
}

/// The bytes were not sealed under this key, counter and binding, or have changed since.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the sealed bytes do not authenticate")]
pub(crate) struct NotAuthentic;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_opens_only_under_the_same_key_counter_and_binding() {
        let data_key = DataKey::from_bytes([7; 32]);
        let key = data_key.derive("test", b"context");
        let mut sealed = b"content".to_vec();
        key.seal(1, b"bound", &mut sealed).unwrap();
        assert_eq!(sealed.len(), 7 + SEAL_BYTES);
        let mut elsewhere = [0xff; 7 + SEAL_BYTES];
        key.seal_into(1, b"bound", b"content", &mut elsewhere).unwrap();
        assert_eq!(elsewhere, sealed.as_slice());
        assert!(key.seal_into(1, b"bound", b"content", &mut [0; 7]).is_err());

        let open = |key: &SealingKey, counter, bound: &[u8]| {
            let mut buffer = sealed.clone();
            let opened = key.open(counter, bound, &mut buffer).map(|()| buffer);
            assert_eq!(key.opened(counter, bound, &sealed), opened);
            opened
        };
        assert_eq!(open(&key, 1, b"bound").unwrap(), b"content");
        assert_eq!(open(&key, 2, b"bound"), Err(NotAuthentic));
        assert_eq!(open(&key, 1, b"other"), Err(NotAuthentic));
        assert_eq!(open(&data_key.derive("test", b"elsewhere"), 1, b"bound"), Err(NotAuthentic));
        assert_eq!(open(&data_key.derive("other", b"context"), 1, b"bound"), Err(NotAuthentic));
    }

    #[test]
    fn what_is_shorter_than_a_seal_does_not_open() {
        let key = DataKey::from_bytes([7; 32]).derive("test", b"");
        for length in 0..=SEAL_BYTES {
            assert_eq!(key.open(0, b"", &mut vec![0; length]), Err(NotAuthentic));
            assert_eq!(key.opened(0, b"", &vec![0; length]), Err(NotAuthentic));
        }
    }

    #[test]
    fn every_flipped_bit_is_noticed() {
        let key = DataKey::from_bytes([7; 32]).derive("test", b"");
        let mut sealed = b"x".to_vec();
        key.seal(0, b"", &mut sealed).unwrap();
        for bit in 0..sealed.len() * 8 {
            let mut flipped = sealed.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(key.opened(0, b"", &flipped), Err(NotAuthentic));
            assert_eq!(key.open(0, b"", &mut flipped), Err(NotAuthentic));
        }
    }
}
