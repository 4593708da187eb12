//! Attributes (RFC 8881 §5): one table of what is supported, an encoder and a decoder that follow it.

mod bitmap;
mod decode;
mod encode;
mod table;

pub(crate) use bitmap::Bitmap;
pub(crate) use decode::{DecodedAttributes, decode_settable, read_fattr};
pub(crate) use encode::{AttributeSource, encode_fattr};
pub(crate) use table::{Attribute, SUPPORTED};
