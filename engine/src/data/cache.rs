//! Opened blocks in memory, and cells of blocks of which only those were wanted.
//!
//! An address is never reused for other bytes, so nothing here ever has to be invalidated.

use std::hash::{BuildHasherDefault, DefaultHasher, Hash, Hasher};

use bytes::Bytes;
use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{OptionsBuilder, Weighter};

use super::block::BlockAddress;
use crate::error::Result;
use crate::limits::BLOCK_BYTES;

/// Memory of an entry besides its bytes, roughly: the key, the reference count, the slot and its index.
const ENTRY_OVERHEAD_BYTES: u64 = 160;
/// More locks than cores, but each shard must hold many blocks.
const SHARDS_MAX: u64 = 16;
const SHARD_BLOCKS_MIN: u64 = 32;

/// Opened blocks up to a budget; which ones stay follows recency and frequency, so that one scan does not sweep out all.
#[derive(Debug)]
pub(crate) struct BlockCache {
    cache: Cache<Key, Bytes, BlockWeight, AddressHash>,
}

/// A block, or one cell of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Key {
    address: BlockAddress,
    cell: Option<u32>,
}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        // A segment has one block at an offset, which is below 2⁴⁰, and that has few cells.
        self.address.segment.hash(state);
        state.write_u64(self.address.offset << 8 | self.cell.map_or(0, |cell| u64::from(cell) + 1));
    }
}

/// Addresses are random already, so that nobody can make them collide; and one run evicts what another one does.
type AddressHash = BuildHasherDefault<DefaultHasher>;

#[derive(Debug, Clone)]
struct BlockWeight;

impl Weighter<Key, Bytes> for BlockWeight {
    fn weight(&self, _: &Key, bytes: &Bytes) -> u64 {
        bytes.len() as u64 + ENTRY_OVERHEAD_BYTES
    }
}

impl BlockCache {
    /// A cache that takes about that much memory.
    pub(crate) fn new(budget_bytes: u64) -> BlockCache {
        let blocks = budget_bytes / BLOCK_BYTES;
        let shards = (blocks / SHARD_BLOCKS_MIN).clamp(1, SHARDS_MAX);
        let options = OptionsBuilder::new()
            .weight_capacity(budget_bytes)
            .estimated_items_capacity(usize::try_from(blocks).unwrap_or(usize::MAX))
            .shards(usize::try_from(shards).unwrap_or(1))
            .build();
        let cache = match options {
            Ok(options) => {
                Cache::with_options(options, BlockWeight, AddressHash::default(), DefaultLifecycle::default())
            }
            Err(_) => Cache::with(
                usize::try_from(blocks).unwrap_or(usize::MAX),
                budget_bytes,
                BlockWeight,
                AddressHash::default(),
                DefaultLifecycle::default(),
            ),
        };
        BlockCache { cache }
    }

    /// The block, if it is here.
    pub(crate) fn get(&self, address: &BlockAddress) -> Option<Bytes> {
        self.cache.get(&Key { address: *address, cell: None })
    }

    /// A cell of the block, if it is here by itself.
    pub(crate) fn cell(&self, address: &BlockAddress, cell: u32) -> Option<Bytes> {
        self.cache.get(&Key { address: *address, cell: Some(cell) })
    }

    /// Whether that cell is here by itself; it is not used by this.
    pub(crate) fn has_cell(&self, address: &BlockAddress, cell: u32) -> bool {
        self.cache.contains_key(&Key { address: *address, cell: Some(cell) })
    }

    /// Keeps a block.
    pub(crate) fn insert(&self, address: BlockAddress, bytes: Bytes) {
        self.cache.insert(Key { address, cell: None }, bytes);
    }

    /// Keeps a cell of a block.
    pub(crate) fn insert_cell(&self, address: BlockAddress, cell: u32, bytes: Bytes) {
        self.cache.insert(Key { address, cell: Some(cell) }, bytes);
    }

    /// The block, loaded if it is not here. Concurrent calls for one block share one load; if it fails, its caller gets the
    /// error and the next one waiting tries.
    pub(crate) async fn get_or_load(
        &self,
        address: BlockAddress,
        load: impl Future<Output = Result<Bytes>>,
    ) -> Result<Bytes> {
        self.cache.get_or_insert_async(&Key { address, cell: None }, load).await
    }

    /// The same of a cell of a block.
    pub(crate) async fn get_or_load_cell(
        &self,
        address: BlockAddress,
        cell: u32,
        load: impl Future<Output = Result<Bytes>>,
    ) -> Result<Bytes> {
        self.cache.get_or_insert_async(&Key { address, cell: Some(cell) }, load).await
    }

    /// Memory taken now.
    #[cfg(test)]
    pub(crate) fn bytes(&self) -> u64 {
        self.cache.weight()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;
    use crate::data::block::Codec;
    use crate::error::Error;
    use crate::identity::SegmentId;

    fn address(offset: u64) -> BlockAddress {
        let (segment, codec) = (SegmentId([1; 16]), Codec::Plain);
        BlockAddress { segment, offset, sealed_bytes: 65_552, frame: 3, plain_bytes: 65_536, codec }
    }

    #[tokio::test]
    async fn concurrent_misses_share_one_load() {
        let cache = BlockCache::new(1 << 20);
        let loads = AtomicU32::new(0);
        let load = || async {
            loads.fetch_add(1, Ordering::Relaxed);
            tokio::task::yield_now().await;
            Ok(Bytes::from_static(b"block"))
        };
        let all = futures::future::join_all((0..20).map(|_| cache.get_or_load(address(0), load()))).await;
        assert!(all.into_iter().all(|block| block.unwrap() == "block"));
        assert_eq!(loads.load(Ordering::Relaxed), 1);
        assert_eq!(cache.get(&address(0)).unwrap(), "block");
        assert!(cache.get(&address(1)).is_none());
    }

    #[tokio::test]
    async fn a_failed_load_is_not_kept() {
        let cache = BlockCache::new(1 << 20);
        let failing = cache.get_or_load(address(0), async { Err(Error::corrupt("test")) });
        let working = cache.get_or_load(address(0), async { Ok(Bytes::from_static(b"block")) });
        let (failed, worked) = tokio::join!(failing, working);
        assert!(failed.is_err());
        assert_eq!(worked.unwrap(), "block");
    }

    #[test]
    fn the_budget_is_kept() {
        const BUDGET: u64 = 8 << 20;
        let cache = BlockCache::new(BUDGET);
        for offset in 0..1000 {
            cache.insert(address(offset), Bytes::from(vec![0; 65_536]));
        }
        assert!(cache.bytes() <= BUDGET);
        assert!(cache.bytes() > BUDGET / 2, "{} bytes", cache.bytes());
    }
}
