//! The journal: every change is one record in it, and nothing is acknowledged before its record is durable.

mod ticket;

pub use ticket::{Durable, Pending, Ticket};
