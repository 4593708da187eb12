//! References to shared blocks: there is one for exactly each extent that shows a shared block, and each such block counts once.

use bytes::Bytes;

use super::problem::Problem;
use super::structure::{Anchor, Structure};
use crate::data::BlockAddress;
use crate::error::Result;
use crate::identity::{BlockIndex, ContentId, SegmentId};
use crate::records::{Extent, key};
use crate::volume::Look;

impl<L: Look + ?Sized> Structure<'_, L> {
    /// An extent that shows a shared block.
    pub(super) fn see_shared(
        &mut self,
        (content, block): (ContentId, BlockIndex),
        (row, value): (&Bytes, &Bytes),
        address: &BlockAddress,
    ) -> Result<()> {
        self.found.segments.entry(address.segment).or_default().shared_extents += 1;
        let reference = key::reference(address, content, block);
        if self.look.get(&reference)?.is_none() {
            let anchors = vec![Anchor::on(row.to_vec(), value), Anchor::absent(reference)];
            self.found.add(Problem::ReferenceMissing { content, block }, anchors);
        }
        Ok(())
    }

    /// Goes through all references, and counts each block that has any once.
    pub(super) fn check_references(&mut self) -> Result<()> {
        let mut counted: Option<(SegmentId, u32)> = None;
        self.each(&key::family(b'r', b""), |this, row, value| {
            let segment = key::reference_segment(row);
            let (Some(segment), Some((frame, content, block))) = (segment, key::reference_parts(row)) else {
                this.bad_key(row, value);
                return Ok(());
            };
            let place = key::extent(content, block);
            let found = this.look.get(&place)?;
            let extent = found.as_ref().and_then(|value| Extent::decode(value).ok());
            let same = |extent: &Extent| {
                extent.shared.is_some() && extent.address.segment == segment && extent.address.frame == frame
            };
            let Some(extent) = extent.filter(same) else {
                let held = match &found {
                    Some(value) => Anchor::on(place, value),
                    None => Anchor::absent(place),
                };
                let problem = Problem::ReferenceStray { segment, frame, content, block };
                this.found.add(problem, vec![Anchor::on(row.to_vec(), value), held]);
                return Ok(());
            };
            let facts = this.found.segments.entry(segment).or_default();
            facts.references += 1;
            if counted != Some((segment, frame)) {
                counted = Some((segment, frame));
                facts.live_bytes += u64::from(extent.address.sealed_bytes);
            }
            Ok(())
        })
    }
}
