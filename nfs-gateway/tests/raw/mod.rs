//! A small NFSv4.1 client that says exactly what a test wants it to say, and a server to say it to.

pub mod client;
pub mod server;
pub mod stalling;
pub mod wire;
