//! Metadata checkpoints: sorted, sealed, synced files from which the index can be built anew, and which are read in its place until it is.
//! One base and deltas after it.
//!
//! # Crash consistency
//! A file counts only when the manifest names it. The manifest is replaced atomically after the files in it are durable (D3), and a
//! file is removed only when no durable manifest names it (D4). A crash can leak files; the next open removes them.

mod cache;
mod file;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
#[cfg(test)]
pub(crate) mod golden;
mod manifest;
mod reader;
mod stand_in;
mod tree;
mod view;
mod writer;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::merge::{Layer, Merge};
use super::overlay::{Entry, Frozen};
use crate::disk::{OpenHow, sync_parent};
use crate::error::{Error, Result};
use crate::home::Home;
use crate::identity::{Epoch, KeyGeneration, Lsn};
use crate::limits::{DELTA_BYTES_KEPT, DELTAS_MAX};
use crate::threads::Mutex;

use cache::ChunkCache;
pub(crate) use file::Kind;
pub(crate) use manifest::{FileEntry, Manifest};
use reader::CheckpointFile;
pub(crate) use stand_in::StandIn;
pub(crate) use view::CheckpointView;

/// The checkpoints of an open store.
pub(crate) struct Checkpoints {
    home: Home,
    directory: PathBuf,
    /// What the durable manifest says.
    manifest: Mutex<Manifest>,
    /// Held while another one is made durable.
    publishing: Mutex<()>,
    next_number: AtomicU64,
    /// Names of files that are being written, or were replaced and are being removed.
    passing: Mutex<BTreeSet<String>>,
}

/// Files that should become one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MergePlan {
    kind: Kind,
    /// Oldest first; they follow each other in the manifest.
    files: Vec<FileEntry>,
}

impl MergePlan {
    /// The plan, or what of it there is room for: the oldest row of deltas that fit, if they are worth it. `None` if nothing is.
    fn within(&self, free: u64) -> Option<MergePlan> {
        let bytes: u64 = self.files.iter().map(|file| file.bytes).sum();
        if bytes <= free {
            return Some(self.clone());
        }
        let deltas: Vec<FileEntry> =
            self.files.iter().filter(|file| file.kind == Kind::Delta).copied().collect();
        let fitting = |rest: &[FileEntry]| {
            let mut room = free;
            let fits = |file: &&FileEntry| {
                let fits = file.bytes <= room;
                room = room.saturating_sub(file.bytes);
                fits
            };
            rest.iter().take_while(fits).count()
        };
        // Large ones at the beginning do not keep the many small ones behind them.
        let mut rest = deltas.as_slice();
        while !rest.is_empty() {
            let count = fitting(rest);
            if count > DELTAS_MAX {
                let files = rest.iter().take(count).copied().collect();
                return Some(MergePlan { kind: Kind::Delta, files });
            }
            rest = rest.get(1..).unwrap_or_default();
        }
        None
    }
}

/// Files in the manifest, below what it could say of them and what a process may open: whoever stands in for the index, whoever builds
/// it, and a merge may have all of them open.
const FILES_MAX: usize = 256;

impl Checkpoints {
    /// Makes the directory and an empty manifest.
    pub(crate) fn create(home: &Home, directory: &Path) -> Result<()> {
        home.disk.create_directory(directory).map_err(Error::io("cannot create", directory))?;
        sync_parent(home.disk.as_ref(), directory)?;
        Manifest { epoch: Epoch(0), index: home.random_id(), files: Vec::new(), journaled: None }
            .publish(home, directory)
    }

    /// Reads the manifest.
    pub(crate) fn open(home: &Home, directory: &Path) -> Result<Self> {
        let manifest = Manifest::read(home, directory)?;
        let last_number = manifest.files.iter().map(|file| file.number).max().unwrap_or(0);
        Ok(Checkpoints {
            home: home.clone(),
            directory: directory.to_owned(),
            manifest: Mutex::new(manifest),
            publishing: Mutex::default(),
            next_number: AtomicU64::new(last_number.saturating_add(1)),
            passing: Mutex::default(),
        })
    }

