//! Which objects are being uploaded, so that they are not taken for garbage before extents point to them.

use std::collections::HashSet;

use parking_lot::Mutex;

use crate::identity::SegmentId;

/// The uploads under way.
#[derive(Debug, Default)]
pub(crate) struct Uploads(Mutex<HashSet<SegmentId>>);

impl Uploads {
    /// Marks an upload as under way until the result is dropped.
    pub(crate) fn begin(&self, segment: SegmentId) -> Upload<'_> {
        self.0.lock().insert(segment);
        Upload { uploads: self, segment }
    }

    pub(crate) fn contains(&self, segment: SegmentId) -> bool {
        self.0.lock().contains(&segment)
    }
}

/// An upload under way.
#[derive(Debug)]
pub(crate) struct Upload<'a> {
    uploads: &'a Uploads,
    segment: SegmentId,
}

impl Drop for Upload<'_> {
    fn drop(&mut self) {
        self.uploads.0.lock().remove(&self.segment);
    }
}
