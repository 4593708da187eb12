//! A disk in memory that forgets what was not synced.
//!
//! Every change is a *step*. At the step that a test names the power fails: a write of that step gets some of its 512-byte sectors to the
//! disk, and everything after fails. [`SimulatedDisk::after_power_failure`] is the disk as the next start finds it: synced bytes and
//! synced names are there; of what was not synced any sectors and any changes of names may be.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use super::{DIRECT_ALIGNMENT, Disk, DiskFile, OpenHow};

const SECTOR_BYTES: usize = 512;

/// A disk in memory.
#[derive(Clone)]
pub(crate) struct SimulatedDisk(Arc<Mutex<State>>);

#[derive(Clone, Default)]
struct State {
    inodes: Vec<Inode>,
    names: BTreeMap<PathBuf, usize>,
    durable_names: BTreeMap<PathBuf, usize>,
    directories: BTreeSet<PathBuf>,
    unsynced_names: Vec<NameChange>,
    steps: u64,
    power_fails_at: Option<u64>,
    failing: Option<(&'static str, io::ErrorKind)>,
    off: bool,
    random: u64,
}

#[derive(Clone, Default)]
struct Inode {
    bytes: Vec<u8>,
    durable: Vec<u8>,
    dirty: BTreeSet<usize>,
}

#[derive(Clone)]
enum NameChange {
    Create(PathBuf, usize),
    Rename(PathBuf, PathBuf, usize),
    Remove(PathBuf),
}

impl SimulatedDisk {
    /// An empty disk. One seed is one behaviour.
    pub(crate) fn new(seed: u64) -> Self {
        let random = seed.wrapping_mul(2).wrapping_add(1);
        SimulatedDisk(Arc::new(Mutex::new(State { random, ..State::default() })))
    }

    /// Steps so far.
    pub(crate) fn steps(&self) -> u64 {
        self.0.lock().steps
    }

    /// Lets the power fail at a step, counted as [`SimulatedDisk::steps`] does: the first is 1.
    pub(crate) fn fail_power_at(&self, step: u64) {
        self.0.lock().power_fails_at = Some(step);
    }

    /// Lets each write to a file whose name ends so fail, and do nothing, until [`SimulatedDisk::repair`].
    pub(crate) fn fail_writes_to(&self, name_end: &'static str, kind: io::ErrorKind) {
        self.0.lock().failing = Some((name_end, kind));
    }

    /// Ends the failures.
    pub(crate) fn repair(&self) {
        self.0.lock().failing = None;
    }

    /// The disk as the next start finds it.
    pub(crate) fn after_power_failure(&self) -> SimulatedDisk {
        let mut state = self.0.lock().clone();
        for change in std::mem::take(&mut state.unsynced_names) {
            if state.below(2) == 0 {
                change.apply(&mut state.durable_names);
            }
        }
        for number in 0..state.inodes.len() {
            let dirty: Vec<usize> = std::mem::take(&mut state.inodes[number].dirty).into_iter().collect();
            for sector in dirty {
                if state.below(2) == 0 {
                    state.inodes[number].keep(sector);
                }
            }
            let inode = &mut state.inodes[number];
            inode.bytes = inode.durable.clone();
        }
        state.names = state.durable_names.clone();
        (state.off, state.power_fails_at, state.failing, state.steps) = (false, None, None, 0);
        SimulatedDisk(Arc::new(Mutex::new(state)))
    }

    /// All bytes that are on the disk, to search for what must not be there.
    pub(crate) fn contains(&self, needle: &[u8]) -> bool {
        let state = self.0.lock();
        state.inodes.iter().any(|inode| inode.bytes.windows(needle.len()).any(|window| window == needle))
    }
}

impl NameChange {
    fn apply(self, names: &mut BTreeMap<PathBuf, usize>) {
        match self {
            NameChange::Create(path, inode) => {
                names.insert(path, inode);
            }
            NameChange::Rename(from, to, inode) => {
                // The name may have been made without a sync, and may be known under the new name only.
                names.remove(&from);
                names.insert(to, inode);
            }
            NameChange::Remove(path) => {
                names.remove(&path);
            }
        }
    }

