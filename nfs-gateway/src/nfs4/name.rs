//! Names of directory entries.

use bytes::Bytes;

use super::status::Status;
use crate::xdr::Reader;

/// Reads a name and refuses what cannot be one. Bytes that are not UTF-8 are taken as they are: Linux sends them.
pub(crate) fn decode_name(reader: &mut Reader) -> Result<Bytes, Status> {
    let name = reader.opaque(super::limits::ATTRIBUTES_BYTES_MAX)?;
    if name.is_empty() {
        return Err(Status::INVAL);
    }
    if name.len() > engine::limits::NAME_BYTES_MAX {
        return Err(Status::NAMETOOLONG);
    }
    if name.iter().any(|&byte| byte == b'/' || byte == 0) {
        return Err(Status::BADCHAR);
    }
    if matches!(name.as_ref(), b"." | b"..") {
        return Err(Status::BADNAME);
    }
    Ok(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::xdr::Writer;

    #[test]
    fn each_wrong_name_has_its_error() {
        let decode = |name: &[u8]| {
            let mut writer = Writer::new();
            writer.opaque(name);
            decode_name(&mut Reader::new(Bytes::from(writer.finish().concat())))
        };
        assert_eq!(decode(b""), Err(Status::INVAL));
        assert_eq!(decode(&[b'a'; 256]), Err(Status::NAMETOOLONG));
        assert_eq!(decode(b"a/b"), Err(Status::BADCHAR));
        assert_eq!(decode(b"a\0b"), Err(Status::BADCHAR));
        assert_eq!(decode(b"."), Err(Status::BADNAME));
        assert_eq!(decode(b".."), Err(Status::BADNAME));
        assert!(decode(&[b'a'; 255]).is_ok());
        assert!(decode(b"\xc0\xc1").is_ok());
    }
}
