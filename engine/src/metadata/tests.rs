//! The store as a whole, on the real disk and on the simulated one.

mod concurrent;
mod crash;
mod damage;
mod full_disk;
mod gate;
mod passing;
mod rebuild;
mod rot;
pub(super) mod support;
mod whole;
