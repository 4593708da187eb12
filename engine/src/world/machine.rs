//! A computer with a simulated disk, a clock, chance, and an object store that it can reach.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use super::index::SimulatedIndexes;
use super::plan::{Chance, Crash, IndexFate};
use crate::attributes::Timestamp;
use crate::broken::Broken;
use crate::budgets::Budgets;
use crate::disk::simulated::SimulatedDisk;
use crate::disk::{Disk, OpenHow, RealDisk, read_small};
use crate::environment::{Clock, Entropy, Environment};
use crate::error;
use crate::file_system::open::{Substitutes, open_with};
use crate::file_system::{ColdStoreConfig, FileSystem, OpenOptions};
use crate::identity::FileSystemId;
use crate::keys::{KeyFile, KeySource};
use crate::threads::simulated::Schedule;
use crate::tiers::fault::FaultyStore;

/// A computer.
pub(super) struct Machine {
    pub(super) disk: SimulatedDisk,
    pub(super) objects: Arc<FaultyStore>,
    pub(super) clock: Arc<SimulatedClock>,
    entropy: Arc<SimulatedEntropy>,
    chance: Chance,
    id: FileSystemId,
    /// A rule that the engine breaks.
    broken: Option<Broken>,
    pub(super) indexes: Arc<SimulatedIndexes>,
    /// The key file is on the real disk.
    local: tempfile::TempDir,
}

const DATA: &str = "/var/lib/data";
const KEY: &str = "/etc/tidefs/tidefs.key";
/// Longer than anything takes.
const PATIENCE: Duration = Duration::from_secs(100_000);
const TICK: Duration = Duration::from_millis(50);

impl Machine {
    /// A computer with an empty file system.
    pub(super) fn new(seed: u64, broken: Option<Broken>) -> Machine {
        let mut machine = Machine::bare(seed, broken);
        KeyFile::create(&machine.local.path().join("key"), machine.entropy.as_ref()).unwrap();
        machine.make().unwrap();
        machine
    }

    /// A computer with an empty disk, and without a key.
    pub(super) fn bare(seed: u64, broken: Option<Broken>) -> Machine {
        let local = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        let entropy = Arc::new(SimulatedEntropy(Mutex::new(Chance::new(seed ^ 0xe))));
        let disk = SimulatedDisk::new(seed);
        Machine {
            indexes: Arc::new(SimulatedIndexes::on(disk.clone())),
            disk,
            objects: FaultyStore::new(&[]),
            clock: Arc::default(),
            entropy,
            chance: Chance::new(seed ^ 0xc),
            id: FileSystemId::from_random([0; 16]),
            broken,
            local,
        }
    }

    /// Makes the file system.
    pub(super) fn make(&mut self) -> error::Result<()> {
        self.id = FileSystem::make(Path::new(DATA), &self.options())?;
        Ok(())
    }

    /// What a server does before it opens: the file system is made if there is none, and a key if there is none either. The first of them
    /// is the one that is opened then.
    pub(super) fn start(&mut self) -> error::Result<()> {
        let (data, disk) = (Path::new(DATA), Arc::new(self.disk.clone()));
        // The gateway does so for its lock, and says nothing of it to the disk.
        disk.create_directory(data).map_err(error::Error::io("cannot make", data))?;
        let ids = FileSystem::list_on(disk.as_ref(), data)?;
        if let Some(id) = ids.first() {
            assert_eq!(ids.len(), 1, "a second file system was made");
            self.id = *id;
            return self.copy_key();
        }
        let key = Path::new(KEY);
        if disk.open(key, OpenHow::Read).is_ok() {
            KeyFile::keep(disk.as_ref(), key)?;
        } else {
            KeyFile::create_on(disk.as_ref(), key, self.entropy.as_ref())?;
        }
        self.copy_key()?;
        self.make()
    }

    /// Key files are read by the system's calls.
    fn copy_key(&self) -> error::Result<()> {
        let place = self.local.path().join("key");
        let text = read_small(&self.disk, Path::new(KEY), 1000)?;
        RealDisk.remove(&place).unwrap();
        if let Some(text) = text {
            RealDisk.open(&place, OpenHow::CreateNew).unwrap().write_all_at(&text, 0).unwrap();
        }
        Ok(())
    }

