//! Opening and closing file systems.
//!
//! `DATA/fs-<17 hex>/` holds one: `superblock`, `lock`, `journal/`, `checkpoint/`, `index/`, `segments/`.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use object_store::ObjectStore;

use super::options::OpenOptions;
use crate::budgets::Budgets;
use crate::buffer::WriteBuffer;
use crate::data::{BlockCache, StandardTier};
use crate::disk::{Disk, keep_path};
use crate::error::{Error, OpenError, Result};
use crate::identity::{FileSystemId, InodeId};
use crate::keys::{DirectoryLock, IdentitySecret, KeyKeeper, KeyStatus};
use crate::metadata::{Store, StoreBudgets};
use crate::ops::access_log::AccessLog;
use crate::ops::damage::MetDamage;
use crate::records::SegmentRecord;
use crate::tiering::Tier;
use crate::tiers::ColdTier;
use crate::upkeep::{self, Busy, Collector, Upkeep};
use crate::volume::{InodeLocks, NameHasher, Pins, SpaceGuard, Uploads, Volume};

/// Does something with the keys of a file system that nobody has open, and says how they stand then.
pub(super) fn with_keys(
    data: &Path,
    id: FileSystemId,
    options: &OpenOptions,
    work: impl FnOnce(&KeyKeeper) -> Result<()>,
) -> Result<KeyStatus> {
    let home = data.join(id.to_string());
    let _lock = DirectoryLock::take(options.environment.disk.as_ref(), &home)?;
    let keys = KeyKeeper::open(&home, &options.environment, &options.key, id)?;
    work(&keys)?;
    Ok(KeyStatus::of(id, &keys, None))
}

pub(crate) async fn open(data: &Path, id: FileSystemId, options: OpenOptions) -> Result<Arc<Volume>> {
    open_with(data, id, options, Substitutes::default()).await
}

/// What is put in the place of what the options say, and of what an open does.
pub(crate) struct Substitutes {
    /// Hashes names, so that they collide.
    pub(crate) names: fn(&IdentitySecret) -> NameHasher,
    /// Holds the objects of the cold tier.
    pub(crate) objects: Option<Arc<dyn ObjectStore>>,
    /// Whether local segment files without a row stay: a repair may make the row anew.
    pub(crate) keeps_unknown_segments: bool,
}

impl Default for Substitutes {
    fn default() -> Self {
        Substitutes { names: NameHasher::new, objects: None, keeps_unknown_segments: false }
    }
}

/// Opens with substitutes.
pub(crate) async fn open_with(
    data: &Path,
    id: FileSystemId,
    options: OpenOptions,
    substitutes: Substitutes,
) -> Result<Arc<Volume>> {
    let home = data.join(id.to_string());
    let parts = {
        let (home, options) = (home.clone(), options.clone());
        crate::threads::blocking(move || open_parts(&home, id, &options)).await?
    };
    let environment = options.environment.clone();
    let cold = match substitutes.objects {
        Some(objects) => ColdTier::over(objects, &options.cold, id, environment, parts.keys.ring()),
        None => ColdTier::open(&options.cold, id, environment, parts.keys.ring())?,
    };
    cold.probe().await?;
    let names = (substitutes.names)(parts.keys.identity());
    let volume = Arc::new(Volume { names, ..assemble(home, id, options, parts, cold) });
    volume.start().await?;
    if !substitutes.keeps_unknown_segments {
        volume.remove_unknown_segments().await?;
    }
    upkeep::start(&volume);
    Ok(volume)
}

/// What is opened with blocking calls.
struct Parts {
    disk: Arc<dyn Disk>,
    keys: Arc<KeyKeeper>,
    store: Arc<Store>,
    standard: StandardTier,
    /// Let go of last: until they end, the threads of the store write.
    lock: DirectoryLock,
}

fn open_parts(home: &Path, id: FileSystemId, options: &OpenOptions) -> Result<Parts> {
    let disk = Arc::clone(&options.environment.disk);
    // First, so that nobody rotates the keys between.
    let lock = DirectoryLock::take(disk.as_ref(), home)?;
    // Whoever made it may have been killed before its name was durable, and would lose with it whatever is promised from now on.
    keep_path(disk.as_ref(), home)?;
    let keys = Arc::new(KeyKeeper::open(home, &options.environment, &options.key, id)?);
    let environment = options.environment.clone();
    let budgets = store_budgets(&options.budgets);
    let store = Store::open(home, Arc::clone(&disk), environment.clone(), keys.ring(), id, budgets)?;
    let segments = home.join("segments");
    let segment_bytes = options.budgets.segment_bytes;
    let standard =
        StandardTier::open(&segments, Arc::clone(&disk), environment, keys.ring(), id, segment_bytes)?;
    Ok(Parts { lock, disk, keys, store, standard })
}

