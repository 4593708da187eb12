//! What an UNSTABLE write shows of itself must not come back after a crash with another content.
#![expect(
    unreachable_pub,
    dead_code,
    reason = "a test has no users, and this one does not use all of the client"
)]

#[cfg(test)]
mod raw;

use std::io;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use engine::disk::{Disk, DiskFile, DiskLock, OpenHow, RealDisk};
use engine::{CreateMode, Credential, Entry, Environment, InodeId, SetAttributes};
use parking_lot::{Condvar, Mutex};
use raw::client::*;
use raw::server::Server;

/// A real disk whose journal can be held up.
#[derive(Clone, Default)]
struct StallingDisk(Arc<(Mutex<bool>, Condvar)>);

impl StallingDisk {
    fn stall(&self, stalled: bool) {
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
            OpenHow::Read | OpenHow::CreateNew => file,
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

#[tokio::test(flavor = "multi_thread")]
async fn an_unstable_write_is_answered_when_its_change_numbers_are_reserved() {
    let server = Server::start().await;
    let root = Credential { uid: 0, gid: 0, groups: Vec::new() };
    let entry = Entry { directory: InodeId::ROOT, name: b"file" };
    let set = SetAttributes::default();
    let created = server.file_system.create(&root, entry, CreateMode::Guarded, &set).await.unwrap();
    created.durable().await.unwrap();
    let disk = StallingDisk::default();
    // In a new life of the server the first write needs numbers that no earlier life has shown.
    let mut environment = Environment::system();
    environment.disk = Arc::new(disk.clone());
    let server = server.restart_in(environment).await;
    let mut client = Client::ready(server.port, b"alpha").await;
    disk.stall(true);
    let operations = [putrootfh(), lookup(b"file"), write(&[0; 16], 0, 0, b"bytes")];
    {
        let mut answer = pin!(client.run(&operations));
        let early = tokio::time::timeout(Duration::from_millis(300), &mut answer).await;
        // First of all: a test that fails while the journal is held up would never end.
        disk.stall(false);
        assert!(early.is_err(), "it was answered, though a crash would take its change attribute back");
        assert_eq!(answer.await.status, OK);
    }
    disk.stall(true);
    let next = tokio::time::timeout(Duration::from_secs(20), client.run(&operations)).await;
    disk.stall(false);
    assert_eq!(next.map(|next| next.status), Ok(OK), "the next ones need nothing durable");
    server.nfs.stop().await;
    server.file_system.shutdown().await.unwrap();
}
