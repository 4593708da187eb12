//! Releasing contents that no file has any more, and unlinked inodes that nobody has open any more.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;

use crate::error::{Error, Result};
use crate::identity::{BlockIndex, ContentId, InodeId};
use crate::limits::UPKEEP_EXTENTS_MAX;
use crate::records::key;
use crate::threads;
use crate::volume::{Look, Volume, extent_row};

/// Dead contents that are looked at in one step.
const CONTENTS_MAX: usize = 256;
/// Records of one round: other duties wait for it.
const RECORDS_MAX: usize = 4096;
/// What a content costs at least of the extents that a record may change: nobody else can commit meanwhile.
const CONTENT_COST: usize = 8;

impl Volume {
    /// Removes the extents and pieces of dead contents, in records of bounded size. One that cannot be read does not keep the others; the
    /// first failure is returned.
    pub(crate) async fn reclaim_contents(&self) -> Result<()> {
        let (mut from, end) = key::family(b'x', b"");
        let (mut records, mut failure) = (0, Ok(()));
        loop {
            let rows = self.store.scan(&from, &end, CONTENTS_MAX)?;
            let Some((last, _)) = rows.last() else { return failure };
            // What is done leaves tombstones, through which a scan from the beginning would have to go each time.
            from = key::after(last);
            let contents = rows.iter().filter_map(|(row, _)| key::dead_content_id(row));
            let mut contents: VecDeque<_> = contents.collect();
            let mut at_once = usize::MAX;
            while !contents.is_empty() {
                if records == RECORDS_MAX {
                    self.upkeep.wake();
                    return failure;
                }
                records += 1;
                self.store.admit().await?;
                match self.reclaim_record(&mut contents, at_once) {
                    // Each by itself, to find the one.
                    Err(Error::Corrupt { .. }) if at_once > 1 => at_once = 1,
                    Err(error @ Error::Corrupt { .. }) => {
                        contents.pop_front();
                        failure = failure.and(Err(error));
                    }
                    result => result?,
                }
                threads::give_way().await;
            }
        }
    }

    /// Reclaims as many contents, or as much of one, as one record takes. After a failure all of them are still to be done.
    fn reclaim_record(&self, contents: &mut VecDeque<ContentId>, at_once: usize) -> Result<()> {
        let mut change = self.begin()?;
        let (mut room, mut done) = (UPKEEP_EXTENTS_MAX, 0);
        for content in contents.iter().copied().take(at_once) {
            if room == 0 {
                break;
            }
            let used = reclaim_step(&mut change, content, room)?;
            if used < room {
                change.delete(key::dead_content(content));
                done += 1;
            }
            room -= used.max(CONTENT_COST).min(room);
        }
        drop(change.commit());
        contents.drain(..done);
        Ok(())
    }

    /// Releases unlinked inodes that nobody has pinned, and from now on releases each when its last pin is dropped.
    pub(crate) async fn release_orphans(&self) -> Result<()> {
        self.keep_orphans.store(false, Ordering::Release);
        // Whoever saw that they are kept has put his into the set after this.
        self.store.wait_for_change();
        let (mut from, end) = key::family(b'o', b"");
        loop {
            let rows = self.store.scan(&from, &end, CONTENTS_MAX)?;
            let Some((last, _)) = rows.last() else { return Ok(()) };
            from = key::after(last);
            for inode in rows.iter().filter_map(|(row, _)| key::orphan_inode(row)) {
                self.store.admit().await?;
                self.release_orphan(inode)?;
            }
        }
    }

    /// Releases an inode if it is unlinked and nobody has it open.
    pub(crate) fn release_orphan(&self, inode: InodeId) -> Result<()> {
        let mut change = self.begin()?;
        if self.pins.is_pinned(inode) || self.orphans_are_kept() {
            return Ok(());
        }
        match change.stored_inode(inode) {
            Ok(record) if record.links == 0 => {
                change.delete_inode(inode, &record);
                self.forget(&mut change, inode);
                drop(change.commit());
                Ok(())
            }
            Ok(_) | Err(Error::Stale) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// Removes up to `room` extents and pieces of a content; fewer than `room` means that nothing is left.
fn reclaim_step(change: &mut crate::volume::Change<'_>, content: ContentId, room: usize) -> Result<usize> {
    let (from, end) = key::extents(content, BlockIndex(0), None);
    let extents = change.scan(&from, &end, room)?;
    for (row, value) in &extents {
        let (block, extent) = extent_row(row, value)?;
        change.replace_extent((content, block), Some(&extent), None)?;
    }
    let (from, end) = key::pieces(content, BlockIndex(0), None);
    let pieces = change.scan(&from, &end, room - extents.len())?;
    for (row, _) in &pieces {
        change.delete(row.to_vec());
    }
    Ok(extents.len() + pieces.len())
}
