//! What can go wrong, and what the caller should do next.

use crate::policy::PolicyError;

/// The result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of the lifecycle.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// The engine refused; its kind says what to do.
    #[error(transparent)]
    Engine(#[from] engine::Error),
    /// A policy value that cannot be; the text says what is allowed.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// The stored policy cannot be read.
    #[error("the stored lifecycle policy cannot be read: {what}; set it anew with `tidefs lifecycle set`")]
    StoredPolicy {
        /// What is wrong with it.
        what: String,
    },
    /// Made by a newer tidefs.
    #[error(
        "the stored lifecycle policy has format version {found}, but this tidefs knows up to {known}; use a newer tidefs"
    )]
    UnknownPolicyVersion {
        /// Its version.
        found: u32,
        /// The newest known version.
        known: u32,
    },
    /// The server is shutting down.
    #[error("the server is shutting down; start the pass again when it is back")]
    ShuttingDown,
}
