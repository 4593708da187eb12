//! A disk that keeps the journal waiting: what is written then is not there after a crash.

use std::io;
use std::path::Path;
use std::sync::Arc;

use engine::disk::{Disk, DiskFile, DiskLock, OpenHow, RealDisk};
use parking_lot::{Condvar, Mutex};

/// A real disk whose journal can be held up.
#[derive(Clone, Default)]
pub struct StallingDisk(Arc<(Mutex<bool>, Condvar)>);

impl StallingDisk {
    /// Holds up what is written to the journal from now on, or lets it go.
    pub fn stall(&self, stalled: bool) {
        *self.0.0.lock() = stalled;
        self.0.1.notify_all();
    }
}

struct StallingFile {
    file: Arc<dyn DiskFile>,
    disk: StallingDisk,
}

impl Disk for StallingDisk {
    fn open(&self, path: &Path, how: OpenHow) -> io::Result<Arc<dyn DiskFile>> {
        let file = RealDisk.open(path, how)?;
        Ok(match how {
            OpenHow::DirectDurable => Arc::new(StallingFile { file, disk: self.clone() }),
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

impl DiskFile for StallingFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.file.read_at(buffer, offset)
    }
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.disk.0.1.wait_while(&mut self.disk.0.0.lock(), |stalled| *stalled);
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
