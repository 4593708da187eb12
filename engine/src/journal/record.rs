//! One record: all the changes of one transaction, as after-images.
//!
//! | bytes | field |
//! |---|---|
//! | 8 | LSN |
//! | 4 | number of changes |
//! | … | the changes, in ascending order of their keys |
//!
//! A change:
//!
//! | bytes | field |
//! |---|---|
//! | 1 | 1 = put, 2 = delete |
//! | 4 + n | length of the key, key |
//! | 4 + n | for a put: length of the value, value |

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::codec::{Malformed, Reader, Writer};
use crate::identity::Lsn;

/// Values by key; `None` deletes.
pub(crate) type Changes = BTreeMap<Bytes, Option<Bytes>>;

const PUT: u8 = 1;
const DELETE: u8 = 2;
const RECORD_HEADER_BYTES: usize = 12;

/// Bytes that a change takes in a record.
pub(crate) fn change_bytes(key: &[u8], value: Option<&Bytes>) -> usize {
    5 + key.len() + value.map_or(0, |value| 4 + value.len())
}

/// Bytes of a record with changes of so many bytes.
pub(crate) fn record_bytes(change_bytes: usize) -> usize {
    RECORD_HEADER_BYTES + change_bytes
}

/// The bytes of a record.
pub(crate) fn encode(lsn: Lsn, changes: &Changes) -> Vec<u8> {
    let content: usize = changes.iter().map(|(key, value)| change_bytes(key, value.as_ref())).sum();
    let mut writer = Writer::with_capacity(record_bytes(content));
    writer.u64(lsn.0).u32(u32::try_from(changes.len()).unwrap_or(u32::MAX));
    for (key, value) in changes {
        encode_change(&mut writer, key, value.as_ref());
    }
    writer.into_vec()
}

/// The bytes of one change.
pub(crate) fn encode_change(writer: &mut Writer, key: &[u8], value: Option<&Bytes>) {
    match value {
        Some(value) => writer.u8(PUT).sized(key).sized(value),
        None => writer.u8(DELETE).sized(key),
    };
}

/// Takes one change.
pub(crate) fn decode_change<'a>(reader: &mut Reader<'a>) -> Result<(&'a [u8], Option<&'a [u8]>), Malformed> {
    let kind = reader.u8()?;
    let key = reader.sized()?;
    match kind {
        PUT => Ok((key, Some(reader.sized()?))),
        DELETE => Ok((key, None)),
        _ => Err(Malformed("unknown kind of change")),
    }
}

/// Takes one record.
pub(crate) fn decode(reader: &mut Reader<'_>) -> Result<(Lsn, Changes), Malformed> {
    let lsn = Lsn(reader.u64()?);
    let mut changes = Changes::new();
    for _ in 0..reader.u32()? {
        let (key, value) = decode_change(reader)?;
        // A key that is there twice would hide a change.
        if changes.last_key_value().is_some_and(|(last, _)| last.as_ref() >= key) {
            return Err(Malformed("the keys of a record are out of order"));
        }
        changes.insert(Bytes::copy_from_slice(key), value.map(Bytes::copy_from_slice));
    }
    Ok((lsn, changes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_decoded_as_encoded_and_its_size_is_foretold() {
        let changes = Changes::from([
            (Bytes::from_static(b"a"), Some(Bytes::from_static(b"value"))),
            (Bytes::from_static(b"bb"), None),
            (Bytes::from_static(b"c"), Some(Bytes::new())),
        ]);
        let bytes = encode(Lsn(9), &changes);
        let content = changes.iter().map(|(key, value)| change_bytes(key, value.as_ref())).sum();
        assert_eq!(bytes.len(), record_bytes(content));
        let mut reader = Reader::new(&bytes);
        assert_eq!(decode(&mut reader), Ok((Lsn(9), changes)));
        assert_eq!(reader.finish(), Ok(()));
        assert!(decode(&mut Reader::new(&bytes[..bytes.len() - 1])).is_err());
    }

    #[test]
    fn a_record_with_a_key_twice_is_refused() {
        let mut writer = Writer::new();
        writer.u64(9).u32(2);
        encode_change(&mut writer, b"a", Some(&Bytes::from_static(b"one")));
        encode_change(&mut writer, b"a", None);
        let refused = Malformed("the keys of a record are out of order");
        assert_eq!(decode(&mut Reader::new(writer.as_slice())), Err(refused));
    }
}
