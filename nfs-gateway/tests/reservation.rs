//! What is shown before it is durable: an UNSTABLE write must not come back after a crash with another content under its change number, and
//! a file that is made again is told of when it is durable.
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

use engine::{CreateMode, Credential, Entry, Environment, InodeId, SetAttributes, Stability};
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

/// A server in a new life with a file, whose journal can be held up.
#[expect(clippy::unwrap_used, reason = "a failure ends the test")]
async fn new_life(disk: &StallingDisk) -> (Server, InodeId) {
    let server = Server::start().await;
    let set = SetAttributes::default();
    let created =
        server.file_system.create(&Credential::root(), entry(b"file"), CreateMode::Guarded, &set).await;
    let created = created.unwrap().durable().await.unwrap().into_inner();
    let mut environment = Environment::system();
    environment.disk = Arc::new(disk.clone());
    (server.restart_in(environment).await, created.attributes.inode)
}

fn entry(name: &[u8]) -> Entry<'_> {
    Entry { directory: InodeId::ROOT, name }
}

/// Whether it is not there while the journal is held up, which it then no longer is.
async fn waits_for<T>(disk: &StallingDisk, answer: impl Future<Output = T>) -> (bool, T) {
    let mut answer = pin!(answer);
    let early = tokio::time::timeout(Duration::from_millis(300), &mut answer).await;
    disk.stall(false);
    match early {
        Ok(answer) => (false, answer),
        Err(_) => (true, answer.await),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_unstable_write_waits_for_the_reservation_that_its_number_is_from() {
    let disk = StallingDisk::default();
    let (server, inode) = new_life(&disk).await;
    disk.stall(true);
    let write = |offset| {
        let (fs, data) = (&server.file_system, bytes::Bytes::from_static(b"bytes"));
        async move { fs.write(&Credential::root(), inode, offset, data, Stability::Unstable).await }
    };
    // The first one reserves numbers for both.
    let first = write(0).await.unwrap();
    let second = write(5).await.unwrap();
    let (waits, done) = waits_for(&disk, second.ticket.durable()).await;
    assert!(waits, "its change number is not reserved yet");
    done.unwrap();
    first.ticket.durable().await.unwrap();
    server.nfs.stop().await;
    server.file_system.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exclusive_create_that_is_asked_for_again_waits_for_the_first_one() {
    let disk = StallingDisk::default();
    let (server, _) = new_life(&disk).await;
    disk.stall(true);
    let create = || {
        let fs = &server.file_system;
        async move {
            let (who, set) = (Credential::root(), SetAttributes::default());
            fs.create(&who, entry(b"new"), CreateMode::Exclusive(*b"verifier"), &set).await
        }
    };
    let first = create().await.unwrap();
    let again = create().await.unwrap();
    let (waits, again) = waits_for(&disk, again.durable()).await;
    assert!(waits, "the file can be lost yet");
    let inode = again.unwrap().into_inner().attributes.inode;
    assert_eq!(first.durable().await.unwrap().into_inner().attributes.inode, inode);
    server.nfs.stop().await;
    server.file_system.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_changes_nothing_is_answered_when_what_it_tells_of_is_durable() {
    let disk = StallingDisk::default();
    let (server, inode) = new_life(&disk).await;
    let (fs, who, set) = (&server.file_system, Credential::root(), SetAttributes::default());
    let linked = fs.link(&who, inode, entry(b"link")).await.unwrap().durable().await.unwrap();
    disk.stall(true);
    let made = fs.make_directory(&who, entry(b"new"), &set).await.unwrap();
    // Both names are of one file, so that the rename does nothing: but it tells the directory's change attribute.
    let renamed = fs.rename(&who, entry(b"file"), entry(b"link")).await.unwrap();
    let (waits, renamed) = waits_for(&disk, renamed.durable()).await;
    assert!(waits, "a crash would take the change attribute back");
    let made = made.durable().await.unwrap().into_inner();
    assert_eq!(renamed.unwrap().into_inner().target.after, made.directory.after);
    assert!(made.directory.after > linked.into_inner().directory.after);
    disk.stall(true);
    let created = fs.create(&who, entry(b"file"), CreateMode::Guarded, &set).await;
    assert!(created.is_err());
    let other = fs.create(&who, entry(b"other"), CreateMode::Unchecked, &set).await.unwrap();
    let opened = fs.create(&who, entry(b"other"), CreateMode::Unchecked, &set).await.unwrap();
    let (waits, opened) = waits_for(&disk, opened.durable()).await;
    assert!(waits, "the file that it says is there can be lost yet");
    let other = other.durable().await.unwrap().into_inner();
    assert_eq!(opened.unwrap().into_inner().attributes.inode, other.attributes.inode);
    server.nfs.stop().await;
    server.file_system.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_that_would_have_made_the_file_waits_for_whoever_makes_it() {
    let disk = StallingDisk::default();
    let (server, _) = new_life(&disk).await;
    let mut client = Client::ready(server.port, b"alpha").await;
    let id = client.id;
    // Its record is durable from here on.
    assert_eq!(client.run(&[putrootfh(), open_create(id, b"o", b"file")]).await.status, OK);
    disk.stall(true);
    let (who, set) = (Credential::root(), SetAttributes::default());
    let made = server.file_system.create(&who, entry(b"new"), CreateMode::Guarded, &set).await.unwrap();
    let operations = [putrootfh(), open_create(id, b"o", b"new")];
    let (waits, opened) = waits_for(&disk, client.run(&operations)).await;
    assert!(waits, "the file can be lost yet");
    assert_eq!(opened.status, OK);
    made.durable().await.unwrap();
    server.nfs.stop().await;
    server.file_system.shutdown().await.unwrap();
}

/// Readers see changes before they are durable, and a crash may take them back: nothing that comes later may look the same to them.
#[tokio::test(flavor = "multi_thread")]
async fn no_life_gives_out_numbers_that_an_earlier_one_may_have_shown() {
    let disk = StallingDisk::default();
    let (server, _) = new_life(&disk).await;
    let (who, set) = (Credential::root(), SetAttributes::default());
    let make = async |server: &Server, name: &[u8]| {
        let made = server.file_system.create(&who, entry(name), CreateMode::Guarded, &set).await;
        made.unwrap().durable().await.unwrap().into_inner()
    };
    let before = make(&server, b"before").await;
    let server = server.restart_in(Environment::system()).await;
    let after = make(&server, b"after").await;
    // As many more as a life may have shown that nothing is left of.
    let shown = 1 << 31;
    assert!(after.directory.after > before.directory.after + shown);
    assert!(after.attributes.change > before.attributes.change + shown);
    assert_ne!(after.attributes.generation, before.attributes.generation);
    let unchanged = server.file_system.attributes(before.attributes.inode).unwrap();
    assert!(unchanged.change < before.attributes.change + shown, "clients may keep what they have of it");
    server.nfs.stop().await;
    server.file_system.shutdown().await.unwrap();
}
