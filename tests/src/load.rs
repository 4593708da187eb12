//! A native NFSv4.1 load generator: a raw client of its own, so that a server is measured and not a kernel.
//!
//! Each connection has a session of its own and keeps a number of compounds in flight, one for each slot. It speaks
//! `AUTH_SYS` as root and knows only the operations that the workloads need, and so it runs against any server.

pub(crate) mod compound;
mod names;
mod pipeline;
mod report;
pub(crate) mod session;
mod workload;
mod xdr;

pub use names::{NameStatuses, statuses_of_names};
pub use pipeline::Budget;
pub use report::Summary;
pub(crate) use workload::enter;
pub use workload::{Plan, Workload, run};
