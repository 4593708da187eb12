//! Operations as clients send them.
//!
//! A request can name what it cannot know: 16 bytes `5e` stand for the session, 8 bytes `c1` for the client.

use super::written;
use crate::nfs4::attributes::{Attribute, Bitmap};
use crate::nfs4::operation::Operation;
use crate::xdr::Writer;

pub(super) const SESSION: [u8; 16] = [0x5e; 16];
pub(super) const CLIENT: [u8; 8] = [0xc1; 8];
/// The current stateid.
pub(super) const CURRENT: [u8; 16] = [0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

pub(super) fn op(number: Operation, arguments: impl FnOnce(&mut Writer)) -> Vec<u8> {
    written(|writer| {
        writer.u32(number as u32);
        arguments(writer);
    })
}

pub(super) fn body(minor: u32, count: u32, operations: &[u8]) -> Vec<u8> {
    let head = written(|writer| {
        writer.opaque(b"fuzz");
        writer.u32(minor);
        writer.u32(count);
    });
    [&head, operations].concat()
}

pub(super) fn exchange_id(owner: &[u8]) -> Vec<u8> {
    op(Operation::EXCHANGE_ID, |writer| {
        writer.u64(1);
        writer.opaque(owner);
        (0..3).for_each(|_| writer.u32(0));
    })
}

pub(super) fn create_session(client: u64, sequence: u32) -> Vec<u8> {
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

pub(super) fn root() -> Vec<u8> {
    op(Operation::PUTROOTFH, |_| {})
}

pub(super) fn lookup(name: &[u8]) -> Vec<u8> {
    op(Operation::LOOKUP, |writer| writer.opaque(name))
}

pub(super) fn open(name: &[u8], create: u32) -> Vec<u8> {
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

pub(super) fn write(stateid: &[u8], offset: u64, stable: u32, data: &[u8]) -> Vec<u8> {
    op(Operation::WRITE, |writer| {
        writer.fixed(stateid);
        writer.u64(offset);
        writer.u32(stable);
        writer.opaque(data);
    })
}

pub(super) fn create(kind: u32, link: &[u8], name: &[u8]) -> Vec<u8> {
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

/// What is done before the operation: which handles and stateids there are.
pub(super) fn preambles() -> [Vec<Vec<u8>>; 8] {
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

/// An operation of each kind, with the number of what is best done before it.
pub(super) fn samples(handle: &[u8]) -> Vec<(u8, Vec<u8>)> {
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
        (0, op(Operation::PUTFH, |writer| writer.opaque(handle))),
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
