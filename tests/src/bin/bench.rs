//! `tidefs-bench`: starts a server on an empty directory, loads it natively, and prints a table of medians.
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::Parser;
use harness::load::{Budget, Plan, Summary, Workload, run};
use harness::prerequisites::minio_binary;
use harness::process::Log;
use harness::{Cold, Minio, Server, ServerSettings};

const AGE_LIMIT: Duration = Duration::from_secs(600);

/// Measures tidefs through its gateway.
#[derive(Debug, Parser)]
#[command(name = "tidefs-bench", version)]
struct Arguments {
    /// Rounds; each figure is the median of them.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Seconds for each workload of a round.
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
    /// Compounds in flight.
    #[arg(long, default_value_t = 16)]
    depth: u32,
    /// The size of the file that is read and overwritten, in MiB.
    #[arg(long, default_value_t = 256)]
    file_size: u64,
    /// Measures this server instead, without its cold tier; such as another implementation.
    #[arg(long)]
    server: Option<SocketAddr>,
    /// Print JSON, one object for each workload.
    #[arg(long)]
    json: bool,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    if let Some(server) = arguments.server {
        return arguments.measure_all(server);
    }
    let minio = minio_binary().is_ok().then(Minio::start).transpose()?;
    let cold = minio.as_ref().map_or(Cold::Directory, |minio| Cold::Bucket(minio, "bench"));
    let work = tempfile::tempdir()?;
    let settings = ServerSettings { log: Log::Kept, ..ServerSettings::within(work.path(), cold)? };
    let mut server = Server::start_with(work, settings)?;
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, server.port()));
    arguments.measure_all(address)?;
    println!("peak memory of the server: {} MiB", server.peak_memory_bytes()? >> 20);
    println!(
        "cold tier: {}",
        if minio.is_some() { "MinIO" } else { "a local directory (no MinIO is there)" }
    );
    arguments.measure_cold(&mut server, address)?;
    println!("peak memory of the server since its restart: {} MiB", server.peak_memory_bytes()? >> 20);
    Ok(())
}

impl Arguments {
    fn plan(&self, server: SocketAddr) -> Plan {
        Plan {
            server,
            directory: "bench".to_owned(),
            file: "file".to_owned(),
            file_size_bytes: self.file_size << 20,
            connections: 1,
            depth: self.depth,
            budget: Budget { duration: Duration::from_secs_f64(self.seconds), operations: u64::MAX },
        }
    }

    /// Rounds of all workloads, alternating, so that a slow spell of the machine hits them alike.
    fn measure_all(&self, server: SocketAddr) -> Result<()> {
        const WORKLOADS: [Workload; 6] = [
            Workload::Write1m,
            Workload::Read1m,
            Workload::Write4k,
            Workload::Read4k,
            Workload::Create,
            Workload::Getattr,
        ];
        let mut rounds: Vec<Vec<Summary>> = WORKLOADS.iter().map(|_| Vec::new()).collect();
        for _ in 0..self.rounds {
            for (workload, results) in WORKLOADS.iter().zip(&mut rounds) {
                results.push(run(*workload, &self.plan(server))?);
            }
        }
        for results in rounds {
            self.print(&median(results)?)?;
        }
        Ok(())
    }

    /// How fast everything ages, and how fast it is read from there.
    fn measure_cold(&self, server: &mut Server, address: SocketAddr) -> Result<()> {
        let bytes = server.tier_number("standard", "bytes")?;
        let start = Instant::now();
        server.command(&["lifecycle", "set", "--to-ia", "1s", "--to-primary", "never"])?.succeeded()?;
        server.wait_until_cold(1, AGE_LIMIT)?;
        let seconds = start.elapsed().as_secs_f64();
        let mebibytes = u32::try_from(bytes >> 20).map_or(f64::from(u32::MAX), f64::from);
        println!("aging: {mebibytes} MiB in {seconds:.1} s, {:.1} MiB/s", mebibytes / seconds);
        // Without a restart it would be the server's memory that is measured.
        server.restart()?;
        for (workload, depth) in [(Workload::Read4k, 1), (Workload::Read1m, self.depth)] {
            let mut plan = self.plan(address);
            plan.depth = depth;
            plan.budget.operations = self.file_size;
            let mut summary = run(workload, &plan)?;
            summary.workload = format!("cold {}", workload.name());
            self.print(&summary)?;
        }
        Ok(())
    }

    fn print(&self, summary: &Summary) -> Result<()> {
        if self.json {
            println!("{}", serde_json::to_string(summary)?);
        } else {
            println!("{summary}");
        }
        Ok(())
    }
}

/// The round whose rate is the median.
fn median(mut rounds: Vec<Summary>) -> Result<Summary> {
    rounds.sort_by(|a, b| a.operations_per_second.total_cmp(&b.operations_per_second));
    let middle = rounds.len() / 2;
    rounds.into_iter().nth(middle).context("no rounds")
}
