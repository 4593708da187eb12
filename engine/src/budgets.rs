//! How much memory and disk a file system may use.

use crate::limits::JOURNAL_FILES;

/// Memory and disk budgets, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budgets {
    /// Journal files on the disk.
    pub journal_bytes: u64,
    /// Recent metadata changes in memory: half of it is folded into the index at a time, and the other half takes what comes meanwhile.
    pub overlay_bytes: u64,
    /// sled's cache, and that of opened bundles.
    pub index_cache_bytes: u64,
    /// UNSTABLE data in memory.
    pub write_buffer_bytes: u64,
    /// Opened blocks in memory.
    pub block_cache_bytes: u64,
    /// Size at which a Standard segment is closed at the latest: a small tier has smaller ones.
    pub segment_bytes: u64,
    /// Size at which a cold object is closed.
    pub object_bytes: u64,
}

impl Default for Budgets {
    fn default() -> Self {
        const MIB: u64 = 1 << 20;
        Budgets {
            journal_bytes: 512 * MIB,
            overlay_bytes: 256 * MIB,
            index_cache_bytes: 256 * MIB,
            write_buffer_bytes: 256 * MIB,
            block_cache_bytes: 256 * MIB,
            segment_bytes: 128 * MIB,
            object_bytes: 32 * MIB,
        }
    }
}

impl Budgets {
    /// Bytes of pieces at which they are folded into blocks: well before the overlay is checkpointed, which would write them
    /// out as metadata.
    pub(crate) fn fold_threshold_bytes(&self) -> u64 {
        self.overlay_bytes / 8
    }

    /// Bytes of the disk that new data may not take: folding what is in memory writes it to a segment or a checkpoint, and to
    /// the index, and the journal needs a file to go on.
    pub(crate) fn disk_reserve_bytes(&self) -> u64 {
        self.overlay_bytes.saturating_mul(2).saturating_add(self.journal_bytes / JOURNAL_FILES)
    }
}
