//! What a file may hold: bytes that must be there, and bytes that were written UNSTABLE and not yet committed.

/// What a Linux client keeps and sends as one.
const PAGE_BYTES: usize = 4096;

/// An UNSTABLE write that no COMMIT has covered: each of its bytes may be there or not.
#[derive(Debug, Clone)]
struct Maybe {
    offset: usize,
    bytes: Vec<u8>,
}

impl Maybe {
    fn end(&self) -> usize {
        self.offset + self.bytes.len()
    }
}

/// The content of a file, as far as it can be known.
#[derive(Debug, Clone, Default)]
pub(crate) struct Content {
    durable: Vec<u8>,
    /// Oldest first.
    maybe: Vec<Maybe>,
}

impl Content {
    /// What its users see now.
    pub(crate) fn now(&self) -> Vec<u8> {
        let mut bytes = self.durable.clone();
        for write in &self.maybe {
            place(&mut bytes, write.offset, &write.bytes);
        }
        bytes
    }

    /// The size that its users see now.
    pub(crate) fn size(&self) -> usize {
        self.maybe.iter().map(Maybe::end).fold(self.durable.len(), usize::max)
    }

    /// Bytes that a COMMIT would cover.
    pub(crate) fn uncommitted_bytes(&self) -> usize {
        self.maybe.iter().map(|write| write.bytes.len()).sum()
    }

    pub(crate) fn write_durably(&mut self, offset: usize, bytes: &[u8]) {
        place(&mut self.durable, offset, bytes);
        // What was written before and is covered now must not come back.
        let end = offset + bytes.len();
        for old in std::mem::take(&mut self.maybe) {
            let before = offset.saturating_sub(old.offset).min(old.bytes.len());
            let after = end.saturating_sub(old.offset).min(old.bytes.len());
            for (from, to) in [(0, before), (after, old.bytes.len())] {
                if let Some(part) = old.bytes.get(from..to).filter(|part| !part.is_empty()) {
                    self.maybe.push(Maybe { offset: old.offset + from, bytes: part.to_vec() });
                }
            }
        }
    }

    pub(crate) fn write_unstable(&mut self, offset: usize, bytes: Vec<u8>) {
        self.maybe.push(Maybe { offset, bytes });
    }

    /// What is written into the memory of a client, which sends it page by page, when it wants.
    pub(crate) fn write_into_pages(&mut self, offset: usize, bytes: &[u8]) {
        let (mut at, mut rest) = (offset, bytes);
        while !rest.is_empty() {
            let (page, later) = rest.split_at((PAGE_BYTES - at % PAGE_BYTES).min(rest.len()));
            self.maybe.push(Maybe { offset: at, bytes: page.to_vec() });
            (at, rest) = (at + page.len(), later);
        }
    }

    pub(crate) fn commit(&mut self) {
        self.durable = self.now();
        self.maybe.clear();
    }

    pub(crate) fn set_size(&mut self, size: usize) {
        self.durable.resize(size, 0);
        for write in &mut self.maybe {
            write.bytes.truncate(size.saturating_sub(write.offset));
        }
        self.maybe.retain(|write| !write.bytes.is_empty());
    }

    /// After a restart, what was found is what must stay.
    pub(crate) fn adopt(&mut self, found: Vec<u8>) {
        self.durable = found;
        self.maybe.clear();
    }

    /// What is wrong with what was found, if anything is.
    pub(crate) fn check(&self, found: &[u8]) -> Result<(), String> {
        if self.maybe.is_empty() && self.durable == found {
            return Ok(());
        }
        let sizes = || std::iter::once(self.durable.len()).chain(self.maybe.iter().map(Maybe::end));
        if found.len() < self.durable.len() || !sizes().any(|size| size == found.len()) {
            let mut allowed: Vec<usize> = sizes().filter(|size| *size >= self.durable.len()).collect();
            allowed.sort_unstable();
            allowed.dedup();
            return Err(format!("{} bytes long, expected one of {allowed:?}", found.len()));
        }
        let wrong = |index: usize, byte: u8| {
            byte != self.durable.get(index).copied().unwrap_or(0)
                && !self.maybe.iter().any(|write| {
                    let within = index.checked_sub(write.offset);
                    within.and_then(|within| write.bytes.get(within)) == Some(&byte)
                })
        };
        let mut bad = found.iter().enumerate().filter(|(index, byte)| wrong(*index, **byte));
        let Some((first, byte)) = bad.next() else { return Ok(()) };
        let (count, last) = bad.fold((1, first), |(count, _), (index, _)| (count + 1, index));
        let zeros = if byte == &0 { " (a zero)" } else { "" };
        Err(format!(
            "{count} of {} bytes are neither the old nor the new ones, from {first}{zeros} to {last}; {} bytes were \
             not committed",
            found.len(),
            self.uncommitted_bytes()
        ))
    }
}

fn place(bytes: &mut Vec<u8>, offset: usize, new: &[u8]) {
    let end = offset + new.len();
    if bytes.len() < end {
        bytes.resize(end, 0);
    }
    if let Some(target) = bytes.get_mut(offset..end) {
        target.copy_from_slice(new);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uncommitted_bytes_may_be_old_or_new_and_committed_ones_must_be_new() {
        let mut content = Content::default();
        content.write_durably(0, b"aaaa");
        content.write_unstable(2, b"bbbb".to_vec());
        assert_eq!(content.now(), b"aabbbb");
        for good in [&b"aaaa"[..], b"aabbbb", b"aaba\0b", b"aaabbb"] {
            assert_eq!(content.check(good), Ok(()), "{good:?}");
        }
        for bad in [&b"aaa"[..], b"aaaab", b"aacc", b"baaa", b"aabbbbb"] {
            assert!(content.check(bad).is_err(), "{bad:?}");
        }
        content.commit();
        assert_eq!(content.check(b"aabbbb"), Ok(()));
        assert!(content.check(b"aaabbb").is_err());
    }

    #[test]
    fn pages_arrive_one_by_one() {
        let mut content = Content::default();
        content.write_into_pages(4000, &[7; 5000]);
        for good in [0, 4096, 8192, 9000] {
            assert_eq!(
                content.check(&[&vec![0; good.min(4000)][..], &vec![7; good.max(4000) - 4000]].concat()),
                Ok(())
            );
        }
        assert!(content.check(&[0; 5000]).is_err(), "no page ends there");
    }

    #[test]
    fn what_a_durable_write_or_a_truncation_covers_does_not_come_back() {
        let mut content = Content::default();
        content.write_unstable(0, b"bbbbbb".to_vec());
        content.write_durably(2, b"cc");
        assert!(content.check(b"bbbb").is_err());
        assert_eq!(content.check(b"\0bccbb"), Ok(()));
        content.set_size(3);
        content.set_size(6);
        assert_eq!(content.check(b"bbc\0\0\0"), Ok(()));
        assert!(content.check(b"bbcc\0\0").is_err());
    }
}
