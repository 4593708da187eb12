//! The `tidefs` program.

use std::process::ExitCode;

/// Most memory of the metadata is freed by another thread than took it, which costs the C library's allocator a lot: see
/// `docs/decisions/0004-room-for-bursts.md`.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    gateway::cli::main(engine::Environment::system())
}
