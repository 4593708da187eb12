//! Bundles: neighbours in the order of keys, kept as one value of the store.
//!
//! What the store pays for a value (a place in its page table, in memory and at each start, and a step of each write) it pays once for
//! a dozen entries; `docs/decisions/0001-index-bundles.md` has the figures.
//!
//! A bundle covers the keys from its lower bound, which stands in the branch above it, up to that of the next one; the lowest bundle has
//! the lower bound 0x00. Its content:
//!
//! | bytes | field |
//! |---|---|
//! | 1 | format: 1 |
//! | v + n | upper bound, which is the lower bound of the next bundle: length, bytes; empty if there is none |
//! | … | the entries, in ascending order of their keys |
//!
//! An entry, with v for a length of seven bits to a byte, the lowest first, and the highest bit set in all but the last:
//!
//! | bytes | field |
//! |---|---|
//! | v | bytes that the key has in common with the key before it |
//! | v + n | length of the rest of the key, the rest |
//! | v + n | length of the value, value |

use bytes::Bytes;

use crate::codec::{Malformed, Reader, Writer};
use crate::limits::INDEX_BUNDLE_BYTES;

const FORMAT: u8 = 1;
/// The lower bound of the lowest bundle: below all keys, since no key is empty.
pub(super) const LOWEST: &[u8] = &[0];

/// An entry of the index.
pub(super) type Row = (Bytes, Bytes);

/// What is in a bundle.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Bundle {
    /// The keys in it are below this one.
    pub(super) upper: Option<Bytes>,
    /// By ascending keys.
    pub(super) rows: Vec<Row>,
}

/// About what an entry takes in a bundle.
pub(super) fn row_bytes((key, value): &Row) -> usize {
    key.len() + value.len() + 2
}

/// Whether a key is below the upper bound.
pub(super) fn below(key: &[u8], upper: Option<&Bytes>) -> bool {
    upper.is_none_or(|upper| key < upper.as_ref())
}

pub(super) fn encode(upper: Option<&Bytes>, rows: &[Row]) -> Vec<u8> {
    let mut out = Writer::with_capacity(rows.iter().map(|row| row_bytes(row) + 4).sum::<usize>() + 32);
    out.u8(FORMAT);
    put_sized(&mut out, upper.map_or(&[], Bytes::as_ref));
    let mut before: &[u8] = &[];
    for (key, value) in rows {
        let shared = key.iter().zip(before).take_while(|(one, other)| one == other).count();
        put_length(&mut out, shared);
        put_sized(&mut out, key.get(shared..).unwrap_or_default());
        put_sized(&mut out, value);
        before = key;
    }
    out.into_vec()
}

pub(super) fn decode(content: &Bytes) -> Result<Bundle, Malformed> {
    let mut walk = Walk::new(content.clone())?;
    let mut bundle = Bundle { upper: walk.upper(), rows: Vec::new() };
    while let Some(row) = walk.next_from(&[])? {
        bundle.rows.push(row);
    }
    Ok(bundle)
}

/// Walks the entries of a content, copying only the keys of those that are wanted.
#[derive(Default)]
pub(super) struct Walk {
    content: Bytes,
    /// Where the next entry is.
    at: usize,
    key: Vec<u8>,
    upper: std::ops::Range<usize>,
}

impl Walk {
    pub(super) fn new(content: Bytes) -> Result<Self, Malformed> {
        let rows = Rows::new(&content)?;
        let at = content.len() - rows.rest.rest().len();
        let upper = at - rows.upper.len()..at;
        Ok(Walk { at, upper, content, key: Vec::with_capacity(32) })
    }

    /// The lower bound of the next bundle.
    pub(super) fn upper(&self) -> Option<Bytes> {
        Some(self.content.slice(self.upper.clone())).filter(|upper| !upper.is_empty())
    }

    /// The next entry whose key is not below this one.
    pub(super) fn next_from(&mut self, from: &[u8]) -> Result<Option<Row>, Malformed> {
        let rest = Reader::new(self.content.get(self.at..).unwrap_or_default());
        let mut rows = Rows { upper: &[], rest, key: std::mem::take(&mut self.key) };
        let mut found = None;
        while let Some(value) = rows.next_value()? {
            if rows.key.as_slice() >= from {
                found = Some((Bytes::copy_from_slice(&rows.key), self.content.slice_ref(value)));
                break;
            }
        }
        self.at = self.content.len() - rows.rest.rest().len();
        self.key = rows.key;
        Ok(found)
    }
}

/// The upper bound of a content.
pub(super) fn upper(content: &[u8]) -> Result<Option<&[u8]>, Malformed> {
    Ok(Rows::new(content)?.upper())
}

