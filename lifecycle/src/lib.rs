//! The lifecycle of files: when they move between the tiers, and moving them.
//!
//! [`policy`] says what is wanted, [`decide`](decide::decide) is pure and says what is to be done with one file now, [`plan`]
//! packs files into batches, [`mover`] runs the batches under a budget, [`explain`] puts a decision into words, and [`daemon`]
//! does all of it on its own. Data is moved through the engine's interface and never beside it: the only state kept here is
//! the policy, which is a note in the engine.

pub mod daemon;
pub mod decide;
pub mod error;
pub mod explain;
pub mod files;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzzing;
pub mod mover;
pub mod plan;
pub mod policy;
mod time;

#[cfg(test)]
mod scripted;

pub use daemon::{Lifecycle, LifecycleStatus, Options};
pub use error::{Error, Result};
pub use explain::Explanation;
pub use files::TieredFiles;
pub use mover::{Ending, PassSummary, Phase, Progress};
pub use policy::{Age, Policy, PolicyChange, PolicyError, ToPrimary};
pub use time::rfc3339;
