//! `checkpoint/MANIFEST`: which files make up the checkpoint, which index belongs to it, and the epoch.
//!
//! A [`SealedFile`] of kind `tidefsMF`, version 1, with this content:
//!
//! | bytes | field |
//! |---|---|
//! | 4 | epoch |
//! | 16 | index id |
//! | 4 | number of files |
//! | 59 each | the files, oldest first |
//! | 0 or 8 | the last record that the journal is sure to have had, if the files have more |
//!
//! A file:
//!
//! | bytes | field |
//! |---|---|
//! | 8 | number, as in its name |
//! | 1 | kind, as in its header |
//! | 8 | first LSN |
//! | 8 | last LSN |
//! | 8 | length in bytes |
//! | 8 | number of entries |
//! | 2 | generation of the data key |
//! | 16 | file id |

use std::path::Path;

use super::file::{Header, Kind};
use crate::codec::{Malformed, Reader, Writer};
use crate::error::{Error, OpenError, Result};
use crate::home::Home;
use crate::identity::{Epoch, KeyGeneration, Lsn};
use crate::keys::SealedFile;

/// The name of the manifest in the directory of the checkpoints.
pub(super) const NAME: &str = "MANIFEST";

/// What it is called while it is written.
pub(super) const NAME_NEW: &str = "MANIFEST.new";

pub(super) const FILE: SealedFile = SealedFile { magic: "tidefsMF", version: 1, length_max: 64 * 1024 };

/// What the manifest says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Manifest {
    pub(crate) epoch: Epoch,
    pub(crate) index: [u8; 16],
    /// Oldest first. Only the first may be a base.
    pub(crate) files: Vec<FileEntry>,
    /// The last record that the journal had, when it had no room for all that the files have.
    pub(crate) journaled: Option<Lsn>,
}

/// A file of the checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FileEntry {
    pub(crate) number: u64,
    pub(crate) kind: Kind,
    pub(crate) first: Lsn,
    pub(crate) last: Lsn,
    pub(crate) bytes: u64,
    pub(crate) entries: u64,
    pub(crate) generation: KeyGeneration,
    pub(crate) id: [u8; 16],
}

impl FileEntry {
    /// A file that is to be written.
    pub(super) fn new(
        number: u64,
        kind: Kind,
        (first, last): (Lsn, Lsn),
        generation: KeyGeneration,
        id: [u8; 16],
    ) -> Self {
        FileEntry { number, kind, first, last, bytes: 0, entries: 0, generation, id }
    }

    pub(super) fn header(&self) -> Header {
        let FileEntry { kind, first, last, generation, id, .. } = *self;
        Header { kind, first, last, generation, id }
    }

    /// Its name.
    pub(super) fn name(&self) -> String {
        let extension = match self.kind {
            Kind::Base => "base",
            Kind::Delta => "delta",
        };
        format!("{:08}.{extension}", self.number)
    }

    fn encode(&self, writer: &mut Writer) {
        writer.u64(self.number).u8(self.kind.to_byte()).u64(self.first.0).u64(self.last.0);
        writer.u64(self.bytes).u64(self.entries).u16(self.generation.0).bytes(&self.id);
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(FileEntry {
            number: reader.u64()?,
            kind: Kind::from_byte(reader.u8()?)?,
            first: Lsn(reader.u64()?),
            last: Lsn(reader.u64()?),
            bytes: reader.u64()?,
            entries: reader.u64()?,
            generation: KeyGeneration(reader.u16()?),
            id: reader.array()?,
        })
    }
}

impl Manifest {
    /// The last record that stands in the files.
    pub(crate) fn covered(&self) -> Lsn {
        self.files.last().map_or(Lsn(0), |file| file.last)
    }

    /// The last record that the journal is sure to have had.
    pub(crate) fn journaled(&self) -> Lsn {
        self.journaled.unwrap_or_else(|| self.covered())
    }

