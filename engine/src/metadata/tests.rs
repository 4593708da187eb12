//! The store as a whole, on the real disk and on the simulated one.

mod support;
mod whole;
