//! A disk in memory that forgets what was not synced.
//!
//! Every change is a *step*. At the step that a test names the power fails: a write of that step gets some of its 512-byte sectors to the
//! disk, and everything after fails. [`SimulatedDisk::after_power_failure`] is the disk as the next start finds it: synced bytes and
//! synced names are there; of what was not synced any sectors and any changes of names may be. [`SimulatedDisk::after_kill`] is what a
//! process finds whose predecessor was killed at that step: all that was written.

mod content;
mod names;

use std::io;
use std::path::Path;
use std::sync::Arc;

use parking_lot::Mutex;

use super::{DIRECT_ALIGNMENT, Disk, DiskFile, DiskLock, OpenHow, direct_place};
use crate::threads::simulated::switch_point;
use content::Content;
use names::{Names, Node};

/// A disk in memory.
#[derive(Clone)]
pub(crate) struct SimulatedDisk(Arc<Mutex<State>>);

#[derive(Clone, Default)]
struct State {
    contents: Vec<Content>,
    names: Names,
    steps: u64,
    power_fails_at: Option<u64>,
    sync_fails_at: Option<u64>,
    failing: Option<(&'static str, io::ErrorKind)>,
    capacity_bytes: Option<u64>,
    full_at: Option<u64>,
    boot: u64,
    off: bool,
    random: u64,
    /// A digest of all steps, to compare two runs.
    trace: u64,
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

    /// A digest of all steps so far.
    pub(crate) fn trace(&self) -> u64 {
        self.0.lock().trace
    }

    /// Lets the power fail at a step, counted as [`SimulatedDisk::steps`] does: the first is 1.
    pub(crate) fn fail_power_at(&self, step: u64) {
        self.0.lock().power_fails_at = Some(step);
    }

    /// Lets the power fail now.
    pub(crate) fn cut_power(&self) {
        self.0.lock().off = true;
    }

    /// Whether the power failed.
    pub(crate) fn is_off(&self) -> bool {
        self.0.lock().off
    }

    /// Lets the first sync at or after a step fail, after which the bytes are gone and later syncs know nothing of it.
    pub(crate) fn fail_sync_at(&self, step: u64) {
        self.0.lock().sync_fails_at = Some(step);
    }

    /// Lets each write to a file whose name ends so fail, and do nothing, until [`SimulatedDisk::repair`].
    pub(crate) fn fail_writes_to(&self, name_end: &'static str, kind: io::ErrorKind) {
        self.0.lock().failing = Some((name_end, kind));
    }

    /// Ends the failures.
    pub(crate) fn repair(&self) {
        self.0.lock().failing = None;
    }

    /// How much fits on the disk; no limit at first.
    pub(crate) fn set_capacity(&self, bytes: Option<u64>) {
        let mut state = self.0.lock();
        (state.capacity_bytes, state.full_at) = (bytes, None);
    }

    /// Lets the disk be full from a step on, until it is given a capacity.
    pub(crate) fn fill_at(&self, step: u64) {
        self.0.lock().full_at = Some(step);
    }

    /// Bytes in all files.
    pub(crate) fn used_bytes(&self) -> u64 {
        self.0.lock().used_bytes()
    }

    /// The disk as the next start finds it.
    pub(crate) fn after_power_failure(&self) -> SimulatedDisk {
        let mut state = self.0.lock().clone();
        let mut random = state.random;
        // All, none or any of what was not synced.
        let mood = below(&mut random, 4);
        let mut survives = || match mood {
            0 => true,
            1 => false,
            _ => below(&mut random, 2) == 0,
        };
        state.names.lose_power(&mut survives);
        for content in &mut state.contents {
            content.lose_power(&mut survives);
        }
        state.random = random;
        state.boot += 1;
        state.on()
    }

    /// The disk as the next process finds it after the last one was killed.
    pub(crate) fn after_kill(&self) -> SimulatedDisk {
        self.0.lock().clone().on()
    }

    /// All bytes that are on the disk, to search for what must not be there.
    pub(crate) fn contains(&self, needle: &[u8]) -> bool {
        let state = self.0.lock();
        state
            .contents
            .iter()
            .any(|content| content.bytes.windows(needle.len()).any(|window| window == needle))
    }
}

/// A number below the bound, of the seed.
fn below(random: &mut u64, bound: usize) -> usize {
    *random ^= *random << 13;
    *random ^= *random >> 7;
    *random ^= *random << 17;
    (*random >> 11) as usize % bound
}

impl State {
    fn on(mut self) -> SimulatedDisk {
        (self.off, self.power_fails_at, self.sync_fails_at, self.failing) = (false, None, None, None);
        self.full_at = None;
        self.steps = 0;
        let reachable = self.names.reachable();
        for (inode, content) in self.contents.iter_mut().enumerate() {
            if !reachable.contains(&inode) {
                *content = Content::default();
            }
        }
        SimulatedDisk(Arc::new(Mutex::new(self)))
    }

