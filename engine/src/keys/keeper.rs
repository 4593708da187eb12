//! The keeper of a file system's keys: makes, opens, rotates, retires and destroys them.
//!
//! # Crash consistency
//! A new data key seals only after the superblock that holds it is durable, and a retired one is gone from the superblock before it is
//! forgotten: whatever is at rest can be opened by the superblock that is at rest with it. A crash during a rotation leaves several keys;
//! the next start goes on with the re-sealing.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use super::ring::{Generations, KeyRing, RingKey};
use super::superblock::{self, ProviderNote, Superblock};
use super::{DataKey, DirectoryLock, IdentitySecret, KeyProvider, KeySource, KeySourceKind};
use crate::disk::{AlignedBuffer, Disk, OpenHow, publish, sync_parent};
use crate::environment::{Entropy, Environment};
use crate::error::{Error, OpenError, Result};
use crate::identity::{FileSystemId, KeyGeneration};

/// How often the place of the wrapped keys is overwritten before it is given back: more would be superstition.
const OVERWRITES: usize = 1;

/// Keeps the keys of one file system.
pub(crate) struct KeyKeeper {
    directory: PathBuf,
    environment: Environment,
    ring: KeyRing,
    identity: IdentitySecret,
    current: Mutex<Current>,
}

/// What the durable superblock says, and who wrapped it.
struct Current {
    superblock: Superblock,
    provider: Arc<dyn KeyProvider>,
}

impl KeyKeeper {
    /// Makes the directory, if need be, keys and the superblock. All of it is durable when it returns.
    pub(crate) fn create(
        directory: &Path,
        environment: &Environment,
        source: &KeySource,
        file_system: FileSystemId,
    ) -> Result<Self> {
        let (disk, entropy) = (environment.disk.as_ref(), environment.entropy.as_ref());
        let provider = source.new_provider(entropy)?;
        let master = DataKey::generate(entropy);
        let superblock = Superblock {
            file_system,
            created: environment.clock.now(),
            provider: ProviderNote::wrap(provider.as_ref(), file_system, &master)?,
            master,
            identity: IdentitySecret::generate(entropy),
            keys: Generations::first(RingKey::generate(environment)),
        };
        disk.create_directory(directory).map_err(Error::io("cannot create", directory))?;
        sync_parent(disk, directory)?;
        superblock.publish(directory, disk, entropy)?;
        Ok(Self::keep(directory, environment, superblock, provider))
    }

    /// Reads the superblock of the file system that is expected here, and opens it.
    pub(crate) fn open(
        directory: &Path,
        environment: &Environment,
        source: &KeySource,
        expected: FileSystemId,
    ) -> Result<Self> {
        let (superblock, provider) =
            Superblock::read(directory, environment.disk.as_ref(), source, expected)?;
        Ok(Self::keep(directory, environment, superblock, provider))
    }

    fn keep(
        directory: &Path,
        environment: &Environment,
        superblock: Superblock,
        provider: Arc<dyn KeyProvider>,
    ) -> Self {
        KeyKeeper {
            directory: directory.to_owned(),
            environment: environment.clone(),
            ring: KeyRing::new(superblock.keys.clone()),
            identity: superblock.identity.clone(),
            current: Mutex::new(Current { superblock, provider }),
        }
    }

    /// Whether the superblock at rest is the one of this file system, and whole.
    pub(crate) fn check(&self) -> Result<()> {
        let current = self.current.lock();
        let superblock = &current.superblock;
        Superblock::check(&self.directory, self.environment.disk.as_ref(), superblock)
    }

    /// The data keys.
    pub(crate) fn ring(&self) -> &KeyRing {
        &self.ring
    }

    /// The secret that never changes.
    pub(crate) fn identity(&self) -> &IdentitySecret {
        &self.identity
    }

    /// What kind of key wraps the keys, and which one, for people.
    pub(crate) fn provider(&self) -> (KeySourceKind, String) {
        let current = self.current.lock();
        let note = &current.superblock.provider;
        (note.kind, note.description.clone())
    }

    /// Wraps all keys anew, with another key-encryption key if one is given, and adds a data key that seals from now on.
    pub(crate) fn rotate(&self, new: Option<&KeySource>) -> Result<KeyGeneration> {
        let entropy = self.environment.entropy.as_ref();
        let mut current = self.current.lock();
        let provider = match new {
            Some(source) => source.new_provider(entropy)?,
            None => Arc::clone(&current.provider),
        };
        let too_many = Error::Invalid {
            what: "too many rotations of the key at once; wait until the re-sealing is done",
        };
        let keys = current.superblock.keys.with(RingKey::generate(&self.environment)).ok_or(too_many)?;
        let master = DataKey::generate(entropy);
        let note = ProviderNote::wrap(provider.as_ref(), current.superblock.file_system, &master)?;
        let superblock = Superblock { provider: note, master, keys, ..current.superblock.clone() };
        self.swing(&mut current, Current { superblock, provider })?;
        Ok(self.ring.newest())
    }

