//! NFS version 4 (RFC 8881): the operations on an export, and the state behind them.
//!
//! `state/` is pure: it takes time and randomness as arguments and knows no sockets. `ops/` joins it with the engine, one
//! file per family of operations. `compound` runs a request; `service` is what the transport sees.

pub(crate) mod attributes;
mod compound;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
#[cfg(test)]
pub(crate) mod golden;
mod handle;
pub(crate) mod limits;
mod name;
mod operation;
mod ops;
mod recovery;
mod service;
mod state;
mod status;

pub(crate) use service::{ConnectionState, Service};
