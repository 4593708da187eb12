//! The `tidefs` program.

use std::process::ExitCode;

/// Memory that is freed by another thread than took it, as most of the metadata is, costs half as much as with that of the C library,
/// and goes back to the system when it is not used any more.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    gateway::cli::main(engine::Environment::system())
}
