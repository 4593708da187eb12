//! For fuzzing: each operation of a COMPOUND, COMPOUNDs, and calls, on a real file system.
//!
//! What an input can name without knowing it is said in [`super::requests`].

use bytes::Bytes;

use super::requests::{
    CLIENT, CURRENT, SESSION, body, create, create_session, exchange_id, op, open, preambles, root, samples,
    write,
};
use super::world::{self, World};
use super::written;
use crate::fuzzing::{Decoder, must};
use crate::nfs4::attributes::{Attribute, Bitmap};
use crate::nfs4::limits;
use crate::nfs4::operation::Operation;
use crate::nfs4::status::Status;
use crate::xdr::{Reader, XdrError};

pub(crate) const OPERATION: Decoder =
    Decoder { name: "nfs-operation", run: operation, seeds: operation_seeds };
pub(crate) const COMPOUND: Decoder = Decoder { name: "nfs-compound", run: compound, seeds: compound_seeds };
pub(crate) const CALL: Decoder = Decoder { name: "nfs-call", run: call, seeds: call_seeds };

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

fn all_samples() -> Vec<(u8, Vec<u8>)> {
    samples(&world::with(prepare, |world| world.root_handle()))
}

fn operation_seeds() -> Vec<Vec<u8>> {
    let seed = |(preamble, operation): (u8, Vec<u8>)| {
        let number = operation.get(3).copied().unwrap_or_default();
        [&[number, preamble], operation.get(4..).unwrap_or_default()].concat()
    };
    all_samples().into_iter().map(seed).collect()
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
    all_samples().into_iter().map(seed).collect()
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
