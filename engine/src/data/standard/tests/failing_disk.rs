//! The tier on a disk that fills up, fails to sync, or holds a sync back.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use rustix::io::Errno;

use super::*;
use crate::data::standard::syncer::{Job, SealedBatch};
use crate::disk::{DiskFile, DiskLock, OpenHow};

/// The real disk with faults that a test switches on.
struct FailingDisk {
    /// Bytes that can still be written.
    space: AtomicU64,
    /// Whether it is a quota that does not let more be written.
    has_quota: AtomicBool,
    fail_reads: AtomicBool,
    fail_syncs: AtomicBool,
    fail_directory_syncs: AtomicBool,
    syncs: AtomicU64,
    /// Writes since the last sync, and the most that there were.
    unsynced: AtomicU64,
    unsynced_max: AtomicU64,
    /// Looks until a read's bytes are in memory.
    looks_needed: AtomicU64,
    /// Reads that wait.
    waits: AtomicU64,
    /// While closed, every sync waits, and every read that waits.
    gate_closed: AtomicBool,
}

struct FailingFile {
    disk: Arc<FailingDisk>,
    file: Arc<dyn DiskFile>,
}

impl FailingDisk {
    fn new() -> Arc<FailingDisk> {
        Arc::new(FailingDisk {
            space: AtomicU64::new(u64::MAX),
            has_quota: AtomicBool::new(false),
            fail_reads: AtomicBool::new(false),
            fail_syncs: AtomicBool::new(false),
            fail_directory_syncs: AtomicBool::new(false),
            syncs: AtomicU64::new(0),
            unsynced: AtomicU64::new(0),
            unsynced_max: AtomicU64::new(0),
            looks_needed: AtomicU64::new(u64::MAX),
            waits: AtomicU64::new(0),
            gate_closed: AtomicBool::new(false),
        })
    }

    fn pass_gate(&self) {
        while self.gate_closed.load(Ordering::Acquire) {
            std::thread::yield_now();
        }
    }
}

/// The disk as the tier gets it.
struct Handle(Arc<FailingDisk>);

impl Disk for Handle {
    fn open(&self, path: &Path, how: OpenHow) -> io::Result<Arc<dyn DiskFile>> {
        let file = RealDisk.open(path, how)?;
        Ok(Arc::new(FailingFile { disk: Arc::clone(&self.0), file }))
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
        if self.0.fail_directory_syncs.load(Ordering::Relaxed) {
            return Err(io::Error::other("the directory cannot be synced"));
        }
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

impl DiskFile for FailingFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.disk.waits.fetch_add(1, Ordering::Relaxed);
        self.disk.pass_gate();
        if self.disk.fail_reads.load(Ordering::Relaxed) {
            return Err(Errno::IO.into());
        }
        self.file.read_at(buffer, offset)
    }
    fn read_at_once(&self, buffer: &mut [u8], offset: u64) -> io::Result<Option<usize>> {
        let needed = self.disk.looks_needed.load(Ordering::Relaxed);
        if needed > 1 {
            self.disk.looks_needed.store(needed - 1, Ordering::Relaxed);
            return Ok(None);
        }
        self.file.read_at(buffer, offset).map(Some)
    }
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let space = self.disk.space.load(Ordering::Relaxed);
        let fits = bytes.len().min(usize::try_from(space).unwrap_or(usize::MAX));
        let unsynced = self.disk.unsynced.fetch_add(1, Ordering::Relaxed) + 1;
        self.disk.unsynced_max.fetch_max(unsynced, Ordering::Relaxed);
        self.file.write_all_at(&bytes[..fits], offset)?;
        self.disk.space.store(space - fits as u64, Ordering::Relaxed);
        let full = if self.disk.has_quota.load(Ordering::Relaxed) { Errno::DQUOT } else { Errno::NOSPC };
        if fits < bytes.len() { Err(full.into()) } else { Ok(()) }
    }
    fn sync_data(&self) -> io::Result<()> {
        self.disk.pass_gate();
        self.disk.syncs.fetch_add(1, Ordering::Relaxed);
        self.disk.unsynced.store(0, Ordering::Relaxed);
        if self.disk.fail_syncs.load(Ordering::Relaxed) {
            return Err(io::Error::other("the file cannot be synced"));
        }
        self.file.sync_data()
    }
    fn length(&self) -> io::Result<u64> {
        self.file.length()
    }
    fn set_length(&self, length: u64) -> io::Result<()> {
        self.file.set_length(length)
    }
}