fn assemble(home: PathBuf, id: FileSystemId, options: OpenOptions, parts: Parts, cold: ColdTier) -> Volume {
    let Parts { lock, disk, keys, store, standard } = parts;
    let budgets = options.budgets;
    let clock = Arc::clone(&options.environment.clock);
    let upkeep = Upkeep::new(store.passing());
    Volume {
        id,
        epoch: store.epoch(),
        names: NameHasher::new(keys.identity()),
        keys,
        environment: options.environment,
        budgets,
        store,
        standard,
        cold,
        cache: BlockCache::new(budgets.block_cache_bytes),
        buffer: WriteBuffer::new(),
        locks: InodeLocks::default(),
        pins: Pins::default(),
        access_log: AccessLog::default(),
        space: SpaceGuard::new(disk, home, clock, budgets.disk_reserve_bytes()),
        collector: Collector::default(),
        uploads: Uploads::default(),
        data_writes: tokio::sync::RwLock::new(()),
        appended: parking_lot::Mutex::default(),
        keep_orphans: AtomicBool::new(true),
        reservations: parking_lot::Mutex::default(),
        last_release: parking_lot::Mutex::new(None),
        upkeep,
        damage: MetDamage::default(),
        scrub: upkeep::Scrub::default(),
        reseal: parking_lot::Mutex::default(),
        closing: AtomicBool::new(false),
        _lock: lock,
    }
}

pub(super) fn store_budgets(budgets: &Budgets) -> StoreBudgets {
    StoreBudgets {
        journal_bytes: budgets.journal_bytes,
        overlay_bytes: budgets.overlay_bytes,
        index_cache_bytes: budgets.index_cache_bytes,
    }
}

impl Volume {
    /// Brings an opened volume into a state in which it can serve.
    async fn start(&self) -> Result<()> {
        match self.stored_inode(InodeId::ROOT) {
            Ok(_) => {}
            Err(Error::Stale) if self.totals()?.inodes == 0 => {
                self.make_root()?.durable().await?;
            }
            Err(Error::Stale) => {
                let what = "the root directory is missing".to_owned();
                return Err(Error::Open(OpenError::Damaged { path: self.id.to_string().into(), what }));
            }
            Err(error) => return Err(error),
        }
        self.check_cold_store().await
    }

    /// Whether the store is the one that holds this file system's cold data: one object is looked at.
    async fn check_cold_store(&self) -> Result<()> {
        let cold = |record: &SegmentRecord| record.tier == Tier::InfrequentAccess && record.live_bytes > 0;
        let Some((segment, _)) = self.segments()?.into_iter().find(|(_, record)| cold(record)) else {
            return Ok(());
        };
        match self.cold.directory(segment).await {
            Ok(_) => Ok(()),
            Err(error @ (Error::Unavailable { .. } | Error::Halted { .. })) => Err(error),
            Err(error) => {
                let what = format!(
                    "it does not hold the cold data of {}: object {segment}: {error}; name the bucket and prefix (or the \
                     directory) that this file system was used with before",
                    self.id
                );
                Err(Error::Open(OpenError::ColdStore { what }))
            }
        }
    }

    /// A number that is new with every start, as UNSTABLE data may be lost with every stop.
    pub(super) fn write_verifier(&self) -> [u8; 8] {
        let secret = self.keys.identity().derive_secret("write-verifier", &self.epoch.0.to_be_bytes());
        secret.first_chunk::<8>().copied().unwrap_or_default()
    }

    /// Flushes everything and closes the store.
    pub(crate) async fn shutdown(&self) -> Result<()> {
        self.closing.store(true, Ordering::Release);
        self.scrub.stop().await;
        self.store.hasten();
        self.upkeep.stop().await;
        self.write_back(Busy::Awaited, || true).await?;
        self.fold_accesses().await?;
        self.store.close().await
    }
}
