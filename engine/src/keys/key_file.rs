//! The key-encryption key in a file.
//!
//! The file is text: lines that begin with `#`, and one line `tidefs-key-1 KEY CHECK`, where KEY is 64 hexadecimal digits and CHECK the
//! first 8 of the SHA-256 of the key's bytes, against mistakes in copying.
//!
//! It wraps as [`super::wrapping`] says.
//!
//! # Crash consistency
//! A key file is durable, with its name and the directories above it, before [`KeyFile::create`] returns: before anything is sealed with
//! it. It gets its name when it is whole: half a key would look like one that was lost. A file `NAME.new-…` is from a making that was cut
//! short; nothing was sealed with it, and the next making removes it. It is read with the operating system's calls, since it lives
//! outside of the data directory and its mode matters.

use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::private_file::{self, Fault};
use super::provider::{KeyProvider, KeySourceKind};
use super::{DataKey, wrapping};
use crate::disk::{Disk, OpenHow, RealDisk, cannot_sync, keep_path, make_directory, sync_parent};
use crate::environment::Entropy;
use crate::error::{Error, OpenError, Result};
use crate::identity::FileSystemId;

const WORD: &str = "tidefs-key-1";
const CHECK_DIGITS: usize = 8;

/// The key-encryption key of a file.
pub struct KeyFile {
    pub(super) path: PathBuf,
    pub(super) key: DataKey,
}

impl std::fmt::Debug for KeyFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeyFile").field("path", &self.path).finish_non_exhaustive()
    }
}

impl KeyFile {
    /// Makes a new key with mode 0600. A file that is there already is an error, and is left as it is; missing directories are made
    /// with mode 0700.
    pub fn create(path: &Path, entropy: &dyn Entropy) -> Result<()> {
        Self::create_on(&RealDisk, path, entropy)
    }

    /// The same on another disk than the machine's.
    pub fn create_on(disk: &dyn Disk, path: &Path, entropy: &dyn Entropy) -> Result<()> {
        let directory = directory_of(path);
        make_directory(disk, directory)?;
        let failed = Error::io("cannot create key file", path);
        let unfinished = unfinished_prefix(path);
        for left in disk.list(directory).map_err(Error::io("cannot list", directory))? {
            if left.starts_with(&unfinished) {
                let left = directory.join(left);
                disk.remove(&left).map_err(Error::io("cannot remove", &left))?;
            }
        }
        let mut random = [0; 8];
        entropy.fill(&mut random);
        // A name of its own: who makes the same key at the same time must not publish half of this one.
        let fresh = directory.join(format!("{unfinished}{}", hex::encode(random)));
        let text = render(&DataKey::generate(entropy));
        let written = write(disk, &fresh, text.as_bytes()).and_then(|()| disk.rename_new(&fresh, path));
        written.map_err(|error| {
            // What cannot be removed now will be removed by the next making.
            let _ = disk.remove(&fresh);
            failed(error)
        })?;
        sync_parent(disk, path)
    }

    /// Makes a key file durable that somebody else has made, perhaps just before he was killed.
    pub fn keep(disk: &dyn Disk, path: &Path) -> Result<()> {
        // What is wrong with one that cannot be opened says whoever reads it.
        let Ok(file) = disk.open(path, OpenHow::Read) else { return Ok(()) };
        match file.sync_data() {
            Err(error) if cannot_sync(error.kind()) => {}
            result => result.map_err(Error::io("cannot sync", path))?,
        }
        keep_path(disk, path)
    }

    /// Reads a key that nobody else can read.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        let damaged = |what| OpenError::KeyDamaged { path: path.to_owned(), what };
        let text = private_file::read(path).map_err(|fault| match fault {
            Fault::Missing => OpenError::KeyMissing { path: path.to_owned() },
            Fault::ReadableByOthers(mode) => OpenError::KeyReadableByOthers { path: path.to_owned(), mode },
            Fault::Unusable(what) => damaged(what),
        })?;
        let key = parse(&text).map_err(damaged)?;
        Ok(KeyFile { path: path.to_owned(), key })
    }
}

impl KeyProvider for KeyFile {
    fn kind(&self) -> KeySourceKind {
        KeySourceKind::KeyFile
    }

    fn describe(&self) -> String {
        format!("key file {}", self.path.display())
    }

    fn parameters(&self) -> Vec<u8> {
        Vec::new()
    }

    fn wrap(&self, file_system: FileSystemId, key: &DataKey) -> Result<Vec<u8>> {
        wrapping::wrap(&self.key, file_system, key)
    }

    fn unwrap_key(&self, file_system: FileSystemId, wrapped: &[u8]) -> Result<DataKey> {
        wrapping::unwrap_key(&self.key, file_system, wrapped).map_err(|_| {
            let (file_system, key) = (file_system.to_string(), self.describe());
            OpenError::WrongKey { file_system, key }.into()
        })
    }
}

