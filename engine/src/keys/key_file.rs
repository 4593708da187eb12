//! The key-encryption key in a file.
//!
//! The file is text: lines that begin with `#`, and one line `tidefs-key-1 KEY CHECK`, where KEY is 64 hexadecimal digits and CHECK the
//! first 8 of the SHA-256 of the key's bytes, against mistakes in copying.
//!
//! It wraps as [`super::wrapping`] says.
//!
//! # Crash consistency
//! A key file is durable, with its name, before [`KeyFile::create`] returns: before anything is sealed with it. It uses the operating
//! system's files itself, since it lives outside of the data directory and its mode matters.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::private_file::{self, Fault};
use super::provider::{KeyProvider, KeySourceKind};
use super::{DataKey, wrapping};
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
        let directory = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let made = DirBuilder::new().recursive(true).mode(0o700).create(directory);
        made.map_err(Error::io("cannot create", directory))?;
        let text = render(&DataKey::generate(entropy));
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)
            .map_err(Error::io("cannot create key file", path))?;
        let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_all());
        let durable = written.and_then(|()| File::open(directory)?.sync_all());
        durable.map_err(|error| {
            // Half a key must not look like one that was lost.
            let _ = std::fs::remove_file(path);
            Error::io("cannot write key file", path)(error)
        })
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
