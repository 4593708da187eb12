//! Numbers and bytes on disk: big endian, bounds-checked, nothing left over.

use crate::error::Error;

/// The bytes are not what the format says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Malformed(pub(crate) &'static str);

impl From<Malformed> for Error {
    fn from(malformed: Malformed) -> Error {
        Error::corrupt(malformed.0)
    }
}

/// Takes values from the front of a slice; never reads beyond its end.
#[derive(Debug, Clone)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// A reader of all these bytes.
    #[inline]
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Reader { rest: bytes }
    }

    /// One byte.
    #[inline]
    pub(crate) fn u8(&mut self) -> Result<u8, Malformed> {
        self.array().map(u8::from_be_bytes)
    }

    /// Two bytes.
    #[inline]
    pub(crate) fn u16(&mut self) -> Result<u16, Malformed> {
        self.array().map(u16::from_be_bytes)
    }

    /// Four bytes.
    #[inline]
    pub(crate) fn u32(&mut self) -> Result<u32, Malformed> {
        self.array().map(u32::from_be_bytes)
    }

    /// Eight bytes.
    #[inline]
    pub(crate) fn u64(&mut self) -> Result<u64, Malformed> {
        self.array().map(u64::from_be_bytes)
    }

    /// That many bytes.
    #[inline]
    pub(crate) fn bytes(&mut self, length: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(Malformed("cut short"))?;
        self.rest = rest;
        Ok(taken)
    }

    /// As many bytes as the array has.
    #[inline]
    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (taken, rest) = self.rest.split_first_chunk::<N>().ok_or(Malformed("cut short"))?;
        self.rest = rest;
        Ok(*taken)
    }

    /// Bytes that [`Writer::sized`] wrote.
    #[inline]
    pub(crate) fn sized(&mut self) -> Result<&'a [u8], Malformed> {
        let length = self.u32()?;
        self.bytes(usize::try_from(length).map_err(|_| Malformed("cut short"))?)
    }

    /// What was not taken yet.
    #[inline]
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Whether all was taken.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Bytes that nobody asked for are an error: they would be lost in silence.
    #[inline]
    pub(crate) fn finish(self) -> Result<(), Malformed> {
        if self.rest.is_empty() { Ok(()) } else { Err(Malformed("trailing bytes")) }
    }
}

/// Appends values to a buffer.
#[derive(Debug, Default)]
pub(crate) struct Writer {
    buffer: Vec<u8>,
}

impl Writer {
    /// An empty buffer.
    #[inline]
    pub(crate) fn new() -> Self {
        Writer::default()
    }

    /// An empty buffer with room.
    #[inline]
    pub(crate) fn with_capacity(bytes: usize) -> Self {
        Writer { buffer: Vec::with_capacity(bytes) }
    }

    /// One byte.
    #[inline]
    pub(crate) fn u8(&mut self, value: u8) -> &mut Self {
        self.bytes(&[value])
    }

    /// Two bytes.
    #[inline]
    pub(crate) fn u16(&mut self, value: u16) -> &mut Self {
        self.bytes(&value.to_be_bytes())
    }

    /// Four bytes.
    #[inline]
    pub(crate) fn u32(&mut self, value: u32) -> &mut Self {
        self.bytes(&value.to_be_bytes())
    }

    /// Eight bytes.
    #[inline]
    pub(crate) fn u64(&mut self, value: u64) -> &mut Self {
        self.bytes(&value.to_be_bytes())
    }

    /// The bytes as they are.
    #[inline]
    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.buffer.extend_from_slice(bytes);
        self
    }

    /// The length in four bytes, then the bytes.
    #[inline]
    pub(crate) fn sized(&mut self, bytes: &[u8]) -> &mut Self {
        debug_assert!(u32::try_from(bytes.len()).is_ok(), "limits keep every value far below 4 GiB");
        self.u32(u32::try_from(bytes.len()).unwrap_or(u32::MAX)).bytes(bytes)
    }

    /// Takes back what was written behind that many bytes.
    #[inline]
    pub(crate) fn truncate(&mut self, length: usize) -> &mut Self {
        self.buffer.truncate(length);
        self
    }

    /// Bytes written so far.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.buffer.len()
    }

    /// The bytes written so far.
    #[inline]
    pub(crate) fn as_slice(&self) -> &[u8] {
        &self.buffer
    }

    /// The buffer.
    #[inline]
    pub(crate) fn into_vec(self) -> Vec<u8> {
        self.buffer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let mut writer = Writer::new();
        writer.u8(1).u16(2).u32(3).u64(4).sized(b"five").bytes(b"six").bytes(&[7; 7]);
        let bytes = writer.into_vec();
        let mut reader = Reader::new(&bytes);
        assert_eq!(reader.u8(), Ok(1));
        assert_eq!(reader.u16(), Ok(2));
        assert_eq!(reader.u32(), Ok(3));
        assert_eq!(reader.u64(), Ok(4));
        assert_eq!(reader.sized(), Ok(b"five".as_slice()));
        assert_eq!(reader.bytes(3), Ok(b"six".as_slice()));
        assert_eq!(reader.rest().len(), 7);
        assert_eq!(reader.array(), Ok([7; 7]));
        assert!(reader.is_empty());
        assert_eq!(reader.finish(), Ok(()));
    }

    #[test]
    fn short_and_long_input_are_errors() {
        assert_eq!(Reader::new(&[0; 7]).u64(), Err(Malformed("cut short")));
        assert_eq!(Reader::new(&[0, 0, 0, 5, 1]).sized(), Err(Malformed("cut short")));
        assert_eq!(Reader::new(&[0]).finish(), Err(Malformed("trailing bytes")));
    }
}
