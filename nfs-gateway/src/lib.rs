//! The tidefs gateway: NFSv4 over TCP on an [`engine::FileSystem`], the control interface, and the command line that
//! composes them with the lifecycle daemon.

#[cfg(test)]
extern crate self as gateway;

mod broken;
pub mod cli;
mod config;
mod control;
mod export;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzzing;
#[cfg(test)]
mod golden;
mod nfs4;
mod rpc;
mod serve;
mod server;
mod transport;
mod xdr;

pub use export::{AccessMode, Export, IdentityMapping};
pub use server::{NfsServer, NfsStatus, ServerError, ServerOptions};
