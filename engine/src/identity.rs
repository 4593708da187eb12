//! The ids of the engine. Each is a newtype, so that two of them cannot be swapped in a call.

use std::fmt;

use crate::environment::Entropy;
use crate::limits::{BLOCK_BYTES, UNIT_BYTES};

/// Units in a slot.
const SLOT_UNITS: u64 = BLOCK_BYTES / UNIT_BYTES;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

id!(
    /// An inode number; 1 is the root directory. Only one that a crash took back is given out again, with another generation.
    InodeId(u64)
);
id!(
    /// Tells apart two uses of one inode number: the epoch in which it was made. Of the root it is 1.
    Generation(u32)
);
id!(
    /// The content of a file: what extents and pieces belong to. Truncation to zero gives a file a new one.
    ContentId(u64)
);
id!(
    /// A place within a content, in units of [`crate::limits::UNIT_BYTES`]: where a block starts.
    BlockIndex(u64)
);
id!(
    /// The position of a record in the journal: 1, 2, 3, … without gaps over the life of a file system.
    Lsn(u64)
);
id!(
    /// Counts the data keys of a file system, from 1. Everything that is sealed names the generation of its key; the newest seals.
    KeyGeneration(u16)
);
id!(
    /// Counts the starts of a file system for writing; durable before anything is written under it.
    Epoch(u32)
);

impl BlockIndex {
    /// The unit in which a byte lies.
    pub fn of_byte(offset: u64) -> Self {
        BlockIndex(offset / UNIT_BYTES)
    }

    /// The first unit that starts at or behind a byte.
    pub fn at_or_behind(offset: u64) -> Self {
        BlockIndex(offset.div_ceil(UNIT_BYTES))
    }

    /// The byte at which it starts.
    pub fn start(self) -> u64 {
        self.0.saturating_mul(UNIT_BYTES)
    }

    /// The first unit of the slot in which it lies.
    pub fn slot(self) -> Self {
        BlockIndex(self.0 - self.0 % SLOT_UNITS)
    }

    /// The first unit of the next slot.
    pub fn next_slot(self) -> Self {
        BlockIndex(self.slot().0.saturating_add(SLOT_UNITS))
    }
}

impl InodeId {
    /// The root directory.
    pub const ROOT: InodeId = InodeId(1);
}

impl KeyGeneration {
    /// The first data key of a file system.
    pub const FIRST: KeyGeneration = KeyGeneration(1);
}

/// A segment's id, also the source of its encryption key and of its object name: 14 random bytes, then the big-endian generation of
/// the data key that it is sealed under, so that a reader knows the key without looking anything up.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SegmentId(pub [u8; 16]);

impl SegmentId {
    /// A new id for a segment that is sealed under this generation.
    pub(crate) fn generate(entropy: &dyn Entropy, generation: KeyGeneration) -> Self {
        let mut id = [0; 16];
        entropy.fill(&mut id);
        if let Some(last) = id.last_chunk_mut::<2>() {
            *last = generation.0.to_be_bytes();
        }
        SegmentId(id)
    }

    /// The generation of the data key that the segment is sealed under.
    pub fn generation(&self) -> KeyGeneration {
        KeyGeneration(u16::from_be_bytes(self.0.last_chunk::<2>().copied().unwrap_or_default()))
    }
}

impl fmt::Display for SegmentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for SegmentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SegmentId({self})")
    }
}

/// A file system's id, printed as EFS does: `fs-` and 17 lower-case hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileSystemId(u128);

impl FileSystemId {
    const BITS: u32 = 68;

    /// Makes an id of random bytes.
    pub fn from_random(random: [u8; 16]) -> Self {
        FileSystemId(u128::from_be_bytes(random) >> (u128::BITS - Self::BITS))
    }

    /// Reads the printed form.
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix("fs-")?;
        let lower_hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        if digits.len() != 17 || !digits.bytes().all(lower_hex) {
            return None;
        }
        u128::from_str_radix(digits, 16).ok().map(FileSystemId)
    }

    /// The id of [`FileSystemId::to_bytes`]; `None` if no id has these bytes.
    pub fn from_bytes(bytes: [u8; 16]) -> Option<Self> {
        let id = u128::from_be_bytes(bytes);
        (id >> Self::BITS == 0).then_some(FileSystemId(id))
    }

    /// The id as bytes, for binding it into encryption.
    pub fn to_bytes(self) -> [u8; 16] {
        self.0.to_be_bytes()
    }
}

impl fmt::Display for FileSystemId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "fs-{:017x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_says_which_key_it_is_sealed_under() {
        let entropy = crate::environment::Environment::system().entropy;
        let make = || SegmentId::generate(entropy.as_ref(), KeyGeneration(0x0102));
        assert_eq!((make().generation(), &make().0[14..]), (KeyGeneration(0x0102), [1, 2].as_slice()));
        assert_ne!(make(), make());
    }

    #[test]
    fn file_system_id_prints_and_parses_as_efs_does() {
        let id = FileSystemId::from_random([0xab; 16]);
        assert_eq!(id.to_string(), "fs-abababababababab a".replace(' ', ""));
        assert_eq!(FileSystemId::parse(&id.to_string()), Some(id));
        for wrong in
            ["", "fs-", "fs-ABABABABABABABABA", "fs-0123", "fs-0123456789abcdef01", "xs-01234567890123456"]
        {
            assert_eq!(FileSystemId::parse(wrong), None, "{wrong}");
        }
    }
}
