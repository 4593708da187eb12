//! A key-encryption key that is computed from a passphrase with Argon2id.
//!
//! Its parameters in the superblock:
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 16 | random salt |
//! | 16 | 4 | memory in KiB |
//! | 20 | 4 | passes over it |
//! | 24 | 4 | lanes |
//!
//! The result is 32 bytes, and wraps as [`super::wrapping`] says. The costs are bounded when they are read: whoever can write to the
//! superblock must not be able to make the server ask for all memory.

use std::path::Path;

use argon2::{Algorithm, Argon2, Params, Version};
use zeroize::Zeroizing;

use super::provider::{KeyProvider, KeySourceKind};
use super::{DataKey, private_file, wrapping};
use crate::codec::{Malformed, Reader, Writer};
use crate::environment::Entropy;
use crate::error::{Error, OpenError, Result};
use crate::identity::FileSystemId;

const SALT_BYTES: usize = 16;
/// 1 GiB: more than anybody spends at a start.
const MEMORY_KIB_MAX: u32 = 1 << 20;
const PASSES_MAX: u32 = 64;
const LANES_MAX: u32 = 16;
/// Argon2's own minimum.
const MEMORY_KIB_FOR_LANE_MIN: u32 = 8;

/// A passphrase and what guessing it shall cost.
#[derive(Clone)]
pub struct Passphrase {
    secret: Zeroizing<Vec<u8>>,
    cost: PassphraseCost,
}

/// What one guess at a passphrase costs. It counts when a passphrase is set; opening uses what was set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PassphraseCost {
    /// Memory in KiB, up to 1 GiB.
    pub memory_kib: u32,
    /// Passes over the memory, up to 64.
    pub passes: u32,
    /// Lanes, up to 16.
    pub lanes: u32,
}

impl Default for PassphraseCost {
    /// 64 MiB and 3 passes, as RFC 9106 recommends where memory is limited; about 0.2 s.
    fn default() -> Self {
        PassphraseCost { memory_kib: 64 * 1024, passes: 3, lanes: 1 }
    }
}

impl PassphraseCost {
    fn check(self) -> Result<(), Malformed> {
        let PassphraseCost { memory_kib, passes, lanes } = self;
        let memory_min = lanes.saturating_mul(MEMORY_KIB_FOR_LANE_MIN);
        let bounded = (1..=LANES_MAX).contains(&lanes)
            && (1..=PASSES_MAX).contains(&passes)
            && (memory_min..=MEMORY_KIB_MAX).contains(&memory_kib);
        if bounded { Ok(()) } else { Err(Malformed("the costs of the passphrase are out of range")) }
    }
}

/// The salt and the costs that stand in a superblock.
pub(super) fn decode(parameters: &[u8]) -> Result<([u8; SALT_BYTES], PassphraseCost), Malformed> {
    let mut reader = Reader::new(parameters);
    let salt = reader.array()?;
    let cost = PassphraseCost { memory_kib: reader.u32()?, passes: reader.u32()?, lanes: reader.u32()? };
    reader.finish()?;
    cost.check()?;
    Ok((salt, cost))
}

pub(super) fn encode(salt: [u8; SALT_BYTES], cost: PassphraseCost) -> Vec<u8> {
    let mut writer = Writer::new();
    writer.bytes(&salt).u32(cost.memory_kib).u32(cost.passes).u32(cost.lanes);
    writer.into_vec()
}

impl Passphrase {
    /// A passphrase; it must not be empty.
    pub fn new(secret: Zeroizing<Vec<u8>>) -> Result<Self> {
        if secret.is_empty() {
            return Err(Error::Invalid { what: "an empty passphrase" });
        }
        Ok(Passphrase { secret, cost: PassphraseCost::default() })
    }

    /// The first line of a file that nobody else can read.
    pub fn from_file(path: &Path) -> Result<Self, OpenError> {
        let wrong = |what: String| OpenError::PassphraseFile { path: path.to_owned(), what };
        let text = private_file::read(path).map_err(|fault| wrong(fault.advice(path)))?;
        let line = text.split(|byte| *byte == b'\n').next().unwrap_or_default();
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        Passphrase::new(Zeroizing::new(line.to_vec()))
            .map_err(|_| wrong("its first line is empty".to_owned()))
    }

    /// With other costs than the default ones.
    pub fn with_cost(self, cost: PassphraseCost) -> Self {
        Passphrase { cost, ..self }
    }
}

impl std::fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Passphrase").field("cost", &self.cost).finish_non_exhaustive()
    }
}

/// The key that was computed from a passphrase.
pub(super) struct PassphraseKey {
    key: DataKey,
    salt: [u8; SALT_BYTES],
    cost: PassphraseCost,
}

impl PassphraseKey {
    /// With a new salt.
    pub(super) fn fresh(passphrase: &Passphrase, entropy: &dyn Entropy) -> Result<Self> {
        let mut salt = [0; SALT_BYTES];
        entropy.fill(&mut salt);
        Self::compute(passphrase, salt, passphrase.cost)
            .map_err(|malformed| Error::Invalid { what: malformed.0 })
    }

