//! A cold tier: each segment is one object with one batch.
//!
//! The object of a segment is `PREFIX/FILE-SYSTEM-ID/segments/XX/ID`: the id in 32 hexadecimal digits, and its first two
//! again, so that a local directory stays of bearable width. Its bytes are those of [`crate::data::format`].
//!
//! # Crash consistency
//! [`ColdTier::put`] returns when the object is there and was read back (rule D2: the caller journals its extents only
//! then). A crash or an error before that can leave an object that nobody points to: the caller announced it in a record
//! before, and removes it later; the probe of a start that was killed is removed by the next one. An object is written once, under a random name, and never changed.
//! [`ColdTier::delete`] can be repeated. In a local directory a deletion is not synced: after a power loss the object may be back, as an orphan.

#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
#[cfg(test)]
pub(crate) mod golden;
mod local;
mod location;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use bytes::Bytes;
use futures::future::try_join_all;
use object_store::ObjectStore;
use object_store::path::Path;

use super::probe;
use super::store::{Reply, Request, Stack, StoreError};
use crate::broken::{Broken, broken};
use crate::data::block::{BlockAddress, BlockIdentity, PlainBlock};
use crate::data::format::{
    BATCH_HEADER_BYTES, DirectoryEntry, HEADER_BYTES, PackedBlock, SegmentOpener, SegmentSealer,
};
use crate::data::runs::{Run, RunLimits, Wanted, runs, slice_of};
use crate::environment::Environment;
use crate::error::{Error, OpenError, Result};
use crate::file_system::ColdStoreConfig;
use crate::identity::{FileSystemId, SegmentId};
use crate::keys::KeyRing;
use crate::threads::blocking;
use crate::tiering::Requests;
use local::LocalObjects;
use location::Location;

/// A request costs about as much as 64 KiB of transfer; a longer one delays the first byte too much.
const RUN_LIMITS: RunLimits = RunLimits { gap_bytes_max: 64 * 1024, run_bytes_max: 1 << 20 };
/// What is read first of an object's directory: enough for 5,000 blocks.
const DIRECTORY_GUESS_BYTES: u64 = 128 * 1024;

/// A cold tier of one file system.
pub(crate) struct ColdTier {
    stack: Stack,
    location: Location,
    local: LocalObjects,
    file_system: FileSystemId,
    keys: KeyRing,
    environment: Environment,
}

impl ColdTier {
    /// Prepares the connection; nothing is sent yet. A local directory is made if it is not there.
    pub(crate) fn open(
        config: &ColdStoreConfig,
        file_system: FileSystemId,
        environment: Environment,
        keys: &KeyRing,
    ) -> Result<ColdTier> {
        Ok(Self::over(location::open_store(config)?, config, file_system, environment, keys))
    }

    /// A cold tier in a store that is open.
    pub(crate) fn over(
        objects: Arc<dyn ObjectStore>,
        config: &ColdStoreConfig,
        file_system: FileSystemId,
        environment: Environment,
        keys: &KeyRing,
    ) -> ColdTier {
        let location = Location::new(config, file_system);
        let (stack, local) = (Stack::new(objects, &environment), LocalObjects::of(config));
        ColdTier { stack, location, local, file_system, keys: keys.clone(), environment }
    }

    /// Finds out whether the store can do what tidefs needs; [`OpenError::ColdStore`] says what is wrong. Takes at most
    /// about ten seconds.
    pub(crate) async fn probe(&self) -> Result<()> {
        let mut id = [0; 16];
        self.environment.entropy.fill(&mut id);
        let name = SegmentId(id).to_string();
        // A start that was killed has left its probe there, and the file system has one owner.
        self.local.clear_folder(&self.location.probes()).await?;
        let probed = probe::probe(self.stack.impatient.as_ref(), self.location.probes(), &name).await;
        probed.map_err(|fault| {
            let what = format!("{}: {fault}", self.location);
            Error::Open(OpenError::ColdStore { what })
        })
    }

    /// Stores blocks as one object and says where each of them stands. The object is complete and verified when this returns.
    ///
    /// An id is used for one list of blocks only: another list would be sealed with the same counters. So after an error
    /// either the same blocks are put again, or a new id is taken.
    pub(crate) async fn put(&self, segment: SegmentId, blocks: Vec<PlainBlock>) -> Result<Vec<BlockAddress>> {
        let (file_system, keys) = (self.file_system, self.keys.clone());
        let (content, addresses) = blocking(move || seal(file_system, &keys, segment, blocks)).await?;
        let path = self.location.segment(segment);
        let create = Request::Create { path: path.clone(), content: content.clone().into() };
        match self.stack.store.call(&create).await {
            // That it exists may mean that an earlier try took effect and its answer was lost.
            Ok(_) | Err(StoreError::AlreadyExists) => {}
            Err(error) => return Err(failed(&create, error)),
        }
        if !broken(Broken::ObjectNotVerified) {
            self.verify(path.clone(), &content).await?;
        }
        self.local.keep(&path).await?;
        Ok(addresses)
    }

