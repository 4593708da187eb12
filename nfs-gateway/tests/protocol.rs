//! The whole gateway on a real file system, spoken to over a socket.
#![expect(
    unreachable_pub,
    dead_code,
    reason = "a test has no users, and this one does not use all of the client"
)]

#[cfg(test)]
mod raw;

use raw::client::*;
use raw::server::Server;
use raw::wire::Out;

const GRACE: u32 = 10013;
const BADSESSION: u32 = 10052;
const DENIED: u32 = 10010;

#[tokio::test(flavor = "multi_thread")]
async fn rpc_answers_what_it_does_not_serve() {
    let server = Server::start().await;
    let mut wire = Wire::connect(server.port).await;
    let mut accepted = async |program, version, procedure| {
        let mut reply = wire.call(program, version, procedure, &[]).await;
        assert_eq!((reply.u32(), reply.u32(), reply.u32()), (0, 0, 0));
        reply.u32()
    };
    assert_eq!(accepted(100_003, 4, 0).await, 0, "NULL");
    assert_eq!(accepted(400_123, 1, 1).await, 1, "PROG_UNAVAIL, so that efs-proxy falls back");
    assert_eq!(accepted(100_003, 3, 0).await, 2, "PROG_MISMATCH");
    assert_eq!(accepted(100_003, 4, 2).await, 3, "PROC_UNAVAIL");
    assert_eq!(accepted(100_003, 4, 1).await, 4, "GARBAGE_ARGS");
    for minor in [0, 2, 9] {
        let reply = wire.compound(minor, &[putrootfh()]).await;
        assert_eq!((reply.status, reply.count), (10021, 0), "MINOR_VERS_MISMATCH");
    }
    server.nfs.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_bytes_close_the_connection_and_nothing_else() {
    let server = Server::start().await;
    for bytes in [&[0xff; 64][..], &[0; 8192], &[0x80, 0, 0, 4, 0, 0, 0, 1], &[0x16, 3, 1, 0]] {
        let mut wire = Wire::connect(server.port).await;
        wire.send_bytes(bytes).await;
        assert!(wire.receive().await.is_none(), "{bytes:?}");
    }
    let mut wire = Wire::connect(server.port).await;
    let reply = wire.compound(1, &[op(2)]).await;
    assert_eq!(reply.status, 10044, "OP_ILLEGAL");
    assert_eq!(reply.results.clone().u32(), 10044);
    assert_eq!(wire.compound(1, &[putrootfh()]).await.status, 10071, "OP_NOT_IN_SESSION");
    assert_eq!(wire.compound(1, &[exchange_id(b"x", 1), putrootfh()]).await.status, 10081, "NOT_ONLY_OP");
    server.nfs.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_made_written_and_read() {
    let server = Server::start().await;
    let mut client = Client::new(server.port, b"alpha").await;
    let early = [putrootfh(), open_create(client.id, b"o", b"early")];
    assert_eq!(client.run(&early).await.status, GRACE, "before RECLAIM_COMPLETE");
    assert_eq!(client.run(&[op(58).u32(0)]).await.status, OK);
    assert_eq!(client.run(&[op(58).u32(0)]).await.status, 10054, "COMPLETE_ALREADY");
    let (handle, stateid) = client.create(b"file").await;
    let mut reply =
        client.run(&[putfh(&handle), write(&stateid, 0, 2, b"hello world"), op(5).u64(0).u32(0)]).await;
    assert_eq!(reply.status, OK);
    reply.results.raw(8 + 8);
    assert_eq!((reply.results.u32(), reply.results.u32()), (11, 2), "count, FILE_SYNC");
    let verifier = reply.results.raw(8);
    reply.results.raw(8);
    assert_eq!(reply.results.raw(8), verifier, "WRITE and COMMIT have one verifier");
    let mut reply = client.run(&[putfh(&handle), read(&stateid, 6, 100)]).await;
    reply.results.raw(8 + 8);
    assert_eq!((reply.results.u32(), reply.results.opaque()), (1, b"world".to_vec()));
    let reply = client.run(&[putfh(&handle), op(4).u32(0).raw(&stateid)]).await;
    assert_eq!(reply.status, OK);
    assert_eq!(client.run(&[putfh(&handle), read(&stateid, 0, 1)]).await.status, 10025, "BAD_STATEID");
    let status = server.nfs.status();
    assert_eq!((status.clients, status.sessions, status.opens, status.in_grace), (1, 1, 0, false));
    server.nfs.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_current_stateid_goes_through_a_compound() {
    let server = Server::start().await;
    let mut client = Client::ready(server.port, b"alpha").await;
    let current = Out::default().u32(1).raw(&[0; 12]).0;
    let operations = [
        putrootfh(),
        open_create(client.id, b"o", b"file"),
        write(&current, 0, 2, b"abc"),
        read(&current, 0, 3),
        op(4).u32(0).raw(&current),
    ];
    assert_eq!(client.run(&operations).await.status, OK);
    assert_eq!(client.run(&[putrootfh(), lookup(b"file"), read(&current, 0, 3)]).await.status, 10025);
    server.nfs.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_on_a_new_connection_is_not_executed_again() {
    let server = Server::start().await;
    let mut client = Client::ready(server.port, b"alpha").await;
    let request = [putrootfh(), mkdir(b"once")];
    let first = client.run(&request).await;
    assert_eq!(first.status, OK);
    client.wire = Wire::connect(server.port).await;
    let again = client.again(&request).await;
    assert_eq!(again.bytes, first.bytes, "the very same bytes");
    let other = client.again(&[putrootfh(), mkdir(b"twice")]).await;
    assert_eq!(other.status, 10076, "SEQ_FALSE_RETRY");
    assert_eq!(client.run(&[putrootfh(), mkdir(b"once")]).await.status, 17, "EXIST");
    server.nfs.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn handles_that_are_forged_or_gone_are_told_apart() {
    let server = Server::start().await;
    let mut client = Client::ready(server.port, b"alpha").await;
    let (handle, stateid) = client.create(b"file").await;
    let mut forged = handle.clone();
    forged[21] ^= 1;
    assert_eq!(client.run(&[putfh(&forged)]).await.status, 10001, "BADHANDLE");
    assert_eq!(client.run(&[putrootfh(), op(28).opaque(b"file")]).await.status, OK);
    assert_eq!(client.run(&[putfh(&handle), read(&stateid, 0, 1)]).await.status, OK, "open files live on");
    assert_eq!(client.run(&[putfh(&handle), op(4).u32(0).raw(&stateid)]).await.status, OK);
    assert_eq!(client.run(&[putfh(&handle)]).await.status, 70, "STALE");
    server.nfs.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn state_is_reclaimed_after_a_restart_and_strangers_wait() {
    let server = Server::start().await;
    let mut alpha = Client::ready(server.port, b"alpha").await;
    let (handle, stateid) = alpha.create(b"file").await;
    assert_eq!(alpha.run(&[putfh(&handle), lock(alpha.id, &stateid, 0)]).await.status, OK);
    let verifier = server.file_system.write_verifier();
    let server = server.restart().await;
    assert!(server.nfs.status().in_grace);
    assert_ne!(server.file_system.write_verifier(), verifier);
    // The old session is unknown; a stranger may reclaim nothing and get nothing.
    alpha.wire = Wire::connect(server.port).await;
    assert_eq!(alpha.run(&[putrootfh()]).await.status, BADSESSION);
    let mut beta = Client::new(server.port, b"beta").await;
    let previous = [putfh(&handle), open_previous(beta.id, b"o")];
    assert_eq!(beta.run(&previous).await.status, 10034, "RECLAIM_BAD");
    assert_eq!(beta.run(&[op(58).u32(0)]).await.status, OK);
    assert_eq!(beta.run(&[putrootfh(), open_create(beta.id, b"o", b"new")]).await.status, GRACE);
    // The one who held it gets it back, with the lock.
    let mut alpha = Client::new(server.port, b"alpha").await;
    let mut reply = alpha.run(&[putfh(&handle), open_previous(alpha.id, b"owner")]).await;
    assert_eq!(reply.status, OK);
    reply.results.raw(8 + 8);
    let stateid = reply.results.raw(16);
    assert_eq!(alpha.run(&[putfh(&handle), lock(alpha.id, &stateid, 1)]).await.status, OK);
    assert_eq!(alpha.run(&[op(58).u32(0)]).await.status, OK);
    assert_eq!(alpha.run(&previous).await.status, 10033, "NO_GRACE");
    // All have reclaimed, so that the grace period ends long before the lease.
    while server.nfs.status().in_grace {
        tokio::task::yield_now().await;
    }
    let (same, stateid) = beta.create(b"file").await;
    assert_eq!(same, handle, "handles are stable");
    assert_eq!(beta.run(&[putfh(&handle), lock(beta.id, &stateid, 0)]).await.status, DENIED);
    server.nfs.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_reclaim_loses_his_record() {
    let server = Server::start().await;
    let mut alpha = Client::ready(server.port, b"alpha").await;
    alpha.create(b"file").await;
    let server = server.restart().await;
    // It comes back, but wants nothing of what it had.
    Client::ready(server.port, b"alpha").await;
    while server.nfs.status().in_grace {
        tokio::task::yield_now().await;
    }
    let server = server.restart().await;
    assert!(!server.nfs.status().in_grace, "nobody had state in the second life");
    server.nfs.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listing_in_small_pieces_is_whole() {
    let server = Server::start().await;
    let mut client = Client::ready(server.port, b"alpha").await;
    for index in 0..50 {
        assert_eq!(client.run(&[putrootfh(), mkdir(format!("d{index}").as_bytes())]).await.status, OK);
    }
    let readdir = |cookie, max| op(26).u64(cookie).u64(0).u32(0).u32(max).u32(1).u32(1 << 20);
    assert_eq!(client.run(&[putrootfh(), readdir(0, 20)]).await.status, 10005, "TOOSMALL");
    assert_eq!(client.run(&[putrootfh(), readdir(2, 999)]).await.status, 10003, "BAD_COOKIE");
    let (mut names, mut cookie, mut end) = (Vec::new(), 0, 0);
    while end == 0 {
        let mut reply = client.run(&[putrootfh(), readdir(cookie, 300)]).await;
        assert_eq!(reply.status, OK);
        let results = &mut reply.results;
        results.raw(8 + 8 + 8);
        while results.u32() == 1 {
            cookie = results.u64();
            names.push(results.opaque());
            results.raw(8);
            results.opaque();
        }
        end = results.u32();
    }
    names.sort();
    names.dedup();
    assert_eq!(names.len(), 50);
    server.nfs.stop().await;
}
