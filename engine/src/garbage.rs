//! What the collector would do, or did: what `tidefs gc` shows.

use serde::{Deserialize, Serialize};

use crate::tiering::Tier;

/// What would be collected now, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CollectionPlan {
    /// How each tier stands.
    pub tiers: Vec<TierGarbage>,
    /// What would be done, in that order.
    pub segments: Vec<PlannedSegment>,
    /// Requests to the object store that it would take, about.
    pub requests: u64,
}

/// How much garbage a tier has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TierGarbage {
    /// Which.
    pub tier: Tier,
    /// Sealed bytes that files refer to.
    pub live_bytes: u64,
    /// Sealed bytes on the disk or in the bucket, without those that only wait for their deletion.
    pub stored_bytes: u64,
}

/// A segment of which something is to be done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedSegment {
    /// Its id, in hexadecimal digits.
    pub id: String,
    /// Its tier.
    pub tier: Tier,
    /// Sealed bytes in it that files refer to.
    pub live_bytes: u64,
    /// Sealed bytes in it.
    pub stored_bytes: u64,
    /// What is to be done.
    pub action: CollectionAction,
}

/// What is done with a segment, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CollectionAction {
    /// No file refers to anything in it: it is deleted as soon as the record that says so is checkpointed.
    Delete,
    /// It is among the worst of a tier that has too much garbage: what is live in it is written anew, and then it is deleted.
    Rewrite,
}

/// What a collection did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Collected {
    /// Segments of which the live blocks were written anew.
    pub rewritten_segments: u64,
    /// Bytes of these blocks.
    pub rewritten_bytes: u64,
    /// Segments that were deleted.
    pub deleted_segments: u64,
    /// Sealed bytes that were in them.
    pub deleted_bytes: u64,
}