    /// With the salt and the costs that stand in a superblock.
    pub(super) fn with_parameters(passphrase: &Passphrase, parameters: &[u8]) -> Result<Self, Malformed> {
        let (salt, cost) = decode(parameters)?;
        Self::compute(passphrase, salt, cost)
    }

    fn compute(
        passphrase: &Passphrase,
        salt: [u8; SALT_BYTES],
        cost: PassphraseCost,
    ) -> Result<Self, Malformed> {
        cost.check()?;
        let PassphraseCost { memory_kib, passes, lanes } = cost;
        let mut key = Zeroizing::new([0; 32]);
        let refused = |_| Malformed("Argon2 refuses the passphrase");
        let parameters = Params::new(memory_kib, passes, lanes, Some(key.len())).map_err(refused)?;
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, parameters);
        argon2.hash_password_into(&passphrase.secret, &salt, key.as_mut_slice()).map_err(refused)?;
        Ok(PassphraseKey { key: DataKey::from_bytes(*key), salt, cost })
    }
}

impl KeyProvider for PassphraseKey {
    fn kind(&self) -> KeySourceKind {
        KeySourceKind::Passphrase
    }

    fn describe(&self) -> String {
        let PassphraseCost { memory_kib, passes, lanes } = self.cost;
        format!("passphrase (Argon2id, {memory_kib} KiB, {passes} passes, {lanes} lanes)")
    }

    fn parameters(&self) -> Vec<u8> {
        encode(self.salt, self.cost)
    }

    fn wrap(&self, file_system: FileSystemId, key: &DataKey) -> Result<Vec<u8>> {
        wrapping::wrap(&self.key, file_system, key)
    }

    fn unwrap_key(&self, file_system: FileSystemId, wrapped: &[u8]) -> Result<DataKey> {
        wrapping::unwrap_key(&self.key, file_system, wrapped)
            .map_err(|_| OpenError::WrongPassphrase { file_system: file_system.to_string() }.into())
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::environment::Environment;

    const CHEAP: PassphraseCost = PassphraseCost { memory_kib: 8, passes: 1, lanes: 1 };

    fn passphrase(text: &str) -> Passphrase {
        Passphrase::new(Zeroizing::new(text.as_bytes().to_vec())).unwrap().with_cost(CHEAP)
    }

    #[test]
    fn only_the_same_passphrase_unwraps() {
        let id = FileSystemId::from_random([1; 16]);
        let entropy = Environment::system().entropy;
        let key = PassphraseKey::fresh(&passphrase("correct horse"), entropy.as_ref()).unwrap();
        let wrapped = key.wrap(id, &DataKey::from_bytes([7; 32])).unwrap();
        let again = |text| PassphraseKey::with_parameters(&passphrase(text), &key.parameters()).unwrap();
        assert_eq!(again("correct horse").unwrap_key(id, &wrapped).unwrap().bytes(), &[7; 32]);
        let wrong = again("correct horse ").unwrap_key(id, &wrapped).map(|_| ());
        assert!(matches!(wrong, Err(Error::Open(OpenError::WrongPassphrase { .. }))));
        let other = PassphraseKey::fresh(&passphrase("correct horse"), entropy.as_ref()).unwrap();
        assert_ne!(other.key.bytes(), key.key.bytes(), "each has a salt of its own");
    }

    #[test]
    fn damaged_parameters_cannot_ask_for_much() {
        let with = |memory_kib: u32, passes: u32, lanes: u32| {
            let mut writer = Writer::new();
            writer.bytes(&[0; SALT_BYTES]).u32(memory_kib).u32(passes).u32(lanes);
            PassphraseKey::with_parameters(&passphrase("x"), writer.as_slice()).map(|_| ())
        };
        assert_eq!(with(8, 1, 1), Ok(()));
        for (memory, passes, lanes) in [
            (MEMORY_KIB_MAX + 1, 1, 1),
            (u32::MAX, 1, 1),
            (8, 65, 1),
            (8, 0, 1),
            (8, 1, 0),
            (7, 1, 1),
            (1024, 1, 17),
        ] {
            assert!(with(memory, passes, lanes).is_err(), "{memory} {passes} {lanes}");
        }
        assert!(PassphraseKey::with_parameters(&passphrase("x"), &[0; 27]).is_err());
    }

    #[test]
    fn it_is_the_first_line_of_a_private_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("passphrase");
        let what = |path: &Path| match Passphrase::from_file(path) {
            Err(OpenError::PassphraseFile { what, .. }) => what,
            other => panic!("{other:?}"),
        };
        assert!(what(&path).contains("missing"));
        std::fs::write(&path, "a b \r\nsecond").unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o644)).unwrap();
        assert!(what(&path).contains("chmod 600"));
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
        let read = Passphrase::from_file(&path).unwrap();
        assert_eq!(read.secret.as_slice(), b"a b ");
        assert!(!format!("{read:?}").contains("a b"));
        std::fs::write(&path, "\nsecond").unwrap();
        assert!(what(&path).contains("empty"));
    }
}
