//! A real file system behind the NFS program, for requests. It is made anew from time to time.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use engine::{
    Budgets, Clock, ColdStoreConfig, Entropy, Environment, FileSystem, KeyFile, KeySource, OpenOptions,
    Timestamp,
};
use parking_lot::Mutex;

use crate::export::Export;
use crate::fuzzing::must;
use crate::nfs4::service::{ConnectionState, Service};
use crate::rpc::Call;
use crate::xdr::Writer;

/// Runs between two worlds: what inputs leave behind does not grow without a bound.
const USES_MAX: u32 = 5000;

/// The NFS program on a file system of its own.
pub(super) struct World {
    runtime: tokio::runtime::Runtime,
    service: Service,
    file_system: FileSystem,
    directory: PathBuf,
    connection: ConnectionState,
    uses: u32,
    xid: u32,
}

static WORLD: Mutex<Option<World>> = Mutex::new(None);

/// Uses the world, which is made if there is none.
pub(super) fn with<T>(prepare: fn(&mut World), using: impl FnOnce(&mut World) -> T) -> T {
    let mut kept = WORLD.lock();
    if kept.as_ref().is_some_and(|world| world.uses >= USES_MAX)
        && let Some(old) = kept.take()
    {
        old.end();
    }
    let world = kept.get_or_insert_with(|| {
        let mut world = World::make();
        prepare(&mut world);
        world
    });
    world.uses += 1;
    using(world)
}

/// Ends the world and removes its files.
#[cfg(test)]
pub(crate) fn end() {
    if let Some(world) = WORLD.lock().take() {
        world.end();
    }
}

impl World {
    fn make() -> World {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let directory = std::env::temp_dir().join(format!("tidefs-fuzz-{}-{number}", std::process::id()));
        let data = directory.join("data");
        must(std::fs::create_dir_all(&data));
        let options = options(&directory);
        must(KeyFile::create(&directory.join("key"), options.environment.entropy.as_ref()));
        let id = must(FileSystem::make(&data, &options));
        let runtime = must(tokio::runtime::Builder::new_current_thread().enable_all().build());
        let environment = options.environment.clone();
        let file_system = must(runtime.block_on(FileSystem::open(&data, id, options)));
        let lease = Duration::from_secs(1 << 20);
        let service = must(Service::start(Export::new(file_system.clone()), environment, lease));
        World {
            runtime,
            service,
            file_system,
            directory,
            connection: ConnectionState::default(),
            uses: 0,
            xid: 0,
        }
    }

    fn end(self) {
        drop(self.service);
        must(self.runtime.block_on(self.file_system.shutdown()));
        drop(self.file_system);
        drop(self.runtime);
        must(std::fs::remove_dir_all(&self.directory));
    }

    /// The reply to a record, without its mark; nothing if the record is not a call that can be executed.
    pub(super) fn call(&mut self, record: Bytes) -> Option<Bytes> {
        let call = Call::decode(record).ok()?;
        let reply = self.runtime.block_on(self.service.call(call, &self.connection));
        Some(Bytes::from(reply.concat()).split_off(4))
    }

    /// The reply to a COMPOUND of the superuser.
    pub(super) fn compound(&mut self, body: &[u8]) -> Bytes {
        self.xid += 1;
        let mut system = Writer::new();
        system.u32(0);
        system.opaque(b"fuzz");
        for value in [0, 0, 0] {
            system.u32(value);
        }
        let mut record = Writer::new();
        for value in [self.xid, 0, 2, 100_003, 4, 1, 1] {
            record.u32(value);
        }
        record.opaque(&system.finish().concat());
        record.u32(0);
        record.opaque(b"");
        let record = [record.finish().concat(), body.to_vec()].concat();
        self.call(Bytes::from(record)).unwrap_or_default()
    }

    /// A number that was not given before.
    pub(super) fn number(&mut self) -> u32 {
        self.xid += 1;
        self.xid
    }

    /// The handle of the root.
    pub(super) fn root_handle(&self) -> Vec<u8> {
        let root = must(self.file_system.attributes(engine::InodeId::ROOT));
        self.service.handles.encode(root.inode, root.generation).to_vec()
    }
}

fn options(directory: &Path) -> OpenOptions {
    let mut environment = Environment::system();
    environment.clock = Arc::new(Steps::default());
    environment.entropy = Arc::new(Steps::default());
    OpenOptions {
        key: KeySource::File(directory.join("key")),
        cold: ColdStoreConfig::Directory(directory.join("cold")),
        environment,
        budgets: Budgets {
            journal_bytes: 16 << 20,
            overlay_bytes: 8 << 20,
            index_cache_bytes: 8 << 20,
            write_buffer_bytes: 16 << 20,
            block_cache_bytes: 8 << 20,
            segment_bytes: 8 << 20,
            ..Budgets::default()
        },
    }
}

/// Time that goes on with each look, and numbers that never repeat: nearly the same in every run.
#[derive(Default)]
struct Steps(AtomicU64);

impl Clock for Steps {
    fn now(&self) -> Timestamp {
        let milliseconds = self.0.fetch_add(1, Ordering::Relaxed);
        let nanoseconds = u32::try_from(milliseconds % 1000).unwrap_or_default() * 1_000_000;
        Timestamp { seconds: 1_700_000_000 + (milliseconds / 1000).cast_signed(), nanoseconds }
    }

    fn monotonic(&self) -> Duration {
        Duration::from_millis(self.0.fetch_add(1, Ordering::Relaxed))
    }
}

impl Entropy for Steps {
    fn fill(&self, buffer: &mut [u8]) {
        for part in buffer.chunks_mut(8) {
            let step = self.0.fetch_add(1, Ordering::Relaxed) + 1;
            let mixed = (step ^ step << 31).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
            for (place, byte) in part.iter_mut().zip(mixed.wrapping_mul(0xbf58_476d_1ce4_e5b9).to_be_bytes())
            {
                *place = byte;
            }
        }
    }
}
