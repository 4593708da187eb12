//! The command line. Each error is one or two sentences: what is wrong, and what to do.

mod arguments;
mod config;
mod gc;
mod key;
mod lifecycle;
mod place;
mod serve;
mod status;
mod table;
mod verify;

use std::process::ExitCode;

use clap::Parser;
use engine::Environment;

use crate::config::{ConfigError, Surroundings};
use crate::control::client::ClientError;
use crate::serve::ServeError;
use arguments::{Arguments, Command, ConfigCommand};

/// Why a command ends with a status other than 0.
#[derive(Debug, thiserror::Error)]
enum Failure {
    /// Status 2.
    #[error("{0}")]
    Usage(String),
    /// Status 1.
    #[error("{0}")]
    Failed(String),
}

/// Runs the command line of this process; what it serves gets time, randomness and disk from `environment`.
pub fn main(environment: Environment) -> ExitCode {
    let arguments = Arguments::parse();
    match run(arguments.command, environment) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // Standard error may be closed; the status tells it too.
            let _ = std::io::Write::write_fmt(&mut std::io::stderr(), format_args!("tidefs: {failure}\n"));
            match failure {
                Failure::Failed(_) => ExitCode::from(1),
                Failure::Usage(_) => ExitCode::from(2),
            }
        }
    }
}

fn run(command: Command, environment: Environment) -> Result<(), Failure> {
    let surroundings = Surroundings::of_process();
    match command {
        Command::Serve(flags) => serve::run(flags, &surroundings, environment),
        Command::Config(ConfigCommand::Example) => config::example(),
        Command::Config(ConfigCommand::Check { file }) => config::check(file, &surroundings),
        Command::Status(command) => block_on(status::run(command, &surroundings)),
        Command::Verify(command) => verify::run(*command, &surroundings),
        Command::Lifecycle(command) => block_on(lifecycle::run(command, &surroundings)),
        Command::Key(command) => block_on(key::run(command, &surroundings)),
        Command::Gc(command) => block_on(gc::run(command, &surroundings)),
        Command::Version => print(&format!("tidefs {}", env!("CARGO_PKG_VERSION"))),
    }
}

/// Runs a short command; a server has a runtime of its own.
fn block_on(command: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|error| Failure::Failed(format!("cannot start: {error}")))?.block_on(command)
}

/// Prints to standard output. A reader who has heard enough (`| head`) is no failure.
fn print(text: &str) -> Result<(), Failure> {
    use std::io::{ErrorKind, Write};
    let mut out = std::io::stdout().lock();
    match writeln!(out, "{text}").and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Failure::Failed(format!("cannot write the output: {error}")))
        }
        _ => Ok(()),
    }
}

fn print_json<T: serde::Serialize>(value: &T) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(value);
    print(&text.map_err(|error| Failure::Failed(format!("cannot make JSON: {error}")))?)
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Failure::Usage(error.to_string())
    }
}

impl From<ServeError> for Failure {
    fn from(error: ServeError) -> Self {
        if error.is_usage() { Failure::Usage(error.to_string()) } else { Failure::Failed(error.to_string()) }
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        match &error {
            ClientError::Refused { error: kind, .. } if kind == "invalid" => {
                Failure::Usage(error.to_string())
            }
            _ => Failure::Failed(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests;
