//! Verification and repair of a file system that no server has open. Verification changes nothing, and goes as far as damage lets it.
//!
//! The files of the metadata are read raw first. What they say together is then looked at like an open file system, by way of
//! checkpoint and journal. The index is not asked: they can rebuild it at any time, and sled cannot be opened without writing, even if
//! nothing is asked of it but to read. A repair discards it instead.
//!
//! # Crash consistency
//! A repair first removes the marker of the index, durably, without which the next open builds the index anew. It does so only if
//! checkpoints and journal are whole: as long as one of these is damaged, the index may be all that has what they lost.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;

use super::deep;
use super::options::{Stage, VerifyOptions, VerifyProgress};
use super::problem::Problem;
use super::report::{Finding, Repaired, VerifyReport};
use super::site::Site;
use super::structure::Found;
use crate::data::StandardTier;
use crate::disk::Disk;
use crate::environment::Environment;
use crate::error::{Error, OpenError, Result};
use crate::file_system::OpenOptions;
use crate::file_system::open::{Substitutes, open_with};
use crate::home::Home;
use crate::identity::FileSystemId;
use crate::keys::{DirectoryLock, IdentitySecret, KeyKeeper};
use crate::metadata::offline::OfflineStore;
use crate::tiers::ColdTier;
use crate::volume::{Look, NameHasher};

impl Look for OfflineStore {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>> {
        OfflineStore::get(self, key)
    }

    fn scan(&self, from: &[u8], to: &[u8], limit: usize) -> Result<Vec<(Bytes, Bytes)>> {
        OfflineStore::scan(self, from, to, limit)
    }
}

/// A file system that is not open.
pub(super) struct Offline<'a> {
    pub(super) disk: Arc<dyn Disk>,
    /// Its directory.
    pub(super) directory: &'a Path,
    pub(super) id: FileSystemId,
    pub(super) open: &'a OpenOptions,
}

/// Verifies a file system below the data directory, which no process may have open.
pub(crate) async fn verify(
    data: &Path,
    id: FileSystemId,
    open: &OpenOptions,
    options: &VerifyOptions,
    progress: &VerifyProgress,
) -> Result<VerifyReport> {
    verify_with(data, id, open, (options, progress), NameHasher::new).await
}

async fn verify_with(
    data: &Path,
    id: FileSystemId,
    open: &OpenOptions,
    (options, progress): (&VerifyOptions, &VerifyProgress),
    hasher: fn(&IdentitySecret) -> NameHasher,
) -> Result<VerifyReport> {
    let directory = data.join(id.to_string());
    let _lock = DirectoryLock::take(open.environment.disk.as_ref(), &directory)?;
    let (open, options, progress) = (open.clone(), options.clone(), progress.clone());
    super::aside(async move {
        let disk = Arc::clone(&open.environment.disk);
        let offline = Offline { disk, directory: &directory, id, open: &open };
        offline.check(&options, &progress, hasher).await
    })
    .await
}

/// Verifies, and mends what can be mended, unless files of the metadata are damaged.
pub(crate) async fn repair(
    data: &Path,
    id: FileSystemId,
    open: &OpenOptions,
    (options, progress): (&VerifyOptions, &VerifyProgress),
    substitutes: Substitutes,
) -> Result<Repaired> {
    let report = verify_with(data, id, open, (options, progress), substitutes.names).await?;
    let damaged = |finding: &Finding| matches!(finding.problem, Problem::FileDamaged { .. });
    if report.findings.iter().any(damaged) {
        let failed = "repair anything before the files that are damaged are put back: nothing was changed";
        return Ok(Repaired { failed: vec![failed.to_owned()], report, ..Repaired::default() });
    }
    distrust_index(data, id, open)?;
    if report.is_clean() {
        let done = "discard the metadata index: the next start builds it anew".to_owned();
        return Ok(Repaired { done: vec![done], report, ..Repaired::default() });
    }
    // Nothing may be removed before that a repair still finds a use for.
    let substitutes = Substitutes { keeps_unknown_segments: true, ..substitutes };
    let volume = match open_with(data, id, open.clone(), substitutes).await {
        Ok(volume) => volume,
        Err(error) => {
            let failed = format!("repair it, since it cannot be opened: {error}");
            return Ok(Repaired { failed: vec![failed], report, ..Repaired::default() });
        }
    };
    let repaired = volume.repair(options, progress).await;
    let done = match volume.store.until_index_is_built().await {
        true => "build the metadata index anew",
        false => "discard the metadata index: it is built anew when it can be",
    };
    volume.shutdown().await?;
    let mut repaired = repaired?;
    repaired.done.insert(0, done.to_owned());
    Ok(repaired)
}

