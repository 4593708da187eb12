//! File handles: stable over restarts, unforgeable, and without a table.
//!
//! | Offset | Bytes | What |
//! |---|---|---|
//! | 0 | 4 | format version, 1 |
//! | 4 | 16 | file system |
//! | 20 | 8 | inode |
//! | 28 | 4 | generation |
//! | 32 | 16 | SipHash-2-4-128 of the 32 bytes before, under a key that only this file system has |
//!
//! Numbers are big-endian.

use std::hash::Hasher;

use engine::{FileSystemId, Generation, InodeId};
use siphasher::sip128::{Hasher128, SipHasher24};

/// Bytes of a handle.
pub(crate) const HANDLE_BYTES: usize = 48;
const _: () = assert!(HANDLE_BYTES <= 128, "NFS4_FHSIZE");

/// Makes and checks the handles of one file system.
#[derive(Clone)]
pub(crate) struct HandleCodec {
    file_system: [u8; 16],
    key: [u8; 16],
}

impl HandleCodec {
    /// For a file system with its secret.
    pub(crate) fn new(file_system: FileSystemId, secret: &[u8; 32]) -> Self {
        let mut key = [0; 16];
        for (byte, (left, right)) in key.iter_mut().zip(secret.iter().zip(secret.iter().skip(16))) {
            *byte = left ^ right;
        }
        HandleCodec { file_system: file_system.to_bytes(), key }
    }

    /// The handle of an inode.
    pub(crate) fn encode(&self, inode: InodeId, generation: Generation) -> [u8; HANDLE_BYTES] {
        let mut handle = [0; HANDLE_BYTES];
        let parts: [&[u8]; 4] =
            [&VERSION.to_be_bytes(), &self.file_system, &inode.0.to_be_bytes(), &generation.0.to_be_bytes()];
        let mut body = [0; BODY_BYTES];
        for (place, byte) in body.iter_mut().zip(parts.into_iter().flatten()) {
            *place = *byte;
        }
        for (place, byte) in handle.iter_mut().zip(body.iter().chain(&self.mac(&body))) {
            *place = *byte;
        }
        handle
    }

    /// The inode of a handle, if this codec's file system made it.
    pub(crate) fn decode(&self, handle: &[u8]) -> Option<(InodeId, Generation)> {
        let handle: &[u8; HANDLE_BYTES] = handle.try_into().ok()?;
        let (body, mac) = handle.split_first_chunk::<BODY_BYTES>()?;
        let expected = self.mac(body);
        let difference = expected.iter().zip(mac).fold(0, |sum, (left, right)| sum | (left ^ right));
        if difference != 0 {
            return None;
        }
        let inode = u64::from_be_bytes(*body.get(20..)?.first_chunk()?);
        let generation = u32::from_be_bytes(*body.get(28..)?.first_chunk()?);
        Some((InodeId(inode), Generation(generation)))
    }

    fn mac(&self, body: &[u8; BODY_BYTES]) -> [u8; 16] {
        let mut hasher = SipHasher24::new_with_key(&self.key);
        hasher.write(body);
        hasher.finish128().as_bytes()
    }
}

const VERSION: u32 = 1;
const BODY_BYTES: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    fn codec(secret: u8) -> HandleCodec {
        let mut bytes = [0; 32];
        bytes[3] = secret;
        HandleCodec::new(FileSystemId::from_random([5; 16]), &bytes)
    }

    #[test]
    fn a_handle_round_trips_and_no_flipped_bit_does() {
        let handle = codec(1).encode(InodeId(77), Generation(3));
        assert_eq!(codec(1).decode(&handle), Some((InodeId(77), Generation(3))));
        assert_eq!(codec(2).decode(&handle), None);
        assert_eq!(codec(1).decode(&handle[..47]), None);
        for bit in 0..HANDLE_BYTES * 8 {
            let mut forged = handle;
            forged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(codec(1).decode(&forged), None, "bit {bit}");
        }
    }
}
