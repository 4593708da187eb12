//! `superblock`: what makes a directory a file system, and its wrapped keys.
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 8 | `tidefsSB` |
//! | 8 | 4 | format version, 1 |
//! | 12 | 16 | file system |
//! | 28 | 8 | time of making, seconds since 1970 |
//! | 36 | 4 | its nanoseconds |
//! | 40 | 16 | random id of this writing |
//! | 56 | 1 | where the key-encryption key comes from: 1 key file, 2 passphrase |
//! | 57 | 4 + n | the same for people |
//! | … | 4 + n | parameters of the provider |
//! | … | 4 + n | master key, wrapped by its provider |
//! | … | 4 + n | the ring, sealed under the key derived from the master key for `superblock` and the id, counter 0; all that is before is
//! authenticated with it |
//! | … | 32 | SHA-256 of all that is before: tells damage from a wrong key |
//!
//! The ring: the identity secret (32), the number of data keys (2), and for each of them, oldest first:
//!
//! | bytes | field |
//! |---|---|
//! | 2 | generation |
//! | 8 | time of making, seconds since 1970 |
//! | 4 | its nanoseconds |
//! | 32 | data key |
//!
//! A file system that was shredded has instead: `tidefsSH`, format version 1 (4), file system (16).
//!
//! # Crash consistency
//! It is the last thing that is written when a file system is made: a directory without it is none. It is replaced as a whole, so that
//! there is always the old one or the new one.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::provider::{KeyProvider, KeySource, KeySourceKind};
use super::ring::{Generations, RingKey};
use super::{DataKey, IdentitySecret};
use crate::attributes::Timestamp;
use crate::codec::{Malformed, Reader, Writer};
use crate::disk::{Disk, publish, read_small};
use crate::environment::Entropy;
use crate::error::{OpenError, Result};
use crate::identity::{FileSystemId, KeyGeneration};

const NAME: &str = "superblock";
const MAGIC: &[u8; 8] = b"tidefsSB";
const SHREDDED_MAGIC: &[u8; 8] = b"tidefsSH";
const VERSION: u32 = 1;
const LENGTH_MAX: usize = 64 * 1024;

/// What the superblock says, opened.
#[derive(Clone)]
pub(super) struct Superblock {
    pub(super) file_system: FileSystemId,
    pub(super) created: Timestamp,
    pub(super) provider: ProviderNote,
    pub(super) master: DataKey,
    pub(super) identity: IdentitySecret,
    pub(super) keys: Generations,
}

/// What the superblock says about the provider of its key-encryption key, in clear.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ProviderNote {
    pub(super) kind: KeySourceKind,
    pub(super) description: String,
    parameters: Vec<u8>,
    wrapped: Vec<u8>,
}

impl ProviderNote {
    /// Wraps a master key.
    pub(super) fn wrap(
        provider: &dyn KeyProvider,
        file_system: FileSystemId,
        master: &DataKey,
    ) -> Result<Self> {
        Ok(ProviderNote {
            kind: provider.kind(),
            description: provider.describe(),
            parameters: provider.parameters(),
            wrapped: provider.wrap(file_system, master)?,
        })
    }
}

/// A superblock whose ring is still sealed.
pub(super) struct Sealed {
    file_system: FileSystemId,
    created: Timestamp,
    id: [u8; 16],
    provider: ProviderNote,
    bound: Vec<u8>,
    ring: Vec<u8>,
}

/// Where the superblock of a file system's directory is.
pub(super) fn path(directory: &Path) -> PathBuf {
    directory.join(NAME)
}

impl Superblock {
    /// Puts it in the place of the older one, durably.
    pub(super) fn publish(&self, directory: &Path, disk: &dyn Disk, entropy: &dyn Entropy) -> Result<()> {
        let mut id = [0; 16];
        entropy.fill(&mut id);
        publish(disk, &path(directory), &self.encode(id)?)
    }

