//! A disk whose journal can be held up, so that a test knows what waits for it.

use std::io;
use std::path::Path;
use std::sync::Arc;

use parking_lot::{Condvar, Mutex};

use crate::disk::{Disk, DiskFile, DiskLock, OpenHow, RealDisk};

/// A real disk that counts the writes to the journal, and keeps them waiting while it is shut.
#[derive(Clone, Default)]
pub(super) struct GatedDisk(Arc<Gate>);

#[derive(Default)]
struct Gate {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    shut: bool,
    waiting: u32,
    written: u32,
}

impl GatedDisk {
    pub(super) fn shut(&self) {
        self.0.state.lock().shut = true;
    }

    pub(super) fn open_up(&self) {
        self.0.state.lock().shut = false;
        self.0.changed.notify_all();
    }

    /// Waits until a write waits.
    pub(super) fn until_one_waits(&self) {
        self.0.changed.wait_while(&mut self.0.state.lock(), |state| state.waiting == 0);
    }

    /// Writes to journal files so far.
    pub(super) fn written(&self) -> u32 {
        self.0.state.lock().written
    }
}

impl Gate {
    fn pass(&self) {
        let mut state = self.state.lock();
        state.waiting += 1;
        self.changed.notify_all();
        self.changed.wait_while(&mut state, |state| state.shut);
        state.waiting -= 1;
        state.written += 1;
    }
}

struct GatedFile {
    file: Arc<dyn DiskFile>,
    gate: Arc<Gate>,
}

impl Disk for GatedDisk {
    fn open(&self, path: &Path, how: OpenHow) -> io::Result<Arc<dyn DiskFile>> {
        let file = RealDisk.open(path, how)?;
        Ok(match how {
            OpenHow::DirectDurable => Arc::new(GatedFile { file, gate: Arc::clone(&self.0) }),
            OpenHow::Read | OpenHow::CreateNew | OpenHow::CreateStream => file,
        })
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        RealDisk.rename(from, to)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        RealDisk.remove(path)
    }
    fn list(&self, directory: &Path) -> io::Result<Vec<String>> {
        RealDisk.list(directory)
    }
    fn create_directory(&self, path: &Path) -> io::Result<()> {
        RealDisk.create_directory(path)
    }
    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        RealDisk.sync_directory(path)
    }
    fn free_bytes(&self, path: &Path) -> io::Result<u64> {
        RealDisk.free_bytes(path)
    }
    fn lock(&self, path: &Path) -> io::Result<DiskLock> {
        RealDisk.lock(path)
    }
    fn boot(&self) -> Option<String> {
        RealDisk.boot()
    }
}

impl DiskFile for GatedFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.file.read_at(buffer, offset)
    }
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.gate.pass();
        self.file.write_all_at(bytes, offset)
    }
    fn sync_data(&self) -> io::Result<()> {
        self.file.sync_data()
    }
    fn length(&self) -> io::Result<u64> {
        self.file.length()
    }
    fn set_length(&self, length: u64) -> io::Result<()> {
        self.file.set_length(length)
    }
}