/// Of a long batch a part goes past the page cache before the disk is full.
#[tokio::test]
async fn a_full_disk_is_no_end() {
    let short = || vec![block(1, 1, 1000)];
    for (blocks, space, has_quota) in [
        (short(), 500, false),
        (short(), 500, true),
        (long(2), 100, false),
        (long(2), 1_500_000, false),
        (long(2), 1_500_000, true),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let disk = FailingDisk::new();
        let tier = open_on(directory.path(), Arc::new(Handle(Arc::clone(&disk))));
        let (kept, address) = append_checked(&tier, vec![block(1, 0, 1000)]).await.remove(0);
        let length = tier.list().unwrap()[0].1;

        disk.has_quota.store(has_quota, Ordering::Relaxed);
        for _ in 0..5 {
            disk.space.store(space, Ordering::Relaxed);
            assert!(matches!(tier.append(blocks.clone(), Urgency::Waited).await, Err(Error::NoSpace)));
        }
        assert_eq!(tier.halted(), None);
        assert_eq!(tier.list().unwrap(), [(address.segment, length)], "failed batches leave nothing behind");
        assert_eq!(tier.read(&address, kept.identity).await.unwrap(), kept.bytes);

        disk.space.store(u64::MAX, Ordering::Relaxed);
        append_checked(&tier, blocks).await;
        assert_ne!(tier.active(), Some(address.segment), "counters of the failed batch are not used again");
        assert_eq!(tier.directory(address.segment).await.unwrap(), [(kept.identity, address)]);
    }
}

/// As many blocks as are handed to the thread that writes long batches.
fn long(content: u64) -> Vec<PlainBlock> {
    (0..40).map(|index| block(content, index * 16, 64 << 10)).collect()
}

/// Of two that share a sync a loss of power could keep the second one alone: damage, by the looks of it.
#[test]
fn each_batch_is_synced_before_the_next_one_is_written() {
    let directory = tempfile::tempdir().unwrap();
    let disk = FailingDisk::new();
    let (keys, file_system) = (KeyRing::of(DataKey::from_bytes([2; 32])), FileSystemId::from_random([1; 16]));
    let handle = Arc::new(Handle(Arc::clone(&disk)));
    let files = Arc::new(SegmentFiles::open(directory.path(), handle, keys, file_system).unwrap());
    let segment = SegmentId([1; 16]);
    let file = files.create(segment).unwrap();
    let syncer = threads::Mutex::new(Syncer::new(files, Arc::default()));
    // All of them wait before the first one is written.
    let (jobs, queue) = mpsc::channel(3);
    let answers = [0, 100, 200].map(|offset| {
        let mut bytes = SealedBytes::default();
        bytes.place(offset, 100);
        bytes.tail().extend([7; 100]);
        let (reply, answer) = oneshot::channel();
        let (file, urgency, waiting) = (Arc::clone(&file), Urgency::Waited, vec![(Vec::new(), reply)]);
        let batch = SealedBatch { segment, file, offset, bytes, urgency, waiting };
        assert!(jobs.try_send(Job::Write(batch)).is_ok());
        answer
    });
    drop(jobs);
    Syncer::run(&syncer, queue);
    for mut answer in answers {
        assert!(answer.try_recv().unwrap().is_ok());
    }
    assert_eq!(disk.unsynced_max.load(Ordering::Relaxed), 1);
    assert_eq!(file.length().unwrap(), 300);
}

#[tokio::test]
async fn a_failed_sync_is_final_and_reads_go_on() {
    for of_the_directory in [false, true] {
        let directory = tempfile::tempdir().unwrap();
        let disk = FailingDisk::new();
        let tier = open_on(directory.path(), Arc::new(Handle(Arc::clone(&disk))));
        let (kept, address) = append_checked(&tier, vec![block(1, 0, 1000)]).await.remove(0);
        tier.close_active().await.unwrap();

        let switch = if of_the_directory { &disk.fail_directory_syncs } else { &disk.fail_syncs };
        switch.store(true, Ordering::Relaxed);
        assert!(matches!(
            tier.append(vec![block(1, 1, 10)], Urgency::Waited).await,
            Err(Error::Halted { .. })
        ));
        switch.store(false, Ordering::Relaxed);
        assert!(matches!(
            tier.append(vec![block(1, 1, 10)], Urgency::Waited).await,
            Err(Error::Halted { .. })
        ));
        assert!(matches!(tier.remove(address.segment).await, Err(Error::Halted { .. })));
        assert!(tier.halted().unwrap().contains("cannot be synced"));
        assert_eq!(tier.read(&address, kept.identity).await.unwrap(), kept.bytes);
    }
}

