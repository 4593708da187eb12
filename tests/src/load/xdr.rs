//! XDR (RFC 4506), as far as the workloads need it.
use anyhow::{Context, Result, bail};

/// Appends XDR items to a buffer.
#[derive(Debug, Default, Clone)]
pub(crate) struct Encoder {
    bytes: Vec<u8>,
}

impl Encoder {
    pub(crate) fn word(&mut self, value: u32) -> &mut Encoder {
        self.raw(&value.to_be_bytes())
    }

    pub(crate) fn long(&mut self, value: u64) -> &mut Encoder {
        self.raw(&value.to_be_bytes())
    }

    /// Bytes of a fixed length that is a multiple of four.
    pub(crate) fn raw(&mut self, bytes: &[u8]) -> &mut Encoder {
        self.bytes.extend_from_slice(bytes);
        self
    }

    /// A length, the bytes, and zeros up to the next multiple of four.
    pub(crate) fn opaque(&mut self, bytes: &[u8]) -> &mut Encoder {
        let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        self.word(length).raw(bytes);
        let padding = bytes.len().next_multiple_of(4) - bytes.len();
        self.bytes.resize(self.bytes.len() + padding, 0);
        self
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
    }
}

/// Takes XDR items from a buffer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Decoder<'a> {
    rest: &'a [u8],
}

impl<'a> Decoder<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Decoder<'a> {
        Decoder { rest: bytes }
    }

    pub(crate) fn raw(&mut self, length: usize) -> Result<&'a [u8]> {
        let Some((taken, rest)) = self.rest.split_at_checked(length) else {
            bail!("a reply ends {} bytes early", length - self.rest.len());
        };
        self.rest = rest;
        Ok(taken)
    }

    pub(crate) fn word(&mut self) -> Result<u32> {
        Ok(u32::from_be_bytes(self.raw(4)?.try_into()?))
    }

    pub(crate) fn long(&mut self) -> Result<u64> {
        Ok(u64::from_be_bytes(self.raw(8)?.try_into()?))
    }

    pub(crate) fn opaque(&mut self) -> Result<&'a [u8]> {
        let length = usize::try_from(self.word()?)?;
        let padded = self.raw(length.next_multiple_of(4))?;
        padded.get(..length).context("an opaque item is shorter than its length")
    }
}
