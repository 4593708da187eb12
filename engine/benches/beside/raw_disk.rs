//! The raw disk, past the page cache.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use engine::disk::{AlignedBuffer, Disk, DiskFile, OpenHow, RealDisk};

use crate::table::rate;

pub(crate) const FILE_BYTES: usize = 512 << 20;
const CHUNK_BYTES: usize = 1 << 20;

pub(crate) struct RawDisk {
    file: Arc<dyn DiskFile>,
}

impl RawDisk {
    pub(crate) fn make(path: &Path) -> RawDisk {
        let file = RealDisk.open(path, OpenHow::CreateNew).unwrap();
        let bytes = vec![0x5a; CHUNK_BYTES];
        for offset in (0..FILE_BYTES).step_by(CHUNK_BYTES) {
            file.write_all_at(&bytes, offset as u64).unwrap();
        }
        file.sync_data().unwrap();
        RawDisk { file: RealDisk.open(path, OpenHow::DirectDurable).unwrap() }
    }

    /// MiB a second, written in order and durable, 1 MiB at a time from one thread.
    pub(crate) fn write_in_order(&self, mebibytes: usize) -> f64 {
        let chunk = AlignedBuffer::zeroed(CHUNK_BYTES);
        let started = Instant::now();
        for number in 0..mebibytes {
            let offset = number * CHUNK_BYTES % FILE_BYTES;
            self.file.write_all_at(chunk.as_slice(), offset as u64).unwrap();
        }
        rate(mebibytes, started.elapsed())
    }

    /// MiB a second, read in order, 1 MiB at a time from one thread.
    pub(crate) fn read_in_order(&self, mebibytes: usize) -> f64 {
        let mut chunk = AlignedBuffer::zeroed(CHUNK_BYTES);
        let started = Instant::now();
        for number in 0..mebibytes {
            let offset = number * CHUNK_BYTES % FILE_BYTES;
            self.file.read_at(chunk.as_mut_slice(), offset as u64).unwrap();
        }
        rate(mebibytes, started.elapsed())
    }

    /// Reads of 4 KiB anywhere, a second, with a thread for each reader.
    pub(crate) fn read_anywhere(&self, readers: usize, time: Duration) -> f64 {
        let (count, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
        let started = Instant::now();
        std::thread::scope(|scope| {
            for _ in 0..readers {
                scope.spawn(|| {
                    let mut page = AlignedBuffer::zeroed(4096);
                    while !stop.load(Ordering::Relaxed) {
                        let number =
                            count.fetch_add(1, Ordering::Relaxed).wrapping_mul(0x9e37_79b9_7f4a_7c15);
                        let offset = number % (FILE_BYTES / 4096) * 4096;
                        self.file.read_at(page.as_mut_slice(), offset as u64).unwrap();
                    }
                });
            }
            std::thread::sleep(time);
            stop.store(true, Ordering::Relaxed);
        });
        rate(count.load(Ordering::Relaxed), started.elapsed())
    }
}
