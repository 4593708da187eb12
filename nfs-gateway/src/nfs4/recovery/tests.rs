#![expect(
    unreachable_pub,
    dead_code,
    reason = "the client of the tests beside the crate, of which this needs a part"
)]

#[path = "../../../tests/raw/mod.rs"]
mod raw;

use std::pin::pin;

use engine::Environment;

use super::*;
use crate::broken::D5_BROKEN;
use raw::client::{Client, OK, lookup, op, open_previous, putfh, putrootfh};
use raw::server::Server;
use raw::stalling::StallingDisk;

const EARLY: Duration = Duration::from_millis(500);
const NFS4ERR_NO_GRACE: u32 = 10_033;

#[test]
fn every_client_has_a_key_of_its_own() {
    assert_eq!(record_key(b"Linux"), "nfs4/client/4c696e7578");
    let long = record_key(&[1; 1024]);
    assert!(long.len() < 120);
    assert_ne!(long, record_key(&[2; 1024]));
}

/// OPEN of a file that is there.
fn open(client: u64, name: &[u8]) -> raw::wire::Out {
    op(18).u32(0).u32(3).u32(0).u64(client).opaque(b"owner").u32(0).u32(0).opaque(name)
}

/// What a client has of its first open after a crash.
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    /// Whether the open was answered while the journal was held up.
    answered_early: bool,
    /// What a reclaim of it is answered after a crash at the moment of the answer.
    reclaimed: u32,
}

/// A client opens a file for the first time, and as soon as that is answered the server crashes.
async fn crash_after_the_first_open(owner: &[u8]) -> Outcome {
    let server = Server::start().await;
    let root = engine::Credential { uid: 0, gid: 0, groups: Vec::new() };
    let entry = engine::Entry { directory: engine::InodeId::ROOT, name: b"file" };
    let set = engine::SetAttributes::default();
    let made = server.file_system.create(&root, entry, engine::CreateMode::Guarded, &set).await.unwrap();
    made.durable().await.unwrap();
    let disk = StallingDisk::default();
    let mut environment = Environment::system();
    environment.disk = Arc::new(disk.clone());
    let server = server.restart_in(environment).await;
    let mut client = Client::ready(server.port, owner).await;
    let mut found = client.run(&[putrootfh(), lookup(b"file"), op(10)]).await;
    found.results.raw(8 + 8 + 8);
    let handle = found.results.opaque();

    disk.stall(true);
    let operations = [putrootfh(), open(client.id, b"file")];
    let (answered_early, crashed) = {
        let mut answer = pin!(client.run(&operations));
        let early = tokio::time::timeout(EARLY, &mut answer).await;
        match early {
            Ok(reply) => {
                let crashed = server.crashed().await;
                disk.stall(false);
                assert_eq!(reply.status, OK);
                (true, crashed)
            }
            Err(_) => {
                disk.stall(false);
                assert_eq!(answer.await.status, OK);
                (false, server.crashed().await)
            }
        }
    };
    let mut again = Client::new(crashed.port, owner).await;
    let reclaimed = again.run(&[putfh(&handle), open_previous(again.id, b"owner")]).await.status;
    for server in [server, crashed] {
        server.nfs.stop().await;
        server.file_system.shutdown().await.unwrap();
    }
    Outcome { answered_early, reclaimed }
}

/// Rule D5, where it is kept.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_granted_can_be_reclaimed_after_a_crash() {
    let outcome = crash_after_the_first_open(b"alpha").await;
    assert_eq!(outcome, Outcome { answered_early: false, reclaimed: OK });
}

#[tokio::test(flavor = "multi_thread")]
async fn without_rule_d5_what_was_granted_is_lost() {
    let outcome = crash_after_the_first_open(D5_BROKEN).await;
    assert_eq!(outcome, Outcome { answered_early: true, reclaimed: NFS4ERR_NO_GRACE });
}
