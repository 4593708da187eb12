//! `superblock`: what makes a directory a file system, and the wrapped data key.
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 8 | `tidefsSB` |
//! | 8 | 4 | format version, 1 |
//! | 12 | 16 | file system |
//! | 28 | 8 | time of making, seconds since 1970 |
//! | 36 | 4 | its nanoseconds |
//! | 40 | 16 | random id of this writing |
//! | 56 | 4 + n | where the key comes from, for people |
//! | … | 4 + n | wrapped data key, as its provider made it |
//! | … | 32 | SHA-256 of all that is before: tells damage from a wrong key |
//! | … | 16 | tag over all that is before, under the key derived for `superblock` and the id, counter 0 |
//!
//! # Crash consistency
//! It is the last thing that is written when a file system is made: a directory without it is none. It is replaced as a whole.

use std::path::Path;

use sha2::{Digest, Sha256};

use super::{DataKey, KeyProvider, SEAL_BYTES};
use crate::attributes::Timestamp;
use crate::codec::{Malformed, Reader, Writer};
use crate::disk::{Disk, publish, read_small, sync_parent};
use crate::environment::Environment;
use crate::error::{Error, OpenError, Result};
use crate::home::Home;
use crate::identity::FileSystemId;

const NAME: &str = "superblock";
const MAGIC: &[u8; 8] = b"tidefsSB";
const VERSION: u32 = 1;
const LENGTH_MAX: usize = 64 * 1024;

/// What the superblock says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Superblock {
    /// Which file system it is.
    pub(crate) file_system: FileSystemId,
    /// When it was made.
    pub(crate) created: Timestamp,
    /// Where the key that wraps its data key comes from, for people.
    pub(crate) provider: String,
}

struct Decoded {
    superblock: Superblock,
    id: [u8; 16],
    wrapped: Vec<u8>,
    signed: Vec<u8>,
    tag: Vec<u8>,
}

impl Superblock {
    /// Makes the directory, if need be, a data key and the superblock. All of it is durable when it returns.
    pub(crate) fn create(
        directory: &Path,
        disk: &dyn Disk,
        environment: &Environment,
        provider: &dyn KeyProvider,
        file_system: FileSystemId,
    ) -> Result<DataKey> {
        let key = DataKey::generate(environment.entropy.as_ref());
        let superblock =
            Superblock { file_system, created: environment.clock.now(), provider: provider.describe() };
        let mut id = [0; 16];
        environment.entropy.fill(&mut id);
        let wrapped = provider.wrap(file_system, &key)?;
        let bytes = superblock.encode(id, &wrapped, &key)?;
        disk.create_directory(directory).map_err(Error::io("cannot create", directory))?;
        sync_parent(disk, directory)?;
        publish(disk, &directory.join(NAME), &bytes)?;
        Ok(key)
    }

    /// Reads the superblock of the file system that is expected here, and unwraps its data key.
    pub(crate) fn open(
        directory: &Path,
        disk: &dyn Disk,
        provider: &dyn KeyProvider,
        expected: FileSystemId,
    ) -> Result<(Self, DataKey)> {
        let path = directory.join(NAME);
        let bytes = read_small(disk, &path, LENGTH_MAX)?;
        let bytes = bytes.ok_or_else(|| OpenError::NotAFileSystem { path: directory.to_owned() })?;
        let damaged = |what: &str| OpenError::Damaged { path: path.clone(), what: what.to_owned() };
        let mut decoded = decode(&path, &bytes)?;
        if decoded.superblock.file_system != expected {
            return Err(damaged(&format!("belongs to {}", decoded.superblock.file_system)).into());
        }
        let key = provider.unwrap_key(expected, &decoded.wrapped)?;
        let opened = key.derive("superblock", &decoded.id).open(0, &decoded.signed, &mut decoded.tag);
        opened.map_err(|_| damaged("does not authenticate"))?;
        Ok((decoded.superblock, key))
    }

    /// Whether the superblock is the one of this file system, under its data key.
    pub(crate) fn check(directory: &Path, home: &Home) -> Result<()> {
        let path = directory.join(NAME);
        let bytes = read_small(home.disk.as_ref(), &path, LENGTH_MAX)?;
        let bytes = bytes.ok_or_else(|| OpenError::NotAFileSystem { path: directory.to_owned() })?;
        let damaged = |what: &str| OpenError::Damaged { path: path.clone(), what: what.to_owned() };
        let mut decoded = decode(&path, &bytes)?;
        if decoded.superblock.file_system != home.file_system {
            return Err(damaged("belongs to another file system").into());
        }
        let opened = home.key.derive("superblock", &decoded.id).open(0, &decoded.signed, &mut decoded.tag);
        opened.map_err(|_| damaged("does not authenticate"))?;
        Ok(())
    }