    /// Reads the superblock of the file system that is expected here, and opens it with a key of the source.
    pub(super) fn read(
        directory: &Path,
        disk: &dyn Disk,
        source: &KeySource,
        expected: FileSystemId,
    ) -> Result<(Self, Arc<dyn KeyProvider>)> {
        let path = path(directory);
        let bytes = read_small(disk, &path, LENGTH_MAX)?;
        let bytes = bytes.ok_or_else(|| OpenError::NotAFileSystem { path: directory.to_owned() })?;
        let damaged = |what: &str| OpenError::Damaged { path: path.clone(), what: what.to_owned() };
        let sealed = decode(&path, &bytes)?;
        if sealed.file_system != expected {
            return Err(damaged(&format!("belongs to {}", sealed.file_system)).into());
        }
        let (wrapped, given) = (sealed.provider.kind, source.kind());
        if wrapped != given {
            let file_system = expected.to_string();
            return Err(OpenError::OtherKeySource { file_system, wrapped, given }.into());
        }
        let provider = source.provider_with(&sealed.provider.parameters)?;
        let provider = provider.map_err(|malformed| damaged(malformed.0))?;
        let master = provider.unwrap_key(expected, &sealed.provider.wrapped)?;
        let superblock = sealed.open(master).map_err(|malformed| damaged(malformed.0))?;
        Ok((superblock, provider))
    }

    /// Whether what is at rest is whole, and of the same file system and under the same master key as this one.
    pub(super) fn check(directory: &Path, disk: &dyn Disk, current: &Superblock) -> Result<()> {
        let path = path(directory);
        let bytes = read_small(disk, &path, LENGTH_MAX)?;
        let bytes = bytes.ok_or_else(|| OpenError::NotAFileSystem { path: directory.to_owned() })?;
        let sealed = decode(&path, &bytes)?;
        let damaged = |what: &str| OpenError::Damaged { path: path.clone(), what: what.to_owned() };
        if sealed.file_system != current.file_system {
            return Err(damaged("belongs to another file system").into());
        }
        sealed.open(current.master.clone()).map_err(|malformed| damaged(malformed.0))?;
        Ok(())
    }

    pub(super) fn encode(&self, id: [u8; 16]) -> Result<Vec<u8>> {
        self.encode_with(id, Zeroizing::new(self.encode_ring()))
    }

    /// With a ring of any bytes.
    pub(super) fn encode_with(&self, id: [u8; 16], mut ring: Zeroizing<Vec<u8>>) -> Result<Vec<u8>> {
        let mut writer = Writer::new();
        writer.bytes(MAGIC).u32(VERSION).bytes(&self.file_system.to_bytes());
        encode_time(&mut writer, self.created);
        writer.bytes(&id).u8(self.provider.kind.to_byte()).sized(self.provider.description.as_bytes());
        writer.sized(&self.provider.parameters).sized(&self.provider.wrapped);
        self.master.derive("superblock", &id).seal(0, writer.as_slice(), &mut ring)?;
        writer.sized(&ring);
        let digest = Sha256::digest(writer.as_slice());
        writer.bytes(&digest);
        Ok(writer.into_vec())
    }

    pub(super) fn encode_ring(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        let count = self.keys.iter().count();
        writer.bytes(self.identity.bytes()).u16(u16::try_from(count).unwrap_or(u16::MAX));
        for (generation, key) in self.keys.iter() {
            writer.u16(generation.0);
            encode_time(&mut writer, key.since);
            writer.bytes(key.key.bytes());
        }
        writer.into_vec()
    }
}

impl Sealed {
    pub(super) fn open(mut self, master: DataKey) -> Result<Superblock, Malformed> {
        let opened = master.derive("superblock", &self.id).open(0, &self.bound, &mut self.ring);
        opened.map_err(|_| Malformed("does not authenticate"))?;
        let ring = Zeroizing::new(self.ring);
        let mut reader = Reader::new(&ring);
        let identity = IdentitySecret::from_bytes(reader.array()?);
        let mut keys = BTreeMap::new();
        for _ in 0..reader.u16()? {
            let generation = KeyGeneration(reader.u16()?);
            let since = decode_time(&mut reader)?;
            let key = RingKey { since, key: DataKey::from_bytes(reader.array()?) };
            if keys.insert(generation, key).is_some() {
                return Err(Malformed("a key generation twice"));
            }
        }
        reader.finish()?;
        let keys = Generations::from_keys(keys).ok_or(Malformed("no data key, or too many"))?;
        let Sealed { file_system, created, provider, .. } = self;
        Ok(Superblock { file_system, created, provider, master, identity, keys })
    }
}

/// What stands in the place of a superblock whose keys were destroyed.
pub(super) fn shredded(file_system: FileSystemId) -> Vec<u8> {
    let mut writer = Writer::new();
    writer.bytes(SHREDDED_MAGIC).u32(VERSION).bytes(&file_system.to_bytes());
    writer.into_vec()
}