    /// What the durable manifest says.
    pub(crate) fn manifest(&self) -> Manifest {
        self.manifest.lock().clone()
    }

    /// The last record that stands in the files of the manifest.
    pub(crate) fn covered(&self) -> Lsn {
        self.manifest.lock().covered()
    }

    /// Begins a new epoch, with this index.
    pub(crate) fn begin_epoch(&self, index: [u8; 16]) -> Result<Epoch> {
        self.publish(|manifest| {
            let exhausted = Error::Invalid { what: "started more than 4 billion times" };
            manifest.epoch = Epoch(manifest.epoch.0.checked_add(1).ok_or(exhausted)?);
            manifest.index = index;
            Ok(manifest.epoch)
        })
    }

    /// Removes the files that a crash left behind.
    pub(crate) fn remove_strays(&self) -> Result<()> {
        let manifest = self.manifest();
        let names =
            self.home.disk.list(&self.directory).map_err(Error::io("cannot list", &self.directory))?;
        // Whoever gave the manifest its name may have been killed before that was durable, and the old one names what goes now.
        self.home.disk.sync_directory(&self.directory).map_err(Error::io("cannot sync", &self.directory))?;
        for name in names {
            let known = name == manifest::NAME || manifest.files.iter().any(|file| file.name() == name);
            if !known {
                let path = self.directory.join(&name);
                self.home.disk.remove(&path).map_err(Error::io("cannot remove", &path))?;
            }
        }
        Ok(())
    }

    /// The names of files that are of no use.
    pub(crate) fn strays(&self) -> Result<Vec<String>> {
        // A file is in one of the two before it is in the directory.
        let names =
            self.home.disk.list(&self.directory).map_err(Error::io("cannot list", &self.directory))?;
        let (manifest, passing) = (self.manifest.lock(), self.passing.lock());
        let known = |name: &String| {
            [manifest::NAME, manifest::NAME_NEW].contains(&name.as_str())
                || passing.contains(name)
                || manifest.files.iter().any(|file| file.name() == *name)
        };
        let strays: Vec<String> = names.into_iter().filter(|name| !known(name)).collect();
        drop((manifest, passing));
        let there = |name: &String| self.home.disk.open(&self.directory.join(name), OpenHow::Read).is_ok();
        Ok(strays.into_iter().filter(there).collect())
    }

    /// Makes the changes of a frozen map durable as a delta; `journaled` is the last of its records that the journal has, if not all. After
    /// an error the same may be tried again: it is a new file then.
    pub(crate) fn add_delta(&self, frozen: &Frozen, journaled: Option<Lsn>) -> Result<()> {
        if self.manifest.lock().files.len() >= FILES_MAX {
            // Merging is behind for want of space, and a manifest of any length could not be read again.
            return Err(Error::NoSpace);
        }
        // Half of a file would only take from others what they could still use, again and again.
        let bytes = |(key, value): (&bytes::Bytes, &Option<bytes::Bytes>)| {
            (key.len() + value.as_ref().map_or(0, bytes::Bytes::len)) as u64
        };
        let free = self.home.disk.free_bytes(&self.directory).unwrap_or(u64::MAX);
        if frozen.lasting().map(bytes).sum::<u64>() > free {
            return Err(Error::NoSpace);
        }
        let range = (frozen.first, frozen.last);
        let entries = frozen.lasting().map(|(key, value)| Ok((key.clone(), value.clone())));
        let file = self.write(Kind::Delta, range, Box::new(entries))?;
        let published = self.publish(|manifest| {
            manifest.files.push(file);
            manifest.journaled = journaled;
            Ok(())
        });
        self.settle(&file, published)
    }