    fn encode(&self, id: [u8; 16], wrapped: &[u8], key: &DataKey) -> Result<Vec<u8>> {
        let mut writer = Writer::new();
        writer.bytes(MAGIC).u32(VERSION).bytes(&self.file_system.to_bytes());
        writer.bytes(&self.created.seconds.to_be_bytes()).u32(self.created.nanoseconds).bytes(&id);
        writer.sized(self.provider.as_bytes()).sized(wrapped);
        let digest = Sha256::digest(writer.as_slice());
        writer.bytes(&digest);
        let tag = key.derive("superblock", &id).seal_detached(0, writer.as_slice(), &mut [])?;
        writer.bytes(&tag);
        Ok(writer.into_vec())
    }
}

fn decode(path: &Path, bytes: &[u8]) -> Result<Decoded, OpenError> {
    let damaged = |what: &str| OpenError::Damaged { path: path.to_owned(), what: what.to_owned() };
    let mut reader = Reader::new(bytes);
    if reader.array().ok() != Some(*MAGIC) {
        return Err(damaged("not a superblock"));
    }
    let found = reader.u32().map_err(|malformed| damaged(malformed.0))?;
    if found != VERSION {
        return Err(OpenError::UnknownVersion { path: path.to_owned(), found, known: VERSION });
    }
    decode_fields(reader, bytes).map_err(|malformed| damaged(malformed.0))
}

fn decode_fields(mut reader: Reader<'_>, bytes: &[u8]) -> Result<Decoded, Malformed> {
    let file_system = reader.array::<16>()?;
    let created = Timestamp { seconds: i64::from_be_bytes(reader.array()?), nanoseconds: reader.u32()? };
    let id = reader.array()?;
    let provider = String::from_utf8_lossy(reader.sized()?).into_owned();
    let wrapped = reader.sized()?.to_vec();
    let hashed = bytes.get(..bytes.len().saturating_sub(reader.rest().len())).unwrap_or_default();
    let digest = reader.array::<32>()?;
    if Sha256::digest(hashed).as_slice() != digest {
        return Err(Malformed("the checksum is wrong"));
    }
    let signed = bytes.get(..bytes.len().saturating_sub(reader.rest().len())).unwrap_or_default().to_vec();
    let tag = reader.bytes(SEAL_BYTES)?.to_vec();
    reader.finish()?;
    let file_system =
        FileSystemId::from_bytes(file_system).ok_or(Malformed("no file system has such an id"))?;
    Ok(Decoded { superblock: Superblock { file_system, created, provider }, id, wrapped, signed, tag })
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::disk::RealDisk;
    use crate::keys::KeyFile;

    struct Made {
        directory: tempfile::TempDir,
        file_system: FileSystemId,
    }

    impl Made {
        fn new() -> Self {
            let directory = tempfile::tempdir().unwrap();
            Made { directory, file_system: FileSystemId::from_random([9; 16]) }
        }

        fn provider(&self, name: &str) -> KeyFile {
            let path = self.directory.path().join(name);
            if !path.exists() {
                KeyFile::create(&path, Environment::system().entropy.as_ref()).unwrap();
            }
            KeyFile::open(&path).unwrap()
        }

        fn path(&self) -> PathBuf {
            self.directory.path().join("fs")
        }

        fn create(&self) -> DataKey {
            let provider = self.provider("key");
            let environment = Environment::system();
            Superblock::create(&self.path(), &RealDisk, &environment, &provider, self.file_system).unwrap()
        }

        fn open(&self, key: &str) -> Result<(Superblock, DataKey), OpenError> {
            match Superblock::open(&self.path(), &RealDisk, &self.provider(key), self.file_system) {
                Ok(found) => Ok(found),
                Err(Error::Open(error)) => Err(error),
                Err(other) => panic!("{other}"),
            }
        }
    }

    #[test]
    fn the_data_key_comes_back() {
        let made = Made::new();
        let key = made.create();
        let (superblock, opened) = made.open("key").unwrap();
        assert_eq!(key.bytes(), opened.bytes());
        assert_eq!(superblock.file_system, made.file_system);
        assert!(superblock.provider.contains("key file"));
    }

    #[test]
    fn each_thing_wrong_has_its_own_error() {
        let made = Made::new();
        let none = made.open("key").map(|_| ());
        assert_eq!(none, Err(OpenError::NotAFileSystem { path: made.path() }));
        made.create();
        assert!(matches!(made.open("other key"), Err(OpenError::WrongKey { .. })));
        let file = made.path().join(NAME);
        let whole = std::fs::read(&file).unwrap();
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 1;
            std::fs::write(&file, bytes).unwrap();
            match made.open("key").map(|_| ()) {
                Err(OpenError::UnknownVersion { .. }) => assert!((8..12).contains(&at), "byte {at}"),
                Err(OpenError::Damaged { .. }) => {}
                other => panic!("byte {at}: {other:?}"),
            }
        }
        std::fs::write(&file, &whole[..whole.len() - 1]).unwrap();
        assert!(matches!(made.open("key"), Err(OpenError::Damaged { .. })));
    }
}