/// The value of a key that the bundle covers. No key is put together for it: of those before the wanted one it is enough to know how
/// many bytes they have in common with it.
pub(super) fn find(content: &Bytes, key: &[u8]) -> Result<Option<Bytes>, Malformed> {
    let Rows { upper, mut rest, .. } = Rows::new(content)?;
    if !upper.is_empty() && key >= upper {
        return Err(Malformed("the index has a hole"));
    }
    let (mut length_before, mut common) = (0, 0);
    while !rest.is_empty() {
        let (shared, own, value) = entry(&mut rest, length_before)?;
        length_before = shared + own.len();
        // One that shares more with the one before than that does with the wanted key is below it, as that is.
        if shared > common {
            continue;
        }
        let wanted = key.get(shared..).unwrap_or_default();
        match own.cmp(wanted) {
            std::cmp::Ordering::Less => {
                common = shared + own.iter().zip(wanted).take_while(|(one, other)| one == other).count();
            }
            std::cmp::Ordering::Equal => return Ok(Some(content.slice_ref(value))),
            std::cmp::Ordering::Greater => break,
        }
    }
    Ok(None)
}

/// The last entry whose key is not above this one, which the bundle covers.
pub(super) fn last(content: &Bytes, upto: &[u8]) -> Result<Option<Row>, Malformed> {
    Ok(last_and_next(content, upto)?.0)
}

/// The same, and the key of the entry after it, or the upper bound if there is none.
pub(super) fn last_and_next(content: &Bytes, upto: &[u8]) -> Result<(Option<Row>, Option<Bytes>), Malformed> {
    let Rows { upper, mut rest, .. } = Rows::new(content)?;
    if !upper.is_empty() && upto >= upper {
        return Err(Malformed("the index has a hole"));
    }
    let (mut key, mut common, mut last) = (Vec::with_capacity(upto.len()), 0, None);
    let mut next = Some(content.slice_ref(upper)).filter(|upper| !upper.is_empty());
    while !rest.is_empty() {
        let (shared, own, value) = entry(&mut rest, key.len())?;
        // As in `find`.
        if shared <= common {
            let wanted = upto.get(shared..).unwrap_or_default();
            if own > wanted {
                next = Some([key.get(..shared).unwrap_or_default(), own].concat().into());
                break;
            }
            common = shared + own.iter().zip(wanted).take_while(|(one, other)| one == other).count();
        }
        key.truncate(shared);
        key.extend_from_slice(own);
        last = Some(value);
    }
    Ok((last.map(|value| (key.into(), content.slice_ref(value))), next))
}

/// Takes an entry behind one whose key has that length: the bytes that its key has in common with it, the rest of its key, its value.
#[inline]
fn entry<'a>(rest: &mut Reader<'a>, length_before: usize) -> Result<(usize, &'a [u8], &'a [u8]), Malformed> {
    let shared = length(rest)?;
    if shared > length_before {
        return Err(Malformed("a key of the index has nothing to go on from"));
    }
    Ok((shared, sized(rest)?, sized(rest)?))
}

/// Rows shared out evenly among as few bundles as hold them: those of random changes are then half full at least, and those of a bulk
/// are full.
pub(super) fn share_out(rows: Vec<Row>) -> Vec<Vec<Row>> {
    let total: usize = rows.iter().map(row_bytes).sum();
    share_out_evenly(rows, total.div_ceil(INDEX_BUNDLE_BYTES).max(1), row_bytes)
}

/// Rows shared out among so many bundles, of about the same size each.
pub(super) fn share_out_evenly(rows: Vec<Row>, count: usize, bytes: impl Fn(&Row) -> usize) -> Vec<Vec<Row>> {
    let total: usize = rows.iter().map(&bytes).sum();
    let mut shares = vec![Vec::new()];
    let mut taken = 0;
    for row in rows {
        let middle = taken + bytes(&row) / 2;
        taken += bytes(&row);
        let begun = shares.last().is_some_and(|share: &Vec<Row>| !share.is_empty());
        if begun && middle * count > total * shares.len() {
            shares.push(Vec::new());
        }
        if let Some(last) = shares.last_mut() {
            last.push(row);
        }
    }
    shares
}

/// Walks the entries of a content.
struct Rows<'a> {
    upper: &'a [u8],
    rest: Reader<'a>,
    /// The key of the entry that was taken last.
    key: Vec<u8>,
}

impl<'a> Rows<'a> {
    fn new(content: &'a [u8]) -> Result<Self, Malformed> {
        let mut rest = Reader::new(content);
        if rest.u8()? != FORMAT {
            return Err(Malformed("format of a bundle of the index"));
        }
        let upper = sized(&mut rest)?;
        Ok(Rows { upper, rest, key: Vec::new() })
    }