    /// Ends the passing of a file that the manifest should name. If it does not, the file would keep the room that the next try needs.
    fn settle<T>(&self, file: &FileEntry, published: Result<T>) -> Result<T> {
        let is_named = |manifest: Manifest| manifest.files.iter().any(|named| named.number == file.number);
        match &published {
            Ok(_) => {}
            // Whether it got its name before that is seen where the next start looks.
            Err(_) if Manifest::read(&self.home, &self.directory).map_or(true, is_named) => return published,
            Err(_) => self.discard(file),
        }
        self.passing.lock().remove(&file.name());
        published
    }

    fn discard(&self, file: &FileEntry) {
        let path = self.directory.join(file.name());
        if let Err(error) = self.home.disk.remove(&path) {
            tracing::warn!(file = %path.display(), %error, "a part of a checkpoint could not be removed; the next open will");
        }
    }

    /// Whether the files are these.
    pub(crate) fn has_files(&self, files: &[FileEntry]) -> bool {
        self.manifest.lock().files == files
    }

    /// All entries of the files that have records after this one, or of all files, with the last record of them. Deletions are among
    /// them; `None` if some may be missing, because a base came meanwhile.
    pub(crate) fn changes_after(&self, applied: Option<Lsn>) -> Result<Option<(Merge<'static>, Lsn)>> {
        loop {
            let manifest = self.manifest();
            if applied.is_some_and(|applied| applied < manifest.base_covers()) {
                return Ok(None);
            }
            let files =
                manifest.files.iter().filter(|file| applied.is_none_or(|applied| file.last > applied));
            match self.merged(files) {
                // A merge replaced some of them before they were open.
                Err(_) if !self.has_files(&manifest.files) => {}
                changes => return Ok(Some((changes?, manifest.covered()))),
            }
        }
    }

