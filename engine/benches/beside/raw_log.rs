//! A raw group-commit log: a preallocated file, O_DIRECT and O_DSYNC, a leader that writes for all that wait. No encryption, nothing
//! is applied anywhere.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use engine::disk::{AlignedBuffer, Disk, DiskFile, OpenHow, RealDisk};
use parking_lot::{Condvar, Mutex};

use crate::table::rate;

const FILE_BYTES: usize = 256 << 20;

pub(crate) struct RawLog {
    file: Arc<dyn DiskFile>,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    waiting: Vec<u8>,
    appended: u64,
    durable: u64,
    writing: bool,
    offset: usize,
}

impl RawLog {
    pub(crate) fn make(path: &Path) -> RawLog {
        let zeros = vec![0; 1 << 20];
        let file = RealDisk.open(path, OpenHow::CreateNew).unwrap();
        for offset in (0..FILE_BYTES).step_by(zeros.len()) {
            file.write_all_at(&zeros, offset as u64).unwrap();
        }
        file.sync_data().unwrap();
        let file = RealDisk.open(path, OpenHow::DirectDurable).unwrap();
        RawLog { file, state: Mutex::default(), changed: Condvar::new() }
    }

    /// Returns when the record is durable.
    fn append(&self, record: &[u8]) {
        let mut state = self.state.lock();
        state.waiting.extend_from_slice(&u32::try_from(record.len()).unwrap().to_be_bytes());
        state.waiting.extend_from_slice(record);
        state.appended += 1;
        let mine = state.appended;
        while state.durable < mine {
            if state.writing {
                self.changed.wait(&mut state);
                continue;
            }
            state.writing = true;
            let records = std::mem::take(&mut state.waiting);
            let last = state.appended;
            let mut frame = AlignedBuffer::zeroed(records.len());
            frame.as_mut_slice()[..records.len()].copy_from_slice(&records);
            let length = frame.as_slice().len();
            if state.offset + length > FILE_BYTES {
                state.offset = 0;
            }
            let offset = state.offset;
            state.offset += length;
            drop(state);
            self.file.write_all_at(frame.as_slice(), offset as u64).unwrap();
            state = self.state.lock();
            state.durable = last;
            state.writing = false;
            self.changed.notify_all();
        }
    }

    /// Records a second, with a thread for each writer.
    pub(crate) fn measure(&self, writers: usize, record_bytes: usize, time: Duration) -> f64 {
        let record = vec![0x5a; record_bytes];
        let (count, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
        let started = Instant::now();
        std::thread::scope(|scope| {
            for _ in 0..writers {
                scope.spawn(|| {
                    while !stop.load(Ordering::Relaxed) {
                        self.append(&record);
                        count.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
            std::thread::sleep(time);
            stop.store(true, Ordering::Relaxed);
        });
        rate(count.load(Ordering::Relaxed), started.elapsed())
    }
}