    fn upper(&self) -> Option<&'a [u8]> {
        Some(self.upper).filter(|upper| !upper.is_empty())
    }

    /// Takes an entry and returns its value.
    fn next_value(&mut self) -> Result<Option<&'a [u8]>, Malformed> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let (shared, own, value) = entry(&mut self.rest, self.key.len())?;
        self.key.truncate(shared);
        self.key.extend_from_slice(own);
        Ok(Some(value))
    }
}

fn put_length(out: &mut Writer, length: usize) {
    let mut rest = length;
    while rest > 0x7f {
        out.u8(0x80 | u8::try_from(rest & 0x7f).unwrap_or_default());
        rest >>= 7;
    }
    out.u8(u8::try_from(rest).unwrap_or_default());
}

fn put_sized(out: &mut Writer, bytes: &[u8]) {
    put_length(out, bytes.len());
    out.bytes(bytes);
}

#[inline]
fn length(reader: &mut Reader<'_>) -> Result<usize, Malformed> {
    let mut length = 0_usize;
    for shift in [0, 7, 14, 21, 28] {
        let byte = reader.u8()?;
        length |= usize::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Ok(length);
        }
    }
    Err(Malformed("a length of the index is too long"))
}

#[inline]
fn sized<'a>(reader: &mut Reader<'a>) -> Result<&'a [u8], Malformed> {
    let length = length(reader)?;
    reader.bytes(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(key: &str, value_bytes: usize) -> Row {
        (Bytes::copy_from_slice(key.as_bytes()), vec![7; value_bytes].into())
    }

    #[test]
    fn a_bundle_is_decoded_as_encoded_and_found_in() {
        let rows = vec![row("ab", 0), row("abc", 1), row("abd", 127), row("b", 128), row("ba", 70_000)];
        for upper in [None, Some(Bytes::from_static(b"c"))] {
            let content = Bytes::from(encode(upper.as_ref(), &rows));
            assert_eq!(decode(&content), Ok(Bundle { upper: upper.clone(), rows: rows.clone() }));
            for (key, value) in &rows {
                assert_eq!(find(&content, key), Ok(Some(value.clone())));
            }
            for key in ["a", "aba", "abcc", "bb"] {
                assert_eq!(find(&content, key.as_bytes()), Ok(None), "{key}");
            }
            assert_eq!(find(&content, b"c").is_err(), upper.is_some(), "a key beyond the bound");
        }
    }

    #[test]
    fn each_key_is_found_among_all_that_begin_alike_and_no_other() {
        let mut keys = vec![String::new()];
        for length in 0..4 {
            let longer = keys.iter().filter(|key| key.len() == length);
            let longer: Vec<_> =
                longer.flat_map(|key| ["a", "b", "c"].map(|next| key.clone() + next)).collect();
            keys.extend(longer);
        }
        keys.sort();
        for step in 1..7 {
            let rows: Vec<Row> =
                keys.iter().skip(step).step_by(step).map(|key| row(key, key.len())).collect();
            let content = Bytes::from(encode(None, &rows));
            for key in &keys {
                let expected = rows.iter().find(|(there, _)| there == key.as_bytes());
                let expected = expected.map(|(_, value)| value.clone());
                assert_eq!(find(&content, key.as_bytes()), Ok(expected), "{key}, each {step}");
            }
        }
    }

    #[test]
    fn damage_is_an_error_and_not_a_panic() {
        let content = encode(None, &[row("ab", 3), row("abc", 200)]);
        for length in 0..content.len() {
            let cut = Bytes::copy_from_slice(&content[..length]);
            // A cut between two entries is a shorter bundle: the seal tells those apart.
            if let Ok(bundle) = decode(&cut) {
                assert!(bundle.rows.len() < 2);
            }
        }
        for wrong in [&[2, 0][..], &[1, 0, 1, 1, b'a', 0], &[1, 0, 0x80, 0x80, 0x80, 0x80, 0x80, 0]] {
            assert!(decode(&Bytes::copy_from_slice(wrong)).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn rows_are_shared_out_evenly_and_none_is_lost() {
        for count in [0, 1, 5, 40, 400] {
            let rows: Vec<Row> = (0..count).map(|number| row(&format!("{number:05}"), 100)).collect();
            let shares = share_out(rows.clone());
            assert_eq!(shares.concat(), rows);
            let bytes = |share: &Vec<Row>| share.iter().map(row_bytes).sum::<usize>();
            assert!(shares.iter().all(|share| bytes(share) <= INDEX_BUNDLE_BYTES + 107));
            assert!(shares.len() == 1 || shares.iter().all(|share| bytes(share) > INDEX_BUNDLE_BYTES / 3));
        }
        let large: Vec<Row> = (0..4).map(|number| row(&number.to_string(), 60_000)).collect();
        assert_eq!(share_out(large.clone()).len(), 4);
        assert_eq!(share_out_evenly(large, 2, row_bytes).len(), 2);
    }
}