    fn running(&self) -> io::Result<()> {
        if self.off { Err(io::Error::other("the power failed")) } else { Ok(()) }
    }

    /// Counts a step. `Ok(true)`: the power fails during it, and the step may be done in part.
    fn step(&mut self, what: u64) -> io::Result<bool> {
        self.running()?;
        self.steps += 1;
        self.trace = (self.trace ^ what).wrapping_mul(0x0100_0000_01b3).rotate_left(29);
        self.off = self.power_fails_at == Some(self.steps);
        if self.full_at.is_some_and(|at| self.steps >= at) {
            (self.capacity_bytes, self.full_at) = (Some(self.used_bytes()), None);
        }
        Ok(self.off)
    }

    /// The error that was ordered for a write to this file.
    fn check_failure(&self, inode: usize) -> io::Result<()> {
        let Some((name_end, kind)) = self.failing else { return Ok(()) };
        match self.names.path_of(inode) {
            Some(path) if path.to_string_lossy().ends_with(name_end) => Err(kind.into()),
            _ => Ok(()),
        }
    }

    fn used_bytes(&self) -> u64 {
        self.names.inodes().map(|inode| self.contents[inode].bytes.len() as u64).sum()
    }

    fn check_room(&self, inode: usize, end: usize) -> io::Result<()> {
        let Some(capacity) = self.capacity_bytes else { return Ok(()) };
        let more = end.saturating_sub(self.contents[inode].bytes.len()) as u64;
        if more > 0 && self.used_bytes() + more > capacity {
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(())
    }

    /// Whether this sync is the one that fails.
    fn sync_fails(&mut self) -> bool {
        let fails = self.sync_fails_at.is_some_and(|at| self.steps >= at);
        if fails {
            self.sync_fails_at = None;
        }
        fails
    }

    fn change_names(
        &mut self,
        what: u64,
        change: impl FnOnce(&mut Names) -> io::Result<()>,
    ) -> io::Result<()> {
        let failing = self.step(what)?;
        change(&mut self.names)?;
        if failing { self.running() } else { Ok(()) }
    }
}

impl Disk for SimulatedDisk {
    fn open(&self, path: &Path, how: OpenHow) -> io::Result<Arc<dyn DiskFile>> {
        switch_point();
        let mut state = self.0.lock();
        state.running()?;
        if how.is_new() {
            if state.names.exists(path) {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            if !path.parent().is_some_and(|parent| state.names.is_directory(parent)) {
                return Err(io::ErrorKind::NotFound.into());
            }
            // As a disk that has no room for a name.
            if state.capacity_bytes.is_some_and(|capacity| state.used_bytes() >= capacity) {
                return Err(io::ErrorKind::StorageFull.into());
            }
            state.contents.push(Content::default());
            let inode = state.contents.len() - 1;
            state.change_names(1, |names| {
                names.make(path, Node::File(inode));
                Ok(())
            })?;
        }
        let inode = state.names.file(path)?;
        let (durable, stream) = (how == OpenHow::DirectDurable, how == OpenHow::CreateStream);
        Ok(Arc::new(SimulatedFile { disk: self.clone(), inode, durable, stream }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        switch_point();
        self.0.lock().change_names(2, |names| names.rename(from, to))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        switch_point();
        let mut state = self.0.lock();
        state.running()?;
        if !state.names.exists(path) {
            return Ok(());
        }
        let file = state.names.file(path).ok();
        state.change_names(3, |names| {
            names.remove(path);
            Ok(())
        })?;
        if let Some(inode) = file {
            state.contents[inode].forget_unsynced_file();
        }
        Ok(())
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<String>> {
        let state = self.0.lock();
        state.running()?;
        if !state.names.is_directory(directory) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let inside = state.names.inside(directory);
        Ok(inside.map(|path| path.file_name().unwrap().to_string_lossy().into_owned()).collect())
    }

    fn create_directory(&self, path: &Path) -> io::Result<()> {
        let mut state = self.0.lock();
        state.running()?;
        let mut missing: Vec<&Path> =
            path.ancestors().take_while(|ancestor| !state.names.is_directory(ancestor)).collect();
        while let Some(next) = missing.pop() {
            state.change_names(4, |names| {
                names.make(next, Node::Directory);
                Ok(())
            })?;
        }
        Ok(())
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        switch_point();
        let mut state = self.0.lock();
        if state.step(5)? {
            return state.running();
        }
        if state.sync_fails() {
            return Err(io::Error::other("the sync failed"));
        }
        state.names.sync(path);
        Ok(())
    }

    fn free_bytes(&self, _path: &Path) -> io::Result<u64> {
        let state = self.0.lock();
        Ok(state.capacity_bytes.map_or(u64::MAX, |capacity| capacity.saturating_sub(state.used_bytes())))
    }

    fn lock(&self, _path: &Path) -> io::Result<DiskLock> {
        Ok(Box::new(()))
    }

    fn boot(&self) -> Option<String> {
        Some(format!("boot {}", self.0.lock().boot))
    }
}

struct SimulatedFile {
    disk: SimulatedDisk,
    inode: usize,
    durable: bool,
    stream: bool,
}

impl DiskFile for SimulatedFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let state = self.disk.0.lock();
        state.running()?;
        let bytes = &state.contents[self.inode].bytes;
        let rest = bytes.get(usize::try_from(offset).unwrap()..).unwrap_or_default();
        let length = rest.len().min(buffer.len());
        buffer[..length].copy_from_slice(&rest[..length]);
        Ok(length)
    }

    fn read_at_once(&self, buffer: &mut [u8], offset: u64) -> io::Result<Option<usize>> {
        let in_memory = (offset / DIRECT_ALIGNMENT as u64).is_multiple_of(2);
        if in_memory { self.read_at(buffer, offset).map(Some) } else { Ok(None) }
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        switch_point();
        assert!(
            !self.stream || direct_place(bytes, offset) == 0,
            "the page cache gets what need not go there"
        );
        let offset = usize::try_from(offset).unwrap();
        let mut state = self.disk.0.lock();
        state.check_failure(self.inode)?;
        state.check_room(self.inode, offset + bytes.len())?;
        let failing = state.step((offset as u64) << 24 | bytes.len() as u64)?;
        state.contents[self.inode].write(bytes, offset);
        if failing {
            // Whether it is synced or not, any of the sectors may have arrived.
            return state.running();
        }
        if self.durable {
            assert!(offset.is_multiple_of(DIRECT_ALIGNMENT) && bytes.len().is_multiple_of(DIRECT_ALIGNMENT));
            assert!((bytes.as_ptr() as usize).is_multiple_of(DIRECT_ALIGNMENT));
            if state.sync_fails() {
                state.contents[self.inode].forget_dirty();
                return Err(io::Error::other("the sync failed"));
            }
            state.contents[self.inode].sync_range(offset, bytes.len());
        }
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        switch_point();
        let mut state = self.disk.0.lock();
        if state.step(6)? {
            return state.running();
        }
        if state.sync_fails() {
            state.contents[self.inode].forget_dirty();
            return Err(io::Error::other("the sync failed"));
        }
        state.contents[self.inode].sync();
        Ok(())
    }

    fn length(&self) -> io::Result<u64> {
        let state = self.disk.0.lock();
        state.running()?;
        Ok(state.contents[self.inode].bytes.len() as u64)
    }

    fn set_length(&self, length: u64) -> io::Result<()> {
        let mut state = self.disk.0.lock();
        let failing = state.step(7)?;
        state.contents[self.inode].set_length(usize::try_from(length).unwrap());
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
    fn a_directory_is_durable_when_the_one_above_it_was_synced() {
        let mut lost = 0;
        for seed in 0..50 {
            let disk = SimulatedDisk::new(seed);
            let (directory, file) = (Path::new("/d"), Path::new("/d/file"));
            disk.create_directory(directory).unwrap();
            write(&disk, file, &[1; 10]).sync_data().unwrap();
            disk.sync_directory(directory).unwrap();
            lost += usize::from(read(&disk.after_power_failure(), file).is_none());
            disk.sync_directory(Path::new("/")).unwrap();
            assert_eq!(read(&disk.after_power_failure(), file), Some(vec![1; 10]));
        }
        assert!((10..40).contains(&lost), "{lost}");
    }

    #[test]
    fn after_a_sync_that_failed_later_ones_say_yes_and_the_bytes_are_gone() {
        let disk = SimulatedDisk::new(1);
        disk.create_directory(Path::new("/d")).unwrap();
        disk.sync_directory(Path::new("/")).unwrap();
        let path = Path::new("/d/file");
        let file = write(&disk, path, &[1; 1000]);
        disk.sync_directory(Path::new("/d")).unwrap();
        disk.fail_sync_at(0);
        assert!(file.sync_data().is_err());
        file.sync_data().unwrap();
        assert_eq!(read(&disk, path), Some(vec![1; 1000]));
        assert_eq!(read(&disk.after_kill(), path), Some(vec![1; 1000]));
        let after = read(&disk.after_power_failure(), path);
        assert!(after.is_none_or(|bytes| bytes.iter().all(|byte| *byte == 0)));
    }

    #[test]
    fn only_what_was_synced_is_sure_to_survive() {
        let (mut lost_bytes, mut lost_name) = (0, 0);
        for seed in 0..50 {
            let disk = SimulatedDisk::new(seed);
            disk.create_directory(Path::new("/d")).unwrap();
            disk.sync_directory(Path::new("/")).unwrap();
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
