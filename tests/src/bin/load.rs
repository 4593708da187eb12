//! `tidefs-load`: loads an NFSv4.1 server and prints rates and times.
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Result;
use clap::Parser;
use harness::load::{Budget, Plan, Workload, run};

/// Loads an NFSv4.1 server with one workload, natively and as root.
#[derive(Debug, Parser)]
#[command(name = "tidefs-load", version)]
struct Arguments {
    /// What to do.
    workload: Workload,
    /// The server.
    #[arg(long, default_value = "127.0.0.1:2049")]
    server: SocketAddr,
    /// The directory to work in, below the root of the export; made if it is not there.
    #[arg(long, default_value = "load")]
    directory: String,
    /// The file to work on; each connection adds its number to the name.
    #[arg(long, default_value = "file")]
    file: String,
    /// The size of that file in MiB.
    #[arg(long, default_value_t = 64)]
    file_size: u64,
    /// Connections.
    #[arg(long, default_value_t = 1)]
    connections: u32,
    /// Compounds in flight on each connection.
    #[arg(long, default_value_t = 16)]
    depth: u32,
    /// Seconds to run.
    #[arg(long, default_value_t = 10.0)]
    seconds: f64,
    /// Operations for each connection, if that comes first.
    #[arg(long, default_value_t = u64::MAX)]
    operations: u64,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let plan = Plan {
        server: arguments.server,
        directory: arguments.directory,
        file: arguments.file,
        file_size_bytes: arguments.file_size << 20,
        connections: arguments.connections,
        depth: arguments.depth,
        budget: Budget {
            duration: Duration::from_secs_f64(arguments.seconds),
            operations: arguments.operations,
        },
    };
    let summary = run(arguments.workload, &plan)?;
    if arguments.json {
        println!("{}", serde_json::to_string(&summary)?);
    } else {
        println!("{summary}");
    }
    Ok(())
}