    fn merged<'a>(&self, files: impl DoubleEndedIterator<Item = &'a FileEntry>) -> Result<Merge<'static>> {
        let layers = files.rev().map(|file| {
            let file = CheckpointFile::open(&self.home, &self.directory, file)?;
            Ok(Box::new(file.entries()) as Layer<'static>)
        });
        Ok(Merge::new(layers.collect::<Result<_>>()?))
    }

    /// The files as they are now, to be read at any key: another view, if it is still right.
    fn view(
        &self,
        last: Option<&Arc<CheckpointView>>,
        cache: &Arc<ChunkCache>,
    ) -> Result<Arc<CheckpointView>> {
        loop {
            if let Some(last) = last.filter(|last| last.is_of(&self.manifest.lock().files)) {
                return Ok(Arc::clone(last));
            }
            let files = self.manifest().files;
            let other = last.map(Arc::as_ref);
            match CheckpointView::open(&self.home, &self.directory, &files, other, Some(cache)) {
                // A merge replaced some of them before they were open.
                Err(_) if !self.has_files(&files) => {}
                opened => return opened.map(Arc::new),
            }
        }
    }

    /// What should be merged now: all into a new base when the deltas weigh as much as it or something is sealed under an older key, the
    /// deltas alone when they are many. A base has to wait for whoever still needs the deletions that it would leave out, and deltas wait, too, as
    /// long as there is room in the manifest.
    pub(crate) fn merge_plan(&self, base_waits: bool) -> Option<MergePlan> {
        plan(&self.manifest(), self.home.keys.newest(), base_waits)
    }

    /// Bytes of files that are sealed under an older key than this one.
    pub(crate) fn bytes_older_than(&self, generation: KeyGeneration) -> u64 {
        let manifest = self.manifest.lock();
        manifest.files.iter().filter(|file| file.generation < generation).map(|file| file.bytes).sum()
    }

    /// Seals the manifest anew.
    pub(crate) fn reseal_manifest(&self) -> Result<()> {
        self.publish(|_| Ok(()))
    }

    /// All files into a new base, whether it is time or not.
    #[cfg(test)]
    pub(crate) fn whole_plan(&self) -> MergePlan {
        MergePlan { kind: Kind::Base, files: self.manifest().files }
    }

    /// Merges in the background of commits and folds, and leaves these room for `fold_bytes`, or at least half of what there is. `go_on`
    /// is asked for each entry; `false` gives up.
    pub(crate) fn merge(&self, plan: &MergePlan, fold_bytes: u64, go_on: impl Fn() -> bool) -> Result<()> {
        let free = self.home.disk.free_bytes(&self.directory).unwrap_or(u64::MAX);
        let Some(plan) = plan.within(free - fold_bytes.min(free / 2)) else { return Err(Error::NoSpace) };
        let (Some(first), Some(last)) = (plan.files.first(), plan.files.last()) else { return Ok(()) };
        let drops_deletions = plan.kind == Kind::Base;
        let entries = self
            .merged(plan.files.iter())?
            .filter(|entry| !drops_deletions || !matches!(entry, Ok((_, None))))
            .map(|entry| if go_on() { entry } else { Err(closed()) });
        let file = self.write(plan.kind, (first.first, last.last), Box::new(entries))?;
        let published = self.publish(|manifest| {
            let at = manifest.files.iter().position(|file| file.number == first.number);
            let at = at.ok_or_else(|| Error::corrupt("merged checkpoints left the manifest meanwhile"))?;
            self.passing.lock().extend(plan.files.iter().map(FileEntry::name));
            manifest.files.splice(at..at.saturating_add(plan.files.len()), [file]);
            Ok(())
        });
        self.settle(&file, published)?;
        for old in &plan.files {
            let path = self.directory.join(old.name());
            self.home.disk.remove(&path).map_err(Error::io("cannot remove", &path))?;
            self.passing.lock().remove(&old.name());
        }
        Ok(())
    }

    /// Writes a file that no manifest names yet; removes what was written if it fails.
    fn write(
        &self,
        kind: Kind,
        range: (Lsn, Lsn),
        entries: Box<dyn Iterator<Item = Result<Entry>> + '_>,
    ) -> Result<FileEntry> {
        let number = self.next_number.fetch_add(1, Ordering::Relaxed);
        let generation = self.home.keys.newest();
        let file = FileEntry::new(number, kind, range, generation, self.home.random_id());
        let path = self.directory.join(file.name());
        self.passing.lock().insert(file.name());
        let written = writer::write(&self.home, &path, file, entries);
        if written.is_err() {
            self.discard(&file);
            self.passing.lock().remove(&file.name());
        }
        written
    }

    /// Swings the manifest. The change counts only when it is durable; until then the old one is read.
    fn publish<T>(&self, change: impl FnOnce(&mut Manifest) -> Result<T>) -> Result<T> {
        let _alone = self.publishing.lock();
        let mut next = self.manifest();
        let result = change(&mut next)?;
        next.publish(&self.home, &self.directory)?;
        *self.manifest.lock() = next;
        Ok(result)
    }
}

fn closed() -> Error {
    Error::Halted { reason: "the file system is being closed".to_owned() }
}

