//! Whether all directories hang below the root.
//!
//! That each has one entry, in the directory that it says is its parent, is checked with the namespace; what is left are loops. From each
//! directory the way goes up until one is met that is known to be reachable.

use std::collections::BTreeSet;

use super::problem::Problem;
use super::structure::{Anchor, Structure};
use crate::error::Result;
use crate::identity::InodeId;
use crate::records::{Content, Inode, key};
use crate::volume::Look;

/// What one number costs in the set.
const NUMBER_BYTES: u64 = 16;

impl<L: Look + ?Sized> Structure<'_, L> {
    pub(super) fn check_reach(&mut self) -> Result<()> {
        let room = usize::try_from(self.options.memory_bytes / NUMBER_BYTES).unwrap_or(usize::MAX);
        if self.look.get(&key::inode(InodeId::ROOT))?.is_none() {
            self.found.add(Problem::RootMissing, vec![Anchor::absent(key::inode(InodeId::ROOT))]);
            // What rests on inodes is left alone: there is nowhere to put what is cut off, and a total that was "corrected" to none would
            // have the next start make a new root.
            self.found.undecoded.insert(b'i');
            return Ok(());
        }
        let mut reachable = BTreeSet::from([InodeId::ROOT]);
        // The parts that do not hang below the root are named once, not once for each directory in them.
        let mut lost = BTreeSet::new();
        self.each(&key::family(b'i', b""), |this, row, value| {
            let Some(inode) = key::orphan_inode(row) else { return Ok(()) };
            match Inode::decode(value) {
                Ok(Inode { links: 1.., content: Content::Directory { parent, .. }, .. }) => {
                    let first = (inode, Anchor::on(row.to_vec(), value), parent);
                    this.climb(first, room, &mut reachable, &mut lost)
                }
                _ => Ok(()),
            }
        })
    }

    fn climb(
        &mut self,
        (inode, anchor, mut parent): (InodeId, Anchor, InodeId),
        room: usize,
        reachable: &mut BTreeSet<InodeId>,
        lost: &mut BTreeSet<InodeId>,
    ) -> Result<()> {
        let mut way = BTreeSet::from([inode]);
        let mut anchors = vec![anchor];
        if reachable.contains(&inode) {
            return Ok(());
        }
        while !reachable.contains(&parent) {
            if lost.contains(&parent) {
                lost.extend(way);
                return Ok(());
            }
            let up = key::inode(parent);
            let value = self.look.get(&up)?;
            let next = match value.as_deref().map(Inode::decode) {
                Some(Ok(Inode { content: Content::Directory { parent, .. }, .. })) => Some(parent),
                _ => None,
            };
            anchors.push(value.map_or(Anchor::absent(up.clone()), |value| Anchor::on(up, &value)));
            match next.filter(|_| way.insert(parent)) {
                Some(next) => parent = next,
                None => {
                    self.found.add(Problem::Loop { inode }, anchors);
                    lost.extend(way);
                    return Ok(());
                }
            }
        }
        if reachable.len() + way.len() <= room {
            reachable.extend(way);
        }
        Ok(())
    }
}
