//! The whole engine in a simulated world, beside a model of what a file system is.
//!
//! A [`plan::Plan`] is made of a seed: several clients work on a file system on a simulated disk and a simulated object store, the
//! power fails or the process is killed at some step, also during the recovery from that, and then the [`model`] says what may be there
//! and what must be. Threads, time and chance are the seed's, too, so that one seed is one run; a plan that fails is shrunk to a short
//! one that still does.

mod clients;
mod content;
mod explore;
mod index;
mod life;
mod machine;
mod model;
mod plan;
mod tests;
mod tree;

/// What went wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Failure {
    /// Something that was promised is not there, or something is there that was never written.
    Lost(String),
    /// Something is there that nobody will ever use or remove.
    Leaked(String),
}

impl Failure {
    /// Its text as far as it does not depend on numbers.
    fn kind(&self) -> &str {
        let (Failure::Lost(text) | Failure::Leaked(text)) = self;
        text.split(|c: char| c.is_ascii_digit()).next().unwrap_or_default()
    }
}

type Result<T = ()> = std::result::Result<T, Failure>;

fn lost<T>(what: impl Into<String>) -> Result<T> {
    Err(Failure::Lost(what.into()))
}