fn directory_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// How the names of key files begin that are being made.
fn unfinished_prefix(path: &Path) -> String {
    format!("{}.new-", path.file_name().unwrap_or_default().to_string_lossy())
}

fn write(disk: &dyn Disk, path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let file = disk.open(path, OpenHow::CreateNew)?;
    file.write_all_at(bytes, 0)?;
    file.sync_data()
}

fn check(key: &[u8; 32]) -> String {
    hex::encode(Sha256::digest(key)).chars().take(CHECK_DIGITS).collect()
}

pub(super) fn render(key: &DataKey) -> Zeroizing<String> {
    let digits = Zeroizing::new(hex::encode(key.bytes()));
    Zeroizing::new(format!(
        "# The encryption key of tidefs file systems. Keep a copy in a safe place, away from the data:\n\
         # whoever has this file can read the data, and without it the data is lost.\n\
         {WORD} {} {}\n",
        *digits,
        check(key.bytes())
    ))
}

pub(super) fn parse(text: &[u8]) -> Result<DataKey, &'static str> {
    let text = std::str::from_utf8(text).map_err(|_| "it is not text")?;
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let line = lines.next().ok_or("it holds no key")?;
    if lines.next().is_some() {
        return Err("it holds more than one key");
    }
    let mut words = line.split_whitespace();
    if words.next() != Some(WORD) {
        return Err("it does not hold a tidefs key");
    }
    let digits = words.next().ok_or("the key is cut short")?;
    let mut key = Zeroizing::new([0; 32]);
    hex::decode_to_slice(digits, key.as_mut_slice()).map_err(|_| "the key is not 64 hexadecimal digits")?;
    if words.next() != Some(check(&key).as_str()) || words.next().is_some() {
        return Err("the checksum of the key is wrong");
    }
    Ok(DataKey::from_bytes(*key))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};

    use super::*;
    use crate::environment::Environment;

    fn create(path: &Path) -> Result<()> {
        KeyFile::create(path, Environment::system().entropy.as_ref())
    }

    fn change(path: &Path, with: impl FnOnce(String) -> String) {
        let text = std::fs::read_to_string(path).unwrap();
        std::fs::write(path, with(text)).unwrap();
    }

    #[test]
    fn a_key_is_made_once_and_private() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a/b/key");
        create(&path).unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().mode() & 0o7777;
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
        let before = std::fs::read(&path).unwrap();
        assert!(create(&path).is_err());
        assert_eq!(std::fs::read(&path).unwrap(), before);
        KeyFile::open(&path).unwrap();
    }

    #[test]
    fn each_thing_wrong_with_a_key_file_has_its_own_error() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key");
        assert_eq!(KeyFile::open(&path).unwrap_err(), OpenError::KeyMissing { path: path.clone() });
        create(&path).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o640)).unwrap();
        let readable = OpenError::KeyReadableByOthers { path: path.clone(), mode: 0o640 };
        assert_eq!(KeyFile::open(&path).unwrap_err(), readable);
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
        let damages: [fn(String) -> String; 5] = [
            |text| text.replace("tidefs-key-1 ", ""),
            |text| text.replace("tidefs-key-1 ", "tidefs-key-1 0"),
            |text| text.chars().map(|c| if c == '7' { '8' } else { c }).collect::<String>() + "x",
            |_| String::new(),
            |text| text.clone() + &text,
        ];
        let whole = std::fs::read_to_string(&path).unwrap();
        for damage in damages {
            change(&path, damage);
            assert!(matches!(KeyFile::open(&path), Err(OpenError::KeyDamaged { .. })));
            std::fs::write(&path, &whole).unwrap();
        }
    }

    #[test]
    fn a_wrapped_key_opens_only_for_its_file_system_and_key() {
        let directory = tempfile::tempdir().unwrap();
        let open = |name: &str| {
            let path = directory.path().join(name);
            create(&path).unwrap();
            KeyFile::open(&path).unwrap()
        };
        let (one, other) = (open("one"), open("other"));
        let id = FileSystemId::from_random([1; 16]);
        let key = DataKey::from_bytes([7; 32]);
        let wrapped = one.wrap(id, &key).unwrap();
        assert_eq!(one.unwrap_key(id, &wrapped).unwrap().bytes(), key.bytes());
        let wrong = |result: Result<DataKey>| {
            matches!(result.map(|_| ()), Err(Error::Open(OpenError::WrongKey { .. })))
        };
        assert!(wrong(other.unwrap_key(id, &wrapped)));
        assert!(wrong(one.unwrap_key(FileSystemId::from_random([2; 16]), &wrapped)));
        assert!(wrong(one.unwrap_key(id, &wrapped[1..])));
        assert_ne!(wrapped, one.wrap(id, &DataKey::from_bytes([8; 32])).unwrap());
    }
}
