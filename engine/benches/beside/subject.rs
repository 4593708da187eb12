//! The file system that is measured.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use engine::{
    Budgets, ColdStoreConfig, CreateMode, Credential, Entry, Environment, FileSystem, InodeId, KeyFile,
    OpenOptions, SetAttributes, Stability,
};
use parking_lot::Mutex;
use tokio::runtime::Runtime;

use crate::table::{Latencies, rate};

/// That the server is given.
const CORES: usize = 2;

pub(crate) struct Subject {
    pub(crate) runtime: Runtime,
    pub(crate) fs: FileSystem,
    pub(crate) directory: PathBuf,
    _removed_at_the_end: tempfile::TempDir,
}

/// What a run of operations gave.
pub(crate) struct Run {
    pub(crate) rate: f64,
    pub(crate) latencies: Latencies,
}

impl Subject {
    pub(crate) fn new(below: &Path, budgets: Budgets) -> Subject {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(CORES).enable_all().build().unwrap();
        let temporary = tempfile::tempdir_in(below).unwrap();
        let directory = temporary.path().to_owned();
        let environment = Environment::system();
        let key_file = directory.join("tidefs.key");
        KeyFile::create(&key_file, environment.entropy.as_ref()).unwrap();
        let cold = ColdStoreConfig::Directory(directory.join("cold"));
        let options = OpenOptions { key: engine::KeySource::File(key_file), cold, environment, budgets };
        let data = directory.join("data");
        let id = FileSystem::make(&data, &options).unwrap();
        let fs = runtime.block_on(FileSystem::open(&data, id, options)).unwrap();
        runtime.block_on(fs.release_orphans()).unwrap();
        Subject { runtime, fs, directory, _removed_at_the_end: temporary }
    }

    /// Waits until the engine has done nothing for so many seconds: what a burst leaves to it is not part of the next one.
    pub(crate) fn rest(&self, seconds: u32) {
        const AT_REST: f64 = 0.1;
        let mut quiet = 0;
        while quiet < seconds {
            let used = processor_seconds();
            std::thread::sleep(Duration::from_secs(1));
            quiet = if processor_seconds() - used < AT_REST { quiet + 1 } else { 0 };
        }
    }

    pub(crate) fn make_directory(&self, name: &str) -> InodeId {
        let entry = Entry { directory: InodeId::ROOT, name: name.as_bytes() };
        let made = async {
            let set = SetAttributes::default();
            self.fs.make_directory(&Credential::root(), entry, &set).await?.durable().await
        };
        self.runtime.block_on(made).unwrap().into_inner().attributes.inode
    }

    pub(crate) async fn create(&self, directory: InodeId, name: &str) -> InodeId {
        let entry = Entry { directory, name: name.as_bytes() };
        let set = SetAttributes::default();
        let pending = self.fs.create(&Credential::root(), entry, CreateMode::Guarded, &set).await.unwrap();
        pending.durable().await.unwrap().into_inner().attributes.inode
    }

    pub(crate) async fn write(&self, inode: InodeId, offset: u64, data: Bytes, stability: Stability) {
        let written = self.fs.write(&Credential::root(), inode, offset, data, stability).await.unwrap();
        written.ticket.durable().await.unwrap();
    }

    /// A file of that many MiB, written in order, 1 MiB at a time, and committed.
    pub(crate) fn write_in_order(&self, name: &str, mebibytes: u64) -> InodeId {
        self.runtime.block_on(async {
            let inode = self.create(InodeId::ROOT, name).await;
            let data = incompressible(1 << 20);
            for number in 0..mebibytes {
                self.write(inode, number << 20, data.clone(), Stability::Unstable).await;
            }
            self.fs.commit(inode).await.unwrap().durable().await.unwrap();
            inode
        })
    }

    /// Runs operations with so many of them in flight, for a time or up to a number of them. Each gets the number of its writer and
    /// its own. One thread polls all of them, as the server does for one connection.
    pub(crate) fn in_flight<F: Future<Output = ()> + Send>(
        &self,
        writers: usize,
        limit: Limit,
        operation: impl Fn(usize, usize) -> F + Sync,
    ) -> Run {
        self.on_threads(1, writers, limit, operation)
    }

    /// The same on a thread for each core, as the server does for several connections.
    pub(crate) fn spread<F: Future<Output = ()> + Send>(
        &self,
        writers: usize,
        limit: Limit,
        operation: impl Fn(usize, usize) -> F + Sync,
    ) -> Run {
        self.on_threads(CORES, writers, limit, operation)
    }

    fn on_threads<F: Future<Output = ()> + Send>(
        &self,
        threads: usize,
        writers: usize,
        limit: Limit,
        operation: impl Fn(usize, usize) -> F + Sync,
    ) -> Run {
        let next = AtomicUsize::new(0);
        let all = Mutex::new(Latencies::default());
        let started = Instant::now();
        let work = |writer: usize| {
            let (next, all, operation) = (&next, &all, &operation);
            async move {
                let mut mine = Vec::new();
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if limit.is_reached(number, started.elapsed()) {
                        break;
                    }
                    let one = Instant::now();
                    operation(writer, number).await;
                    mine.push(one.elapsed());
                }
                all.lock().0.append(&mut mine);
            }
        };
        let share = writers.div_ceil(threads);
        let poll = |first: usize| {
            let share = first..writers.min(first + share);
            self.runtime.block_on(futures::future::join_all(share.map(work)));
        };
        std::thread::scope(|scope| {
            let poll = &poll;
            (share..writers).step_by(share).for_each(|first| drop(scope.spawn(move || poll(first))));
            poll(0);
        });
        let elapsed = started.elapsed();
        let latencies = all.into_inner();
        Run { rate: rate(latencies.0.len(), elapsed), latencies }
    }

    /// Makes the kernel forget what it has of the segments.
    pub(crate) fn drop_page_cache(&self) {
        let home = std::fs::read_dir(self.directory.join("data")).unwrap().next().unwrap().unwrap().path();
        for entry in std::fs::read_dir(home.join("segments")).unwrap() {
            let file = std::fs::File::open(entry.unwrap().path()).unwrap();
            file.sync_all().unwrap();
            rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed).unwrap();
        }
    }
}

/// When a run ends.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Limit {
    Time(Duration),
    Count(usize),
    /// Whichever comes first.
    Burst(Duration, usize),
}

impl Limit {
    fn is_reached(self, number: usize, elapsed: Duration) -> bool {
        match self {
            Limit::Time(time) => elapsed >= time,
            Limit::Count(count) => number >= count,
            Limit::Burst(time, count) => elapsed >= time || number >= count,
        }
    }
}

pub(crate) fn incompressible(length: usize) -> Bytes {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut step = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    std::iter::repeat_with(|| step().to_le_bytes()).flatten().take(length).collect()
}

/// Seconds of processor time that this process has used.
pub(crate) fn processor_seconds() -> f64 {
    let text = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = text.rsplit_once(") ").unwrap().1.split(' ').collect();
    let ticks: f64 = fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap();
    ticks / 100.0
}
