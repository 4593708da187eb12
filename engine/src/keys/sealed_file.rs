//! A small file that is sealed as a whole, and written anew when it changes.
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 8 | magic of the kind of file |
//! | 8 | 4 | format version |
//! | 12 | 16 | file system |
//! | 28 | 2 | generation of the data key |
//! | 30 | 16 | random id of this writing |
//! | 46 | n | content, sealed under the key derived for the magic and the id, counter 0; bytes 0 to 45 are authenticated with it |
//! | 46 + n | 16 | tag |

use std::path::Path;

use crate::codec::{Malformed, Reader, Writer};
use crate::disk::{publish, read_small};
use crate::error::{Error, OpenError, Result};
use crate::home::Home;
use crate::identity::KeyGeneration;
use crate::keys::SEAL_BYTES;

const HEADER_BYTES: usize = 46;

/// A kind of sealed file.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SealedFile {
    /// Eight ASCII characters.
    pub(crate) magic: &'static str,
    /// The version that is written and the newest that is read.
    pub(crate) version: u32,
    /// Larger files are refused unread.
    pub(crate) length_max: usize,
}

impl SealedFile {
    /// Replaces the file durably.
    pub(crate) fn publish(&self, home: &Home, path: &Path, content: &[u8]) -> Result<()> {
        if HEADER_BYTES + content.len() + SEAL_BYTES > self.length_max {
            return Err(Error::Invalid { what: "a file that would be too long to be read again" });
        }
        let id = home.random_id();
        let (generation, key) = home.keys.sealing();
        let mut header = Writer::with_capacity(HEADER_BYTES);
        header.bytes(self.magic.as_bytes()).u32(self.version);
        header.bytes(&home.file_system.to_bytes()).u16(generation.0).bytes(&id);
        debug_assert_eq!(header.len(), HEADER_BYTES);
        let mut sealed = content.to_vec();
        key.derive(self.magic, &id).seal(0, header.as_slice(), &mut sealed)?;
        header.bytes(&sealed);
        publish(home.disk.as_ref(), path, header.as_slice())
    }

    /// The content; `None` if there is no such file.
    pub(crate) fn read(&self, home: &Home, path: &Path) -> Result<Option<Vec<u8>>> {
        let Some(bytes) = read_small(home.disk.as_ref(), path, self.length_max)? else { return Ok(None) };
        let damaged = |what: &str| OpenError::Damaged { path: path.to_owned(), what: what.to_owned() };
        let short = |_: Malformed| Error::from(damaged("cut short"));
        if bytes.len() > self.length_max {
            return Err(damaged("too long").into());
        }
        let mut reader = Reader::new(&bytes);
        if reader.bytes(self.magic.len()).map_err(short)? != self.magic.as_bytes() {
            return Err(damaged("not the kind of file that its name says").into());
        }
        let found = reader.u32().map_err(short)?;
        if found != self.version {
            return Err(
                OpenError::UnknownVersion { path: path.to_owned(), found, known: self.version }.into()
            );
        }
        if reader.array().map_err(short)? != home.file_system.to_bytes() {
            return Err(damaged("belongs to another file system").into());
        }
        let generation = KeyGeneration(reader.u16().map_err(short)?);
        let id = reader.array::<16>().map_err(short)?;
        let mut content = reader.rest().to_vec();
        let header = bytes.get(..HEADER_BYTES).unwrap_or_default();
        let key = home.keys.key(generation, || path.display().to_string())?;
        let opened = key.derive(self.magic, &id).open(0, header, &mut content);
        opened.map_err(|_| damaged("does not authenticate"))?;
        Ok(Some(content))
    }
}
