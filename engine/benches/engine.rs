//! The engine by itself: durable metadata changes and small writes, streams, reads, aging.
//!
//! `cargo bench -p tidefs-engine`. The whole server is measured by `tidefs-bench`.
#![expect(clippy::unwrap_used, reason = "a failure ends it")]

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use engine::{
    ColdStoreConfig, CreateMode, Credential, Entry, Environment, FileSystem, InodeId, KeyFile, KeySource,
    OpenOptions, SetAttributes, Stability, Tier,
};
use tokio::runtime::Runtime;

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

    /// Runs `count` operations with `writers` of them in flight.
    fn in_flight<F: Future<Output = ()> + Send>(
        &self,
        writers: u64,
        count: u64,
        operation: impl Fn(u64) -> F + Sync,
    ) -> Duration {
        let started = Instant::now();
        let next = AtomicU64::new(0);
        let work = || async {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= count {
                    return;
                }
                operation(number).await;
            }
        };
        self.runtime.block_on(futures::future::join_all((0..writers).map(|_| work())));
        started.elapsed()
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

fn durable(criterion: &mut Criterion) {
    let bench = Bench::new();
    let small = incompressible(4096);
    let mut group = criterion.benchmark_group("durable");
    group.throughput(Throughput::Elements(1));
    for writers in [1, 16] {
        group.bench_function(BenchmarkId::new("create a 4 KiB file", writers), |bencher| {
            bencher.iter_custom(|count| {
                bench.in_flight(writers, count, |_| async {
                    let file = bench.create().await;
                    bench.write(file, 0, small.clone(), Stability::FileSync).await;
                })
            });
        });
        let file = bench.runtime.block_on(bench.file(64 << 20));
        group.bench_function(BenchmarkId::new("overwrite 4 KiB at random", writers), |bencher| {
            bencher.iter_custom(|count| {
                bench.in_flight(writers, count, |number| {
                    let offset = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) % (64 << 8) * 4096;
                    bench.write(file, offset, small.clone(), Stability::FileSync)
                })
            });
        });
    }
    group.finish();
}

fn streams(criterion: &mut Criterion) {
    const FILE: u64 = 64 << 20;
    let bench = Bench::new();
    let mut group = criterion.benchmark_group("stream");
    group.throughput(Throughput::Bytes(FILE)).sample_size(10);
    group.bench_function("write 64 MiB and commit", |bencher| {
        bencher.iter(|| bench.runtime.block_on(bench.file(FILE)));
    });
    let file = bench.runtime.block_on(bench.file(FILE));
    let read_all = async || {
        for offset in (0..FILE).step_by(1 << 20) {
            bench.fs.read(file, offset, 1 << 20).await.unwrap();
        }
    };
    group
        .bench_function("read 64 MiB, cached", |bencher| bencher.iter(|| bench.runtime.block_on(read_all())));
    group.finish();
}

fn reads(criterion: &mut Criterion) {
    let bench = Bench::new();
    let file = bench.runtime.block_on(bench.file(16 << 20));
    let mut group = criterion.benchmark_group("read");
    group.throughput(Throughput::Elements(1));
    group.bench_function("attributes", |bencher| bencher.iter(|| bench.fs.attributes(file).unwrap()));
    let mut number = 0_u64;
    group.bench_function("4 KiB at random, cached", |bencher| {
        bencher.iter(|| {
            number = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
            bench.runtime.block_on(bench.fs.read(file, number % (16 << 8) * 4096, 4096)).unwrap()
        });
    });
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
    targets = durable, streams, reads, aging
}
criterion_main!(benches);
