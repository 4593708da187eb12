//! The engine beside what the machine can do: a raw group-commit log, the raw disk, the bare cipher.
//!
//! `make bench`, or `cargo bench -p tidefs-engine --bench beside`. Rounds alternate, so that a slow spell of the machine hits both
//! alike; each figure is the median of its rounds, and each ratio stands beside what it was measured with.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failure ends it")]

mod data;
mod metadata;
mod raw_cipher;
mod raw_disk;
mod raw_log;
mod subject;
mod sustained;
mod table;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, ValueEnum};

use table::Table;

/// That of the `tidefs` program.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Measures the engine beside what the machine can do.
#[derive(Debug, Parser)]
pub(crate) struct Arguments {
    /// Rounds; each figure is the median of them.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Seconds for each workload of a round.
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,
    /// Seconds of creates without a break, at the end; 300 shows what is sustained.
    #[arg(long, default_value_t = 0.0)]
    sustained: f64,
    /// Measures only this.
    #[arg(long, value_enum)]
    only: Option<Part>,
    /// Where to write, and to remove it at the end [default: below the build].
    #[arg(long, value_name = "PATH")]
    directory: Option<PathBuf>,
    /// Print one JSON object for each row instead of a table.
    #[arg(long)]
    json: bool,
    /// Given by `cargo bench`.
    #[arg(long, hide = true)]
    bench: bool,
}

/// A part of the measurements.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    Metadata,
    Overwrites,
    Streams,
    Reads,
    Sustained,
}

impl Arguments {
    fn wants(&self, part: Part) -> bool {
        self.only.is_none_or(|only| only == part)
    }

    fn time(&self) -> Duration {
        Duration::from_secs_f64(self.seconds)
    }
}

fn main() {
    let arguments = Arguments::parse();
    let below = arguments.directory.clone().unwrap_or_else(|| PathBuf::from(env!("CARGO_TARGET_TMPDIR")));
    std::fs::create_dir_all(&below).unwrap();
    let mut table = Table::new(arguments.json);
    if arguments.wants(Part::Metadata) {
        for writers in [1, 16] {
            metadata::measure(&arguments, &below, writers, &mut table);
        }
    }
    if arguments.wants(Part::Overwrites) {
        data::overwrites(&arguments, &below, &mut table);
    }
    if arguments.wants(Part::Streams) {
        data::streams(&arguments, &below, &mut table);
    }
    if arguments.wants(Part::Reads) {
        data::cached_reads(&arguments, &below, &mut table);
        data::uncached_reads(&arguments, &below, &mut table);
    }
    if arguments.sustained > 0.0 && arguments.wants(Part::Sustained) {
        sustained::measure(&arguments, &below, &mut table);
    }
}