#[tokio::test]
async fn a_failed_sync_between_two_pieces_is_final() {
    let directory = tempfile::tempdir().unwrap();
    let disk = FailingDisk::new();
    let tier = open_on(directory.path(), Arc::new(Handle(Arc::clone(&disk))));
    let large = || (0..40).map(|index| block(1, index, 65_536)).collect();
    tier.append(large(), Urgency::Upkeep).await.unwrap();
    disk.fail_syncs.store(true, Ordering::Relaxed);
    assert!(matches!(tier.append(large(), Urgency::Upkeep).await, Err(Error::Halted { .. })));
    disk.fail_syncs.store(false, Ordering::Relaxed);
    assert!(matches!(tier.append(large(), Urgency::Waited).await, Err(Error::Halted { .. })));
}

#[tokio::test]
async fn appends_that_wait_share_one_sync() {
    let directory = tempfile::tempdir().unwrap();
    let disk = FailingDisk::new();
    let tier = Arc::new(open_on(directory.path(), Arc::new(Handle(Arc::clone(&disk)))));
    disk.gate_closed.store(true, Ordering::Release);
    let spawn = |content| {
        let tier = Arc::clone(&tier);
        tokio::spawn(async move { tier.append(vec![block(content, 0, 100)], Urgency::Waited).await })
    };
    let first = spawn(0);
    // The writer has taken the first request when it has named its segment; it then stands before the gate.
    while tier.active().is_none() {
        tokio::task::yield_now().await;
    }
    let others: Vec<_> = (1..=20).map(spawn).collect();
    // On this runtime of one thread, one turn lets each of them hand in its request.
    tokio::task::yield_now().await;
    disk.gate_closed.store(false, Ordering::Release);
    first.await.unwrap().unwrap();
    for other in others {
        other.await.unwrap().unwrap();
    }
    assert_eq!(disk.syncs.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn a_block_is_read_by_its_caller_if_its_bytes_come_soon() {
    let directory = tempfile::tempdir().unwrap();
    let disk = FailingDisk::new();
    let tier = open_on(directory.path(), Arc::new(Handle(Arc::clone(&disk))));
    let (block, address) = append_checked(&tier, vec![block(1, 0, 5000)]).await.remove(0);
    let waits = || disk.waits.load(Ordering::Relaxed);
    let read = || tier.read(&address, block.identity);

    let before = waits();
    assert_eq!(read().await.unwrap(), block.bytes);
    assert_eq!(waits(), before + 1, "not in memory, and nobody else waits");
    disk.looks_needed.store(1, Ordering::Relaxed);
    assert_eq!(read().await.unwrap(), block.bytes);
    assert_eq!(waits(), before + 1, "in memory");

    // Those that begin a crowd wait, and stay in it as long as it lasts; the others find it.
    disk.looks_needed.store(20, Ordering::Relaxed);
    disk.gate_closed.store(true, Ordering::Release);
    let mut many: FuturesUnordered<_> = (0..16).map(|_| read()).collect();
    for _ in 0..12 {
        assert_eq!(many.next().await.unwrap().unwrap(), block.bytes);
    }
    disk.gate_closed.store(false, Ordering::Release);
    while let Some(found) = many.next().await {
        assert_eq!(found.unwrap(), block.bytes);
    }
    assert!(waits() - before <= 5, "most of a crowd find it: {}", waits() - before);

    disk.looks_needed.store(1, Ordering::Relaxed);
    let other = BlockIdentity { content: ContentId(2), ..block.identity };
    assert!(matches!(tier.read(&address, other).await, Err(Error::Corrupt { .. })));
}

/// So that folds, moves and rotations pass by what is lost, as they do with what does not authenticate.
#[tokio::test]
async fn what_the_disk_cannot_read_is_corrupt() {
    let home = tempfile::tempdir().unwrap();
    let disk = FailingDisk::new();
    let tier = open_on(home.path(), Arc::new(Handle(Arc::clone(&disk))));
    let one = block(1, 0, 5000);
    let address = append_checked(&tier, vec![one.clone()]).await[0].1;
    disk.fail_reads.store(true, Ordering::Relaxed);
    let error = tier.read(&address, one.identity).await.unwrap_err();
    assert!(matches!(&error, Error::Corrupt { what } if what.contains("Input/output error")), "{error}");
    disk.fail_reads.store(false, Ordering::Relaxed);
    assert_eq!(tier.read(&address, one.identity).await.unwrap(), one.bytes);
}
