//! The cold tiers: segments as objects in a bucket, or in a local directory through the same code.
