//! Damage on the disk: whoever reads it gets EIO and never other bytes, all else is served on, and the operator is told.
#![expect(
    unreachable_pub,
    dead_code,
    reason = "a test has no users, and this one does not use all of the client"
)]

#[cfg(test)]
mod raw;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use engine::{Credential, Entry, HealthState, InodeId};
use raw::client::*;
use raw::server::Server;

const IO: u32 = 5;
/// What one READ asks for: the client has its replies kept, and those may not be long.
const PAGE: usize = 4096;
const PAGES: usize = 64;

/// What was logged.
#[derive(Clone, Default)]
struct Logged(Arc<Mutex<Vec<u8>>>);

impl io::Write for Logged {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().map_err(|_| io::ErrorKind::Other)?.extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Logged {
    fn start() -> Logged {
        let logged = Logged::default();
        let writer = logged.clone();
        tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).init();
        logged
    }

    #[expect(clippy::unwrap_used, reason = "a failure ends the test")]
    fn errors(&self) -> Vec<String> {
        let all = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
        all.lines().filter(|line| line.contains(" ERROR ")).map(str::to_owned).collect()
    }
}

/// Bytes that are never zero and differ from page to page.
fn content(seed: u8) -> Vec<u8> {
    (0..PAGES * PAGE).map(|at| (at / PAGE + at % 13 + 1) as u8 ^ seed).collect()
}

#[expect(clippy::unwrap_used, reason = "a failure ends the test")]
fn segments(server: &Server) -> Vec<PathBuf> {
    let home = server.directory.path().join("data").join(server.file_system.id().to_string());
    let entries = std::fs::read_dir(home.join("segments")).unwrap();
    entries.map(|entry| entry.unwrap().path()).collect()
}

#[expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failure ends the test")]
fn flip_a_bit_in_the_middle(path: &Path) {
    let mut bytes = std::fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(path, bytes).unwrap();
}

/// A client of a server that nobody reclaims anything from any more.
async fn ready(server: &Server) -> Client {
    let client = Client::ready(server.port, b"alpha").await;
    while server.nfs.status().in_grace {
        tokio::task::yield_now().await;
    }
    client
}

async fn make(client: &mut Client, name: &[u8], content: &[u8]) -> Vec<u8> {
    let (handle, stateid) = client.create(name).await;
    assert_eq!(client.run(&[putfh(&handle), write(&stateid, 0, 2, content)]).await.status, OK);
    assert_eq!(client.run(&[putfh(&handle), op(4).u32(0).raw(&stateid)]).await.status, OK);
    handle
}

/// Each page of a file: its bytes, or the status.
async fn pages(client: &mut Client, handle: &[u8]) -> Vec<Result<Vec<u8>, u32>> {
    let mut pages = Vec::new();
    for page in 0..PAGES {
        let offset = (page * PAGE) as u64;
        let mut reply = client.run(&[putfh(handle), read(&[0; 16], offset, PAGE as u32)]).await;
        pages.push(match reply.status {
            OK => {
                reply.results.raw(8 + 8 + 4);
                Ok(reply.results.opaque())
            }
            status => Err(status),
        });
    }
    pages
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_block_is_eio_with_an_alarm_and_all_else_is_read() {
    let logged = Logged::start();
    let server = Server::start().await;
    let (hit_content, other_content) = (content(0x55), content(0xaa));
    let hit = make(&mut ready(&server).await, b"hit", &hit_content).await;
    // Each life seals segments of its own.
    let server = server.restart().await;
    let of_hit = segments(&server);
    let other = make(&mut ready(&server).await, b"other", &other_content).await;
    let server = server.restart().await;
    assert!(!of_hit.is_empty() && segments(&server).len() > of_hit.len());
    of_hit.iter().for_each(|path| flip_a_bit_in_the_middle(path));
    assert_eq!(server.file_system.status().unwrap().health.state, HealthState::Ok, "nobody has read it yet");

    let mut client = ready(&server).await;
    for _ in 0..2 {
        let found = pages(&mut client, &hit).await;
        assert!(found.contains(&Err(IO)), "the damage is met");
        for (found, written) in found.into_iter().zip(hit_content.chunks(PAGE)) {
            match found {
                Ok(bytes) => assert!(bytes == written, "never other bytes"),
                Err(status) => assert_eq!(status, IO),
            }
        }
        let found = pages(&mut client, &other).await;
        assert!(found.into_iter().eq(other_content.chunks(PAGE).map(|page| Ok(page.to_vec()))));
    }

    let entry = Entry { directory: InodeId::ROOT, name: b"hit" };
    let inode = server.file_system.lookup(&Credential::root(), entry).unwrap().inode;
    let health = server.file_system.status().unwrap().health;
    assert_eq!(health.state, HealthState::Degraded);
    let reason = health.reasons.join("; ");
    assert!(reason.contains(&format!("inode {inode}")) && reason.contains("verify --deep"), "{reason}");
    let errors = logged.errors();
    assert_eq!(errors.len(), 1, "once, however often it is read: {errors:#?}");
    for told in [format!("inode={inode} ").as_str(), "tidefs verify --deep", "restore it from a backup"] {
        assert!(errors[0].contains(told), "{told}: {errors:#?}");
    }
    server.nfs.stop().await;
}
