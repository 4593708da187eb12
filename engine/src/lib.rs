//! The tidefs storage engine: a POSIX file system on a local Standard tier and cold tiers on object storage.
//!
//! It knows no NFS, no policy, no HTTP and no command line.

pub mod attributes;
mod broken;
mod budgets;
mod buffer;
mod codec;
pub mod credential;
mod data;
pub mod disk;
pub mod environment;
pub mod error;
pub mod file_system;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzzing;
mod garbage;
#[cfg(test)]
mod golden;
mod home;
pub mod identity;
pub mod journal;
mod keys;
pub mod limits;
mod metadata;
mod ops;
mod records;
mod threads;
pub mod tiering;
mod tiers;
mod upkeep;
mod verify;
mod volume;
#[cfg(test)]
mod world;

pub use attributes::*;
pub use budgets::Budgets;
pub use credential::{Access, Credential};
pub use environment::{Clock, Entropy, Environment};
pub use error::{Error, ErrorKind, OpenError, Result};
pub use file_system::*;
pub use garbage::*;
pub use identity::*;
pub use journal::{Durable, Pending, Ticket};
pub use keys::{
    KeyFile, KeyGenerationStatus, KeySource, KeySourceKind, KeyStatus, Passphrase, PassphraseCost,
    ResealStatus,
};
pub use tiering::*;
pub use upkeep::ScrubOptions;
pub use verify::{
    Checked, Counter, Depth, Finding, Problem, Repaired, Severity, Stage, Unused, VerifyOptions,
    VerifyProgress, VerifyReport,
};
