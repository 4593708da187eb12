//! The store as a whole, on the real disk and on the simulated one.

mod concurrent;
mod crash;
mod damage;
mod rot;
pub(super) mod support;
mod whole;
