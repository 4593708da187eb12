//! Fuzz targets: each operation of a COMPOUND, COMPOUNDs, and calls, on a real file system.
//!
//! An input can name what it cannot know: 16 bytes `5e` stand for the session, 8 bytes `c1` for the client.

use bytes::Bytes;

use super::world::{self, World};
use super::written;
use crate::fuzzing::{Target, must};
use crate::nfs4::attributes::{Attribute, Bitmap};
use crate::nfs4::limits;
use crate::nfs4::operation::Operation;
use crate::nfs4::status::Status;
use crate::xdr::{Reader, Writer, XdrError};

pub(crate) const TARGETS: &[Target] = &[
    Target { name: "nfs-operation", run: operation, seeds: operation_seeds },
    Target { name: "nfs-compound", run: compound, seeds: compound_seeds },
    Target { name: "nfs-call", run: call, seeds: call_seeds },
];

const SESSION: [u8; 16] = [0x5e; 16];
const CLIENT: [u8; 8] = [0xc1; 8];
/// The current stateid.
const CURRENT: [u8; 16] = [0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

/// A client with a session of one slot.
struct Session {
    id: [u8; 16],
    client: u64,
    sequence: u32,
}

/// The head of a reply to a COMPOUND.
struct Reply {
    status: u32,
    count: u32,
    results: Reader,
}

fn op(number: Operation, arguments: impl FnOnce(&mut Writer)) -> Vec<u8> {
    written(|writer| {
        writer.u32(number as u32);
        arguments(writer);
    })
}

fn body(minor: u32, count: u32, operations: &[u8]) -> Vec<u8> {
    let head = written(|writer| {
        writer.opaque(b"fuzz");
        writer.u32(minor);
        writer.u32(count);
    });
    [&head, operations].concat()
}

fn decode(reply: Bytes) -> Result<Reply, XdrError> {
    assert!(reply.len() <= limits::MESSAGE_BYTES_MAX as usize);
    let mut reader = Reader::new(reply);
    let head: [u8; 24] = reader.fixed()?;
    assert!(head.ends_with(&[0; 16]), "the call is accepted");
    let status = reader.u32()?;
    assert_eq!(reader.opaque(4)?.as_ref(), b"fuzz");
    Ok(Reply { status, count: reader.u32()?, results: reader })
}

/// An operation that stands alone and succeeds.
fn alone(world: &mut World, operation: &[u8]) -> Reader {
    let mut reply = must(decode(world.compound(&body(1, 1, operation))));
    assert_eq!((reply.status, reply.count), (0, 1));
    let _number_and_status = must(reply.results.u64());
    reply.results
}

fn exchange_id(owner: &[u8]) -> Vec<u8> {
    op(Operation::EXCHANGE_ID, |writer| {
        writer.u64(1);
        writer.opaque(owner);
        (0..3).for_each(|_| writer.u32(0));
    })
}

fn create_session(client: u64, sequence: u32) -> Vec<u8> {
    op(Operation::CREATE_SESSION, |writer| {
        writer.u64(client);
        writer.u32(sequence);
        writer.u32(0);
        for _ in 0..2 {
            [0, 1_100_000, 1_100_000, 8192, 64, 1, 0].into_iter().for_each(|value| writer.u32(value));
        }
        [0x4000_0000, 1, 0].into_iter().for_each(|value| writer.u32(value));
    })
}

impl Session {
    fn begin(world: &mut World) -> Session {
        // A client that an input has left behind with a session of its own stays as it is.
        let owner = format!("fuzz-{}", world.number());
        let mut result = alone(world, &exchange_id(owner.as_bytes()));
        let (client, sequence) = (must(result.u64()), must(result.u32()));
        let id = must(alone(world, &create_session(client, sequence)).fixed());
        let mut session = Session { id, client, sequence: 0 };
        let complete = op(Operation::RECLAIM_COMPLETE, |writer| writer.u32(0));
        let reply = session.run(world, 1, &complete);
        assert_eq!(must(decode(reply)).status, 0);
        session
    }

    /// As far as the input has not ended it.
    fn end(self, world: &mut World) {
        let destroy = op(Operation::DESTROY_SESSION, |writer| writer.fixed(&self.id));
        must(decode(world.compound(&body(1, 1, &destroy))));
        let destroy = op(Operation::DESTROY_CLIENTID, |writer| writer.u64(self.client));
        must(decode(world.compound(&body(1, 1, &destroy))));
    }

    fn run(&mut self, world: &mut World, count: u32, operations: &[u8]) -> Bytes {
        self.sequence += 1;
        self.again(world, count, operations)
    }

    /// The same request on the slot as before.
    fn again(&self, world: &mut World, count: u32, operations: &[u8]) -> Bytes {
        let sequence = op(Operation::SEQUENCE, |writer| {
            writer.fixed(&self.id);
            [self.sequence, 0, 0, 1].into_iter().for_each(|value| writer.u32(value));
        });
        world.compound(&body(1, count + 1, &[sequence, operations.to_vec()].concat()))
    }

    /// Runs what an input says, and checks what can be known of any reply: a retry is answered from the slot.
    fn check(&mut self, world: &mut World, count: u32, operations: &[u8]) {
        let operations =
            replace(replace(operations.to_vec(), &SESSION, &self.id), &CLIENT, &self.client.to_be_bytes());
        let first = self.run(world, count, &operations);
        let second = self.again(world, count, &operations);
        // All but the transaction ids, which differ.
        let same = first.get(4..) == second.get(4..);
        let reply = must(decode(first));
        assert!((1..=count + 1).contains(&reply.count));
        assert!(reply.status != 0 || reply.count == count + 1, "a compound ends at its first failure");
        assert_ne!(reply.status, Status::SERVERFAULT.number());
        assert_ne!(reply.status, Status::IO.number());
        let gone = [Status::BADSESSION.number(), Status::RETRY_UNCACHED_REP.number()];
        assert!(
            same || gone.contains(&must(decode(second)).status),
            "a retry is answered as the request was"
        );
    }
}

fn replace(mut bytes: Vec<u8>, marker: &[u8], by: &[u8]) -> Vec<u8> {
    let mut at = 0;
    while let Some(found) =
        bytes.get(at..).and_then(|rest| rest.windows(marker.len()).position(|part| part == marker))
    {
        at += found;
        if let Some(place) = bytes.get_mut(at..at + marker.len()) {
            place.copy_from_slice(by);
        }
        at += marker.len();
    }
    bytes
}

fn root() -> Vec<u8> {
    op(Operation::PUTROOTFH, |_| {})
}

fn lookup(name: &[u8]) -> Vec<u8> {
    op(Operation::LOOKUP, |writer| writer.opaque(name))
}

fn open(name: &[u8], create: u32) -> Vec<u8> {
    op(Operation::OPEN, |writer| {
        [0, 3, 0].into_iter().for_each(|value| writer.u32(value));
        writer.fixed(&CLIENT);
        writer.opaque(b"owner");
        writer.u32(create);
        if create == 1 {
            // UNCHECKED, with no attributes.
            (0..3).for_each(|_| writer.u32(0));
        }
        writer.u32(0);
        writer.opaque(name);
    })
}

fn write(stateid: &[u8], offset: u64, stable: u32, data: &[u8]) -> Vec<u8> {
    op(Operation::WRITE, |writer| {
        writer.fixed(stateid);
        writer.u64(offset);
        writer.u32(stable);
        writer.opaque(data);
    })
}

fn create(kind: u32, link: &[u8], name: &[u8]) -> Vec<u8> {
    op(Operation::CREATE, |writer| {
        writer.u32(kind);
        if kind == 5 {
            writer.opaque(link);
        }
        writer.opaque(name);
        writer.u32(0);
        writer.opaque(b"");
    })
}

/// Some files to work on.
fn prepare(world: &mut World) {
    let mut session = Session::begin(world);
    let all = [
        root(),
        open(b"file", 1),
        write(&CURRENT, 0, 2, b"content"),
        root(),
        create(2, b"", b"directory"),
        root(),
        create(5, b"file", b"link"),
    ];
    let count = all.len() as u32;
    session.check(world, count, &all.concat());
    session.end(world);
}

/// What is done before the operation: which handles and stateids there are.
fn preambles() -> [Vec<Vec<u8>>; 8] {
    let save = || op(Operation::SAVEFH, |_| {});
    [
        vec![],
        vec![root()],
        vec![root(), lookup(b"file")],
        vec![root(), lookup(b"directory")],
        vec![root(), lookup(b"link")],
        vec![root(), open(b"file", 1)],
        vec![root(), save(), lookup(b"directory")],
        vec![root(), open(b"file", 1), save(), root()],
    ]
}

/// The number of an operation, what is done before it, and its arguments.
fn operation(data: &[u8]) {
    let [number, preamble, arguments @ ..] = data else { return };
    let preamble = preambles().into_iter().nth(usize::from(*preamble) % 8).unwrap_or_default();
    let count = preamble.len() as u32 + 1;
    let operations =
        [preamble.concat(), u32::from(*number % 80).to_be_bytes().to_vec(), arguments.to_vec()].concat();
    world::with(prepare, |world| {
        let mut session = Session::begin(world);
        session.check(world, count, &operations);
        session.end(world);
    });
}

/// An operation of each kind, with the number of what is best done before it.
fn samples() -> Vec<(u8, Vec<u8>)> {
    let words =
        |operation, words: &[u32]| op(operation, |writer| words.iter().for_each(|word| writer.u32(*word)));
    let named = |operation| op(operation, |writer| writer.opaque(b"name"));
    let fattr = |writer: &mut Writer, stateid: &[u8]| {
        writer.fixed(stateid);
        Bitmap::of(&[Attribute::Size, Attribute::Mode]).encode(writer);
        writer.opaque(&[0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 1, 0x80]);
    };
    let lock = |writer: &mut Writer| {
        [2, 0].into_iter().for_each(|value| writer.u32(value));
        [0, u64::MAX].into_iter().for_each(|value| writer.u64(value));
        [1, 0].into_iter().for_each(|value| writer.u32(value));
        writer.fixed(&CURRENT);
        writer.u32(0);
        writer.fixed(&CLIENT);
        writer.opaque(b"locker");
    };
    let all = |writer: &mut Writer| Bitmap::of(Attribute::ALL).encode(writer);
    let handle = world::with(prepare, |world| world.root_handle());
    vec![
        (2, words(Operation::ACCESS, &[63])),
        (
            5,
            op(Operation::CLOSE, |writer| {
                writer.u32(0);
                writer.fixed(&CURRENT)
            }),
        ),
        (5, words(Operation::COMMIT, &[0, 0, 0])),
        (1, create(2, b"", b"made")),
        (3, create(5, b"target", b"made")),
        (
            1,
            op(Operation::CREATE, |writer| {
                writer.u32(3);
                writer.u64(7);
                writer.opaque(b"node");
                writer.u64(0)
            }),
        ),
        (2, op(Operation::GETATTR, all)),
        (2, words(Operation::GETFH, &[])),
        (7, named(Operation::LINK)),
        (5, op(Operation::LOCK, lock)),
        (
            5,
            op(Operation::LOCKT, |writer| {
                writer.u32(1);
                writer.u64(0);
                writer.u64(9);
                writer.fixed(&CLIENT);
                writer.opaque(b"o")
            }),
        ),
        (
            5,
            op(Operation::LOCKU, |writer| {
                writer.u32(2);
                writer.u32(0);
                writer.fixed(&CURRENT);
                writer.u64(0);
                writer.u64(9)
            }),
        ),
        (1, lookup(b"file")),
        (3, words(Operation::LOOKUPP, &[])),
        (
            2,
            op(Operation::NVERIFY, |writer| {
                Bitmap::of(&[Attribute::Type]).encode(writer);
                writer.opaque(&[0, 0, 0, 1])
            }),
        ),
        (
            2,
            op(Operation::VERIFY, |writer| {
                Bitmap::of(&[Attribute::Type]).encode(writer);
                writer.opaque(&[0, 0, 0, 1])
            }),
        ),
        (1, open(b"new", 1)),
        (1, open(b"file", 0)),
        (
            5,
            op(Operation::OPEN_DOWNGRADE, |writer| {
                writer.fixed(&CURRENT);
                [0, 1, 0].into_iter().for_each(|value| writer.u32(value))
            }),
        ),
        (0, op(Operation::PUTFH, |writer| writer.opaque(&handle))),
        (
            5,
            op(Operation::READ, |writer| {
                writer.fixed(&CURRENT);
                writer.u64(0);
                writer.u32(100)
            }),
        ),
        (
            1,
            op(Operation::READDIR, |writer| {
                writer.u64(0);
                writer.u64(0);
                writer.u32(4096);
                writer.u32(4096);
                all(writer)
            }),
        ),
        (4, words(Operation::READLINK, &[])),
        (1, named(Operation::REMOVE)),
        (
            6,
            op(Operation::RENAME, |writer| {
                writer.opaque(b"file");
                writer.opaque(b"moved")
            }),
        ),
        (7, words(Operation::RESTOREFH, &[])),
        (1, op(Operation::SECINFO, |writer| writer.opaque(b"file"))),
        (1, words(Operation::SECINFO_NO_NAME, &[0])),
        (5, op(Operation::SETATTR, |writer| fattr(writer, &CURRENT))),
        (5, write(&CURRENT, 1 << 20, 0, b"more content")),
        (
            0,
            op(Operation::BIND_CONN_TO_SESSION, |writer| {
                writer.fixed(&SESSION);
                writer.u32(3);
                writer.u32(0)
            }),
        ),
        (0, exchange_id(b"other")),
        (0, create_session(u64::from_be_bytes(CLIENT), 2)),
        (0, op(Operation::DESTROY_SESSION, |writer| writer.fixed(&SESSION))),
        (0, op(Operation::DESTROY_CLIENTID, |writer| writer.fixed(&CLIENT))),
        (0, words(Operation::RECLAIM_COMPLETE, &[1])),
        (5, op(Operation::FREE_STATEID, |writer| writer.fixed(&CURRENT))),
        (
            5,
            op(Operation::TEST_STATEID, |writer| {
                writer.u32(1);
                writer.fixed(&CURRENT)
            }),
        ),
        (0, words(Operation::LAYOUTGET, &[0; 8])),
    ]
}

fn operation_seeds() -> Vec<Vec<u8>> {
    let seed = |(preamble, operation): (u8, Vec<u8>)| {
        let number = operation.get(3).copied().unwrap_or_default();
        [&[number, preamble], operation.get(4..).unwrap_or_default()].concat()
    };
    samples().into_iter().map(seed).collect()
}

/// The number of operations, and all of them.
fn compound(data: &[u8]) {
    let Some((count, operations)) = data.split_first() else { return };
    world::with(prepare, |world| {
        let mut session = Session::begin(world);
        session.check(world, u32::from(*count % 63), operations);
        session.end(world);
    });
}

fn compound_seeds() -> Vec<Vec<u8>> {
    let preambles = preambles();
    let seed = |(preamble, operation): (u8, Vec<u8>)| {
        let before = preambles.get(usize::from(preamble)).cloned().unwrap_or_default();
        let attributes = op(Operation::GETATTR, |writer| Bitmap::of(Attribute::ALL).encode(writer));
        [vec![before.len() as u8 + 2], before.concat(), operation, attributes].concat()
    };
    samples().into_iter().map(seed).collect()
}

/// A record of any bytes, on a connection that has no session.
fn call(data: &[u8]) {
    world::with(prepare, |world| {
        let Some(reply) = world.call(Bytes::copy_from_slice(data)) else { return };
        assert!(reply.len() <= limits::MESSAGE_BYTES_MAX as usize);
        assert_eq!(reply.get(..4), data.get(..4), "the transaction id comes back");
    });
}

fn call_seeds() -> Vec<Vec<u8>> {
    let record = |procedure: u32, minor: u32, operations: &[Vec<u8>]| {
        let head = written(|writer| {
            [9, 0, 2, 100_003, 4, procedure, 0, 0, 0, 0].into_iter().for_each(|value| writer.u32(value));
        });
        [head, body(minor, operations.len() as u32, &operations.concat())].concat()
    };
    let session = op(Operation::SEQUENCE, |writer| writer.fixed(&[0; 32]));
    vec![
        record(0, 0, &[]),
        record(1, 0, &[root()]),
        record(1, 1, &[]),
        record(1, 1, &[exchange_id(b"client")]),
        record(1, 1, &[create_session(1, 1)]),
        record(1, 1, &[session, root()]),
    ]
}
