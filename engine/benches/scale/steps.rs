//! The steps of a measurement, each a process of its own. A step prints what it found as one line of JSON.

use std::path::Path;
use std::time::Instant;

use engine::{Budgets, ColdStoreConfig, Environment, FileSystem, KeyFile, OpenOptions};

use crate::Step;
use crate::fill::{Filled, fill};
use crate::lookups::{Latency, Lookups, measure, while_building};
use crate::memory::{self, Memory};

/// What a step found out.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub(crate) struct Found {
    /// How long opening took.
    pub(crate) open_seconds: f64,
    /// How long it took from the beginning of the opening until the index was built, if it had to be, and look-ups of any file meanwhile.
    pub(crate) build_seconds: f64,
    pub(crate) while_building: Latency,
    /// How long creating took, and the longest that a single one was held back.
    pub(crate) fill_seconds: f64,
    pub(crate) longest_create_ms: f64,
    /// Files that stand in the file system afterwards, as far as it is known.
    pub(crate) files: u64,
    pub(crate) lookups: Lookups,
    /// Before it was closed.
    pub(crate) memory: Memory,
    pub(crate) close_seconds: f64,
}

/// Runs a step on the file system below a directory.
pub(crate) fn run(step: Step, directory: &Path, files: u64) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let found = runtime.block_on(step_of(step, directory, files));
    println!("{}", serde_json::to_string(&found).unwrap());
}

async fn step_of(step: Step, directory: &Path, files: u64) -> Found {
    let options = options(directory);
    let data = directory.join("data");
    if step == Step::Fill {
        KeyFile::create(&directory.join("tidefs.key"), options.environment.entropy.as_ref()).unwrap();
        FileSystem::make(&data, &options).unwrap();
    }
    let id = FileSystem::list(&data).unwrap().remove(0);
    let started = Instant::now();
    let fs = FileSystem::open(&data, id, options).await.unwrap();
    let open_seconds = started.elapsed().as_secs_f64();
    // Of a new file system there is nothing to look up yet.
    let while_building = (step == Step::Start).then(|| while_building(&fs, files)).flatten();
    let build_seconds = started.elapsed().as_secs_f64();
    fs.release_orphans().await.unwrap();
    let filled = match step {
        Step::Fill => Some(fill(&fs, 0, files, |_| {}).await),
        // Until it is killed: whoever does it reads how far it is.
        Step::Grow => Some(fill(&fs, files, u64::MAX, |durable| println!("{durable}")).await),
        Step::Start => None,
    };
    let count = fs.status().unwrap().tiers.iter().map(|tier| tier.files).sum();
    let lookups = measure(&fs, files);
    let memory = memory::now();
    let closing = Instant::now();
    fs.shutdown().await.unwrap();
    let seconds = |of: fn(&Filled) -> f64| filled.as_ref().map_or(0.0, of);
    Found {
        open_seconds,
        build_seconds,
        while_building: while_building.unwrap_or_default(),
        fill_seconds: seconds(|filled| filled.elapsed.as_secs_f64()),
        longest_create_ms: seconds(|filled| filled.longest.as_secs_f64() * 1e3),
        files: count,
        lookups,
        memory,
        close_seconds: closing.elapsed().as_secs_f64(),
    }
}

fn options(directory: &Path) -> OpenOptions {
    OpenOptions {
        key: engine::KeySource::File(directory.join("tidefs.key")),
        cold: ColdStoreConfig::Directory(directory.join("cold")),
        environment: Environment::system(),
        budgets: Budgets::default(),
    }
}