    /// The last record of the base: an index that has less cannot be brought up to date by the deltas.
    pub(crate) fn base_covers(&self) -> Lsn {
        self.files.first().filter(|file| file.kind == Kind::Base).map_or(Lsn(0), |file| file.last)
    }

    pub(super) fn publish(&self, home: &Home, directory: &Path) -> Result<()> {
        // What could not be opened again is not written.
        self.check().map_err(|what| Error::corrupt(format!("a manifest that is not right: {what}")))?;
        FILE.publish(home, &directory.join(NAME), &self.encode())
    }

    pub(super) fn read(home: &Home, directory: &Path) -> Result<Self> {
        let path = directory.join(NAME);
        let damaged = |what: &str| OpenError::Damaged { path: path.clone(), what: what.to_owned() };
        let content = FILE.read(home, &path)?.ok_or_else(|| damaged("missing"))?;
        let manifest = Self::decode(&content).map_err(|malformed| damaged(malformed.0))?;
        manifest.check().map_err(damaged)?;
        Ok(manifest)
    }

    fn check(&self) -> Result<(), &'static str> {
        let mut next = Lsn(1);
        for (index, file) in self.files.iter().enumerate() {
            if file.first != next || file.last < file.first {
                return Err("the files do not follow each other");
            }
            if file.kind == Kind::Base && index > 0 {
                return Err("a base after a delta");
            }
            next = Lsn(file.last.0.saturating_add(1));
        }
        if self.journaled.is_some_and(|journaled| journaled >= self.covered()) {
            return Err("the journal is ahead");
        }
        Ok(())
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        writer.u32(self.epoch.0).bytes(&self.index);
        writer.u32(u32::try_from(self.files.len()).unwrap_or(u32::MAX));
        for file in &self.files {
            file.encode(&mut writer);
        }
        if let Some(journaled) = self.journaled {
            writer.u64(journaled.0);
        }
        writer.into_vec()
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(bytes);
        let epoch = Epoch(reader.u32()?);
        let index = reader.array()?;
        let files = (0..reader.u32()?).map(|_| FileEntry::decode(&mut reader)).collect::<Result<_, _>>()?;
        let journaled = if reader.is_empty() { None } else { Some(Lsn(reader.u64()?)) };
        reader.finish()?;
        Ok(Manifest { epoch, index, files, journaled })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(number: u64, kind: Kind, first: u64, last: u64) -> FileEntry {
        let range = (Lsn(first), Lsn(last));
        FileEntry { bytes: 7, entries: 8, ..FileEntry::new(number, kind, range, KeyGeneration(6), [9; 16]) }
    }

    #[test]
    fn a_manifest_is_decoded_as_encoded() {
        let files = vec![file(3, Kind::Base, 1, 10), file(5, Kind::Delta, 11, 12)];
        let manifest = Manifest { epoch: Epoch(4), index: [1; 16], files, journaled: None };
        assert_eq!(Manifest::decode(&manifest.encode()).as_ref(), Ok(&manifest));
        assert_eq!(manifest.check(), Ok(()));
        assert_eq!((manifest.covered(), manifest.base_covers()), (Lsn(12), Lsn(10)));
        let ahead = Manifest { journaled: Some(Lsn(11)), ..manifest.clone() };
        assert_eq!(Manifest::decode(&ahead.encode()).as_ref(), Ok(&ahead));
        assert_eq!((ahead.check(), ahead.journaled(), manifest.journaled()), (Ok(()), Lsn(11), Lsn(12)));
        assert!(Manifest { journaled: Some(Lsn(12)), ..manifest.clone() }.check().is_err());
        assert_eq!(manifest.files[0].name(), "00000003.base");
    }

    #[test]
    fn files_with_a_gap_are_refused() {
        let files = vec![file(1, Kind::Delta, 1, 3), file(2, Kind::Delta, 5, 6)];
        assert!(Manifest { epoch: Epoch(1), index: [0; 16], files, journaled: None }.check().is_err());
    }
}