    /// The directory of file systems.
    pub(super) fn data(&self) -> &'static Path {
        Path::new(DATA)
    }

    /// What is in the directory of file systems.
    pub(super) fn names(&self) -> Vec<String> {
        self.disk.list(Path::new(DATA)).unwrap_or_default()
    }

    /// The file system.
    pub(super) fn id(&self) -> FileSystemId {
        self.id
    }

    pub(super) fn options(&self) -> OpenOptions {
        const MIB: u64 = 1 << 20;
        OpenOptions {
            key: KeySource::File(self.local.path().join("key")),
            cold: ColdStoreConfig::Bucket {
                name: "cold".into(),
                prefix: String::new(),
                endpoint: None,
                region: None,
            },
            environment: Environment {
                clock: self.clock.clone(),
                entropy: self.entropy.clone(),
                disk: Arc::new(self.disk.clone()),
                indexes: self.indexes.clone(),
            },
            budgets: Budgets {
                journal_bytes: 8 * MIB,
                overlay_bytes: MIB,
                index_cache_bytes: MIB,
                write_buffer_bytes: MIB,
                block_cache_bytes: MIB / 2,
                segment_bytes: MIB / 2,
                object_bytes: MIB / 4,
            },
        }
    }

    /// Opens the file system.
    pub(super) async fn open(&self) -> error::Result<FileSystem> {
        let substitutes = Substitutes { objects: Some(self.objects.clone()), ..Substitutes::default() };
        let opened = open_with(Path::new(DATA), self.id, self.options(), substitutes).await;
        opened.map(FileSystem::of)
    }

    /// Runs something until it is done, with the threads of the engine in an order that the seed decides.
    pub(super) fn run<T>(&self, seed: u64, body: impl Future<Output = T>) -> T {
        let schedule = Schedule::begin(seed, self.broken);
        let idle = schedule.clone();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .on_thread_park(move || idle.idle())
            .build()
            .unwrap();
        let result = runtime.block_on(async {
            tokio::spawn(Arc::clone(&self.clock).run());
            tokio::time::timeout(PATIENCE, schedule.task(body)).await.expect("something hangs")
        });
        drop(runtime);
        schedule.finish();
        result
    }

    /// Leaves what the next start finds.
    pub(super) fn crash(&mut self, how: Crash, fate: IndexFate) {
        self.disk = match how {
            Crash::PowerFailure => self.disk.after_power_failure(),
            Crash::Kill | Crash::Stop => self.disk.after_kill(),
        };
        let indexes = Arc::get_mut(&mut self.indexes).expect("nobody has the index open after a crash");
        indexes.crash(&self.disk, fate, &mut self.chance);
    }
}

/// A clock that goes with tokio's time, which is held, and can be set back.
#[derive(Debug, Default)]
pub(super) struct SimulatedClock {
    seconds_back: AtomicI64,
    /// Since the first start.
    nanoseconds: AtomicU64,
}

const START: i64 = 1_800_000_000;

impl SimulatedClock {
    pub(super) fn go_back(&self, seconds: i64) {
        self.seconds_back.fetch_add(seconds, Ordering::Relaxed);
    }

    async fn run(self: Arc<Self>) {
        loop {
            tokio::time::sleep(TICK).await;
            self.nanoseconds.fetch_add(u64::try_from(TICK.as_nanos()).unwrap(), Ordering::Relaxed);
        }
    }
}

impl Clock for SimulatedClock {
    fn now(&self) -> Timestamp {
        let since = Duration::from_nanos(self.nanoseconds.fetch_add(1000, Ordering::Relaxed));
        let seconds =
            START + i64::try_from(since.as_secs()).unwrap() - self.seconds_back.load(Ordering::Relaxed);
        Timestamp { seconds, nanoseconds: since.subsec_nanos() }
    }

    fn monotonic(&self) -> Duration {
        Duration::from_nanos(self.nanoseconds.load(Ordering::Relaxed))
    }
}

struct SimulatedEntropy(Mutex<Chance>);

impl Entropy for SimulatedEntropy {
    fn fill(&self, buffer: &mut [u8]) {
        let mut chance = self.0.lock();
        for chunk in buffer.chunks_mut(8) {
            let bytes = chance.number().to_be_bytes();
            chunk.copy_from_slice(&bytes[..chunk.len()]);
        }
    }
}