/// Removes the marker of the index, so that the next open builds it anew.
fn distrust_index(data: &Path, id: FileSystemId, open: &OpenOptions) -> Result<()> {
    let (directory, disk) = (data.join(id.to_string()), open.environment.disk.as_ref());
    let _lock = DirectoryLock::take(disk, &directory)?;
    let marker = directory.join("index.marker");
    disk.remove(&marker).map_err(Error::io("cannot remove", &marker))?;
    crate::disk::sync_parent(disk, &marker)
}

impl Offline<'_> {
    pub(super) async fn check(
        &self,
        options: &VerifyOptions,
        progress: &VerifyProgress,
        hasher: impl FnOnce(&IdentitySecret) -> NameHasher,
    ) -> Result<VerifyReport> {
        let mut found = Found::new(options.findings_max);
        progress.enter(Stage::Metadata, 0);
        let Some(keys) = self.keys(&mut found)? else { return Ok(unnamed(found)) };
        let home = self.home(&keys);
        deep::raw(&home, self.directory, &mut found)?;
        let store = match OfflineStore::load(&home, self.directory, |bytes| progress.advance(bytes)) {
            Ok(store) => store,
            Err(error) => {
                deep::file_damage(error, &mut found)?;
                found.unsettled.push("what the damaged files say could not be looked at".to_owned());
                return Ok(unnamed(found));
            }
        };
        let disk = Arc::clone(&self.disk);
        let environment = self.open.environment.clone();
        let segments = self.directory.join("segments");
        let standard =
            StandardTier::open(&segments, disk, environment.clone(), keys.ring(), self.id, u64::MAX)?;
        let cold = ColdTier::open(&self.open.cold, self.id, environment, keys.ring())?;
        let names = hasher(keys.identity());
        let site = Site {
            look: &store,
            names: &names,
            home: &home,
            directory: self.directory,
            standard: &standard,
            cold: &cold,
            live: None,
        };
        super::site_report(&site, options, progress, found).await
    }

    /// Unlocks the file system; `None` if its superblock is damaged, without which nothing can be read.
    pub(super) fn keys(&self, found: &mut Found) -> Result<Option<KeyKeeper>> {
        match KeyKeeper::open(self.directory, &self.environment(), &self.open.key, self.id) {
            Ok(keeper) => Ok(Some(keeper)),
            Err(error @ Error::Open(OpenError::Damaged { .. } | OpenError::UnknownVersion { .. })) => {
                deep::file_damage(error, found)?;
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    pub(super) fn home(&self, keys: &KeyKeeper) -> Home {
        let (disk, environment) = (Arc::clone(&self.disk), self.environment());
        Home { disk, environment, keys: keys.ring().clone(), file_system: self.id }
    }

    fn environment(&self) -> Environment {
        Environment { disk: Arc::clone(&self.disk), ..self.open.environment.clone() }
    }
}

/// A report without the names of files: there is nowhere to look them up.
fn unnamed(found: Found) -> VerifyReport {
    super::names::name(&Nothing, found)
}

struct Nothing;

impl Look for Nothing {
    fn get(&self, _key: &[u8]) -> Result<Option<Bytes>> {
        Ok(None)
    }

    fn scan(&self, _from: &[u8], _to: &[u8], _limit: usize) -> Result<Vec<(Bytes, Bytes)>> {
        Ok(Vec::new())
    }
}
