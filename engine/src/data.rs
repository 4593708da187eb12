//! File content at rest: blocks of up to 64 KiB, sealed into append-only segments.
//!
//! The block format is the same in every tier ([`mod@format`]); a segment is a local file in Standard ([`standard`]) and an
//! object in a cold tier. Metadata points to a block by its [`BlockAddress`]; opened blocks are kept in the [`BlockCache`].

pub(crate) mod audit;
pub(crate) mod block;
pub(crate) mod cache;
pub(crate) mod format;
pub(crate) mod part;
pub(crate) mod runs;
pub(crate) mod standard;

pub(crate) use block::{BlockAddress, BlockIdentity, PlainBlock};
pub(crate) use cache::BlockCache;
pub(crate) use part::BlockPart;
pub(crate) use standard::{StandardTier, Urgency};
