//! Reading checkpoints at any key, without an index: for verification offline, and while the index is built anew.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;

use super::cache::ChunkCache;
use super::file::Tree;
use super::manifest::{FileEntry, Manifest};
use super::reader::CheckpointFile;
use super::tree::ChunkPlace;
use crate::error::Result;
use crate::home::Home;
use crate::metadata::merge::{Layer, Merge};
use crate::metadata::overlay::Entry;
use crate::records::key;

/// The files of a manifest.
pub(crate) struct CheckpointView {
    newest_first: Vec<Arc<ViewedFile>>,
    cache: Option<Arc<ChunkCache>>,
}

struct ViewedFile {
    file: Arc<CheckpointFile>,
    chunks: Chunks,
}

/// How the chunk of a key is found.
enum Chunks {
    Tree(ChunkPlace),
    /// The first key of each, of a file that has no tree.
    Listed(Vec<(Bytes, ChunkPlace)>),
}

impl CheckpointView {
    /// Opens the files, of which another view may have some already. It reads nothing of them but where their trees begin.
    pub(crate) fn open(
        home: &Home,
        directory: &Path,
        files: &[FileEntry],
        other: Option<&CheckpointView>,
        cache: Option<&Arc<ChunkCache>>,
    ) -> Result<CheckpointView> {
        let known = |file: &FileEntry| {
            let mut viewed = other.into_iter().flat_map(|other| &other.newest_first);
            viewed.find(|viewed| viewed.file.expected == *file).cloned()
        };
        let open = |file: &FileEntry| match known(file) {
            Some(viewed) => Ok(viewed),
            None => ViewedFile::open(home, directory, file).map(Arc::new),
        };
        let newest_first = files.iter().rev().map(open).collect::<Result<_>>()?;
        Ok(CheckpointView { newest_first, cache: cache.cloned() })
    }

    /// Reads all files once, which authenticates all of them. `read` is told how many bytes were.
    pub(crate) fn load(
        home: &Home,
        directory: &Path,
        manifest: &Manifest,
        mut read: impl FnMut(u64) -> Result<()>,
    ) -> Result<CheckpointView> {
        let view = CheckpointView::open(home, directory, &manifest.files, None, None)?;
        for viewed in &view.newest_first {
            for entry in viewed.file.entries() {
                entry?;
            }
            read(viewed.file.expected.bytes)?;
        }
        Ok(view)
    }

    /// Whether it is of these files.
    pub(super) fn is_of(&self, files: &[FileEntry]) -> bool {
        let viewed = self.newest_first.iter().rev().map(|viewed| &viewed.file.expected);
        viewed.eq(files)
    }

    /// The value of a key.
    pub(crate) fn get(&self, key: &[u8]) -> Result<Option<Bytes>> {
        for viewed in &self.newest_first {
            let at = viewed.entries_from(key, self.cache())?.next().transpose()?;
            if let Some((_, value)) = at.filter(|(found, _)| found == key) {
                return Ok(value.map(detached));
            }
        }
        Ok(None)
    }

    /// The last entry from one key up to another, which may be it.
    pub(crate) fn last(&self, from: &[u8], upto: &[u8]) -> Result<Option<(Bytes, Bytes)>> {
        let mut last: Option<Entry> = None;
        for viewed in &self.newest_first {
            let found = viewed.last(upto, self.cache())?.filter(|(key, _)| key.as_ref() >= from);
            // Of the same key the newest is looked at first.
            if let Some(found) = found
                && last.as_ref().is_none_or(|(key, _)| found.0 > *key)
            {
                last = Some(found);
            }
        }
        match last {
            None => Ok(None),
            Some((key, Some(value))) => Ok(Some((detached(key), detached(value)))),
            // What is before something deleted is not known.
            Some((_, None)) => {
                let behind = key::after(upto);
                let mut last = None;
                for row in self.range(from, &behind).filter_map(live) {
                    last = Some(row?);
                }
                Ok(last.map(|(key, value)| (detached(key), detached(value))))
            }
        }
    }

    /// The entries from one key up to another, which is not among them. Deletions are.
    pub(crate) fn range<'a>(&'a self, from: &[u8], to: &'a [u8]) -> impl Iterator<Item = Result<Entry>> + 'a {
        let before = move |entry: &Result<Entry>| entry.as_ref().map_or(true, |(key, _)| key.as_ref() < to);
        self.merged(from).take_while(before)
    }

