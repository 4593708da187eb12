//! Golden files: the key file, superblocks and the keys in them.

use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use ::golden::Format;
use zeroize::Zeroizing;

use super::key_file::render;
use super::passphrase::PassphraseKey;
use super::ring::{Generations, RingKey};
use super::superblock::{self, ProviderNote, Superblock};
use super::{
    DataKey, IdentitySecret, KeyFile, KeyProvider, KeySource, KeySourceKind, Passphrase, PassphraseCost,
};
use crate::attributes::Timestamp;
use crate::error::{Error, OpenError, Result};
use crate::fuzzing::memory::MemoryDisk;
use crate::golden::fixed::{START, environment, file_system};
use crate::identity::KeyGeneration;

pub(crate) const FORMATS: &[Format] = &[
    Format { name: "key-file", write: Some(key_file), read: read_key_file },
    Format { name: "superblock-key-file", write: Some(with_key_file), read: read_with_key_file },
    Format { name: "superblock-passphrase", write: Some(with_passphrase), read: read_with_passphrase },
    Format { name: "superblock-shredded", write: Some(shredded), read: read_shredded },
];

const KEY: [u8; 32] = [7; 32];

/// Does something with a key file.
fn in_key_file<T>(text: &[u8], work: impl FnOnce(&Path) -> T) -> T {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("key");
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path).unwrap();
    std::io::Write::write_all(&mut file, text).unwrap();
    work(&path)
}

fn key_file() -> Vec<u8> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("key");
    KeyFile::create(&path, environment().entropy.as_ref()).unwrap();
    std::fs::read(path).unwrap()
}

fn read_key_file(stored: &[u8]) {
    let key = in_key_file(stored, |path| KeyFile::open(path).unwrap().key);
    let entropy = environment().entropy;
    // The number in the name that it has while it is made comes first.
    entropy.fill(&mut [0; 8]);
    assert_eq!(key.bytes(), DataKey::generate(entropy.as_ref()).bytes());
}

fn passphrase() -> Passphrase {
    let cost = PassphraseCost { memory_kib: 64, passes: 3, lanes: 2 };
    Passphrase::new(Zeroizing::new(b"correct horse".to_vec())).unwrap().with_cost(cost)
}

/// A superblock with two data keys.
fn superblock(provider: &dyn KeyProvider) -> Superblock {
    let key = |byte| {
        let since = Timestamp { seconds: START + i64::from(byte), nanoseconds: 5 };
        RingKey { since, key: DataKey::from_bytes([byte; 32]) }
    };
    let master = DataKey::from_bytes([3; 32]);
    Superblock {
        file_system: file_system(),
        created: Timestamp { seconds: START, nanoseconds: 999_999_999 },
        provider: ProviderNote::wrap(provider, file_system(), &master).unwrap(),
        master,
        identity: IdentitySecret::from_bytes([4; 32]),
        keys: Generations::first(key(1)).with(key(2)).unwrap(),
    }
}

fn with_key_file() -> Vec<u8> {
    let provider = KeyFile { path: "/etc/tidefs/tidefs.key".into(), key: DataKey::from_bytes(KEY) };
    superblock(&provider).encode([5; 16]).unwrap()
}

fn with_passphrase() -> Vec<u8> {
    let provider = PassphraseKey::fresh(&passphrase(), environment().entropy.as_ref()).unwrap();
    superblock(&provider).encode([6; 16]).unwrap()
}

fn shredded() -> Vec<u8> {
    superblock::shredded(file_system())
}

fn open(stored: &[u8], source: &KeySource) -> Result<Superblock> {
    let directory = Path::new("/fs");
    let disk = MemoryDisk::with(&superblock::path(directory), stored);
    Superblock::read(directory, &disk, source, file_system()).map(|(found, _)| found)
}

fn read_with_key_file(stored: &[u8]) {
    let text = render(&DataKey::from_bytes(KEY));
    let found = in_key_file(text.as_bytes(), |path| open(stored, &KeySource::File(path.to_owned())));
    let described = "key file /etc/tidefs/tidefs.key";
    check(&found.unwrap(), KeySourceKind::KeyFile, described);
}

fn read_with_passphrase(stored: &[u8]) {
    let found = open(stored, &KeySource::Passphrase(passphrase()));
    let described = "passphrase (Argon2id, 64 KiB, 3 passes, 2 lanes)";
    check(&found.unwrap(), KeySourceKind::Passphrase, described);
}

fn check(found: &Superblock, kind: KeySourceKind, description: &str) {
    let note = &found.provider;
    assert_eq!((note.kind, note.description.as_str()), (kind, description));
    assert_eq!(found.file_system, file_system());
    assert_eq!(found.created, Timestamp { seconds: START, nanoseconds: 999_999_999 });
    assert_eq!((found.master.bytes(), found.identity.bytes()), (&[3; 32], &[4; 32]));
    let keys: Vec<_> = found
        .keys
        .iter()
        .map(|(generation, key)| (generation, key.since.seconds - START, *key.key.bytes()))
        .collect();
    assert_eq!(keys, [(KeyGeneration(1), 1, [1; 32]), (KeyGeneration(2), 2, [2; 32])]);
}

fn read_shredded(stored: &[u8]) {
    match open(stored, &KeySource::Passphrase(passphrase())).map(|_| ()) {
        Err(Error::Open(OpenError::Shredded { file_system: found })) => {
            assert_eq!(found, file_system().to_string());
        }
        other => panic!("{other:?}"),
    }
}
