//! Compounds whose bytes after SEQUENCE are damaged: each gets an answer, and the server lives on.
#![expect(
    unreachable_pub,
    dead_code,
    reason = "a test has no users, and not every test needs all of the client"
)]

#[cfg(test)]
mod raw;

use proptest::test_runner::{Config, TestRunner};
use raw::client::*;
use raw::server::Server;
use raw::wire::Out;

/// One of each kind of operation, as a client may send it.
fn operations(client: u64, handle: &[u8], stateid: &[u8]) -> Vec<Vec<Out>> {
    let readdir = op(26).u64(0).u64(0).u32(512).u32(4096).u32(2).u32(0x0018_091a).u32(0x00b0_a23a);
    let setattr = op(34).raw(stateid).u32(1).u32(1 << 4).opaque(&8u64.to_be_bytes());
    vec![
        vec![
            putrootfh(),
            open_create(client, b"owner", b"file"),
            op(10),
            op(9).u32(2).u32(u32::MAX).u32(0x1fff),
        ],
        vec![putfh(handle), write(stateid, 4, 0, b"payload"), read(stateid, 0, 64), op(5).u64(0).u32(0)],
        vec![putfh(handle), lock(client, stateid, 0), setattr, op(3).u32(0x3f)],
        vec![putrootfh(), readdir, lookup(b"file"), op(33).opaque(b"x")],
        vec![putrootfh(), op(32), mkdir(b"directory"), op(29).opaque(b"a").opaque(b"b"), op(31)],
        vec![op(55).u32(2).raw(stateid).raw(stateid), op(45).raw(stateid), op(52).u32(0)],
        vec![exchange_id(b"somebody", 7), create_session(client, 9), op(41).raw(&[0; 16]).u32(1).u32(0)],
    ]
}

#[test]
fn damaged_compounds_are_answered() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let (server, mut client, handle, stateid) = runtime.block_on(async {
        let server = Server::start().await;
        let mut client = Client::ready(server.port, b"alpha").await;
        let (handle, stateid) = client.create(b"file").await;
        (server, client, handle, stateid)
    });
    let all = operations(client.id, &handle, &stateid);
    let client = std::cell::RefCell::new(&mut client);
    let damage =
        (0..all.len(), proptest::collection::vec((0usize..400, proptest::num::u8::ANY), 0..4), 0usize..400);
    let config = Config { cases: 1500, failure_persistence: None, ..Config::default() };
    TestRunner::new(config)
        .run(&damage, |(which, changes, cut)| {
            let mut bytes: Vec<u8> = all[which].iter().flat_map(|operation| operation.0.clone()).collect();
            let length = bytes.len();
            for (at, value) in changes {
                bytes[at % length] = value;
            }
            // Most of them keep their length: a cut is found at once.
            bytes.truncate(if cut % 4 == 0 { cut } else { length });
            let client = &mut **client.borrow_mut();
            client.sequence += 1;
            let head = client.sequence(client.sequence);
            let body = Out::default().opaque(b"tag").u32(1).u32(1 + all[which].len() as u32);
            let body = body.raw(&head.0).raw(&bytes);
            let mut reply = runtime.block_on(client.wire.call(100_003, 4, 1, &body.0));
            let accepted = (reply.u32(), reply.u32(), reply.u32(), reply.u32());
            assert_eq!(accepted, (0, 0, 0, 0));
            Ok(())
        })
        .unwrap();
    let client = client.into_inner();
    let reply = runtime.block_on(client.run(&[putrootfh(), op(9).u32(1).u32(2)]));
    assert_eq!(reply.status, OK);
    assert!(server.nfs.status().operations > 1500);
    runtime.block_on(server.nfs.stop());
}