    /// The entries from a key on, of each file. Deletions are among them.
    pub(crate) fn entries_from(&self, from: &[u8]) -> Vec<Layer<'_>> {
        let layers = self.newest_first.iter().map(|viewed| match viewed.entries_from(from, self.cache()) {
            Ok(layer) => layer,
            Err(error) => Box::new(std::iter::once(Err(error))),
        });
        layers.collect()
    }

    fn cache(&self) -> Option<&ChunkCache> {
        self.cache.as_deref()
    }

    /// All entries from a key on.
    pub(crate) fn merged(&self, from: &[u8]) -> Merge<'_> {
        Merge::new(self.entries_from(from))
    }
}

/// Leaves out deletions.
fn live(entry: Result<Entry>) -> Option<Result<(Bytes, Bytes)>> {
    entry.map(|(key, value)| value.map(|value| (key, value))).transpose()
}

/// Without the chunk that it is a part of.
fn detached(part: Bytes) -> Bytes {
    Bytes::copy_from_slice(&part)
}

impl ViewedFile {
    fn open(home: &Home, directory: &Path, entry: &FileEntry) -> Result<ViewedFile> {
        let file = CheckpointFile::open(home, directory, entry)?;
        file.check_length()?;
        let chunks = match file.tree()? {
            Tree::Root(root) => Chunks::Tree(root),
            Tree::Empty => Chunks::Listed(Vec::new()),
            Tree::Unknown => Chunks::Listed(list(&file)?),
        };
        Ok(ViewedFile { file, chunks })
    }

    /// The entries from the chunk on that a key would be in.
    fn entries_near<'a>(&'a self, key: &[u8], cache: Option<&ChunkCache>) -> Result<Layer<'a>> {
        let listed = match &self.chunks {
            Chunks::Tree(root) => return Ok(Box::new(self.file.entries_near(*root, key, cache)?)),
            Chunks::Listed(listed) => listed,
        };
        let behind = listed.partition_point(|(first, _)| first.as_ref() <= key);
        Ok(match listed.get(behind.saturating_sub(1)) {
            Some((_, place)) => Box::new(self.file.entries_at(*place)),
            None => Box::new(std::iter::empty()),
        })
    }

    fn entries_from<'a>(&'a self, from: &[u8], cache: Option<&ChunkCache>) -> Result<Layer<'a>> {
        let (entries, from) = (self.entries_near(from, cache)?, from.to_vec());
        let before =
            move |entry: &Result<Entry>| entry.as_ref().is_ok_and(|(key, _)| key.as_ref() < from.as_slice());
        Ok(Box::new(entries.skip_while(before)))
    }

    /// The last entry up to a key, which may be it.
    fn last(&self, upto: &[u8], cache: Option<&ChunkCache>) -> Result<Option<Entry>> {
        let mut last = None;
        for entry in self.entries_near(upto, cache)? {
            let entry = entry?;
            if entry.0.as_ref() > upto {
                break;
            }
            last = Some(entry);
        }
        Ok(last)
    }
}