fn encode_time(writer: &mut Writer, time: Timestamp) {
    writer.bytes(&time.seconds.to_be_bytes()).u32(time.nanoseconds);
}

fn decode_time(reader: &mut Reader<'_>) -> Result<Timestamp, Malformed> {
    Ok(Timestamp { seconds: i64::from_be_bytes(reader.array()?), nanoseconds: reader.u32()? })
}

pub(super) fn decode(path: &Path, bytes: &[u8]) -> Result<Sealed, OpenError> {
    let damaged = |what: &str| OpenError::Damaged { path: path.to_owned(), what: what.to_owned() };
    let mut reader = Reader::new(bytes);
    let magic = reader.array().ok();
    if magic != Some(*MAGIC) && magic != Some(*SHREDDED_MAGIC) {
        return Err(damaged("not a superblock"));
    }
    let found = reader.u32().map_err(|malformed| damaged(malformed.0))?;
    if found != VERSION {
        return Err(OpenError::UnknownVersion { path: path.to_owned(), found, known: VERSION });
    }
    let file_system = reader.array::<16>().ok().and_then(FileSystemId::from_bytes);
    let file_system = file_system.ok_or_else(|| damaged("no file system has such an id"))?;
    if magic == Some(*SHREDDED_MAGIC) {
        return Err(OpenError::Shredded { file_system: file_system.to_string() });
    }
    decode_fields(reader, bytes, file_system).map_err(|malformed| damaged(malformed.0))
}

fn decode_fields(
    mut reader: Reader<'_>,
    bytes: &[u8],
    file_system: FileSystemId,
) -> Result<Sealed, Malformed> {
    let before = |reader: &Reader<'_>| {
        bytes.get(..bytes.len().saturating_sub(reader.rest().len())).unwrap_or_default()
    };
    let created = decode_time(&mut reader)?;
    let id = reader.array()?;
    let kind = reader.u8()?;
    let description = String::from_utf8_lossy(reader.sized()?).into_owned();
    let parameters = reader.sized()?.to_vec();
    let wrapped = reader.sized()?.to_vec();
    let bound = before(&reader).to_vec();
    let ring = reader.sized()?.to_vec();
    let hashed = before(&reader);
    if Sha256::digest(hashed).as_slice() != reader.array::<32>()? {
        return Err(Malformed("the checksum is wrong"));
    }
    reader.finish()?;
    let kind = KeySourceKind::from_byte(kind)?;
    let provider = ProviderNote { kind, description, parameters, wrapped };
    Ok(Sealed { file_system, created, id, provider, bound, ring })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(byte: u8) -> RingKey {
        let since = Timestamp { seconds: i64::from(byte), nanoseconds: 7 };
        RingKey { since, key: DataKey::from_bytes([byte; 32]) }
    }

    fn superblock() -> Superblock {
        Superblock {
            file_system: FileSystemId::from_random([9; 16]),
            created: Timestamp { seconds: 1_700_000_000, nanoseconds: 5 },
            provider: ProviderNote {
                kind: KeySourceKind::Passphrase,
                description: "passphrase".to_owned(),
                parameters: vec![1, 2, 3],
                wrapped: vec![4; 64],
            },
            master: DataKey::from_bytes([6; 32]),
            identity: IdentitySecret::from_bytes([8; 32]),
            keys: Generations::first(key(1)).with(key(2)).unwrap(),
        }
    }

    #[test]
    fn what_is_written_is_read_with_its_master_key() {
        let bytes = superblock().encode([3; 16]).unwrap();
        let opened =
            decode(Path::new("superblock"), &bytes).unwrap().open(DataKey::from_bytes([6; 32])).unwrap();
        assert_eq!(opened.encode([3; 16]).unwrap(), bytes);
        assert_eq!((opened.provider, opened.created), (superblock().provider, superblock().created));
        let other = decode(Path::new("superblock"), &bytes).unwrap().open(DataKey::from_bytes([7; 32]));
        assert_eq!(other.map(|_| ()), Err(Malformed("does not authenticate")));
    }

    #[test]
    fn a_superblock_cut_anywhere_is_refused() {
        let bytes = superblock().encode([3; 16]).unwrap();
        for length in 0..bytes.len() {
            assert!(decode(Path::new("superblock"), &bytes[..length]).is_err(), "{length}");
        }
    }
}
