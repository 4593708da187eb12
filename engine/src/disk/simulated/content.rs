//! The bytes of a simulated file: as they are seen, and as they are on the disk.

/// The unit that a power failure keeps or loses as a whole.
const SECTOR_BYTES: usize = 512;

#[derive(Clone, Default)]
pub(super) struct Content {
    pub(super) bytes: Vec<u8>,
    durable: Vec<u8>,
    /// One bit for each sector that was written and not synced.
    dirty: Vec<u64>,
}

impl Content {
    pub(super) fn write(&mut self, bytes: &[u8], offset: usize) {
        let end = offset + bytes.len();
        if self.bytes.len() < end {
            self.bytes.resize(end, 0);
        }
        self.bytes[offset..end].copy_from_slice(bytes);
        for sector in offset / SECTOR_BYTES..end.div_ceil(SECTOR_BYTES) {
            self.mark(sector, true);
        }
    }

    pub(super) fn set_length(&mut self, length: usize) {
        self.bytes.resize(length, 0);
    }

    /// Gets everything to the disk.
    pub(super) fn sync(&mut self) {
        self.durable.resize(self.bytes.len(), 0);
        for sector in self.take_dirty() {
            self.keep(sector);
        }
    }

    /// Gets a range of whole sectors to the disk.
    pub(super) fn sync_range(&mut self, offset: usize, length: usize) {
        let end = offset + length;
        if self.durable.len() < end {
            self.durable.resize(end, 0);
        }
        self.durable[offset..end].copy_from_slice(&self.bytes[offset..end]);
        for sector in offset / SECTOR_BYTES..end / SECTOR_BYTES {
            self.mark(sector, false);
        }
    }

    /// What Linux does after a sync that failed: the bytes are seen as before, will not get to the disk, and nobody is told again.
    pub(super) fn forget_dirty(&mut self) {
        self.dirty.clear();
    }

    /// What was never synced may be gone after a power failure, and takes memory: whoever tries again and again to make a file on a full disk
    /// leaves many of them.
    pub(super) fn forget_unsynced_file(&mut self) {
        if self.durable.is_empty() {
            *self = Content::default();
        }
    }

    /// Leaves what a power failure leaves.
    pub(super) fn lose_power(&mut self, mut survives: impl FnMut() -> bool) {
        for sector in self.take_dirty() {
            if survives() {
                self.keep(sector);
            }
        }
        self.bytes.clone_from(&self.durable);
    }

    fn keep(&mut self, sector: usize) {
        let start = sector * SECTOR_BYTES;
        let end = (start + SECTOR_BYTES).min(self.bytes.len());
        if start < end {
            if self.durable.len() < end {
                self.durable.resize(end, 0);
            }
            self.durable[start..end].copy_from_slice(&self.bytes[start..end]);
        }
    }

    fn mark(&mut self, sector: usize, dirty: bool) {
        let (word, bit) = (sector / 64, 1 << (sector % 64));
        if self.dirty.len() <= word {
            self.dirty.resize(word + 1, 0);
        }
        if dirty {
            self.dirty[word] |= bit;
        } else {
            self.dirty[word] &= !bit;
        }
    }

    fn take_dirty(&mut self) -> Vec<usize> {
        let words = std::mem::take(&mut self.dirty);
        let bits = words.iter().enumerate().filter(|(_, bits)| **bits != 0);
        bits.flat_map(|(word, bits)| {
            (0..64).filter(move |bit| bits >> bit & 1 == 1).map(move |bit| word * 64 + bit)
        })
        .collect()
    }
}
