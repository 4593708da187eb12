//! What an UNSTABLE write shows of itself must not come back after a crash with another content.
#![expect(
    unreachable_pub,
    dead_code,
    reason = "a test has no users, and this one does not use all of the client"
)]

#[cfg(test)]
mod raw;

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use engine::{CreateMode, Credential, Entry, Environment, InodeId, SetAttributes};
use raw::client::*;
use raw::server::Server;
use raw::stalling::StallingDisk;

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
