//! For fuzzing: what NFSv4 requests are made of. Whole requests are in `compounds`.

mod compounds;
mod requests;
mod world;

use bytes::Bytes;
use engine::{Epoch, FileSystemId, Generation, InodeId, SetAttributes, SetTime};

pub(crate) use compounds::{CALL, COMPOUND, OPERATION};
#[cfg(test)]
pub(crate) use world::end;

use super::attributes::{Attribute, Bitmap, decode_settable, read_fattr};
use super::handle::{HANDLE_BYTES, HandleCodec};
use super::name::decode_name;
use super::operation::{MinorVersion, Operation};
use super::recovery::record_key;
use super::state::Stateid;
use crate::fuzzing::{Decoder, must};
use crate::xdr::{Reader, Writer};

pub(crate) const DECODERS: &[Decoder] = &[
    Decoder { name: "nfs-bitmap", run: bitmap, seeds: bitmap_seeds },
    Decoder { name: "nfs-attributes", run: attributes, seeds: attributes_seeds },
    Decoder { name: "nfs-handle", run: handle, seeds: handle_seeds },
    Decoder { name: "nfs-stateid", run: stateid, seeds: || vec![vec![0; 16], vec![0xff; 16], vec![1; 16]] },
    Decoder { name: "nfs-name", run: name, seeds: name_seeds },
    Decoder {
        name: "nfs-operation-number",
        run: operation_number,
        seeds: || vec![vec![0, 0, 0, 53, 0, 0, 0, 1]],
    },
    Decoder { name: "nfs-client-record", run: client_record, seeds: client_record_seeds },
];

fn reader(data: &[u8]) -> Reader {
    Reader::new(Bytes::copy_from_slice(data))
}

fn written(write: impl FnOnce(&mut Writer)) -> Vec<u8> {
    let mut writer = Writer::new();
    write(&mut writer);
    writer.finish().concat()
}

fn bitmap(data: &[u8]) {
    let Ok(bitmap) = Bitmap::decode(&mut reader(data)) else { return };
    let encoded = written(|writer| bitmap.encode(writer));
    assert!(encoded.len() <= 16);
    let again = must(Bitmap::decode(&mut reader(&encoded)));
    assert!(bitmap.attributes().eq(again.attributes()));
    assert!(again.is_subset(bitmap) && bitmap.intersect(again) == again);
}

fn bitmap_seeds() -> Vec<Vec<u8>> {
    let all = written(|writer| Bitmap::of(Attribute::ALL).encode(writer));
    vec![all, [0, 0, 0, 8].repeat(9), vec![0; 4]]
}

/// What is to be set, written as it was read.
fn encode_settable(bitmap: Bitmap, set: &SetAttributes) -> Vec<u8> {
    let time = |writer: &mut Writer, time: Option<SetTime>| match time {
        Some(SetTime::To(time)) => {
            writer.u32(1);
            writer.i64(time.seconds);
            writer.u32(time.nanoseconds);
        }
        _ => writer.u32(0),
    };
    let owner = |writer: &mut Writer, id: Option<u32>| {
        writer.opaque(id.unwrap_or_default().to_string().as_bytes());
    };
    written(|writer| {
        for attribute in bitmap.attributes() {
            match attribute {
                Attribute::Size => writer.u64(set.size.unwrap_or_default()),
                Attribute::Mode => writer.u32(set.mode.unwrap_or_default()),
                Attribute::Owner => owner(writer, set.uid),
                Attribute::OwnerGroup => owner(writer, set.gid),
                Attribute::TimeAccessSet => time(writer, set.atime),
                _ => time(writer, set.mtime),
            }
        }
    })
}

fn attributes(data: &[u8]) {
    let Ok((bitmap, values)) = read_fattr(&mut reader(data)) else { return };
    assert!(values.len() <= data.len());
    let Ok(decoded) = decode_settable(bitmap, values) else { return };
    assert_eq!(decoded.bitmap, bitmap);
    assert!(decoded.set.mode.is_none_or(|mode| mode <= 0o7777));
    for time in [decoded.set.atime, decoded.set.mtime].into_iter().flatten() {
        assert!(!matches!(time, SetTime::To(time) if time.nanoseconds >= 1_000_000_000));
    }
    let again = must(decode_settable(bitmap, Bytes::from(encode_settable(bitmap, &decoded.set))));
    assert_eq!(again.set, decoded.set);
}

