//! The built program over several lives, by a client that speaks to each of them: what a kill leaves, and what a start begins with.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![expect(
    unreachable_pub,
    dead_code,
    reason = "a test has no users, and this one does not use all of the client and of the program"
)]

#[cfg(test)]
mod program;
#[cfg(test)]
mod raw;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use program::{Home, Served};
use raw::client::*;
use raw::wire::Out;

const GRACE: u32 = 10013;
const DENIED: u32 = 10010;
/// For what comes by itself, and soon.
const LIMIT: Duration = Duration::from_secs(60);

/// The port that the running server serves NFS on.
fn port(home: &Home) -> u16 {
    let status = home.status();
    let listen = status.pointer("/mount_targets/0/listen").and_then(|listen| listen.as_str()).unwrap();
    listen.parse::<std::net::SocketAddr>().unwrap().port()
}

/// Asks until the answer is there.
fn until<T>(what: &str, ask: impl Fn() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(start.elapsed() < LIMIT, "{what}: not within {LIMIT:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn until_grace_is_over(home: &Home) {
    let over = || home.status().pointer("/mount_targets/0/nfs/in_grace")?.as_bool().filter(|grace| !grace);
    until("all have reclaimed what they had", over);
}

fn commit() -> Out {
    op(5).u64(0).u32(0)
}

/// UNSTABLE bytes at the start of a file, and the write verifier.
async fn write_unstable(client: &mut Client, handle: &[u8], stateid: &[u8], data: &[u8]) -> Vec<u8> {
    let mut reply = client.run(&[putfh(handle), write(stateid, 0, 0, data)]).await;
    assert_eq!(reply.status, OK);
    reply.results.raw(8 + 8);
    assert_eq!((reply.results.u32(), reply.results.u32()), (data.len() as u32, 0), "count, UNSTABLE");
    reply.results.raw(8)
}

/// COMMIT of all of a file: the write verifier.
async fn commit_all(client: &mut Client, handle: &[u8]) -> Vec<u8> {
    let mut reply = client.run(&[putfh(handle), commit()]).await;
    assert_eq!(reply.status, OK);
    reply.results.raw(8 + 8);
    reply.results.raw(8)
}

/// OPEN of a file that was open in the life before: the stateid.
async fn reclaim_open(client: &mut Client, handle: &[u8], owner: &[u8]) -> Vec<u8> {
    let mut reply = client.run(&[putfh(handle), open_previous(client.id, owner)]).await;
    assert_eq!(reply.status, OK);
    reply.results.raw(8 + 8);
    reply.results.raw(16)
}

async fn reclaim_complete(client: &mut Client) {
    assert_eq!(client.run(&[op(58).u32(0)]).await.status, OK);
}

#[tokio::test]
async fn a_kill_between_an_unstable_write_and_its_commit_changes_the_write_verifier() {
    let home = Home::new();
    let server = Served::start(&home);
    let mut client = Client::ready(port(&home), b"alpha").await;
    let (handle, stateid) = client.create(b"file").await;
    let first = write_unstable(&mut client, &handle, &stateid, b"written once").await;
    assert_eq!(commit_all(&mut client, &handle).await, first, "within a life it stays");
    assert_eq!(write_unstable(&mut client, &handle, &stateid, b"WRITTEN TWICE").await, first);
    server.kill();

    let server = Served::start(&home);
    let mut client = Client::new(port(&home), b"alpha").await;
    let stateid = reclaim_open(&mut client, &handle, b"owner").await;
    reclaim_complete(&mut client).await;
    until_grace_is_over(&home);
    let second = commit_all(&mut client, &handle).await;
    assert_ne!(second, first, "so the client knows that it has to send its data again");
    let mut reply = client.run(&[putfh(&handle), read(&stateid, 0, 100)]).await;
    reply.results.raw(8 + 8 + 4);
    let found = reply.results.opaque();
    assert!([&b"written once"[..], b"WRITTEN TWICE"].contains(&&found[..]), "old or new: {found:?}");
    assert_eq!(write_unstable(&mut client, &handle, &stateid, b"WRITTEN TWICE").await, second);
    assert_eq!(commit_all(&mut client, &handle).await, second);
    server.kill();

    let _server = Served::start(&home);
    let mut client = Client::new(port(&home), b"alpha").await;
    let stateid = reclaim_open(&mut client, &handle, b"owner").await;
    reclaim_complete(&mut client).await;
    let third = commit_all(&mut client, &handle).await;
    assert!(third != second && third != first);
    let mut reply = client.run(&[putfh(&handle), read(&stateid, 0, 100)]).await;
    reply.results.raw(8 + 8 + 4);
    assert_eq!(reply.results.opaque(), b"WRITTEN TWICE", "what was committed is there");
}

#[tokio::test]
async fn a_lock_is_reclaimed_after_a_kill_before_anybody_else_gets_it() {
    let home = Home::new();
    let server = Served::start(&home);
    let mut alpha = Client::ready(port(&home), b"alpha").await;
    let mut beta = Client::ready(port(&home), b"beta").await;
    let (handle, of_alpha) = alpha.create(b"file").await;
    let (same, of_beta) = beta.create(b"file").await;
    assert_eq!(same, handle);
    assert_eq!(alpha.run(&[putfh(&handle), lock(alpha.id, &of_alpha, 0)]).await.status, OK);
    assert_eq!(beta.run(&[putfh(&handle), lock(beta.id, &of_beta, 0)]).await.status, DENIED);
    server.kill();

    let _server = Served::start(&home);
    let mut beta = Client::new(port(&home), b"beta").await;
    let of_beta = reclaim_open(&mut beta, &handle, b"owner").await;
    let conflicting = [putfh(&handle), lock(beta.id, &of_beta, 0)];
    assert_eq!(beta.run(&conflicting).await.status, GRACE);
    reclaim_complete(&mut beta).await;
    assert_eq!(beta.run(&conflicting).await.status, GRACE, "alpha may still come");
    let mut alpha = Client::new(port(&home), b"alpha").await;
    let of_alpha = reclaim_open(&mut alpha, &handle, b"owner").await;
    assert_eq!(alpha.run(&[putfh(&handle), lock(alpha.id, &of_alpha, 1)]).await.status, OK);
    reclaim_complete(&mut alpha).await;
    until_grace_is_over(&home);
    assert_eq!(beta.run(&conflicting).await.status, DENIED);
}

/// The segments of the only file system.
fn segments(home: &Home) -> Vec<PathBuf> {
    let names = |path: &Path| -> Vec<PathBuf> {
        std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()).collect()
    };
    let entries = names(&home.path("data"));
    let file_system = entries.iter().find(|path| path.join("superblock").exists()).unwrap();
    names(&file_system.join("segments"))
}