    /// Forgets all data keys but this newest one; if there is a newer one meanwhile, none. Nothing that they sealed can be opened any more.
    pub(crate) fn retire_old(&self, newest: KeyGeneration) -> Result<()> {
        let mut current = self.current.lock();
        if self.ring.newest() != newest {
            return Ok(());
        }
        let keys = current.superblock.keys.newest_only();
        let superblock = Superblock { keys, ..current.superblock.clone() };
        let provider = Arc::clone(&current.provider);
        self.swing(&mut current, Current { superblock, provider })
    }

    /// The change counts only when it is durable.
    fn swing(&self, current: &mut Current, next: Current) -> Result<()> {
        let (disk, entropy) = (self.environment.disk.as_ref(), self.environment.entropy.as_ref());
        next.superblock.publish(&self.directory, disk, entropy)?;
        self.ring.replace(next.superblock.keys.clone());
        *current = next;
        Ok(())
    }
}

/// Destroys the keys of a file system that nobody has open: overwrites the superblock, removes it, and leaves a note in its place.
pub(crate) fn shred(directory: &Path, environment: &Environment, file_system: FileSystemId) -> Result<()> {
    let disk = environment.disk.as_ref();
    let _lock = DirectoryLock::take(disk, directory)?;
    let path = superblock::path(directory);
    for place in [path.clone(), path.with_extension("new")] {
        overwrite(disk, environment.entropy.as_ref(), &place)?;
        disk.remove(&place).map_err(Error::io("cannot remove", &place))?;
    }
    sync_parent(disk, &path)?;
    publish(disk, &path, &superblock::shredded(file_system))
}

