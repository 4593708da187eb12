//! The bare cipher of this build: AES-256-GCM over blocks of 64 KiB, on one core.

use std::time::{Duration, Instant};

use aes_gcm::aead::inout::InOutBuf;
use aes_gcm::aead::{AeadInOut, KeyInit};
use aes_gcm::{Aes256Gcm, Nonce};
use aws_lc_rs::aead::{self, AES_256_GCM, Aad, LessSafeKey, UnboundKey};

use crate::table::rate;

const BLOCK_BYTES: usize = 64 << 10;
const BLOCKS_PER_MIB: usize = (1 << 20) / BLOCK_BYTES;
const KEY: [u8; 32] = [7; 32];
const NONCE: [u8; 12] = [1; 12];

/// MiB a second.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Speed {
    pub(crate) seal: f64,
    pub(crate) open: f64,
}

/// `aws-lc-rs`, which the engine seals with.
pub(crate) fn aws_lc(time: Duration) -> Speed {
    let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &KEY).unwrap());
    let nonce = || aead::Nonce::assume_unique_for_key(NONCE);
    measure(
        time,
        |block| key.seal_in_place_separate_tag(nonce(), Aad::empty(), block).unwrap(),
        |block, tag| {
            key.open_in_place_separate_tag(nonce(), Aad::empty(), tag.as_ref(), block).unwrap();
        },
    )
}

/// `aes-gcm`, which it falls back to.
pub(crate) fn aes_gcm(time: Duration) -> Speed {
    let (cipher, nonce) = (Aes256Gcm::new(&KEY.into()), Nonce::from(NONCE));
    measure(
        time,
        |block| cipher.encrypt_inout_detached(&nonce, b"", InOutBuf::from(block)).unwrap(),
        |block, tag| cipher.decrypt_inout_detached(&nonce, b"", InOutBuf::from(block), tag).unwrap(),
    )
}

fn measure<T>(time: Duration, seal: impl Fn(&mut [u8]) -> T, open: impl Fn(&mut [u8], &T)) -> Speed {
    let mut block = vec![0x5a; BLOCK_BYTES];
    let mut sealed = 1;
    let started = Instant::now();
    let mut tag = seal(&mut block);
    while started.elapsed() < time {
        tag = seal(&mut block);
        sealed += 1;
    }
    let sealed = rate(sealed, started.elapsed());
    let original = block.clone();
    let mut opened = 0;
    let mut spent = Duration::ZERO;
    while spent < time {
        block.copy_from_slice(&original);
        let one = Instant::now();
        open(&mut block, &tag);
        spent += one.elapsed();
        opened += 1;
    }
    let mebibytes = |blocks: f64| blocks / f64::from(u32::try_from(BLOCKS_PER_MIB).unwrap());
    Speed { seal: mebibytes(sealed), open: mebibytes(rate(opened, spent)) }
}
