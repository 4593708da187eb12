//! Decoding. Nothing is allocated by what a length field says: every opaque is a slice of the request.

use bytes::Bytes;

use super::padding;

/// Why bytes are not the XDR that was expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum XdrError {
    /// The item reaches beyond the end.
    #[error("the message ends inside of an item")]
    Truncated,
    /// An opaque or array is longer than its limit.
    #[error("an item of {length} bytes exceeds its limit of {max}")]
    TooLong {
        /// What the message says.
        length: u32,
        /// What is allowed.
        max: usize,
    },
    /// A boolean other than 0 and 1.
    #[error("{0} is not a boolean")]
    NotBoolean(u32),
    /// A discriminant that the union does not have.
    #[error("{0} is not a value of the enumeration")]
    UnknownValue(u32),
    /// Bytes after the last item.
    #[error("{0} bytes follow the last item")]
    Trailing(usize),
}

/// A position in a message.
#[derive(Debug, Clone)]
pub(crate) struct Reader {
    data: Bytes,
    at: usize,
}

impl Reader {
    /// Reads from the start.
    pub(crate) fn new(data: Bytes) -> Self {
        Reader { data, at: 0 }
    }

    /// Bytes that are left.
    pub(crate) fn remaining(&self) -> usize {
        self.data.len() - self.at
    }

    /// All bytes that are left.
    pub(crate) fn rest(&self) -> &[u8] {
        self.data.get(self.at..).unwrap_or_default()
    }

    /// An array of fixed size; its length must be a multiple of four.
    pub(crate) fn fixed<const N: usize>(&mut self) -> Result<[u8; N], XdrError> {
        debug_assert!(N.is_multiple_of(4));
        let bytes = self.rest().first_chunk::<N>().copied().ok_or(XdrError::Truncated)?;
        self.at += N;
        Ok(bytes)
    }

    /// An unsigned integer.
    pub(crate) fn u32(&mut self) -> Result<u32, XdrError> {
        self.fixed().map(u32::from_be_bytes)
    }

    /// An unsigned hyper integer.
    pub(crate) fn u64(&mut self) -> Result<u64, XdrError> {
        self.fixed().map(u64::from_be_bytes)
    }

    /// A signed hyper integer.
    pub(crate) fn i64(&mut self) -> Result<i64, XdrError> {
        self.fixed().map(i64::from_be_bytes)
    }

    /// A boolean.
    pub(crate) fn bool(&mut self) -> Result<bool, XdrError> {
        match self.u32()? {
            0 => Ok(false),
            1 => Ok(true),
            other => Err(XdrError::NotBoolean(other)),
        }
    }

    /// A variable-length opaque of at most `max` bytes: a slice of the message.
    pub(crate) fn opaque(&mut self, max: usize) -> Result<Bytes, XdrError> {
        let length = self.u32()?;
        let too_long = XdrError::TooLong { length, max };
        let count = usize::try_from(length).map_err(|_| too_long)?;
        if count > max {
            return Err(too_long);
        }
        let padded = count + padding(count);
        if padded > self.remaining() {
            return Err(XdrError::Truncated);
        }
        let bytes = self.data.slice(self.at..self.at + count);
        self.at += padded;
        Ok(bytes)
    }

    /// The length of an array of at most `max` elements.
    pub(crate) fn count(&mut self, max: usize) -> Result<usize, XdrError> {
        let length = self.u32()?;
        match usize::try_from(length) {
            Ok(count) if count <= max => Ok(count),
            _ => Err(XdrError::TooLong { length, max }),
        }
    }

    /// Nothing may follow.
    pub(crate) fn end(&self) -> Result<(), XdrError> {
        match self.remaining() {
            0 => Ok(()),
            left => Err(XdrError::Trailing(left)),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::Writer;
    use super::*;

    fn joined(writer: Writer) -> Bytes {
        Bytes::from(writer.finish().concat())
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(a: u32, b: u64, c: i64, flag: bool, bytes in prop::collection::vec(any::<u8>(), 0..70)) {
            let mut writer = Writer::new();
            writer.u32(a);
            writer.opaque(&bytes);
            writer.u64(b);
            writer.bool(flag);
            writer.i64(c);
            writer.payload(vec![Bytes::from(bytes.clone()), Bytes::from(bytes.clone())]);
            let mut reader = Reader::new(joined(writer));
            prop_assert_eq!(reader.u32().unwrap(), a);
            prop_assert_eq!(reader.opaque(70).unwrap(), Bytes::from(bytes.clone()));
            prop_assert_eq!(reader.u64().unwrap(), b);
            prop_assert_eq!(reader.bool().unwrap(), flag);
            prop_assert_eq!(reader.i64().unwrap(), c);
            prop_assert_eq!(reader.opaque(140).unwrap(), Bytes::from([bytes.clone(), bytes].concat()));
            prop_assert_eq!(reader.end(), Ok(()));
        }

        #[test]
        fn random_bytes_never_panic_and_slices_stay_inside(data in prop::collection::vec(any::<u8>(), 0..64), max in 0usize..100) {
            let mut reader = Reader::new(Bytes::from(data.clone()));
            while let Ok(slice) = reader.opaque(max) {
                prop_assert!(slice.len() <= max.min(data.len()));
            }
            prop_assert!(reader.remaining() <= data.len());
        }
    }

    #[test]
    fn each_violation_has_its_own_error() {
        let reader = |bytes: &'static [u8]| Reader::new(Bytes::from_static(bytes));
        assert_eq!(reader(&[0, 0, 0]).u32(), Err(XdrError::Truncated));
        assert_eq!(reader(&[0, 0, 0, 2]).bool(), Err(XdrError::NotBoolean(2)));
        assert_eq!(reader(&[0, 0, 0, 5, 1, 2, 3, 4, 5]).opaque(9), Err(XdrError::Truncated));
        assert_eq!(
            reader(&[255, 255, 255, 255]).opaque(9),
            Err(XdrError::TooLong { length: u32::MAX, max: 9 })
        );
        assert_eq!(reader(&[1]).end(), Err(XdrError::Trailing(1)));
    }
}