/// The first key of each chunk.
fn list(file: &Arc<CheckpointFile>) -> Result<Vec<(Bytes, ChunkPlace)>> {
    let (mut entries, mut listed) = (file.entries(), Vec::new());
    loop {
        let place = entries.next_place();
        let Some(entry) = entries.next() else { return Ok(listed) };
        let (key, _) = entry?;
        listed.extend(place.map(|place| (detached(key), place)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fuzzing::memory::MemoryDisk;
    use crate::golden::fixed::{home, ring};
    use crate::identity::{KeyGeneration, Lsn};
    use crate::metadata::checkpoint::{Kind, writer};
    use std::collections::BTreeMap;

    const DIRECTORY: &str = "/checkpoint";
    const ENTRIES: usize = 12_000;

    type Model = BTreeMap<Bytes, Option<Bytes>>;

    /// Long keys, so that a node has few children, and some that are deleted.
    fn entries() -> Model {
        let key = |number: usize| Bytes::from(format!("{number:06}{}", "k".repeat(200)));
        let value = |number: usize| (!number.is_multiple_of(7)).then(|| Bytes::from(vec![7; number % 600]));
        (0..ENTRIES).map(|number| (key(number * 2), value(number))).collect()
    }

    fn planned(number: u64, kind: Kind, lsn: u64) -> FileEntry {
        let id = [u8::try_from(number).unwrap(); 16];
        FileEntry::new(number, kind, (Lsn(lsn), Lsn(lsn)), KeyGeneration(1), id)
    }

    fn write(disk: &MemoryDisk, planned: FileEntry, entries: &Model) -> FileEntry {
        let path = Path::new(DIRECTORY).join(planned.name());
        let entries = entries.iter().map(|(key, value)| Ok((key.clone(), value.clone())));
        writer::write(&home(disk.clone(), ring()), &path, planned, entries).unwrap()
    }

    fn view(disk: &MemoryDisk, files: &[FileEntry]) -> CheckpointView {
        let cache = Arc::new(ChunkCache::new(1 << 20));
        CheckpointView::open(&home(disk.clone(), ring()), Path::new(DIRECTORY), files, None, Some(&cache))
            .unwrap()
    }

    /// Compares what is found at, before and behind each so many of the keys.
    fn check(view: &CheckpointView, model: &Model, step: usize) {
        let live: BTreeMap<_, _> =
            model.iter().filter_map(|(key, value)| Some((key.clone(), value.clone()?))).collect();
        for key in model.keys().step_by(step) {
            let mut before = key.to_vec();
            before.pop();
            for key in [key.to_vec(), key::after(key), before] {
                assert_eq!(view.get(&key).unwrap(), live.get(key.as_slice()).cloned());
                let expected = live.range(..=Bytes::from(key.clone())).next_back();
                let expected = expected.map(|(key, value)| (key.clone(), value.clone()));
                assert_eq!(view.last(b"", &key).unwrap(), expected);
                let found = view.range(&key, b"9").filter_map(live_only).take(3);
                let expected = live.range(Bytes::from(key.clone())..).take(3);
                assert!(found.eq(expected.map(|(key, value)| (key.clone(), value.clone()))));
            }
        }
        assert!(view.range(b"", b"9").filter_map(live_only).eq(live));
    }

    fn live_only(entry: Result<Entry>) -> Option<(Bytes, Bytes)> {
        live(entry).map(Result::unwrap)
    }

    #[test]
    fn each_key_is_found_in_a_file_of_several_levels_and_below_a_newer_one() {
        let (disk, model) = (MemoryDisk::default(), entries());
        let base = write(&disk, planned(1, Kind::Delta, 1), &model);
        assert!(base.bytes > 5 << 20);
        let alone = view(&disk, &[base]);
        assert!(alone.is_of(&[base]));
        check(&alone, &model, 37);

        let newer: Model = model
            .iter()
            .step_by(5)
            .map(|(key, value)| (key.clone(), value.is_none().then(|| Bytes::from_static(b"new"))))
            .collect();
        let delta = write(&disk, planned(2, Kind::Delta, 2), &newer);
        let empty = write(&disk, planned(3, Kind::Delta, 3), &Model::new());
        let both: Model = model.into_iter().chain(newer).collect();
        check(&view(&disk, &[base, delta, empty]), &both, 41);
        // From the beginning all is compared with what it should be.
        let manifest = Manifest {
            epoch: crate::identity::Epoch(1),
            index: [0; 16],
            files: vec![base, delta, empty],
            journaled: None,
        };
        let home = home(disk, ring());
        let whole = CheckpointView::load(&home, Path::new(DIRECTORY), &manifest, |_| Ok(())).unwrap();
        assert!(whole.is_of(&manifest.files));
    }

    #[test]
    fn a_file_without_a_tree_is_read_once_and_then_found_in() {
        let (disk, model) = (MemoryDisk::default(), entries());
        let rows: Vec<Entry> = model.iter().map(|(key, value)| (key.clone(), value.clone())).collect();
        let chunks: Vec<Vec<Entry>> = rows.chunks(100).map(<[Entry]>::to_vec).collect();
        let path = Path::new(DIRECTORY).join(planned(1, Kind::Delta, 1).name());
        let planned = planned(1, Kind::Delta, 1);
        let file = writer::write_without_tree(&home(disk.clone(), ring()), &path, planned, &chunks).unwrap();
        check(&view(&disk, &[file]), &model, 113);
    }
}
