//! The tidefs gateway: NFSv4 over TCP on an [`engine::FileSystem`].

mod export;
mod nfs4;
mod rpc;
mod server;
mod transport;
mod xdr;

pub use export::{AccessMode, Export, IdentityMapping};
pub use server::{NfsServer, NfsStatus, ServerError, ServerOptions};