fn overwrite(disk: &dyn Disk, entropy: &dyn Entropy, path: &Path) -> Result<()> {
    let length = match disk.open(path, OpenHow::Read).and_then(|file| file.length()) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        length => length.map_err(Error::io("cannot open", path))?,
    };
    let too_long = |_| OpenError::Damaged { path: path.to_owned(), what: "too long".to_owned() };
    let mut noise = AlignedBuffer::zeroed(usize::try_from(length).map_err(too_long)?);
    for _ in 0..OVERWRITES {
        entropy.fill(noise.as_mut_slice());
        let file = disk.open(path, OpenHow::DirectDurable).map_err(Error::io("cannot open", path))?;
        file.write_all_at(noise.as_slice(), 0).map_err(Error::io("cannot overwrite", path))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use zeroize::Zeroizing;

    use super::*;
    use crate::disk::simulated::SimulatedDisk;
    use crate::keys::{KeyFile, Passphrase, PassphraseCost};

    struct Made {
        directory: tempfile::TempDir,
        environment: Environment,
        file_system: FileSystemId,
    }

    impl Made {
        fn new() -> Self {
            let directory = tempfile::tempdir().unwrap();
            let environment = Environment::system();
            Made { directory, environment, file_system: FileSystemId::from_random([9; 16]) }
        }

        fn file(&self, name: &str) -> KeySource {
            let path = self.directory.path().join(name);
            if !path.exists() {
                KeyFile::create(&path, self.environment.entropy.as_ref()).unwrap();
            }
            KeySource::File(path)
        }

        fn path(&self) -> PathBuf {
            self.directory.path().join("fs")
        }

        fn create(&self) -> KeyKeeper {
            KeyKeeper::create(&self.path(), &self.environment, &self.file("key"), self.file_system).unwrap()
        }

        fn open(&self, source: &KeySource) -> Result<KeyKeeper, OpenError> {
            match KeyKeeper::open(&self.path(), &self.environment, source, self.file_system) {
                Ok(found) => Ok(found),
                Err(Error::Open(error)) => Err(error),
                Err(other) => panic!("{other}"),
            }
        }
    }

    fn passphrase(text: &str) -> KeySource {
        let cheap = PassphraseCost { memory_kib: 8, passes: 1, lanes: 1 };
        let secret = Zeroizing::new(text.as_bytes().to_vec());
        KeySource::Passphrase(Passphrase::new(secret).unwrap().with_cost(cheap))
    }

    fn keys(keeper: &KeyKeeper) -> Vec<(u16, [u8; 32])> {
        let generations = keeper.ring().generations().into_iter();
        generations
            .map(|(generation, _)| {
                (generation.0, *keeper.ring().key(generation, String::new).unwrap().bytes())
            })
            .collect()
    }

    #[test]
    fn the_keys_come_back() {
        let made = Made::new();
        let first = made.create();
        let again = made.open(&made.file("key")).unwrap();
        assert_eq!(keys(&first), keys(&again));
        assert_eq!(first.identity().bytes(), again.identity().bytes());
        assert!(again.provider().1.contains("key file"));
    }

    #[test]
    fn each_thing_wrong_has_its_own_error() {
        let made = Made::new();
        let key = made.file("key");
        let none = made.open(&key).map(|_| ());
        assert_eq!(none, Err(OpenError::NotAFileSystem { path: made.path() }));
        made.create();
        assert!(matches!(made.open(&made.file("other")), Err(OpenError::WrongKey { .. })));
        let other_kind = made.open(&passphrase("x")).map(|_| ()).unwrap_err();
        assert!(other_kind.to_string().contains("--key-file"), "{other_kind}");
        let file = superblock::path(&made.path());
        let whole = std::fs::read(&file).unwrap();
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 1;
            std::fs::write(&file, bytes).unwrap();
            match made.open(&key).map(|_| ()) {
                Err(OpenError::UnknownVersion { .. }) => assert!((8..12).contains(&at), "byte {at}"),
                Err(OpenError::Damaged { .. }) => {}
                other => panic!("byte {at}: {other:?}"),
            }
        }
        std::fs::write(&file, &whole[..whole.len() - 1]).unwrap();
        assert!(matches!(made.open(&key), Err(OpenError::Damaged { .. })));
    }

    #[test]
    fn a_rotation_adds_a_key_and_retiring_leaves_it_alone() {
        let made = Made::new();
        let keeper = made.create();
        let before = keys(&keeper);
        assert_eq!(keeper.rotate(None).unwrap(), KeyGeneration(2));
        let both = keys(&made.open(&made.file("key")).unwrap());
        assert_eq!((both.len(), both[0]), (2, before[0]));
        keeper.retire_old(KeyGeneration(2)).unwrap();
        let again = made.open(&made.file("key")).unwrap();
        assert_eq!(keys(&again), both[1..]);
        assert_eq!(keys(&keeper), both[1..]);
        assert_eq!(keeper.identity().bytes(), again.identity().bytes());
    }

    #[test]
    fn a_rotation_can_change_the_key_that_wraps() {
        let made = Made::new();
        let keeper = made.create();
        keeper.rotate(Some(&passphrase("correct horse"))).unwrap();
        let old = made.open(&made.file("key")).map(|_| ()).unwrap_err();
        assert!(old.to_string().contains("--passphrase-file"), "{old}");
        assert!(matches!(made.open(&passphrase("wrong")), Err(OpenError::WrongPassphrase { .. })));
        let again = made.open(&passphrase("correct horse")).unwrap();
        assert_eq!(keys(&again), keys(&keeper));
        again.rotate(Some(&made.file("next"))).unwrap();
        assert!(made.open(&made.file("key")).is_err());
        assert_eq!(keys(&made.open(&made.file("next")).unwrap()).len(), 3);
    }

    #[test]
    fn a_power_failure_at_any_step_leaves_the_old_superblock_or_the_new_one() {
        for at in 1.. {
            let (mut made, disk) = (Made::new(), SimulatedDisk::new(at));
            made.environment.disk = Arc::new(disk.clone());
            let keeper = made.create();
            let before = keys(&keeper);
            disk.fail_power_at(disk.steps() + at);
            let rotated = keeper.rotate(Some(&made.file("next"))).is_ok();
            let with_both = keys(&keeper);
            let retired = rotated && keeper.retire_old(KeyGeneration(2)).is_ok();
            drop(keeper);
            made.environment.disk = Arc::new(disk.after_power_failure());
            let (old, new) = (made.open(&made.file("key")), made.open(&made.file("next")));
            let found =
                keys(old.as_ref().or(new.as_ref()).unwrap_or_else(|error| panic!("step {at}: {error}")));
            match (old.is_ok(), rotated, retired) {
                (true, false, _) => assert_eq!(found, before, "step {at}"),
                (false, _, true) => assert_eq!(found, with_both[1..], "step {at}"),
                // What was not answered may be there.
                (false, _, false) => assert!((1..=2).contains(&found.len()), "step {at}"),
                (true, true, _) => panic!("step {at}: the rotation was lost"),
            }
            if retired {
                assert!(at > 6, "there are steps to fail at");
                return;
            }
        }
    }

    #[test]
    fn a_shredded_file_system_says_so() {
        let made = Made::new();
        drop(made.create());
        let file = superblock::path(&made.path());
        let before = std::fs::read(&file).unwrap();
        shred(&made.path(), &made.environment, made.file_system).unwrap();
        let after = std::fs::read(&file).unwrap();
        assert!(!after.windows(16).any(|part| before[40..].windows(16).any(|old| old == part)));
        assert!(matches!(made.open(&made.file("key")), Err(OpenError::Shredded { .. })));
        shred(&made.path(), &made.environment, made.file_system).unwrap();
    }
}
