//! The `tidefs` program.

use std::process::ExitCode;

fn main() -> ExitCode {
    gateway::cli::main(engine::Environment::system())
}
