//! The totals of a file system: counters that change in the record that changes their cause, and nowhere else.
//!
//! | bytes | field                                                   |
//! |-------|---------------------------------------------------------|
//! | 1     | format: 1                                               |
//! | 8     | next id of an inode or a content                        |
//! | 8     | inodes                                                  |
//! | 8     | regular files                                           |
//! | 8     | regular files with all of their content in cold tiers   |
//! | 8     | bytes of content in Standard, in blocks                 |
//! | 8     | bytes of content in Infrequent Access                   |
//! | 8     | bytes of pieces                                         |

use crate::codec::{Malformed, Reader};

const FORMAT: u8 = 1;

/// The totals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Totals {
    pub(crate) next_id: u64,
    pub(crate) inodes: u64,
    pub(crate) files: u64,
    pub(crate) cold_files: u64,
    pub(crate) standard_bytes: u64,
    pub(crate) cold_bytes: u64,
    pub(crate) piece_bytes: u64,
}

impl Totals {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = vec![FORMAT];
        for field in [
            self.next_id,
            self.inodes,
            self.files,
            self.cold_files,
            self.standard_bytes,
            self.cold_bytes,
            self.piece_bytes,
        ] {
            out.extend_from_slice(&field.to_be_bytes());
        }
        out
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(bytes);
        if reader.u8()? != FORMAT {
            return Err(Malformed("totals format"));
        }
        let totals = Totals {
            next_id: reader.u64()?,
            inodes: reader.u64()?,
            files: reader.u64()?,
            cold_files: reader.u64()?,
            standard_bytes: reader.u64()?,
            cold_bytes: reader.u64()?,
            piece_bytes: reader.u64()?,
        };
        reader.finish()?;
        Ok(totals)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trips() {
        let totals = Totals {
            next_id: 1,
            inodes: 2,
            files: 3,
            cold_files: 4,
            standard_bytes: 5,
            cold_bytes: 6,
            piece_bytes: 7,
        };
        assert_eq!(Totals::decode(&totals.encode()), Ok(totals));
        assert_eq!(Totals::decode(&totals.encode()[1..]), Err(Malformed("totals format")));
    }
}
