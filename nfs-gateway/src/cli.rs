//! The command line.

mod explain;
mod lifecycle;
mod serve;
mod status;
mod table;

use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, Parser, Subcommand};

use crate::config::{self, ConfigFile};
use crate::control::Client;

/// An elastic file system on your own disk and your own bucket, served over NFS.
///
/// Start with `tidefs serve`; it says how to mount. `tidefs status` shows how things stand, `tidefs lifecycle` tunes what
/// moves to the Infrequent Access tier and when.
#[derive(Parser)]
#[command(name = "tidefs", version, arg_required_else_help = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve file systems over NFS; the first start makes a key and a file system
    Serve(serve::ServeArguments),
    /// Show sizes by tier, journal, requests to the bucket, clients, lifecycle and health
    Status(status::StatusArguments),
    /// Show and tune what moves between the tiers, and when
    #[command(subcommand)]
    Lifecycle(lifecycle::LifecycleCommand),
    /// Print an example of tidefs.toml, or check one
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Print the version
    Version,
}

#[derive(Subcommand)]
enum ConfigCommand {
    /// Print all settings with their defaults, commented
    ///
    /// Example: tidefs config example > ~/.config/tidefs/tidefs.toml
    Example,
    /// Check a file and say what is wrong with it
    Check {
        /// The file
        file: PathBuf,
    },
}

/// Which server, and which of its file systems.
#[derive(Args)]
struct Target {
    /// The data directory of the server [default: ~/.local/share/tidefs]
    #[arg(long, env = "TIDEFS_DATA", value_name = "DIR", help_heading = "Which file system")]
    data: Option<PathBuf>,
    /// The file system, if the server has several
    #[arg(long, value_name = "fs-…", help_heading = "Which file system")]
    file_system: Option<String>,
}

impl Target {
    async fn client(&self) -> Result<Client> {
        let data = self.data.clone().map_or_else(config::default_data, Ok)?;
        Client::find(&data, self.file_system.as_deref()).await
    }
}

/// Runs a command.
pub(crate) fn run(arguments: Arguments) -> Result<()> {
    match arguments.command {
        Command::Serve(arguments) => serve::run(arguments),
        Command::Status(arguments) => block_on(status::run(arguments)),
        Command::Lifecycle(command) => block_on(lifecycle::run(command)),
        Command::Config(ConfigCommand::Example) => table::print(config::EXAMPLE),
        Command::Config(ConfigCommand::Check { file }) => {
            ConfigFile::read(&file)?;
            table::print(&format!("{} is fine\n", file.display()))
        }
        Command::Version => table::print(&format!("tidefs {}\n", env!("CARGO_PKG_VERSION"))),
    }
}

fn block_on(work: impl Future<Output = Result<()>>) -> Result<()> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(work)
}
