//! The `tidefs` command.

mod cli;
mod config;
mod control;
mod serve;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let arguments = cli::Arguments::parse();
    match cli::run(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.is::<config::ConfigError>() => {
            eprintln!("tidefs: {error}");
            ExitCode::from(2)
        }
        Err(error) => {
            eprintln!("tidefs: {error:#}");
            ExitCode::FAILURE
        }
    }
}
