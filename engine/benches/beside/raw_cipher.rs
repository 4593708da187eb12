//! The bare cipher of this build: AES-256-GCM over blocks of 64 KiB, on one core.

use std::time::{Duration, Instant};

use aes_gcm::aead::inout::InOutBuf;
use aes_gcm::aead::{AeadInOut, KeyInit};
use aes_gcm::{Aes256Gcm, Nonce};

use crate::table::rate;

const BLOCK_BYTES: usize = 64 << 10;
const BLOCKS_PER_MIB: usize = (1 << 20) / BLOCK_BYTES;

/// MiB a second: sealed, and opened.
pub(crate) fn measure(time: Duration) -> (f64, f64) {
    let cipher = Aes256Gcm::new(&[7; 32].into());
    let nonce = Nonce::from([1; 12]);
    let mut block = vec![0x5a; BLOCK_BYTES];
    let mut sealed = 0;
    let started = Instant::now();
    let mut tag = None;
    while started.elapsed() < time || tag.is_none() {
        tag = Some(cipher.encrypt_inout_detached(&nonce, b"", InOutBuf::from(&mut block[..])).unwrap());
        sealed += 1;
    }
    let seal = rate(sealed, started.elapsed());
    let original = block.clone();
    let mut opened = 0;
    let mut spent = Duration::ZERO;
    while spent < time {
        block.copy_from_slice(&original);
        let one = Instant::now();
        let tag = tag.as_ref().unwrap();
        cipher.decrypt_inout_detached(&nonce, b"", InOutBuf::from(&mut block[..]), tag).unwrap();
        spent += one.elapsed();
        opened += 1;
    }
    let mebibytes = |blocks: f64| blocks / f64::from(u32::try_from(BLOCKS_PER_MIB).unwrap());
    (mebibytes(seal), mebibytes(rate(opened, spent)))
}
