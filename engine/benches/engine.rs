//! Attributes and aging, by themselves.
//!
//! `cargo bench -p tidefs-engine --bench engine`. What the engine does beside the raw machine is in `beside`.
#![expect(clippy::unwrap_used, reason = "a failure ends it")]

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use engine::{
    ColdStoreConfig, CreateMode, Credential, Entry, Environment, FileSystem, InodeId, KeyFile, KeySource,
    OpenOptions, SetAttributes, Stability, Tier,
};
use tokio::runtime::Runtime;

/// That of the `tidefs` program.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

struct Bench {
    runtime: Runtime,
    fs: FileSystem,
    next: AtomicU64,
    _directory: tempfile::TempDir,
}

impl Bench {
    fn new() -> Bench {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        // Beside the build, because /tmp is memory on some machines.
        let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let environment = Environment::system();
        let key_file = directory.path().join("tidefs.key");
        KeyFile::create(&key_file, environment.entropy.as_ref()).unwrap();
        let cold = ColdStoreConfig::Directory(directory.path().join("cold"));
        let options = OpenOptions {
            key: KeySource::File(key_file),
            cold,
            environment,
            budgets: engine::Budgets::default(),
        };
        let data = directory.path().join("data");
        let id = FileSystem::make(&data, &options).unwrap();
        let fs = runtime.block_on(FileSystem::open(&data, id, options)).unwrap();
        runtime.block_on(fs.release_orphans()).unwrap();
        Bench { runtime, fs, next: AtomicU64::new(0), _directory: directory }
    }

    async fn create(&self) -> InodeId {
        let name = self.next.fetch_add(1, Ordering::Relaxed).to_string();
        let entry = Entry { directory: InodeId::ROOT, name: name.as_bytes() };
        let set = SetAttributes::default();
        let pending = self.fs.create(&Credential::root(), entry, CreateMode::Guarded, &set).await.unwrap();
        pending.durable().await.unwrap().into_inner().attributes.inode
    }

    async fn write(&self, inode: InodeId, offset: u64, data: Bytes, stability: Stability) {
        let written = self.fs.write(&Credential::root(), inode, offset, data, stability).await.unwrap();
        written.ticket.durable().await.unwrap();
    }

    async fn file(&self, bytes: u64) -> InodeId {
        let inode = self.create().await;
        for offset in (0..bytes).step_by(1 << 20) {
            let length = usize::try_from((bytes - offset).min(1 << 20)).unwrap();
            self.write(inode, offset, incompressible(length), Stability::Unstable).await;
        }
        self.fs.commit(inode).await.unwrap().durable().await.unwrap();
        inode
    }
}

fn incompressible(length: usize) -> Bytes {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut step = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    std::iter::repeat_with(|| step().to_le_bytes()).flatten().take(length).collect()
}

fn reads(criterion: &mut Criterion) {
    let bench = Bench::new();
    let file = bench.runtime.block_on(bench.file(16 << 20));
    let mut group = criterion.benchmark_group("read");
    group.throughput(Throughput::Elements(1));
    group.bench_function("attributes", |bencher| bencher.iter(|| bench.fs.attributes(file).unwrap()));
    group.finish();
}

fn aging(criterion: &mut Criterion) {
    const FILES: u64 = 1000;
    let bench = Bench::new();
    let mut group = criterion.benchmark_group("aging");
    group.throughput(Throughput::Elements(FILES)).sample_size(10);
    group.bench_function("1,000 files of 16 KiB to a local cold tier", |bencher| {
        bencher.iter_custom(|rounds| {
            let mut spent = Duration::ZERO;
            for _ in 0..rounds {
                let files: Vec<_> =
                    (0..FILES).map(|_| bench.runtime.block_on(bench.file(16 << 10))).collect();
                let started = Instant::now();
                let moved =
                    bench.runtime.block_on(bench.fs.transition(&files, Tier::InfrequentAccess)).unwrap();
                spent += started.elapsed();
                assert_eq!(moved.files + moved.skipped, FILES);
            }
            spent
        });
    });
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().measurement_time(Duration::from_secs(4)).warm_up_time(Duration::from_secs(1));
    targets = reads, aging
}
criterion_main!(benches);
