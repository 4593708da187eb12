//! What is verified: a file system that is open, or one that is not.

use std::path::Path;

use super::structure::digest;
use crate::data::StandardTier;
use crate::error::Result;
use crate::home::Home;
use crate::identity::SegmentId;
use crate::records::{SegmentRecord, key};
use crate::tiers::ColdTier;
use crate::volume::{Look, NameHasher, Volume};

/// A file system and its parts.
pub(super) struct Site<'a> {
    pub(super) look: &'a (dyn Look + Sync),
    pub(super) names: &'a NameHasher,
    pub(super) home: &'a Home,
    /// The file system's directory.
    pub(super) directory: &'a Path,
    pub(super) standard: &'a StandardTier,
    pub(super) cold: &'a ColdTier,
    /// The open file system; `None` if nothing can change.
    pub(super) live: Option<&'a Volume>,
}

impl<'a> Site<'a> {
    pub(super) fn live(volume: &'a Volume) -> Self {
        let (home, directory) = volume.store.place();
        Site {
            look: volume.store.as_ref(),
            names: &volume.names,
            home,
            directory,
            standard: &volume.standard,
            cold: &volume.cold,
            live: Some(volume),
        }
    }

    /// A segment's row, with its digest.
    pub(super) fn row(&self, segment: SegmentId) -> Result<Option<(SegmentRecord, u64)>> {
        let Some(bytes) = self.look.get(&key::segment(segment))? else { return Ok(None) };
        // One that cannot be decoded was reported with the structure.
        Ok(SegmentRecord::decode(&bytes).ok().map(|row| (row, digest(&bytes))))
    }

    /// Whether somebody writes the segment now.
    pub(super) fn in_making(&self, segment: SegmentId) -> bool {
        let writes =
            |volume: &Volume| volume.standard.active() == Some(segment) || volume.uploads.contains(segment);
        self.live.is_some_and(writes)
    }

    /// Whether it is right that the segment has no row: it will get one, or be removed.
    pub(super) fn is_new(&self, segment: SegmentId) -> bool {
        self.in_making(segment) || self.live.is_some_and(|volume| volume.appended.lock().contains(&segment))
    }
}