    fn directory(&self) -> Option<&Path> {
        match self {
            NameChange::Create(path, _) | NameChange::Remove(path) => path.parent(),
            NameChange::Rename(from, to, _) => {
                assert_eq!(from.parent(), to.parent(), "files are renamed within their directory");
                to.parent()
            }
        }
    }
}

impl Inode {
    fn write(&mut self, bytes: &[u8], offset: usize) {
        let end = offset + bytes.len();
        if self.bytes.len() < end {
            self.bytes.resize(end, 0);
        }
        self.bytes[offset..end].copy_from_slice(bytes);
        self.dirty.extend(offset / SECTOR_BYTES..end.div_ceil(SECTOR_BYTES));
    }

    /// Gets a sector to the disk.
    fn keep(&mut self, sector: usize) {
        let start = sector * SECTOR_BYTES;
        let end = (start + SECTOR_BYTES).min(self.bytes.len());
        if start < end {
            if self.durable.len() < end {
                self.durable.resize(end, 0);
            }
            self.durable[start..end].copy_from_slice(&self.bytes[start..end]);
        }
        self.dirty.remove(&sector);
    }

    fn sync(&mut self) {
        self.durable.resize(self.bytes.len(), 0);
        for sector in self.dirty.clone() {
            self.keep(sector);
        }
    }
}

impl State {
    /// A number below the bound, of the seed.
    fn below(&mut self, bound: usize) -> usize {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random >> 11) as usize % bound
    }

    fn running(&self) -> io::Result<()> {
        if self.off { Err(io::Error::other("the power failed")) } else { Ok(()) }
    }

    /// Counts a step. `Ok(true)`: the power fails during it, and the step may be done in part.
    fn step(&mut self) -> io::Result<bool> {
        self.running()?;
        self.steps += 1;
        self.off = self.power_fails_at == Some(self.steps);
        Ok(self.off)
    }

    /// The error that was ordered for a write to this file.
    fn check_failure(&self, inode: usize) -> io::Result<()> {
        let Some((name_end, kind)) = self.failing else { return Ok(()) };
        let names = self.names.iter().filter(|(_, found)| **found == inode);
        if names.map(|(path, _)| path.to_string_lossy()).any(|name| name.ends_with(name_end)) {
            return Err(kind.into());
        }
        Ok(())
    }

    fn change_name(&mut self, change: NameChange) -> io::Result<()> {
        let failing = self.step()?;
        change.clone().apply(&mut self.names);
        self.unsynced_names.push(change);
        if failing { self.running() } else { Ok(()) }
    }
}

