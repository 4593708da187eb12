//! Connections: bytes in, records out to the service, replies back in whatever order they are ready.

mod connection;
mod outbox;

pub(crate) use connection::{Connection, Ended};
