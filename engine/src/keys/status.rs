//! How the keys of a file system stand.

use serde::{Deserialize, Serialize};

use super::{KeyKeeper, KeySourceKind};
use crate::identity::FileSystemId;

/// The keys of a file system.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyStatus {
    /// Which file system.
    pub file_system: String,
    /// What kind of key wraps its keys.
    pub provider: KeySourceKind,
    /// Which one, for people.
    pub wrapped_with: String,
    /// Its data keys, oldest first: one, or more while data is sealed anew.
    pub generations: Vec<KeyGenerationStatus>,
    /// Data is being sealed anew under the newest key.
    pub resealing: Option<ResealStatus>,
}

/// A data key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyGenerationStatus {
    /// Counts them, from 1.
    pub generation: u16,
    /// When it was made, in seconds since 1970.
    pub since_seconds: i64,
}

/// How far the sealing anew has got.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResealStatus {
    /// Bytes that were sealed anew since the rotation, or since the start if that was later.
    pub bytes_done: u64,
    /// Bytes that are still sealed under an older key.
    pub bytes_left: u64,
    /// Segments that are still sealed under an older key.
    pub segments_left: u64,
    /// An estimate.
    pub seconds_left: Option<u64>,
    /// What keeps it from going on, if anything.
    pub waiting_for: Option<String>,
}

impl KeyStatus {
    pub(crate) fn of(file_system: FileSystemId, keeper: &KeyKeeper, resealing: Option<ResealStatus>) -> Self {
        let (provider, wrapped_with) = keeper.provider();
        let generations = keeper.ring().generations().into_iter();
        let generations = generations
            .map(|(generation, since)| KeyGenerationStatus {
                generation: generation.0,
                since_seconds: since.seconds,
            })
            .collect();
        KeyStatus { file_system: file_system.to_string(), provider, wrapped_with, generations, resealing }
    }
}
