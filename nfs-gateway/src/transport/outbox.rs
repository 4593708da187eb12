//! Replies that wait for the socket.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::{Buf, Bytes};

/// A queue of encoded bytes that is written with vectored writes.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    segments: VecDeque<Bytes>,
    length: usize,
}

impl Outbox {
    /// Adds a reply.
    pub(super) fn push(&mut self, reply: Vec<Bytes>) {
        self.length += reply.iter().map(Bytes::len).sum::<usize>();
        self.segments.extend(reply.into_iter().filter(|segment| !segment.is_empty()));
    }
}

impl Buf for Outbox {
    fn remaining(&self) -> usize {
        self.length
    }

    fn chunk(&self) -> &[u8] {
        self.segments.front().map_or(&[], |segment| segment.as_ref())
    }

    fn chunks_vectored<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let mut count = 0;
        for (slice, segment) in slices.iter_mut().zip(&self.segments) {
            *slice = IoSlice::new(segment);
            count += 1;
        }
        count
    }

    fn advance(&mut self, mut bytes: usize) {
        self.length = self.length.saturating_sub(bytes);
        while let Some(front) = self.segments.front_mut() {
            if bytes < front.len() {
                front.advance(bytes);
                return;
            }
            bytes -= front.len();
            self.segments.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_leaves_the_queue() {
        let mut outbox = Outbox::default();
        outbox.push(vec![Bytes::from_static(b"abc"), Bytes::new(), Bytes::from_static(b"defg")]);
        outbox.advance(1);
        assert_eq!((outbox.remaining(), outbox.chunk()), (6, &b"bc"[..]));
        outbox.advance(4);
        assert_eq!(outbox.chunk(), b"fg");
        outbox.advance(2);
        assert!(!outbox.has_remaining());
    }
}