/// What the status says about the health.
fn health(home: &Home) -> String {
    let status = home.status();
    status.pointer("/health").unwrap().to_string()
}

#[tokio::test]
async fn a_start_begins_the_scrub_unless_it_is_turned_off() {
    let home = Home::new();
    // Beside each other, as the key is beside the settings.
    std::fs::write(home.path("never.toml"), "[scrub]\nevery = \"never\"\n").unwrap();
    std::fs::write(home.path("default.toml"), "").unwrap();
    let server = Served::start_with(&home, "--config never.toml");
    let mut client = Client::ready(port(&home), b"alpha").await;
    let (handle, stateid) = client.create(b"file").await;
    let content = write(&stateid, 0, 2, &[7; 300_000]);
    assert_eq!(client.run(&[putfh(&handle), content]).await.status, OK);
    assert_eq!(server.terminate(), Some(0));
    for path in segments(&home) {
        let mut bytes = std::fs::read(&path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        std::fs::write(path, bytes).unwrap();
    }

    let server = Served::start_with(&home, "--config default.toml");
    let scrubbed = || Some(health(&home)).filter(|health| health.contains("the scrub found damage"));
    let said = until("the scrub reads all that is there", scrubbed);
    assert!(said.contains("/file"), "{said}");
    assert_eq!(server.terminate(), Some(0));
    let server = Served::start_with(&home, "--config default.toml");
    assert!(health(&home).contains("the scrub found damage"), "known from the start on");
    assert_eq!(server.terminate(), Some(0));
    let server = Served::start_with(&home, "--config never.toml");
    assert!(!health(&home).contains("scrub"), "{}", health(&home));
    assert_eq!(server.terminate(), Some(0));
}