fn attributes_seeds() -> Vec<Vec<u8>> {
    let time = Some(SetTime::To(engine::Timestamp { seconds: -1, nanoseconds: 999_999_999 }));
    let set = SetAttributes {
        mode: Some(0o644),
        uid: Some(1),
        gid: Some(2),
        size: Some(3),
        atime: time,
        mtime: Some(SetTime::Now),
    };
    let seed = |attributes: &[Attribute]| {
        let bitmap = Bitmap::of(attributes);
        written(|writer| {
            bitmap.encode(writer);
            writer.opaque(&encode_settable(bitmap, &set));
        })
    };
    use Attribute::{Mode, Owner, OwnerGroup, Size, TimeAccessSet, TimeModifySet};
    vec![
        seed(&[]),
        seed(&[Mode]),
        seed(&[Owner, OwnerGroup]),
        seed(&[Size, Mode, Owner, OwnerGroup, TimeAccessSet, TimeModifySet]),
    ]
}

fn codec() -> HandleCodec {
    HandleCodec::new(FileSystemId::from_random([5; 16]), &[7; 32])
}

/// Only what the server made is a handle.
fn handle(data: &[u8]) {
    if let Some((inode, generation)) = codec().decode(data) {
        assert_eq!(codec().encode(inode, generation).as_slice(), data);
    }
    let Some((numbers, rest)) = data.split_first_chunk::<12>() else { return };
    let (inode, generation) = numbers.split_at(8);
    let inode = InodeId(inode.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)));
    let generation = Generation(generation.iter().fold(0, |number, byte| number << 8 | u32::from(*byte)));
    let mut made = codec().encode(inode, generation);
    assert_eq!(codec().decode(&made), Some((inode, generation)));
    if let [place, change, ..] = rest
        && let Some(byte) = made.get_mut(usize::from(*place) % HANDLE_BYTES)
    {
        *byte ^= *change | 1;
        assert_eq!(codec().decode(&made), None);
    }
}

fn handle_seeds() -> Vec<Vec<u8>> {
    vec![codec().encode(InodeId(1), Generation(1)).to_vec(), vec![9; 14]]
}

fn stateid(data: &[u8]) {
    let Ok(stateid) = Stateid::decode(&mut reader(data)) else { return };
    assert!(data.starts_with(&written(|writer| stateid.encode(writer))));
    let epoch = stateid.other.first_chunk::<4>().map_or(Epoch(0), |bytes| Epoch(u32::from_be_bytes(*bytes)));
    let another = Epoch(epoch.0 ^ 1);
    let special = stateid.other == [0; 12] || stateid.other == [0xff; 12];
    assert!(special || (stateid.selector(epoch).is_ok() && stateid.selector(another).is_err()));
    assert!(!stateid.is_current() || stateid.selector(epoch).is_err());
}

fn name(data: &[u8]) {
    let Ok(name) = decode_name(&mut reader(data)) else { return };
    assert!((1..=255).contains(&name.len()) && !name.contains(&b'/') && !name.contains(&0));
    assert_eq!(decode_name(&mut reader(&written(|writer| writer.opaque(&name)))), Ok(name));
}

fn name_seeds() -> Vec<Vec<u8>> {
    [&b"name"[..], b"..", b"a/b", &[b'n'; 255], &[b'n'; 256]]
        .map(|name| written(|writer| writer.opaque(name)))
        .to_vec()
}

fn operation_number(data: &[u8]) {
    let mut reader = reader(data);
    let (Ok(number), Ok(minor)) = (reader.u32(), reader.u32()) else { return };
    if let Some(operation) = Operation::decode(number, MinorVersion(minor)) {
        assert_eq!(operation as u32, number);
        assert_eq!(Operation::decode(number, MinorVersion(u32::MAX)), Some(operation));
    }
}

/// The first byte says where the name of one client ends and that of another one begins.
fn client_record(data: &[u8]) {
    let Some((length, names)) = data.split_first() else { return };
    let (one, other) = names.split_at_checked(usize::from(*length) * 5).unwrap_or((names, &[]));
    let keys = [record_key(one), record_key(other)];
    assert_eq!(keys[0] == keys[1], one == other);
    assert!(keys.iter().all(|key| key.is_ascii() && key.len() <= 280));
}

fn client_record_seeds() -> Vec<Vec<u8>> {
    vec![b"\x01Linux NFSv4.1 a".to_vec(), vec![40; 400], [&[40][..], &[1; 401]].concat()]
}
