//! For fuzzing: the key file, wrapped keys, the superblock, sealed files.

use std::path::Path;

use sha2::{Digest, Sha256};

use super::key_file::{parse, render};
use super::ring::{Generations, RingKey};
use super::superblock::{ProviderNote, Superblock, decode};
use super::{DataKey, IdentitySecret, KeyFile, KeyProvider, PassphraseCost, SealedFile, passphrase};
use crate::fuzzing::input::{Input, damages};
use crate::fuzzing::memory::MemoryDisk;
use crate::fuzzing::{Decoder, environment, home, must};
use crate::identity::FileSystemId;

pub(crate) const DECODERS: &[Decoder] = &[
    Decoder { name: "key-file", run: key_file, seeds: key_file_seeds },
    Decoder { name: "wrapped-key", run: wrapped_key, seeds: wrapped_key_seeds },
    Decoder { name: "superblock", run: superblock, seeds: || vec![genuine_superblock()] },
    Decoder { name: "superblock-body", run: superblock_body, seeds: || vec![genuine_superblock()] },
    Decoder { name: "superblock-ring", run: superblock_ring, seeds: superblock_ring_seeds },
    Decoder { name: "passphrase-cost", run: passphrase_cost, seeds: passphrase_cost_seeds },
    Decoder { name: "sealed-file", run: sealed_file, seeds: || vec![sealed(b"content"), sealed(b"")] },
    Decoder { name: "sealed-file-damage", run: sealed_file_damage, seeds: damages },
];

const KIND: SealedFile = SealedFile { magic: "tidefsFZ", version: 1, length_max: 64 * 1024 };

fn file_system() -> FileSystemId {
    FileSystemId::from_random([1; 16])
}

fn provider() -> KeyFile {
    KeyFile { path: "/key".into(), key: DataKey::from_bytes([5; 32]) }
}

fn key_file(data: &[u8]) {
    let Ok(key) = parse(data) else { return };
    let again = must(parse(render(&key).as_bytes()));
    assert_eq!(again.bytes(), key.bytes());
}

fn key_file_seeds() -> Vec<Vec<u8>> {
    let text = render(&DataKey::from_bytes([5; 32]));
    vec![text.as_bytes().to_vec(), text.replace('\n', "\r\n\n \t").into_bytes()]
}

/// Only what was made with the key opens.
fn wrapped_key(data: &[u8]) {
    if let Ok(key) = provider().unwrap_key(file_system(), data) {
        assert_eq!(must(provider().wrap(file_system(), &key)), data);
    }
}

fn wrapped_key_seeds() -> Vec<Vec<u8>> {
    vec![must(provider().wrap(file_system(), &DataKey::from_bytes([6; 32])))]
}

fn master() -> DataKey {
    DataKey::from_bytes([7; 32])
}

fn unsealed_superblock() -> Superblock {
    let environment = environment();
    Superblock {
        file_system: file_system(),
        created: environment.clock.now(),
        provider: must(ProviderNote::wrap(&provider(), file_system(), &master())),
        master: master(),
        identity: IdentitySecret::generate(environment.entropy.as_ref()),
        keys: Generations::first(RingKey::generate(&environment)),
    }
}

fn genuine_superblock() -> Vec<u8> {
    must(unsealed_superblock().encode([8; 16]))
}

fn opens(bytes: &[u8]) -> bool {
    decode(Path::new("/fs/superblock"), bytes).is_ok_and(|sealed| sealed.open(master()).is_ok())
}

fn superblock(data: &[u8]) {
    if opens(data) {
        assert_eq!(data, genuine_superblock());
    }
}

/// Any fields, with the checksum that gets them looked at.
fn superblock_body(data: &[u8]) {
    superblock(&[data, &Sha256::digest(data)].concat());
}

/// A ring of any bytes, under a right seal.
fn superblock_ring(data: &[u8]) {
    let superblock = unsealed_superblock();
    let open = |ring: &[u8]| {
        let bytes = must(superblock.encode_with([8; 16], ring.to_vec().into()));
        must(decode(Path::new("/fs/superblock"), &bytes)).open(master())
    };
    let Ok(opened) = open(data) else { return };
    let again = opened.encode_ring();
    assert_eq!(again.len(), data.len(), "no key is lost");
    let generations: Vec<_> = opened.keys.iter().map(|(generation, _)| generation).collect();
    assert!(!generations.is_empty() && generations.is_sorted());
    assert_eq!(open(&again).map(|opened| opened.encode_ring()), Ok(again));
}

fn superblock_ring_seeds() -> Vec<Vec<u8>> {
    let one = unsealed_superblock();
    let two = one.keys.with(RingKey::generate(&environment()));
    let two = two.map(|keys| Superblock { keys, ..one.clone() });
    [Some(one), two].into_iter().flatten().map(|superblock| superblock.encode_ring()).collect()
}

/// Whatever stands in a superblock, a guess never costs more than the most that anybody may ask for.
fn passphrase_cost(data: &[u8]) {
    let Ok((salt, cost)) = passphrase::decode(data) else { return };
    assert!(cost.memory_kib <= 1 << 20 && cost.passes <= 64 && cost.lanes <= 16);
    assert_eq!(passphrase::encode(salt, cost), data);
}

fn passphrase_cost_seeds() -> Vec<Vec<u8>> {
    let most = PassphraseCost { memory_kib: 1 << 20, passes: 64, lanes: 16 };
    [PassphraseCost::default(), most].map(|cost| passphrase::encode([4; 16], cost)).to_vec()
}

fn sealed(content: &[u8]) -> Vec<u8> {
    let (disk, path) = (MemoryDisk::default(), Path::new("/sealed"));
    must(KIND.publish(&home(&disk), path, content));
    disk.bytes(path)
}

fn open(bytes: &[u8]) -> Option<Vec<u8>> {
    let path = Path::new("/sealed");
    let disk = MemoryDisk::with(path, bytes);
    KIND.read(&home(&disk), path).ok().flatten()
}

fn sealed_file(data: &[u8]) {
    if let Some(content) = open(data) {
        assert_eq!(data, sealed(&content));
    }
}

/// A content of any bytes comes back, and not after any change of the file.
fn sealed_file_damage(data: &[u8]) {
    let mut input = Input::new(data);
    let content = input.short();
    let genuine = sealed(content);
    assert_eq!(open(&genuine).as_deref(), Some(content));
    let damaged = input.damage(&genuine);
    assert_eq!(open(&damaged).is_some(), damaged == genuine);
}
