//! Attributes to set.

use bytes::Bytes;
use engine::{SetAttributes, SetTime, Timestamp};

use super::Bitmap;
use super::table::{Attribute, SETTABLE, SUPPORTED};
use crate::nfs4::limits::ATTRIBUTES_BYTES_MAX;
use crate::nfs4::status::Status;
use crate::xdr::{Reader, XdrError};

/// Attributes to set, and which.
#[derive(Debug, Clone, Default)]
pub(crate) struct DecodedAttributes {
    /// The values.
    pub(crate) set: SetAttributes,
    /// Their numbers.
    pub(crate) bitmap: Bitmap,
}

/// Takes a `fattr4` off the message without looking at the values.
pub(crate) fn read_fattr(reader: &mut Reader) -> Result<(Bitmap, Bytes), XdrError> {
    Ok((Bitmap::decode(reader)?, reader.opaque(ATTRIBUTES_BYTES_MAX)?))
}

/// The values of a `fattr4` that is to be set.
pub(crate) fn decode_settable(bitmap: Bitmap, values: Bytes) -> Result<DecodedAttributes, Status> {
    if !bitmap.is_subset(SUPPORTED) {
        return Err(Status::ATTRNOTSUPP);
    }
    if !bitmap.is_subset(SETTABLE) {
        return Err(Status::INVAL);
    }
    let mut reader = Reader::new(values);
    let mut set = SetAttributes::default();
    for attribute in bitmap.attributes() {
        match attribute {
            Attribute::Size => set.size = Some(reader.u64()?),
            Attribute::Mode => set.mode = Some(decode_mode(&mut reader)?),
            Attribute::Owner => set.uid = Some(decode_owner(&mut reader)?),
            Attribute::OwnerGroup => set.gid = Some(decode_owner(&mut reader)?),
            Attribute::TimeAccessSet => set.atime = Some(decode_time(&mut reader)?),
            Attribute::TimeModifySet => set.mtime = Some(decode_time(&mut reader)?),
            _ => return Err(Status::INVAL),
        }
    }
    reader.end()?;
    Ok(DecodedAttributes { set, bitmap })
}

fn decode_mode(reader: &mut Reader) -> Result<u32, Status> {
    match reader.u32()? {
        mode if mode & !0o7777 == 0 => Ok(mode),
        _ => Err(Status::INVAL),
    }
}

/// A number, alone or before a domain: names are the clients' affair.
fn decode_owner(reader: &mut Reader) -> Result<u32, Status> {
    let owner = reader.opaque(ATTRIBUTES_BYTES_MAX)?;
    let text = std::str::from_utf8(&owner).map_err(|_| Status::INVAL)?;
    let name = text.split_once('@').map_or(text, |(name, _)| name);
    if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Status::BADOWNER);
    }
    name.parse().map_err(|_| Status::BADOWNER)
}

fn decode_time(reader: &mut Reader) -> Result<SetTime, Status> {
    match reader.u32()? {
        0 => Ok(SetTime::Now),
        1 => {
            let (seconds, nanoseconds) = (reader.i64()?, reader.u32()?);
            if nanoseconds >= 1_000_000_000 {
                return Err(Status::INVAL);
            }
            Ok(SetTime::To(Timestamp { seconds, nanoseconds }))
        }
        other => Err(XdrError::UnknownValue(other).into()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::xdr::Writer;

    fn values(write: impl FnOnce(&mut Writer)) -> Bytes {
        let mut writer = Writer::new();
        write(&mut writer);
        Bytes::from(writer.finish().concat())
    }

    #[test]
    fn owners_are_numbers() {
        let decode = |owner: &[u8]| {
            decode_settable(Bitmap::of(&[Attribute::Owner]), values(|writer| writer.opaque(owner)))
                .map(|decoded| decoded.set.uid)
        };
        assert_eq!(decode(b"1000").unwrap(), Some(1000));
        assert_eq!(decode(b"1000@example.org").unwrap(), Some(1000));
        for wrong in [&b"alice"[..], b"alice@example.org", b"", b"@x", b"4294967296", b"-1", b"+1"] {
            assert_eq!(decode(wrong).unwrap_err(), Status::BADOWNER);
        }
    }

    #[test]
    fn what_cannot_be_set_is_refused() {
        let refused = |attribute| decode_settable(Bitmap::of(&[attribute]), Bytes::new()).unwrap_err();
        assert_eq!(refused(Attribute::Change), Status::INVAL);
        assert_eq!(refused(Attribute::Size), Status::BADXDR);
        let trailing = decode_settable(Bitmap::EMPTY, Bytes::from_static(&[0; 4]));
        assert_eq!(trailing.unwrap_err(), Status::BADXDR);
        let mode = decode_settable(Bitmap::of(&[Attribute::Mode]), values(|writer| writer.u32(0o10000)));
        assert_eq!(mode.unwrap_err(), Status::INVAL);
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic(data in prop::collection::vec(any::<u8>(), 0..80)) {
            let mut reader = Reader::new(Bytes::from(data));
            if let Ok((bitmap, values)) = read_fattr(&mut reader) {
                let _ = decode_settable(bitmap, values);
            }
        }
    }
}
