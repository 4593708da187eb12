//! AES-256-GCM, by whichever implementation there is.
//!
//! `aws-lc-rs` does it a dozen times as fast as `aes-gcm` where the processor has wide vectors; `aes-gcm` needs nothing of the system
//! and steps in should the other one refuse a key. What one of them sealed the other one opens: a test holds them to it.

use std::sync::Arc;

use aes_gcm::aead::inout::InOutBuf;
use aes_gcm::aead::{AeadInOut, KeyInit};
use aes_gcm::{Aes256Gcm, Nonce, Tag};
use aws_lc_rs::aead::{self, AES_256_GCM, Aad, LessSafeKey, UnboundKey};

/// Bytes of the authentication tag.
pub(super) const TAG_BYTES: usize = 16;
const NONCE_BYTES: usize = 12;

/// A cipher with its key.
#[derive(Clone)]
pub(super) enum Cipher {
    AwsLc(Arc<LessSafeKey>),
    AesGcm(Box<Aes256Gcm>),
}

/// The cipher refused: what is to be sealed is too long, or what is to be opened is not authentic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Refused;

impl Cipher {
    pub(super) fn new(key: &[u8; 32]) -> Cipher {
        match UnboundKey::new(&AES_256_GCM, key) {
            Ok(key) => Cipher::AwsLc(Arc::new(LessSafeKey::new(key))),
            Err(_) => Cipher::aes_gcm(key),
        }
    }

    fn aes_gcm(key: &[u8; 32]) -> Cipher {
        Cipher::AesGcm(Box::new(Aes256Gcm::new(key.into())))
    }

    /// Seals in place and returns the tag.
    pub(super) fn seal(
        &self,
        counter: u64,
        bound: &[u8],
        bytes: &mut [u8],
    ) -> Result<[u8; TAG_BYTES], Refused> {
        match self {
            Cipher::AwsLc(key) => {
                let tag = key.seal_in_place_separate_tag(aws_nonce(counter), Aad::from(bound), bytes);
                tag.ok().and_then(|tag| tag.as_ref().try_into().ok()).ok_or(Refused)
            }
            Cipher::AesGcm(key) => {
                let tag = key.encrypt_inout_detached(&aes_nonce(counter), bound, InOutBuf::from(bytes));
                tag.map(Into::into).map_err(|_| Refused)
            }
        }
    }

    /// Seals into another place of the same length and returns the tag.
    pub(super) fn seal_into(
        &self,
        counter: u64,
        bound: &[u8],
        plain: &[u8],
        sealed: &mut [u8],
    ) -> Result<[u8; TAG_BYTES], Refused> {
        match self {
            Cipher::AwsLc(key) => {
                let mut tag = [0; TAG_BYTES];
                let (nonce, bound) = (aws_nonce(counter), Aad::from(bound));
                let done = key.seal_out_of_place_scatter(nonce, bound, plain, sealed, &[], &mut tag);
                done.map(|()| tag).map_err(|_| Refused)
            }
            Cipher::AesGcm(key) => {
                let buffers = InOutBuf::new(plain, sealed).map_err(|_| Refused)?;
                let tag = key.encrypt_inout_detached(&aes_nonce(counter), bound, buffers);
                tag.map(Into::into).map_err(|_| Refused)
            }
        }
    }

    /// Opens in place. If it is refused the bytes are of no meaning.
    pub(super) fn open(
        &self,
        counter: u64,
        bound: &[u8],
        bytes: &mut [u8],
        tag: &[u8; TAG_BYTES],
    ) -> Result<(), Refused> {
        match self {
            Cipher::AwsLc(key) => key
                .open_in_place_separate_tag(aws_nonce(counter), Aad::from(bound), tag, bytes)
                .map(drop)
                .map_err(|_| Refused),
            Cipher::AesGcm(key) => key
                .decrypt_inout_detached(&aes_nonce(counter), bound, InOutBuf::from(bytes), &Tag::from(*tag))
                .map_err(|_| Refused),
        }
    }

    /// Opens into another place of the same length. If it is refused the bytes there are of no meaning.
    pub(super) fn open_into(
        &self,
        counter: u64,
        bound: &[u8],
        (sealed, tag): (&[u8], &[u8; TAG_BYTES]),
        plain: &mut [u8],
    ) -> Result<(), Refused> {
        match self {
            Cipher::AwsLc(key) => key
                .open_separate_gather(aws_nonce(counter), Aad::from(bound), sealed, tag, plain)
                .map_err(|_| Refused),
            Cipher::AesGcm(key) => {
                let buffers = InOutBuf::new(sealed, plain).map_err(|_| Refused)?;
                key.decrypt_inout_detached(&aes_nonce(counter), bound, buffers, &Tag::from(*tag))
                    .map_err(|_| Refused)
            }
        }
    }
}