    /// Reads a block with one request.
    pub(crate) async fn read(&self, address: &BlockAddress, identity: BlockIdentity) -> Result<Bytes> {
        let mut blocks = self.read_many(&[(*address, identity)]).await?;
        blocks.pop().ok_or_else(|| Error::corrupt("a read gave no block"))
    }

    /// Reads blocks, neighbours with one request, and returns them in the order asked for.
    pub(crate) async fn read_many(&self, wanted: &[Wanted]) -> Result<Vec<Bytes>> {
        let parts =
            try_join_all(runs(wanted, RUN_LIMITS).into_iter().map(|run| self.read_run(run, wanted))).await?;
        let mut blocks = vec![Bytes::new(); wanted.len()];
        for (position, bytes) in parts.into_iter().flatten() {
            if let Some(block) = blocks.get_mut(position) {
                *block = bytes;
            }
        }
        Ok(blocks)
    }

    /// Deletes a segment's object, and what an upload left of it that was interrupted; one that is gone is no error.
    pub(crate) async fn delete(&self, segment: SegmentId) -> Result<()> {
        let path = self.location.segment(segment);
        self.local.clear(&path).await?;
        let request = Request::Delete { path };
        match self.stack.store.call(&request).await {
            Ok(_) | Err(StoreError::NotFound) => Ok(()),
            Err(_) if broken(Broken::DeletionNotChecked) => Ok(()),
            // This one: others may go.
            Err(StoreError::Denied(reason) | StoreError::Refused(reason)) => {
                tracing::debug!(%request, reason, "the object store refuses to delete");
                Err(Error::Invalid { what: "the object store refuses to delete an object" })
            }
            Err(error) => Err(failed(&request, error)),
        }
    }

    /// Deletes an object that is of no segment: one of [`ColdTier::strays`].
    pub(crate) async fn delete_stray(&self, name: &str) -> Result<()> {
        let request = Request::Delete { path: Path::from(name) };
        match self.stack.store.call(&request).await {
            Ok(_) | Err(StoreError::NotFound) => Ok(()),
            Err(error) => Err(failed(&request, error)),
        }
    }

    /// Every block in a segment.
    pub(crate) async fn directory(&self, segment: SegmentId) -> Result<Vec<DirectoryEntry>> {
        let opener = SegmentOpener::new(self.file_system, &self.keys, segment)?;
        let cut_short = || Error::corrupt(format!("segment {segment}: the directory is cut short"));
        let (mut start, object_bytes) = self.get(segment, 0..DIRECTORY_GUESS_BYTES).await?;
        let (header, rest) = start.split_at_checked(HEADER_BYTES).ok_or_else(cut_short)?;
        opener.open_header(header)?;
        let batch = rest.get(..BATCH_HEADER_BYTES).ok_or_else(cut_short)?;
        let batch = opener.open_batch_header(HEADER_BYTES as u64, batch)?;
        let directory = batch.directory_offset()..batch.directory_offset() + batch.directory_bytes() as u64;
        if batch.end() != object_bytes {
            let what = format!("segment {segment}: the object has {object_bytes} bytes, not {}", batch.end());
            return Err(Error::corrupt(what));
        }
        let mut offset = 0;
        if directory.end > start.len() as u64 {
            (start, _) = self.get(segment, directory.clone()).await?;
            offset = directory.start;
        }
        let from = usize::try_from(directory.start - offset).map_err(|_| cut_short())?;
        let bytes = start.get(from..from + batch.directory_bytes()).ok_or_else(cut_short)?;
        opener.open_directory(&batch, bytes)
    }

    /// An object of that length, whole, in memory.
    pub(crate) async fn whole(&self, segment: SegmentId, length: u64) -> Result<Bytes> {
        Ok(self.get(segment, 0..length.max(1)).await?.0)
    }

    /// What opens the blocks of a segment.
    pub(crate) fn opener(&self, segment: SegmentId) -> Result<SegmentOpener> {
        SegmentOpener::new(self.file_system, &self.keys, segment)
    }

    /// The names of objects below the file system's prefix that are of no segment. A list may show what was deleted, so that each is
    /// asked for.
    pub(crate) async fn strays(&self) -> Result<Vec<String>> {
        let request = Request::List { prefix: self.location.everything() };
        let objects = match self.stack.store.call(&request).await {
            Ok(Reply::Objects(objects)) => objects,
            Ok(_) | Err(StoreError::NotFound) => Vec::new(),
            Err(error) => return Err(failed(&request, error)),
        };
        let mut strays = Vec::new();
        for object in objects.iter().filter(|object| self.location.parse(&object.location).is_none()) {
            if self.length_of(object.location.clone()).await?.is_some() {
                strays.push(object.location.to_string());
            }
        }
        Ok(strays)
    }

    /// How long the object of a segment is; `None` if there is none. Unlike a list this is never stale.
    pub(crate) async fn length(&self, segment: SegmentId) -> Result<Option<u64>> {
        self.length_of(self.location.segment(segment)).await
    }

