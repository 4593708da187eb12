//! What is to be verified, and how far it is.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};

use crate::error::{Error, Result};

/// What is read besides the structure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Depth {
    /// Every block of the Standard tier, the journal, the checkpoints and, if the file system is open, the index.
    pub local: bool,
    /// Every object of the cold tiers.
    pub bucket: bool,
}

/// How a verification goes.
#[derive(Debug, Clone)]
pub struct VerifyOptions {
    /// What is read besides the structure.
    pub depth: Depth,
    /// Memory for joins; with less, more passes are made over the records.
    pub memory_bytes: u64,
    /// With up to so many inodes the file system stands still for a moment, some 10 ms for each 1,000, if something looks wrong beside
    /// traffic. With more, what looks wrong is looked at again piece by piece, and what always changes is left unjudged.
    pub standing_inodes_max: u64,
    /// Findings that are kept; more are counted only.
    pub findings_max: usize,
    /// Bytes of data that are read in a second at most.
    pub bytes_per_second: Option<u64>,
}

impl Default for VerifyOptions {
    fn default() -> Self {
        VerifyOptions {
            depth: Depth::default(),
            memory_bytes: 256 << 20,
            standing_inodes_max: 10_000,
            findings_max: 10_000,
            bytes_per_second: None,
        }
    }
}

/// What a verification is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Stage {
    /// Records of the metadata; counted in records.
    Records = 0,
    /// Segments and objects against their rows.
    Files = 1,
    /// Journal, checkpoints and index; counted in bytes.
    Metadata = 2,
    /// Blocks of the Standard tier; counted in bytes.
    Standard = 3,
    /// Objects; counted in bytes.
    Objects = 4,
}

/// How far a verification is; shared with who watches it.
#[derive(Debug, Clone, Default)]
pub struct VerifyProgress(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    stage: AtomicU8,
    done: AtomicU64,
    total: AtomicU64,
    cancelled: AtomicBool,
}

impl VerifyProgress {
    /// What it is at.
    pub fn stage(&self) -> Stage {
        match self.0.stage.load(Ordering::Relaxed) {
            0 => Stage::Records,
            1 => Stage::Files,
            2 => Stage::Metadata,
            3 => Stage::Standard,
            _ => Stage::Objects,
        }
    }

    /// How much of the stage is done.
    pub fn done(&self) -> u64 {
        self.0.done.load(Ordering::Relaxed)
    }

    /// How much there is to do in the stage; 0 if that is not known. An estimate beside traffic.
    pub fn total(&self) -> u64 {
        self.0.total.load(Ordering::Relaxed)
    }

    /// Ends the verification early, with [`Error::Halted`].
    pub fn cancel(&self) {
        self.0.cancelled.store(true, Ordering::Relaxed);
    }

    pub(crate) fn enter(&self, stage: Stage, total: u64) {
        self.0.stage.store(stage as u8, Ordering::Relaxed);
        self.0.done.store(0, Ordering::Relaxed);
        self.0.total.store(total, Ordering::Relaxed);
    }

    /// Counts, and ends the verification if that was asked for.
    pub(crate) fn advance(&self, done: u64) -> Result<()> {
        self.0.done.fetch_add(done, Ordering::Relaxed);
        if self.0.cancelled.load(Ordering::Relaxed) {
            return Err(Error::Halted { reason: "the verification was cancelled".to_owned() });
        }
        Ok(())
    }
}