fn nonce(counter: u64) -> [u8; NONCE_BYTES] {
    let mut bytes = [0; NONCE_BYTES];
    if let Some(low) = bytes.last_chunk_mut::<8>() {
        *low = counter.to_be_bytes();
    }
    bytes
}

fn aws_nonce(counter: u64) -> aead::Nonce {
    aead::Nonce::assume_unique_for_key(nonce(counter))
}

fn aes_nonce(counter: u64) -> Nonce<aes_gcm::aead::consts::U12> {
    nonce(counter).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: [u8; 32] = [0x5a; 32];
    const BOUND: &[u8] = b"what it is bound to, which is longer than one block of the cipher";

    /// Around the block of the cipher, its wide loops, and the blocks of files.
    const LENGTHS: [usize; 17] =
        [0, 1, 15, 16, 17, 31, 64, 127, 255, 256, 1000, 4095, 4096, 4097, 65_535, 65_536, 1 << 20];

    fn both() -> [Cipher; 2] {
        [Cipher::new(&KEY), Cipher::aes_gcm(&KEY)]
    }

    fn content(length: usize) -> Vec<u8> {
        (0..length).map(|at| (at * 7 % 251) as u8).collect()
    }

    #[test]
    fn a_key_is_served_by_aws_lc() {
        assert!(matches!(both(), [Cipher::AwsLc(_), Cipher::AesGcm(_)]));
    }

    #[test]
    fn each_opens_what_the_other_sealed() {
        for length in LENGTHS {
            for (counter, bound) in [(0, BOUND), (1, &[][..]), (u64::MAX, BOUND)] {
                let plain = content(length);
                let sealed = both().map(|cipher| {
                    let mut bytes = plain.clone();
                    let tag = cipher.seal(counter, bound, &mut bytes).unwrap();
                    let mut elsewhere = vec![0xff; length];
                    assert_eq!(cipher.seal_into(counter, bound, &plain, &mut elsewhere), Ok(tag));
                    assert!(elsewhere == bytes, "{length} bytes");
                    (bytes, tag)
                });
                assert_eq!(sealed[0], sealed[1], "{length} bytes");
                let (bytes, tag) = &sealed[0];
                for cipher in both() {
                    let mut in_place = bytes.clone();
                    cipher.open(counter, bound, &mut in_place, tag).unwrap();
                    assert!(in_place == plain, "{length} bytes");
                    let mut elsewhere = vec![0xff; length];
                    cipher.open_into(counter, bound, (bytes, tag), &mut elsewhere).unwrap();
                    assert!(elsewhere == plain, "{length} bytes");
                }
            }
        }
    }

    #[test]
    fn neither_opens_what_was_changed() {
        for cipher in both() {
            for length in [0, 1, 16, 4096] {
                let mut sealed = content(length);
                let tag = cipher.seal(3, BOUND, &mut sealed).unwrap();
                let open = |counter, bound: &[u8], bytes: &[u8], tag: &[u8; TAG_BYTES]| {
                    let in_place = cipher.open(counter, bound, &mut bytes.to_vec(), tag);
                    let mut plain = vec![0; bytes.len()];
                    assert_eq!(cipher.open_into(counter, bound, (bytes, tag), &mut plain), in_place);
                    in_place
                };
                assert_eq!(open(3, BOUND, &sealed, &tag), Ok(()));
                assert_eq!(open(4, BOUND, &sealed, &tag), Err(Refused));
                assert_eq!(open(3, b"other", &sealed, &tag), Err(Refused));
                assert_eq!(open(3, BOUND, &[sealed.as_slice(), b"x"].concat(), &tag), Err(Refused));
                let mut other = tag;
                other[15] ^= 1;
                assert_eq!(open(3, BOUND, &sealed, &other), Err(Refused));
                for at in (0..length).step_by(97) {
                    sealed[at] ^= 0x80;
                    assert_eq!(open(3, BOUND, &sealed, &tag), Err(Refused), "byte {at} of {length}");
                    sealed[at] ^= 0x80;
                }
            }
        }
    }

    #[test]
    fn a_place_of_another_length_is_refused() {
        for cipher in both() {
            let mut sealed = content(32);
            assert_eq!(cipher.seal_into(0, b"", &sealed, &mut [0; 31]), Err(Refused));
            let tag = cipher.seal(0, b"", &mut sealed).unwrap();
            assert_eq!(cipher.open_into(0, b"", (&sealed, &tag), &mut [0; 31]), Err(Refused));
        }
    }
}
