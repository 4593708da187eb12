//! `tidefs-crash-on-mount`: the part of `tidefs-crash` that runs in a guest, on a mount. It works until the guest ends.
use std::path::PathBuf;

use anyhow::Result;
use clap::Parser;
use harness::crash::work_on_mount;

/// Works on a mount, and prints `WORKER COUNT` for each operation that is acknowledged.
#[derive(Debug, Parser)]
#[command(name = "tidefs-crash-on-mount", version)]
struct Arguments {
    /// Where the file system is mounted.
    mount: PathBuf,
    /// The number of the first worker.
    first: usize,
    /// How many workers.
    count: usize,
    /// What all choices are made by.
    seed: u64,
}

fn main() -> Result<()> {
    let Arguments { mount, first, count, seed } = Arguments::parse();
    work_on_mount(&mount, first, count, seed)
}
