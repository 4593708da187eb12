//! The entries of a range, out of neighbouring leaves.

use bytes::Bytes;

use super::bundle::{Row, Walk};
use super::tree::Index;
use crate::error::{Error, Result};

/// Walks from leaf to leaf. Whoever has it has the layout's lock.
pub(super) struct Rows<'a> {
    index: &'a Index,
    from: &'a [u8],
    to: &'a [u8],
    /// Where the current leaf ends.
    upper: Option<Bytes>,
    walk: Walk,
    /// Whether the next leaf that is read is kept, as the first one is: most ranges end within one or two. The further ones are not, since
    /// a long walk would sweep out what is asked for again.
    keeps: bool,
}

impl<'a> Rows<'a> {
    /// `first` is the leaf that covers `from`.
    pub(super) fn new(index: &'a Index, first: Bytes, from: &'a [u8], to: &'a [u8]) -> Result<Self> {
        let walk = Walk::new(first)?;
        Ok(Rows { index, from, to, upper: walk.upper(), walk, keeps: true })
    }

    fn try_next(&mut self) -> Result<Option<Row>> {
        loop {
            if let Some(row) = self.walk.next_from(self.from)? {
                return Ok(Some(row).filter(|(key, _)| key.as_ref() < self.to));
            }
            let Some(upper) = self.upper.take().filter(|upper| upper.as_ref() < self.to) else {
                return Ok(None);
            };
            let found = self.index.find(0, &upper)?.filter(|(lower, _)| *lower == upper);
            let (lower, content) = found.ok_or_else(|| Error::corrupt("the index has a hole"))?;
            if std::mem::take(&mut self.keeps) {
                self.index.keep(0, &lower, &content);
            }
            self.walk = Walk::new(content)?;
            self.upper = self.walk.upper();
        }
    }
}

impl Iterator for Rows<'_> {
    type Item = Result<Row>;

    fn next(&mut self) -> Option<Self::Item> {
        self.try_next().transpose()
    }
}
