//! The machine's own disk.

use std::fs::{File, OpenOptions};
use std::io::{self, IoSliceMut, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{CWD, FlockOperation, OFlags, RenameFlags, flock, renameat_with};
use rustix::io::{Errno, ReadWriteFlags, preadv2};
use rustix::param::page_size;

use super::{DIRECT_ALIGNMENT, Disk, DiskFile, DiskLock, OpenHow};

/// The machine's own disk.
#[derive(Debug, Clone, Copy, Default)]
pub struct RealDisk;

impl Disk for RealDisk {
    fn open(&self, path: &Path, how: OpenHow) -> io::Result<Arc<dyn DiskFile>> {
        let file = match how {
            OpenHow::Read => File::open(path)?,
            OpenHow::CreateNew => create_new(path)?,
            OpenHow::CreateStream => {
                let file = RealFile(create_new(path)?);
                return Ok(match open_stream(path) {
                    Some(direct) => Arc::new(Stream { file, direct, refused: AtomicBool::new(false) }),
                    None => Arc::new(file),
                });
            }
            OpenHow::DirectDurable => open_durable(path)?,
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

fn create_new(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(path)
}

fn open_with(path: &Path, flags: OFlags) -> io::Result<File> {
    let flags = i32::try_from(flags.bits()).unwrap_or(0);
    OpenOptions::new().read(true).write(true).custom_flags(flags).open(path)
}

/// Opens a file of which each write is durable when it returns.
fn open_durable(path: &Path) -> io::Result<File> {
    match open_direct(path, OFlags::DSYNC)? {
        Some(file) => Ok(file),
        None => open_with(path, OFlags::DSYNC),
    }
}

/// Opens a file for direct I/O; `None` if its file system has none.
fn open_direct(path: &Path, flags: OFlags) -> io::Result<Option<File>> {
    match open_with(path, OFlags::DIRECT | flags) {
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(None),
        result => result.map(Some),
    }
}

/// Opens a file a second time for direct I/O. Without that it is written through the page cache, and it is the same if a page of that is
/// larger than what is written directly.
fn open_stream(path: &Path) -> Option<File> {
    let pages_fit = page_size() <= DIRECT_ALIGNMENT;
    open_direct(path, OFlags::empty()).ok().flatten().filter(|_| pages_fit)
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

/// A file that is written in long pieces.
struct Stream {
    file: RealFile,
    direct: File,
    /// Set when it turns out that the file system takes no direct I/O, or none like this.
    refused: AtomicBool,
}

/// From how many bytes on a piece goes past the page cache: less than that somebody may want to read soon, and it costs little.
const DIRECT_BYTES_MIN: usize = 512 * 1024;

impl DiskFile for Stream {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.file.read_at(buffer, offset)
    }

    fn read_at_once(&self, buffer: &mut [u8], offset: u64) -> io::Result<Option<usize>> {
        self.file.read_at_once(buffer, offset)
    }

    /// The system keeps both ways consistent, page by page.
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let Some((head, pages, tail)) =
            whole_pages(bytes, offset).filter(|_| !self.refused.load(Ordering::Relaxed))
        else {
            return self.file.write_all_at(bytes, offset);
        };
        let pages_at = offset + head.len() as u64;
        self.file.write_all_at(head, offset)?;
        match self.direct.write_all_at(pages, pages_at) {
            Err(error) if !is_of_the_disk(&error) => {
                self.refused.store(true, Ordering::Relaxed);
                self.file.write_all_at(pages, pages_at)?;
            }
            result => result?,
        }
        self.file.write_all_at(tail, pages_at + pages.len() as u64)
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

/// Whether a write failed for a reason that it would have in any way: the disk is full or broken.
fn is_of_the_disk(error: &io::Error) -> bool {
    let full = matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
    full || error.raw_os_error() == Some(Errno::IO.raw_os_error())
}

/// The bytes before the first whole page of the file, the whole pages, and the rest; `None` if the pages are few, or not where direct I/O
/// takes them from.
fn whole_pages(bytes: &[u8], offset: u64) -> Option<(&[u8], &[u8], &[u8])> {
    let before = usize::try_from(offset.next_multiple_of(DIRECT_ALIGNMENT as u64) - offset).ok()?;
    let (head, rest) = bytes.split_at_checked(before)?;
    let (pages, tail) = rest.split_at_checked(rest.len() - rest.len() % DIRECT_ALIGNMENT)?;
    let fits = pages.len() >= DIRECT_BYTES_MIN && pages.as_ptr().align_offset(DIRECT_ALIGNMENT) == 0;
    fits.then_some((head, pages, tail))
}

#[cfg(test)]
mod tests {
    use rustix::fs::fcntl_getfl;

    use super::super::{AlignedBuffer, direct_place};
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
    fn each_write_to_a_direct_file_is_durable() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        RealDisk.open(&path, OpenHow::CreateNew).unwrap();
        let flags = fcntl_getfl(open_durable(&path).unwrap()).unwrap();
        assert!(flags.contains(OFlags::DSYNC), "{flags:?}");
        let has_direct = open_direct(&path, OFlags::empty()).unwrap().is_some();
        assert_eq!(flags.contains(OFlags::DIRECT), has_direct, "{flags:?}");
    }

    /// There is nothing to be synced, which the system says when it is asked.
    #[test]
    fn a_sync_reaches_the_system() {
        let null = || RealFile(open_with(Path::new("/dev/null"), OFlags::empty()).unwrap());
        let direct = null().0;
        let stream = Stream { file: null(), direct, refused: AtomicBool::new(false) };
        for synced in
            [null().sync_data(), stream.sync_data(), RealDisk.sync_directory(Path::new("/proc/self"))]
        {
            assert_eq!(synced.unwrap_err().kind(), io::ErrorKind::InvalidInput);
        }
        RealDisk.sync_directory(tempfile::tempdir().unwrap().path()).unwrap();
    }

    /// Bytes where direct I/O takes those for that offset from, or a byte behind.
    fn placed(piece: &[u8], offset: u64, behind: usize) -> (Vec<u8>, usize) {
        let mut buffer = Vec::with_capacity(piece.len() + 2 * DIRECT_ALIGNMENT);
        let place = direct_place(&buffer, offset) + behind;
        buffer.resize(place, 0);
        buffer.extend_from_slice(piece);
        (buffer, place)
    }

    /// Writes pieces of any length, each behind the one before, and reads all of the file after each of them.
    fn write_pieces(file: &dyn DiskFile, path: &Path) {
        let plain = RealDisk.open(path, OpenHow::Read).unwrap();
        let mut expected = Vec::new();
        for (number, length) in
            [44, 600_000, 4096, DIRECT_BYTES_MIN, 1 << 20, 5, 700_000, 3 << 20].into_iter().enumerate()
        {
            let offset = expected.len() as u64;
            let piece: Vec<u8> = (0..length).map(|at| (at * 7 + number) as u8).collect();
            let (buffer, place) = placed(&piece, offset, usize::from(number == 4));
            file.write_all_at(&buffer[place..], offset).unwrap();
            expected.extend_from_slice(&piece);
            let mut read = vec![0; expected.len() + 1];
            assert_eq!(plain.read_at(&mut read, 0).unwrap(), expected.len());
            assert!(read[..expected.len()] == expected, "after piece {number}");
        }
        file.sync_data().unwrap();
        file.set_length(1000).unwrap();
        assert_eq!(plain.length().unwrap(), 1000);
    }

    #[test]
    fn a_stream_has_what_was_written_in_pieces_of_any_length() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        let file = RealDisk.open(&path, OpenHow::CreateStream).unwrap();
        write_pieces(file.as_ref(), &path);
        assert!(RealDisk.open(&path, OpenHow::CreateStream).is_err(), "it is there already");
        // Not every file system has it; where there is, it is used.
        let path = directory.path().join("direct");
        let file = RealFile(create_new(&path).unwrap());
        if let Some(direct) = open_stream(&path) {
            let stream = Stream { file, direct, refused: AtomicBool::new(false) };
            write_pieces(&stream, &path);
            assert!(!stream.refused.load(Ordering::Relaxed));
        }
    }

    #[test]
    fn a_stream_on_a_disk_without_direct_writes_is_written_all_the_same() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        let file = RealFile(create_new(&path).unwrap());
        // No write to it succeeds.
        let direct = File::open(&path).unwrap();
        let stream = Stream { file, direct, refused: AtomicBool::new(false) };
        write_pieces(&stream, &path);
        assert!(stream.refused.load(Ordering::Relaxed), "a write was direct, and is not tried again");
    }

    #[test]
    fn many_whole_pages_are_written_directly_from_where_they_fit() {
        for (offset, length, behind, pages) in [
            (0, DIRECT_BYTES_MIN, 0, Some((0, DIRECT_BYTES_MIN))),
            (0, DIRECT_BYTES_MIN, 1, None),
            (0, DIRECT_BYTES_MIN - 1, 0, None),
            (1, DIRECT_BYTES_MIN + 4095, 0, Some((4095, DIRECT_BYTES_MIN))),
            (1, DIRECT_BYTES_MIN + 4094, 0, None),
            (4096, (1 << 20) + 5, 0, Some((0, 1 << 20))),
            (44, 3, 0, None),
        ] {
            let (buffer, place) = placed(&vec![7; length], offset, behind);
            let found = whole_pages(&buffer[place..], offset);
            assert_eq!(found.map(|(head, pages, _)| (head.len(), pages.len())), pages, "{offset} {length}");
        }
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
