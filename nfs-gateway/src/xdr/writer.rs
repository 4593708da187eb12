//! Encoding, into a list of segments: what is small is gathered, what is large is taken as it is.

use bytes::{BufMut, Bytes, BytesMut};

use super::padding;

/// A growing message.
#[derive(Debug, Default)]
pub(crate) struct Writer {
    done: Vec<Bytes>,
    done_length: usize,
    current: BytesMut,
}

/// A position to go back to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mark {
    segments: usize,
    done_length: usize,
    offset: usize,
}

impl Writer {
    /// An empty message.
    pub(crate) fn new() -> Self {
        Writer::default()
    }

    /// An empty message with room for small ones.
    pub(crate) fn with_capacity(bytes: usize) -> Self {
        Writer { current: BytesMut::with_capacity(bytes), ..Writer::default() }
    }

    /// Bytes so far.
    pub(crate) fn len(&self) -> usize {
        self.done_length + self.current.len()
    }

    /// An unsigned integer.
    pub(crate) fn u32(&mut self, value: u32) {
        self.current.put_u32(value);
    }

    /// An unsigned hyper integer.
    pub(crate) fn u64(&mut self, value: u64) {
        self.current.put_u64(value);
    }

    /// A signed hyper integer.
    pub(crate) fn i64(&mut self, value: i64) {
        self.current.put_i64(value);
    }

    /// A boolean.
    pub(crate) fn bool(&mut self, value: bool) {
        self.u32(u32::from(value));
    }

    /// A length or count that the caller has bounded.
    pub(crate) fn length(&mut self, value: usize) {
        debug_assert!(u32::try_from(value).is_ok());
        self.u32(u32::try_from(value).unwrap_or(u32::MAX));
    }

    /// An array of fixed size; its length must be a multiple of four.
    pub(crate) fn fixed(&mut self, bytes: &[u8]) {
        debug_assert!(bytes.len().is_multiple_of(4));
        self.current.put_slice(bytes);
    }

    /// A variable-length opaque, copied.
    pub(crate) fn opaque(&mut self, bytes: &[u8]) {
        self.length(bytes.len());
        self.current.put_slice(bytes);
        self.current.put_bytes(0, padding(bytes.len()));
    }

    /// A variable-length opaque in parts that are not copied.
    pub(crate) fn payload(&mut self, parts: Vec<Bytes>) {
        let length = parts.iter().map(Bytes::len).sum();
        self.length(length);
        for part in parts {
            if part.len() < COPY_BELOW_BYTES {
                self.current.put_slice(&part);
            } else {
                self.flush();
                self.push(part);
            }
        }
        self.current.put_bytes(0, padding(length));
    }

    /// Segments of an encoded message, as they are.
    pub(crate) fn segments(&mut self, segments: &[Bytes]) {
        self.flush();
        for segment in segments {
            self.push(segment.clone());
        }
    }

    /// This position.
    pub(crate) fn mark(&self) -> Mark {
        Mark { segments: self.done.len(), done_length: self.done_length, offset: self.current.len() }
    }

    /// The position in bytes from the start.
    pub(crate) fn offset(mark: Mark) -> usize {
        mark.done_length + mark.offset
    }

    /// Forgets what was written after the mark.
    pub(crate) fn truncate(&mut self, mark: Mark) {
        if mark.segments < self.done.len() {
            let split = self.done.get(mark.segments).and_then(|segment| segment.get(..mark.offset));
            self.current = split.map(BytesMut::from).unwrap_or_default();
            self.done.truncate(mark.segments);
            self.done_length = mark.done_length;
        } else {
            self.current.truncate(mark.offset);
        }
    }

    /// Writes an integer over the one at the mark, since which no payload was written.
    pub(crate) fn patch_u32(&mut self, mark: Mark, value: u32) {
        debug_assert_eq!(mark.segments, self.done.len());
        if let Some(place) = self.current.get_mut(mark.offset..mark.offset + 4) {
            place.copy_from_slice(&value.to_be_bytes());
        }
    }

    /// The bytes written since the mark, since which no payload was written.
    pub(crate) fn since(&self, mark: Mark) -> &[u8] {
        debug_assert_eq!(mark.segments, self.done.len());
        self.current.get(mark.offset..).unwrap_or_default()
    }

    /// The message.
    pub(crate) fn finish(mut self) -> Vec<Bytes> {
        self.flush();
        self.done
    }

    fn flush(&mut self) {
        if !self.current.is_empty() {
            let segment = self.current.split().freeze();
            self.push(segment);
        }
    }

    fn push(&mut self, segment: Bytes) {
        self.done_length += segment.len();
        self.done.push(segment);
    }
}

/// Below this a copy is cheaper than one more element of a vectored write.
const COPY_BELOW_BYTES: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn truncate_goes_back_over_a_payload() {
        let mut writer = Writer::new();
        writer.u32(1);
        let mark = writer.mark();
        writer.u32(2);
        writer.payload(vec![Bytes::from(vec![7; 5000])]);
        writer.u32(3);
        writer.truncate(mark);
        assert_eq!(writer.len(), 4);
        writer.u32(9);
        assert_eq!(writer.finish().concat(), [0, 0, 0, 1, 0, 0, 0, 9]);
    }

    #[test]
    fn a_large_payload_is_not_copied() {
        let data = Bytes::from(vec![7; 5000]);
        let mut writer = Writer::new();
        writer.payload(vec![data.clone()]);
        let segments = writer.finish();
        assert!(segments.iter().any(|segment| segment.as_ptr() == data.as_ptr()));
        assert_eq!(segments.concat().len(), 4 + 5000);
    }
}
