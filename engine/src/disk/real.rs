//! The machine's own disk.

use std::fs::{File, OpenOptions};
use std::io::{self, IoSliceMut, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;

use rustix::fs::{CWD, FlockOperation, OFlags, RenameFlags, flock, renameat_with};
use rustix::io::{Errno, ReadWriteFlags, preadv2};

use super::{Disk, DiskFile, DiskLock, OpenHow};

/// The machine's own disk.
#[derive(Debug, Clone, Copy, Default)]
pub struct RealDisk;

impl Disk for RealDisk {
    fn open(&self, path: &Path, how: OpenHow) -> io::Result<Arc<dyn DiskFile>> {
        let file = match how {
            OpenHow::Read => File::open(path)?,
            OpenHow::CreateNew => {
                OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(path)?
            }
            OpenHow::DirectDurable => open_direct(path)?,
        };
        Ok(Arc::new(RealFile(file)))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }

    fn rename_new(&self, from: &Path, to: &Path) -> io::Result<()> {
        match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
            // Not every file system knows it.
            Err(Errno::INVAL | Errno::NOSYS) => {
                std::fs::hard_link(from, to)?;
                std::fs::remove_file(from)
            }
            result => Ok(result?),
        }
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        match std::fs::remove_file(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            result => result,
        }
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<String>> {
        std::fs::read_dir(directory)?
            .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
            .collect()
    }

    fn create_directory(&self, path: &Path) -> io::Result<()> {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }

    fn free_bytes(&self, path: &Path) -> io::Result<u64> {
        let statistics = rustix::fs::statvfs(path)?;
        Ok(statistics.f_bavail.saturating_mul(statistics.f_frsize))
    }

    fn lock(&self, path: &Path) -> io::Result<DiskLock> {
        let mut how = OpenOptions::new();
        let file = how.write(true).create(true).truncate(false).mode(0o600).open(path)?;
        flock(&file, FlockOperation::NonBlockingLockExclusive)?;
        Ok(Box::new(file))
    }

    fn boot(&self) -> Option<String> {
        let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
        Some(text.trim().to_owned()).filter(|text| !text.is_empty())
    }
}

fn open_direct(path: &Path) -> io::Result<File> {
    let flags = |flags: OFlags| i32::try_from(flags.bits()).unwrap_or(0);
    let open = |extra| OpenOptions::new().read(true).write(true).custom_flags(flags(extra)).open(path);
    match open(OFlags::DIRECT | OFlags::DSYNC) {
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => open(OFlags::DSYNC),
        result => result,
    }
}

struct RealFile(File);

impl DiskFile for RealFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut done = 0;
        while let Some(rest) = buffer.get_mut(done..).filter(|rest| !rest.is_empty()) {
            match self.0.read_at(rest, offset + done as u64) {
                Ok(0) => break,
                Ok(count) => done += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(done)
    }

    fn read_at_once(&self, buffer: &mut [u8], offset: u64) -> io::Result<Option<usize>> {
        let length = buffer.len();
        let read = preadv2(&self.0, &mut [IoSliceMut::new(buffer)], offset, ReadWriteFlags::NOWAIT);
        // A file system that cannot say so, a part and a failure are for the call that waits.
        Ok(read.ok().filter(|read| *read == length))
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.0.write_all_at(bytes, offset)
    }

    fn sync_data(&self) -> io::Result<()> {
        (&self.0).flush()?;
        self.0.sync_data()
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn set_length(&self, length: u64) -> io::Result<()> {
        self.0.set_len(length)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{AlignedBuffer, DIRECT_ALIGNMENT};
    use super::*;

    #[test]
    fn a_direct_file_takes_aligned_writes() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        let disk = RealDisk;
        disk.open(&path, OpenHow::CreateNew).unwrap().set_length(2 * DIRECT_ALIGNMENT as u64).unwrap();
        let mut buffer = AlignedBuffer::zeroed(10);
        assert_eq!(buffer.as_slice().len(), DIRECT_ALIGNMENT);
        buffer.as_mut_slice()[..5].copy_from_slice(b"hello");
        let file = disk.open(&path, OpenHow::DirectDurable).unwrap();
        file.write_all_at(buffer.as_slice(), DIRECT_ALIGNMENT as u64).unwrap();
        let mut read = [0; 8];
        let plain = disk.open(&path, OpenHow::Read).unwrap();
        assert_eq!(plain.read_at(&mut read, DIRECT_ALIGNMENT as u64).unwrap(), 8);
        assert_eq!(&read[..5], b"hello");
    }

    #[test]
    fn what_was_just_written_is_read_at_once() {
        let directory = tempfile::tempdir().unwrap();
        let file = RealDisk.open(&directory.path().join("file"), OpenHow::CreateNew).unwrap();
        file.write_all_at(b"hello world", 0).unwrap();
        let mut read = [0; 5];
        match file.read_at_once(&mut read, 6).unwrap() {
            Some(count) => assert_eq!((count, &read), (5, b"world")),
            // Not every file system can tell.
            None => assert_eq!(file.read_at(&mut read, 6).unwrap(), 5),
        }
        assert_eq!(file.read_at_once(&mut [0; 20], 0).unwrap(), None, "only a part is there");
    }

    #[test]
    fn a_new_name_is_one_that_nothing_has() {
        let directory = tempfile::tempdir().unwrap();
        let (from, to) = (directory.path().join("from"), directory.path().join("to"));
        RealDisk.open(&from, OpenHow::CreateNew).unwrap();
        RealDisk.rename_new(&from, &to).unwrap();
        assert!(to.exists() && !from.exists());
        RealDisk.open(&from, OpenHow::CreateNew).unwrap();
        assert_eq!(RealDisk.rename_new(&from, &to).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert!(from.exists());
    }

    #[test]
    fn removing_twice_is_no_error_and_creating_twice_is() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        RealDisk.open(&path, OpenHow::CreateNew).unwrap();
        assert!(RealDisk.open(&path, OpenHow::CreateNew).is_err());
        RealDisk.remove(&path).unwrap();
        RealDisk.remove(&path).unwrap();
    }
}
