//! Where a name stands in its directory.
//!
//! A cookie is a 55-bit keyed hash of the name and an 8-bit collision number: below 2^63, never 0, 1 or 2, and the same over
//! restarts, inserts and removals.
//!
//! The hash is SipHash-2-4 of the directory's number (8 bytes, the one number that is little-endian) and the name, under the first 16 bytes
//! of the secret that is derived for `names` from the identity secret: its lower 55 bits, and 1 if they are all 0. The cookie is the hash
//! times 256 and the collision number.

use std::hash::Hasher;

use siphasher::sip::SipHasher24;

use crate::identity::InodeId;
use crate::keys::IdentitySecret;

/// Hashes names under a key of the file system.
#[derive(Debug, Clone)]
pub(crate) struct NameHasher {
    key: [u8; 16],
    /// Fewer bits in tests, so that names collide.
    mask: u64,
}

/// The number of names that may share one hash.
pub(crate) const COLLISIONS_MAX: u64 = 256;

const HASH_BITS: u32 = 55;

impl NameHasher {
    pub(crate) fn new(secret: &IdentitySecret) -> Self {
        let secret = secret.derive_secret("names", b"");
        let mut half = [0; 16];
        if let Some(first) = secret.first_chunk::<16>() {
            half = *first;
        }
        NameHasher { key: half, mask: (1 << HASH_BITS) - 1 }
    }

    /// A hasher under which nearly all names collide.
    #[cfg(test)]
    pub(crate) fn colliding() -> Self {
        NameHasher { key: [0; 16], mask: 1 }
    }

    /// The first cookie of the name; the others follow it.
    pub(crate) fn first_cookie(&self, directory: InodeId, name: &[u8]) -> u64 {
        let mut hasher = SipHasher24::new_with_key(&self.key);
        hasher.write(&directory.0.to_le_bytes());
        hasher.write(name);
        // Zero is left out, so that the reserved cookies 0, 1 and 2 never appear.
        let hash = (hasher.finish() & self.mask).max(1);
        hash * COLLISIONS_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cookies_are_stable_and_in_range() {
        let hasher = NameHasher::new(&IdentitySecret::from_bytes([1; 32]));
        let cookie = hasher.first_cookie(InodeId::ROOT, b"name");
        assert_eq!(cookie, hasher.first_cookie(InodeId::ROOT, b"name"));
        assert_ne!(cookie, hasher.first_cookie(InodeId(2), b"name"));
        for number in 0..1000u32 {
            let cookie = hasher.first_cookie(InodeId::ROOT, &number.to_be_bytes());
            assert!(cookie > 2 && cookie < 1 << 63 && cookie.is_multiple_of(COLLISIONS_MAX));
        }
    }
}