fn plan(manifest: &Manifest, newest: KeyGeneration, base_waits: bool) -> Option<MergePlan> {
    let (bases, deltas): (Vec<FileEntry>, Vec<FileEntry>) =
        manifest.files.iter().partition(|file| file.kind == Kind::Base);
    let bytes = |files: &[FileEntry]| files.iter().map(|file| file.bytes).sum::<u64>();
    let sealed_before = manifest.files.iter().any(|file| file.generation < newest);
    let is_due = sealed_before || bytes(&deltas) > bytes(&bases).max(DELTA_BYTES_KEPT);
    if is_due && !base_waits {
        return Some(MergePlan { kind: Kind::Base, files: manifest.files.clone() });
    }
    // Whoever has the half of what is merged gets it once more.
    let deltas_max = if base_waits { FILES_MAX / 2 } else { DELTAS_MAX };
    (deltas.len() > deltas_max).then_some(MergePlan { kind: Kind::Delta, files: deltas })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(files: &[(Kind, u64)]) -> Manifest {
        let entry = |(number, (kind, bytes)): (usize, &(Kind, u64))| {
            let lsn = Lsn(number as u64 + 1);
            let file = FileEntry::new(number as u64, *kind, (lsn, lsn), KeyGeneration::FIRST, [0; 16]);
            FileEntry { bytes: *bytes, ..file }
        };
        let files = files.iter().enumerate().map(entry).collect();
        Manifest { epoch: Epoch(1), index: [0; 16], files, journaled: None }
    }

    fn due(manifest: &Manifest) -> Option<MergePlan> {
        plan(manifest, KeyGeneration::FIRST, false)
    }

    #[test]
    fn what_is_sealed_under_an_older_key_is_rewritten_whole() {
        let files = manifest(&[(Kind::Base, 1), (Kind::Delta, 1)]);
        assert_eq!(due(&files), None);
        let all = plan(&files, KeyGeneration(2), false).unwrap();
        assert_eq!((all.kind, all.files.len()), (Kind::Base, 2));
    }

    #[test]
    fn deltas_are_merged_into_the_base_when_they_outweigh_it() {
        const KEPT: u64 = DELTA_BYTES_KEPT;
        assert_eq!(due(&manifest(&[(Kind::Delta, KEPT)])), None);
        assert_eq!(due(&manifest(&[(Kind::Base, 3 * KEPT), (Kind::Delta, 2 * KEPT)])), None);
        let outweighed = manifest(&[(Kind::Base, KEPT), (Kind::Delta, KEPT), (Kind::Delta, 1)]);
        assert_eq!(due(&outweighed).map(|plan| (plan.kind, plan.files.len())), Some((Kind::Base, 3)));
    }

    #[test]
    fn without_room_for_all_the_deltas_that_fit_are_merged() {
        let mut files = vec![(Kind::Base, 1000)];
        files.extend([(Kind::Delta, 10)].repeat(2 * DELTAS_MAX));
        let all = MergePlan { kind: Kind::Base, files: manifest(&files).files };
        assert_eq!(all.within(u64::MAX).unwrap(), all);
        let some = all.within(10 * (DELTAS_MAX as u64 + 1)).unwrap();
        assert_eq!((some.kind, some.files.len()), (Kind::Delta, DELTAS_MAX + 1));
        assert!(all.files.windows(some.files.len()).any(|files| files == some.files));
        assert_eq!(all.within(100), None);
        let large = all.files.iter().map(|file| match file.number {
            1 | 2 => FileEntry { bytes: 1000, ..*file },
            _ => *file,
        });
        let all = MergePlan { kind: Kind::Base, files: large.collect() };
        let some = all.within(10 * (DELTAS_MAX as u64 + 1)).unwrap();
        assert_eq!((some.files.len(), some.files[0].number), (DELTAS_MAX + 1, 3));
    }

    #[test]
    fn a_manifest_that_could_not_be_read_again_is_not_written() {
        let disk = crate::disk::simulated::SimulatedDisk::new(1);
        let bench = crate::metadata::tests::support::Bench::on(std::sync::Arc::new(disk));
        bench.create().unwrap();
        let directory = bench.file("checkpoint");
        let of = |count| manifest(&[(Kind::Delta, 1)].repeat(count));
        of(FILES_MAX).publish(&bench.home, &directory).unwrap();
        assert!(of(1200).publish(&bench.home, &directory).is_err());
        assert_eq!(Manifest::read(&bench.home, &directory).unwrap().files.len(), FILES_MAX);
    }

    #[test]
    fn many_small_deltas_become_one_without_touching_the_base() {
        let mut files = vec![(Kind::Base, 1000)];
        files.extend([(Kind::Delta, 10)].repeat(DELTAS_MAX + 1));
        let plan = due(&manifest(&files)).unwrap();
        assert_eq!((plan.kind, plan.files.len()), (Kind::Delta, DELTAS_MAX + 1));
        assert!(plan.files.iter().all(|file| file.kind == Kind::Delta));
    }
}
