//! A directory entry.
//!
//! | bytes | field                                   |
//! |-------|-----------------------------------------|
//! | 1     | format: 1                               |
//! | 8     | inode; 0 in a tombstone                 |
//! | rest  | name; empty in a tombstone              |
//!
//! A tombstone keeps the first place of a hash while another entry with the same hash stands behind it.

use bytes::Bytes;

use crate::codec::{Malformed, Reader};
use crate::identity::InodeId;

const FORMAT: u8 = 1;

/// A directory entry, or the tombstone of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Dentry {
    pub(crate) inode: InodeId,
    pub(crate) name: Bytes,
}

impl Dentry {
    pub(crate) fn tombstone() -> Self {
        Dentry { inode: InodeId(0), name: Bytes::new() }
    }

    pub(crate) fn is_tombstone(&self) -> bool {
        self.name.is_empty()
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(9 + self.name.len());
        out.push(FORMAT);
        out.extend_from_slice(&self.inode.0.to_be_bytes());
        out.extend_from_slice(&self.name);
        out
    }

    pub(crate) fn decode(bytes: &Bytes) -> Result<Self, Malformed> {
        let mut reader = Reader::new(bytes);
        if reader.u8()? != FORMAT {
            return Err(Malformed("dentry format"));
        }
        let inode = InodeId(reader.u64()?);
        let dentry = Dentry { inode, name: bytes.slice_ref(reader.rest()) };
        if dentry.is_tombstone() != (inode == InodeId(0)) {
            return Err(Malformed("neither an entry nor a tombstone"));
        }
        Ok(dentry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trips() {
        for dentry in
            [Dentry::tombstone(), Dentry { inode: InodeId(7), name: Bytes::from_static(b"\xff name") }]
        {
            assert_eq!(Dentry::decode(&dentry.encode().into()), Ok(dentry));
        }
        assert_eq!(Dentry::decode(&Bytes::from_static(&[1, 2])), Err(Malformed("cut short")));
    }

    #[test]
    fn an_entry_has_an_inode_and_a_name_and_a_tombstone_has_neither() {
        let nameless = Dentry { inode: InodeId(7), name: Bytes::new() };
        let of_nothing = Dentry { inode: InodeId(0), name: Bytes::from_static(b"name") };
        for wrong in [nameless, of_nothing] {
            assert!(Dentry::decode(&wrong.encode().into()).is_err());
        }
    }
}
