//! Values out of the bytes of an input.

use crate::codec::Reader;

/// Gives values as long as there are bytes, and zeros then.
pub(crate) struct Input<'a>(Reader<'a>);

impl<'a> Input<'a> {
    pub(crate) fn new(data: &'a [u8]) -> Self {
        Input(Reader::new(data))
    }

    pub(crate) fn u8(&mut self) -> u8 {
        self.0.u8().unwrap_or_default()
    }

    pub(crate) fn flag(&mut self) -> bool {
        self.u8() & 1 == 1
    }

    pub(crate) fn u32(&mut self) -> u32 {
        self.0.u32().unwrap_or_default()
    }

    pub(crate) fn u64(&mut self) -> u64 {
        self.0.u64().unwrap_or_default()
    }

    /// Up to 255 bytes.
    pub(crate) fn short(&mut self) -> &'a [u8] {
        let length = usize::from(self.u8()).min(self.0.rest().len());
        self.0.bytes(length).unwrap_or_default()
    }

    pub(crate) fn array<const N: usize>(&mut self) -> [u8; N] {
        self.0.array().unwrap_or([0; N])
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn rest(self) -> &'a [u8] {
        self.0.rest()
    }

    /// A copy with other bits in some places, and perhaps without its end. It may be equal to the original.
    pub(crate) fn damage(mut self, original: &[u8]) -> Vec<u8> {
        let mut bytes = original.to_vec();
        if self.flag() {
            let length = self.u32() as usize % (original.len() + 1);
            bytes.truncate(length);
        }
        while !self.is_empty() {
            let (place, change) = (self.u32() as usize % bytes.len().max(1), self.u8());
            if let Some(byte) = bytes.get_mut(place) {
                *byte ^= change;
            }
        }
        bytes
    }
}

/// Seeds for [`Input::damage`].
pub(crate) fn damages() -> Vec<Vec<u8>> {
    let change = |place: u32| [&[0], place.to_be_bytes().as_slice(), &[1]].concat();
    let cut = |length: u32| [&[1], length.to_be_bytes().as_slice()].concat();
    vec![vec![0], cut(0), cut(60), cut(5000), change(0), change(20), change(100), change(4100), change(9000)]
}

/// Copies of a seed with a byte changed, the end cut off or bytes put in: the same in every run.
#[cfg(test)]
pub(crate) fn damaged_copies(seed: &[u8]) -> Vec<Vec<u8>> {
    let mut random = 0x9e37_79b9_7f4a_7c15_u64 ^ seed.len() as u64;
    let mut below = |bound: usize| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        (random >> 11) as usize % bound.max(1)
    };
    let mut copies = vec![[seed, &[0]].concat()];
    for round in 0..60 {
        let mut bytes = seed.to_vec();
        let place = below(bytes.len());
        match (round % 3, bytes.is_empty()) {
            (0, false) => bytes[place] ^= 1 << below(8),
            (1, false) => bytes.truncate(place),
            _ => bytes.insert(place, [0, 1, 0x7f, 0xff][below(4)]),
        }
        copies.push(bytes);
    }
    copies
}
