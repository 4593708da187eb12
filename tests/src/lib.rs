//! The harness of the whole-assembly tests: it starts the parts (the built `tidefs`, a real `MinIO`, guests with a
//! real Linux NFS client) on free loopback ports, and ends them however a test ends.
//!
//! Each part writes its output to a log that is printed when the part goes away; the test framework shows it
//! if the test failed. A prerequisite that is missing is an error that names it, never a test that is left out.

pub mod crash;
pub mod deadline;
pub mod guest;
pub mod load;
pub mod lossy;
pub mod minio;
pub mod outcome;
pub mod prerequisites;
pub mod process;
pub mod server;
pub mod store_without_conditions;
pub mod tmpfs;
pub mod tree;

pub use deadline::poll_until;
pub use guest::{Guest, RunningGuest};
pub use minio::Minio;
pub use outcome::Outcome;
pub use server::{Attempt, Cold, Server, ServerSettings};