impl Disk for SimulatedDisk {
    fn open(&self, path: &Path, how: OpenHow) -> io::Result<Arc<dyn DiskFile>> {
        let mut state = self.0.lock();
        state.running()?;
        if how == OpenHow::CreateNew {
            if state.names.contains_key(path) {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            if !path.parent().is_some_and(|parent| state.directories.contains(parent)) {
                return Err(io::ErrorKind::NotFound.into());
            }
            state.inodes.push(Inode::default());
            let inode = state.inodes.len() - 1;
            state.change_name(NameChange::Create(path.to_owned(), inode))?;
        }
        let inode = *state.names.get(path).ok_or(io::ErrorKind::NotFound)?;
        Ok(Arc::new(SimulatedFile { disk: self.clone(), inode, durable: how == OpenHow::DirectDurable }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.0.lock();
        let inode = *state.names.get(from).ok_or(io::ErrorKind::NotFound)?;
        state.change_name(NameChange::Rename(from.to_owned(), to.to_owned(), inode))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.0.lock();
        state.running()?;
        if !state.names.contains_key(path) {
            return Ok(());
        }
        state.change_name(NameChange::Remove(path.to_owned()))
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<String>> {
        let state = self.0.lock();
        state.running()?;
        let inside = state.names.keys().filter(|path| path.parent() == Some(directory));
        Ok(inside.map(|path| path.file_name().unwrap().to_string_lossy().into_owned()).collect())
    }

    fn create_directory(&self, path: &Path) -> io::Result<()> {
        let mut state = self.0.lock();
        state.running()?;
        state.directories.extend(path.ancestors().map(Path::to_owned));
        Ok(())
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        let mut state = self.0.lock();
        if state.step()? {
            return state.running();
        }
        let changes = std::mem::take(&mut state.unsynced_names);
        for change in changes {
            if change.directory() == Some(path) {
                change.apply(&mut state.durable_names);
            } else {
                state.unsynced_names.push(change);
            }
        }
        Ok(())
    }

    fn free_bytes(&self, _path: &Path) -> io::Result<u64> {
        Ok(u64::MAX)
    }
}

struct SimulatedFile {
    disk: SimulatedDisk,
    inode: usize,
    durable: bool,
}

impl DiskFile for SimulatedFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let state = self.disk.0.lock();
        state.running()?;
        let bytes = &state.inodes[self.inode].bytes;
        let rest = bytes.get(usize::try_from(offset).unwrap()..).unwrap_or_default();
        let length = rest.len().min(buffer.len());
        buffer[..length].copy_from_slice(&rest[..length]);
        Ok(length)
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let offset = usize::try_from(offset).unwrap();
        let mut state = self.disk.0.lock();
        state.check_failure(self.inode)?;
        let failing = state.step()?;
        state.inodes[self.inode].write(bytes, offset);
        if failing {
            // Whether it is synced or not, any of the sectors may have arrived.
            return state.running();
        }
        if self.durable {
            assert!(offset.is_multiple_of(DIRECT_ALIGNMENT) && bytes.len().is_multiple_of(DIRECT_ALIGNMENT));
            assert!((bytes.as_ptr() as usize).is_multiple_of(DIRECT_ALIGNMENT));
            for sector in offset / SECTOR_BYTES..(offset + bytes.len()) / SECTOR_BYTES {
                state.inodes[self.inode].keep(sector);
            }
        }
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.disk.0.lock();
        if state.step()? {
            return state.running();
        }
        state.inodes[self.inode].sync();
        Ok(())
    }

    fn length(&self) -> io::Result<u64> {
        let state = self.disk.0.lock();
        state.running()?;
        Ok(state.inodes[self.inode].bytes.len() as u64)
    }

    fn set_length(&self, length: u64) -> io::Result<()> {
        let mut state = self.disk.0.lock();
        let failing = state.step()?;
        state.inodes[self.inode].bytes.resize(usize::try_from(length).unwrap(), 0);
        if failing { state.running() } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(disk: &SimulatedDisk, path: &Path, bytes: &[u8]) -> Arc<dyn DiskFile> {
        let file = disk.open(path, OpenHow::CreateNew).unwrap();
        file.write_all_at(bytes, 0).unwrap();
        file
    }

    fn read(disk: &SimulatedDisk, path: &Path) -> Option<Vec<u8>> {
        let file = disk.open(path, OpenHow::Read).ok()?;
        let mut bytes = vec![0; usize::try_from(file.length().unwrap()).unwrap()];
        file.read_at(&mut bytes, 0).unwrap();
        Some(bytes)
    }

    #[test]
    fn only_what_was_synced_is_sure_to_survive() {
        let (mut lost_bytes, mut lost_name) = (0, 0);
        for seed in 0..50 {
            let disk = SimulatedDisk::new(seed);
            disk.create_directory(Path::new("/d")).unwrap();
            let (synced, torn, unnamed) =
                (Path::new("/d/synced"), Path::new("/d/torn"), Path::new("/d/name"));
            write(&disk, synced, &[1; 1500]).sync_data().unwrap();
            write(&disk, torn, &[1; 1500]);
            disk.sync_directory(Path::new("/d")).unwrap();
            write(&disk, unnamed, &[1; 10]).sync_data().unwrap();
            let after = disk.after_power_failure();
            assert_eq!(read(&after, synced), Some(vec![1; 1500]));
            lost_bytes += usize::from(read(&after, torn) != Some(vec![1; 1500]));
            lost_name += usize::from(read(&after, unnamed).is_none());
        }
        assert!((10..50).contains(&lost_bytes), "{lost_bytes}");
        assert!((10..40).contains(&lost_name), "{lost_name}");
    }
}
