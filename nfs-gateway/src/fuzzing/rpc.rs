//! RPC and XDR.

use bytes::{Bytes, BytesMut};

use super::{Decoder, must};
use crate::rpc::{Call, CallError, Credentials, Records};
use crate::xdr::{Reader, Writer};

pub(super) const DECODERS: &[Decoder] = &[
    Decoder { name: "rpc-records", run: records, seeds: records_seeds },
    Decoder { name: "rpc-call", run: call, seeds: call_seeds },
    Decoder { name: "xdr", run: xdr, seeds: xdr_seeds },
];

/// The most that a record may have here.
const RECORD_BYTES_MAX: usize = 1000;

/// The first byte says in which pieces the stream arrives; the records do not depend on it.
fn records(data: &[u8]) {
    let Some((step, stream)) = data.split_first() else { return };
    let cut = |step: usize| {
        let (mut records, mut found, mut buffer) =
            (Records::new(RECORD_BYTES_MAX), Vec::new(), BytesMut::new());
        for piece in stream.chunks(step) {
            buffer.extend_from_slice(piece);
            loop {
                match records.next(&mut buffer) {
                    Ok(Ok(record)) => found.push(record),
                    Ok(Err(needed)) => {
                        assert!(buffer.len() < needed && needed <= RECORD_BYTES_MAX + 4);
                        break;
                    }
                    Err(_) => return (found, false),
                }
            }
        }
        (found, true)
    };
    let (found, whole) = cut(usize::from(*step) + 1);
    let at_once = cut(stream.len().max(1));
    assert_eq!((&found, whole), (&at_once.0, at_once.1));
    assert!(found.iter().all(|record| record.len() <= RECORD_BYTES_MAX));
    assert!(found.iter().map(Bytes::len).sum::<usize>() <= stream.len());
}

fn records_seeds() -> Vec<Vec<u8>> {
    let fragment = |mark: u32, bytes: &[u8]| [&mark.to_be_bytes(), bytes].concat();
    let last = 1 << 31;
    vec![
        [vec![6], fragment(last | 5, b"whole"), fragment(3, b"one"), fragment(last | 3, b"two")].concat(),
        [vec![255], fragment(0, b""), fragment(0, b""), fragment(last, b"")].concat(),
        [vec![0], fragment(u32::MAX, b"")].concat(),
    ]
}

/// A call's header as bytes, if it has one that can be written again.
fn encode(call: &Call) -> Bytes {
    let mut writer = Writer::new();
    for value in [call.xid, 0, 2, call.program, call.version, call.procedure] {
        writer.u32(value);
    }
    let mut body = Writer::new();
    writer.u32(match &call.credentials {
        Credentials::None => 0,
        Credentials::System { uid, gid, groups } => {
            body.u32(0);
            body.opaque(b"");
            body.u32(*uid);
            body.u32(*gid);
            body.length(groups.len());
            groups.iter().for_each(|group| body.u32(*group));
            1
        }
        Credentials::TlsProbe => 7,
    });
    writer.opaque(&body.finish().concat());
    writer.u32(0);
    writer.opaque(b"");
    writer.fixed(call.arguments.rest());
    Bytes::from(writer.finish().concat())
}

fn call(data: &[u8]) {
    let call = match Call::decode(Bytes::copy_from_slice(data)) {
        Ok(call) => call,
        Err(CallError::Rejected { xid, .. }) => return assert!(data.starts_with(&xid.to_be_bytes())),
        Err(CallError::NotACall | CallError::Malformed(_)) => return,
    };
    assert_eq!(call.length, data.len());
    assert!(data.ends_with(call.arguments.rest()));
    if let Credentials::System { groups, .. } = &call.credentials {
        assert!(groups.len() <= 16);
    }
    if call.arguments.remaining().is_multiple_of(4) {
        let again = must(Call::decode(encode(&call)));
        assert_eq!(again.credentials, call.credentials);
        assert_eq!(again.arguments.rest(), call.arguments.rest());
        assert_eq!(
            (again.xid, again.program, again.version, again.procedure),
            (call.xid, call.program, call.version, call.procedure)
        );
    }
}

fn call_seeds() -> Vec<Vec<u8>> {
    let seed = |credentials| {
        let arguments = Reader::new(Bytes::from_static(b"arguments..."));
        let call =
            Call { xid: 7, program: 100_003, version: 4, procedure: 1, credentials, arguments, length: 0 };
        encode(&call).to_vec()
    };
    let system = |groups| Credentials::System { uid: 1000, gid: 100, groups };
    vec![
        seed(Credentials::None),
        seed(Credentials::TlsProbe),
        seed(system(vec![])),
        seed(system(vec![4; 16])),
    ]
}

/// The first byte says how many bytes say what to take from the rest; what was taken is written again, and read again.
fn xdr(data: &[u8]) {
    let Some((count, rest)) = data.split_first() else { return };
    let Some((script, source)) = rest.split_at_checked(usize::from(*count)) else { return };
    let mut reader = Reader::new(Bytes::copy_from_slice(source));
    let mut writer = Writer::new();
    let mut taken = Vec::new();
    for step in script {
        let before = reader.remaining();
        let max = usize::from(*step);
        let item = match step % 6 {
            0 => reader.u32().map(|value| writer.u32(value)),
            1 => reader.u64().map(|value| writer.u64(value)),
            2 => reader.i64().map(|value| writer.i64(value)),
            3 => reader.bool().map(|value| writer.bool(value)),
            4 => reader.opaque(max).map(|bytes| {
                assert!(bytes.len() <= max);
                writer.opaque(&bytes);
            }),
            _ => reader.count(max).map(|count| {
                assert!(count <= max);
                writer.length(count);
            }),
        };
        assert!(reader.remaining() <= before);
        if item.is_err() {
            break;
        }
        taken.push(*step);
    }
    let written = writer.finish().concat();
    assert_eq!(
        written.len(),
        if taken.len() == script.len() { source.len() - reader.remaining() } else { written.len() }
    );
    let mut again = Reader::new(Bytes::from(written));
    for step in taken {
        let max = usize::from(step);
        match step % 6 {
            0 => must(again.u32().map(|_| ())),
            1 => must(again.u64().map(|_| ())),
            2 => must(again.i64().map(|_| ())),
            3 => must(again.bool().map(|_| ())),
            4 => must(again.opaque(max).map(|_| ())),
            _ => must(again.count(max).map(|_| ())),
        }
    }
    must(again.end());
}

fn xdr_seeds() -> Vec<Vec<u8>> {
    let mut writer = Writer::new();
    writer.u32(1);
    writer.u64(2);
    writer.i64(-3);
    writer.bool(true);
    writer.opaque(b"five!");
    writer.length(6);
    vec![[&[6, 0, 1, 2, 3, 250, 251][..], &writer.finish().concat()].concat()]
}
