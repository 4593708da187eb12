//! Opened chunks in memory.

use std::hash::{BuildHasherDefault, DefaultHasher};

use bytes::Bytes;
use quick_cache::Weighter;
use quick_cache::sync::{Cache, DefaultLifecycle};

use super::file::ChunkKind;
use crate::limits::CHECKPOINT_CHUNK_BYTES;

/// What a chunk costs beside its content.
const OVERHEAD_BYTES: u64 = 128;

/// The number of a file, and that of a chunk in it.
type Key = (u64, u64);

/// A chunk, opened.
#[derive(Debug, Clone)]
pub(super) struct Chunk {
    pub(super) kind: ChunkKind,
    pub(super) content: Bytes,
    /// Where it ends in the file.
    pub(super) end: u64,
}

/// What is given up goes by the hash: the same in each run.
type Hash = BuildHasherDefault<DefaultHasher>;

/// Chunks up to a budget; those that are asked for again stay.
pub(crate) struct ChunkCache(Cache<Key, Chunk, ChunkWeight, Hash>);

#[derive(Debug, Clone)]
struct ChunkWeight;

impl Weighter<Key, Chunk> for ChunkWeight {
    fn weight(&self, _: &Key, chunk: &Chunk) -> u64 {
        chunk.content.len() as u64 + OVERHEAD_BYTES
    }
}

impl ChunkCache {
    pub(super) fn new(budget_bytes: u64) -> Self {
        let chunks = usize::try_from(budget_bytes).unwrap_or(usize::MAX) / CHECKPOINT_CHUNK_BYTES;
        let lifecycle = DefaultLifecycle::default();
        ChunkCache(Cache::with(chunks.max(1), budget_bytes, ChunkWeight, Hash::default(), lifecycle))
    }

    pub(super) fn get(&self, file: u64, number: u64) -> Option<Chunk> {
        self.0.get(&(file, number))
    }

    pub(super) fn insert(&self, file: u64, number: u64, chunk: Chunk) {
        self.0.insert((file, number), chunk);
    }
}
