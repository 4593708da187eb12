//! What ten million files cost: memory, disk, look-ups, and the ways to start.
//!
//! `make bench-scale`, or `cargo bench -p tidefs-engine --bench scale -- --files 1000000`. For each number of files a file system
//! is filled through the public interface with the default budgets, and is then opened in every way that a start can go. Each step is
//! a process of its own, so that its memory is its own, and so that one can be killed.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failure ends it")]

mod fill;
mod lookups;
mod memory;
mod plan;
mod report;
mod steps;

use std::path::PathBuf;

use clap::{Parser, ValueEnum};

/// That of the `tidefs` program.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Measures file systems of many files.
#[derive(Debug, Parser)]
struct Arguments {
    /// Files in the file system; may be given more than once, and each is measured.
    #[arg(long, value_name = "COUNT", default_values_t = [10_000, 1_000_000])]
    files: Vec<u64>,
    /// Where the file systems are made, and removed at the end [default: below the build].
    #[arg(long, value_name = "PATH")]
    directory: Option<PathBuf>,
    /// Print one JSON object for each number of files instead of a table.
    #[arg(long)]
    json: bool,
    /// Runs one step, on a file system that is there (what the program starts itself with).
    #[arg(long, value_enum, hide = true)]
    step: Option<Step>,
    /// Given by `cargo bench`.
    #[arg(long, hide = true)]
    bench: bool,
}

/// One process of a measurement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Step {
    /// Makes the file system, creates the files, looks some up, and closes.
    Fill,
    /// Opens, looks files up, and closes.
    Start,
    /// Opens and creates files until it is killed.
    Grow,
}

impl Step {
    fn name(self) -> &'static str {
        match self {
            Step::Fill => "fill",
            Step::Start => "start",
            Step::Grow => "grow",
        }
    }
}

fn main() {
    let arguments = Arguments::parse();
    let directory = arguments.directory.unwrap_or_else(|| PathBuf::from(env!("CARGO_TARGET_TMPDIR")));
    if let Some(step) = arguments.step {
        let files = arguments.files.first().copied().unwrap_or(0);
        steps::run(step, &directory, files);
        return;
    }
    let reports: Vec<_> = arguments.files.iter().map(|files| plan::measure(&directory, *files)).collect();
    if arguments.json {
        reports.iter().for_each(|report| println!("{}", serde_json::to_string(report).unwrap()));
    } else {
        report::print(&reports);
    }
}