    /// Asked with a GET: the answer to a HEAD has no body that says what was not found, the object or the whole bucket.
    async fn length_of(&self, path: Path) -> Result<Option<u64>> {
        let request = Request::Get { path, range: 0..1 };
        match self.stack.store.call(&request).await {
            Ok(Reply::Content { object_bytes, .. }) => Ok(Some(object_bytes)),
            Err(StoreError::TooShort) => Ok(Some(0)),
            Err(StoreError::NotFound) => Ok(None),
            Ok(_) => Err(Error::corrupt(format!("{request} was answered with something else"))),
            Err(error) => Err(failed(&request, error)),
        }
    }

    /// All segments with the lengths of their objects. For verification only: the list may be stale.
    pub(crate) async fn list(&self) -> Result<Vec<(SegmentId, u64)>> {
        let request = Request::List { prefix: self.location.segments() };
        let objects = match self.stack.store.call(&request).await {
            Ok(Reply::Objects(objects)) => objects,
            Ok(_) | Err(StoreError::NotFound) => Vec::new(),
            Err(error) => return Err(failed(&request, error)),
        };
        Ok(objects
            .iter()
            .filter_map(|object| Some((self.location.parse(&object.location)?, object.size)))
            .collect())
    }

    /// Requests since the start.
    pub(crate) fn requests(&self) -> Requests {
        self.stack.meter.requests()
    }

    /// What is wrong with the store now, if anything.
    pub(crate) fn health(&self) -> Option<String> {
        self.stack.circuit.failure()
    }

    async fn read_run(&self, run: Run, wanted: &[Wanted]) -> Result<Vec<(usize, Bytes)>> {
        let (bytes, _) = self.get(run.segment, run.range.clone()).await?;
        let members: Vec<(usize, Wanted)> =
            run.members.iter().filter_map(|&member| Some((member, *wanted.get(member)?))).collect();
        let opener = SegmentOpener::new(self.file_system, &self.keys, run.segment)?;
        blocking(move || {
            let open = |(position, (address, identity)): (usize, Wanted)| {
                let opened = opener.open_frame(&address, identity, slice_of(&run, &bytes, &address))?;
                Ok((position, opened))
            };
            members.into_iter().map(open).collect()
        })
        .await
    }

    async fn get(&self, segment: SegmentId, range: std::ops::Range<u64>) -> Result<(Bytes, u64)> {
        let request = Request::Get { path: self.location.segment(segment), range };
        match self.stack.store.call(&request).await {
            Ok(Reply::Content { bytes, object_bytes }) => Ok((bytes, object_bytes)),
            Ok(_) => Err(Error::corrupt(format!("{request} was answered with something else"))),
            Err(StoreError::NotFound) => {
                Err(Error::corrupt(format!("segment {segment} is missing in the object store")))
            }
            Err(StoreError::TooShort) => {
                Err(Error::corrupt(format!("segment {segment}: the object is cut short")))
            }
            Err(error) => Err(failed(&request, error)),
        }
    }

    /// Reads the object back and compares every byte: a store that says yes and keeps something else loses data only later.
    async fn verify(&self, path: Path, content: &Bytes) -> Result<()> {
        let length = content.len() as u64;
        let request = Request::Get { path, range: 0..length };
        let differs = |what: &str| failed(&request, StoreError::Refused(format!("after the upload {what}")));
        match self.stack.store.call(&request).await {
            Ok(Reply::Content { bytes, object_bytes }) if object_bytes == length => {
                if bytes == content {
                    Ok(())
                } else {
                    Err(differs("the object has other bytes"))
                }
            }
            Ok(_) | Err(StoreError::TooShort) => Err(differs("the object has another length")),
            Err(StoreError::NotFound) => Err(differs("the object is not there")),
            Err(error) => Err(failed(&request, error)),
        }
    }
}

fn seal(
    file_system: FileSystemId,
    keys: &KeyRing,
    segment: SegmentId,
    blocks: Vec<PlainBlock>,
) -> Result<(Bytes, Vec<BlockAddress>)> {
    let packed = blocks.into_iter().map(PackedBlock::compressed).collect::<Result<Vec<_>>>()?;
    let mut object = Vec::new();
    let mut sealer = SegmentSealer::begin(file_system, keys, segment, &mut object)?;
    let addresses = sealer.seal_batch(&packed, &mut object)?;
    Ok((object.into(), addresses))
}

/// Nothing is lost by a failed request, so the caller may try again; later if it takes a person to mend it.
fn failed(request: &Request, error: StoreError) -> Error {
    const UNTIL_MENDED: std::time::Duration = std::time::Duration::from_secs(10);
    let (reason, retry_after) = match error {
        StoreError::NoSpace => return Error::NoSpace,
        StoreError::Unavailable { reason, retry_after } => (reason, retry_after),
        other => (format!("{request}: {other}"), UNTIL_MENDED),
    };
    Error::Unavailable { reason: format!("the object store is unavailable ({reason})"), retry_after }
}
