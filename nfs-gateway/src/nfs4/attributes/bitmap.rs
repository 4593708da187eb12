//! `bitmap4`.

use super::table::Attribute;
use crate::nfs4::limits::BITMAP_WORDS_MAX;
use crate::xdr::{Reader, Writer, XdrError};

/// A set of attribute numbers below 96; of higher ones it is known only whether there are some.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Bitmap {
    bits: u128,
    beyond: bool,
}

impl Bitmap {
    /// No attribute.
    pub(crate) const EMPTY: Bitmap = Bitmap { bits: 0, beyond: false };

    /// These attributes.
    pub(crate) const fn of(attributes: &[Attribute]) -> Bitmap {
        let mut bits = 0;
        let mut rest = attributes;
        while let [first, tail @ ..] = rest {
            bits |= 1 << (*first as u32);
            rest = tail;
        }
        Bitmap { bits, beyond: false }
    }

    /// Adds an attribute.
    pub(crate) fn insert(&mut self, attribute: Attribute) {
        self.bits |= 1 << (attribute as u32);
    }

    /// Whether an attribute is in the set.
    pub(crate) fn contains(&self, attribute: Attribute) -> bool {
        self.bits & (1 << (attribute as u32)) != 0
    }

    /// What is in both.
    pub(crate) const fn intersect(self, other: Bitmap) -> Bitmap {
        Bitmap { bits: self.bits & other.bits, beyond: false }
    }

    /// Whether everything in this set is in the other one.
    pub(crate) const fn is_subset(self, other: Bitmap) -> bool {
        self.bits & !other.bits == 0 && !self.beyond
    }

    /// Whether the sets have something in common.
    pub(crate) const fn overlaps(self, other: Bitmap) -> bool {
        self.bits & other.bits != 0
    }

    /// The attributes in ascending order.
    pub(crate) fn attributes(self) -> impl Iterator<Item = Attribute> {
        Attribute::ALL.iter().copied().filter(move |attribute| self.contains(*attribute))
    }

    /// Reads a set.
    pub(crate) fn decode(reader: &mut Reader) -> Result<Bitmap, XdrError> {
        let words = reader.count(BITMAP_WORDS_MAX)?;
        let mut bitmap = Bitmap::EMPTY;
        for index in 0..words {
            let word = reader.u32()?;
            if index < WORDS {
                bitmap.bits |= u128::from(word) << (32 * index);
            } else {
                bitmap.beyond |= word != 0;
            }
        }
        Ok(bitmap)
    }

    /// Writes the set without empty words at its end.
    pub(crate) fn encode(self, writer: &mut Writer) {
        let used = (u128::BITS - self.bits.leading_zeros()).div_ceil(32);
        writer.u32(used);
        for index in 0..used {
            let word = (self.bits >> (32 * index)) & u128::from(u32::MAX);
            writer.u32(u32::try_from(word).unwrap_or(0));
        }
    }
}

const WORDS: usize = 3;

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn bitmaps_round_trip(words in prop::collection::vec(any::<u32>(), 0..=WORDS)) {
            let mut writer = Writer::new();
            writer.length(words.len());
            words.iter().for_each(|word| writer.u32(*word));
            let bitmap = Bitmap::decode(&mut Reader::new(Bytes::from(writer.finish().concat()))).unwrap();
            let mut again = Writer::new();
            bitmap.encode(&mut again);
            let decoded = Bitmap::decode(&mut Reader::new(Bytes::from(again.finish().concat()))).unwrap();
            prop_assert_eq!(decoded, bitmap);
        }
    }

    #[test]
    fn a_bitmap_of_many_words_is_refused_and_of_unknown_ones_is_no_subset() {
        let decode = |words: &[u32]| {
            let mut writer = Writer::new();
            words.iter().for_each(|word| writer.u32(*word));
            Bitmap::decode(&mut Reader::new(Bytes::from(writer.finish().concat())))
        };
        assert!(decode(&[1 << 28]).is_err());
        let future = decode(&[4, 0, 0, 0, 1]).unwrap();
        assert!(!future.is_subset(Bitmap { bits: u128::MAX, beyond: false }));
    }
}
