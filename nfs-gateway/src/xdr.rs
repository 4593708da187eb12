//! XDR (RFC 4506): a bounds-checked reader that slices its input, and a writer that takes payloads without copying them.

mod reader;
mod writer;

pub(crate) use reader::{Reader, XdrError};
pub(crate) use writer::{Mark, Writer};

/// The bytes that follow an opaque of this length, so that the next item starts on a multiple of four.
pub(crate) const fn padding(length: usize) -> usize {
    (4 - length % 4) % 4
}
