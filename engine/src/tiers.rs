//! The cold tiers: segments as objects in a bucket, or in a local directory through the same code.
//!
//! [`cold`] knows blocks and segments, [`store`] knows requests: it is the stack of decorators over `object_store`.

pub(crate) mod cold;
mod probe;
mod store;

pub(crate) use cold::ColdTier;
#[cfg(test)]
pub(crate) use store::fault;
