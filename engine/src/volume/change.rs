//! A change: one record of the journal, with the counters that it moves.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::{Look, Volume, look};
use crate::attributes::{FileKind, Timestamp};
use crate::broken::{Broken, broken};
use crate::buffer::{Cut, DirtyView};
use crate::data::BlockAddress;
use crate::error::{Error, Result};
use crate::identity::{BlockIndex, ContentId, Epoch, InodeId, Lsn, SegmentId};
use crate::journal::Ticket;
use crate::metadata::Transaction;
use crate::records::{Content, Extent, Inode, SegmentRecord, SegmentState, Totals, key};
use crate::tiering::Tier;

/// One atomic change. It holds the sequencer; dropping it changes nothing.
pub(crate) struct Change<'a> {
    volume: &'a Volume,
    /// What it takes out of the write buffer, in this order, once its record can be seen.
    cuts: Vec<(InodeId, Cut)>,
    transaction: Transaction<'a>,
    before: Totals,
    totals: Totals,
    segments: BTreeMap<SegmentId, SegmentRecord>,
    now: Timestamp,
    touched: bool,
    /// Whether it leaves something for the upkeep.
    releases: bool,
}

/// How many change numbers UNSTABLE writes may use up before the next durable reservation.
pub(crate) const CHANGE_RESERVATION: u64 = 1 << 16;

impl<'a> Change<'a> {
    pub(super) fn begin(volume: &'a Volume) -> Result<Self> {
        let transaction = volume.store.begin()?;
        let totals = match transaction.get(&key::totals())? {
            Some(bytes) => {
                Totals::decode(&bytes).map_err(|error| Error::corrupt(format!("totals: {error}")))?
            }
            None => Totals::default(),
        };
        let now = volume.environment.clock.now();
        Ok(Change {
            volume,
            cuts: Vec::new(),
            transaction,
            before: totals,
            totals,
            segments: BTreeMap::new(),
            now,
            touched: false,
            releases: false,
        })
    }

    /// The time of this change.
    pub(crate) fn now(&self) -> Timestamp {
        self.now
    }

    /// The life of the file system that it is made in.
    pub(crate) fn epoch(&self) -> Epoch {
        self.volume.epoch
    }

    /// The LSN that this change will have.
    pub(crate) fn lsn(&self) -> Lsn {
        Lsn(self.volume.store.committed().0 + 1)
    }

    /// A new number for an inode or a content.
    pub(crate) fn new_id(&mut self) -> u64 {
        let id = self.totals.next_id;
        self.totals.next_id += 1;
        id
    }

    /// Sets the first number; only for a new file system.
    pub(crate) fn start_ids_at(&mut self, first: u64) {
        self.totals.next_id = first;
    }

    /// Gives no number up to this one any more; for a repair.
    pub(crate) fn raise_ids_above(&mut self, used: u64) {
        self.totals.next_id = self.totals.next_id.max(used.saturating_add(1));
    }

    /// The totals, to be corrected by a repair.
    pub(crate) fn totals_to_correct(&mut self) -> &mut Totals {
        &mut self.totals
    }

    /// An inode as its users see it now: with the size, time and change number of its UNSTABLE data.
    pub(crate) fn inode(&self, inode: InodeId) -> Result<Inode> {
        let record = look::inode(&self.transaction, self.volume.epoch, inode)?;
        Ok(match self.unstable(inode) {
            Some(view) => overlaid(record, view),
            None => record,
        })
    }

    /// An inode's record as it is stored.
    pub(crate) fn stored_inode(&self, inode: InodeId) -> Result<Inode> {
        look::inode(&self.transaction, self.volume.epoch, inode)
    }

    /// Writes a new inode.
    pub(crate) fn insert_inode(&mut self, inode: InodeId, record: Inode) {
        self.count(&record, 1);
        self.write_inode(inode, record);
    }

    /// Writes an inode whose stored record was `old`. The size must be what the stored data has, not that of UNSTABLE data.
    pub(crate) fn update_inode(&mut self, inode: InodeId, old: &Inode, new: Inode) {
        self.count(old, -1);
        self.count(&new, 1);
        self.write_inode(inode, new);
    }

    /// Removes an inode and hands its content over to be released.
    pub(crate) fn delete_inode(&mut self, inode: InodeId, old: &Inode) {
        self.count(old, -1);
        if let Content::File { id, age_second, .. } = &old.content {
            if self.has_stored(*id) && !broken(Broken::ContentNotReleased) {
                self.put(key::dead_content(*id), Vec::new());
                self.releases = true;
            }
            if let Some(second) = age_second {
                self.delete(age_key(*second, inode));
            }
        }
        self.delete(key::inode(inode));
        if old.links == 0 {
            self.delete(key::orphan(inode));
        }
    }

    /// Whether anything is stored of a content; when in doubt, there is.
    fn has_stored(&self, content: ContentId) -> bool {
        [key::extents(content, BlockIndex(0), None), key::pieces(content, BlockIndex(0), None)]
            .iter()
            .any(|(from, end)| self.scan(from, end, 1).map_or(true, |rows| !rows.is_empty()))
    }

    fn write_inode(&mut self, inode: InodeId, mut record: Inode) {
        record.epoch = self.volume.epoch;
        self.put(key::inode(inode), record.encode());
    }

    /// Moves the totals by what an inode counts.
    fn count(&mut self, record: &Inode, sign: i64) {
        let totals = &mut self.totals;
        let add = |field: &mut u64, amount: u64| {
            *field = if sign < 0 { field.wrapping_sub(amount) } else { field.wrapping_add(amount) };
        };
        add(&mut totals.inodes, 1);
        if let Content::File { standard_bytes, cold_bytes, piece_bytes, .. } = &record.content {
            add(&mut totals.files, 1);
            add(&mut totals.cold_files, u64::from(is_cold(record)));
            add(&mut totals.standard_bytes, *standard_bytes);
            add(&mut totals.cold_bytes, *cold_bytes);
            add(&mut totals.piece_bytes, *piece_bytes);
        }
    }

    /// Replaces an extent, and counts what is live in the segments. A block is live while it has a user, and is counted once
    /// however many it has. Whoever makes a block shared says so of its first user before it gives it a second one.
    pub(crate) fn replace_extent(
        &mut self,
        (content, block): (ContentId, BlockIndex),
        old: Option<&Extent>,
        new: Option<&Extent>,
    ) -> Result<()> {
        let same_block = matches!((old, new), (Some(old), Some(new)) if old.address == new.address);
        if let Some(new) = new {
            let first = !same_block && !self.has_references(new)?;
            let segment = self.segment(new.tier, &new.address)?;
            if first {
                segment.live_bytes += u64::from(new.address.sealed_bytes);
                segment.written_bytes += u64::from(new.address.sealed_bytes);
            }
            segment.state = SegmentState::InUse;
            if new.shared.is_some() {
                self.put(key::reference(&new.address, content, block), Vec::new());
            }
            self.put(key::extent(content, block), new.encode());
        } else {
            self.delete(key::extent(content, block));
        }
        let Some(old) = old else { return Ok(()) };
        if old.shared.is_some() && !(same_block && new.is_some_and(|new| new.shared.is_some())) {
            self.delete(key::reference(&old.address, content, block));
        }
        if !same_block && !self.has_references(old)? && !broken(Broken::CounterNotMoved) {
            let segment = self.segment(old.tier, &old.address)?;
            segment.live_bytes = segment.live_bytes.saturating_sub(u64::from(old.address.sealed_bytes));
        }
        Ok(())
    }

    /// Whether the block of a shared extent has users. Nobody can refer to the block of an extent that is not shared.
    fn has_references(&self, extent: &Extent) -> Result<bool> {
        if extent.shared.is_none() {
            return Ok(false);
        }
        let (from, end) = key::references(&extent.address);
        Ok(!self.transaction.scan(&from, &end, 1)?.is_empty())
    }

    /// Counts a block that was written and that nothing will point to, because what it was written for was changed meanwhile.
    pub(crate) fn count_unused(&mut self, tier: Tier, address: &BlockAddress) -> Result<()> {
        self.segment(tier, address)?.written_bytes += u64::from(address.sealed_bytes);
        Ok(())
    }

    fn segment(&mut self, tier: Tier, address: &BlockAddress) -> Result<&mut SegmentRecord> {
        let id = address.segment;
        let record = match self.segments.get(&id) {
            Some(record) => *record,
            None => match self.transaction.get(&key::segment(id))? {
                Some(bytes) => decode_segment(id, &bytes)?,
                None => SegmentRecord { tier, state: SegmentState::InUse, live_bytes: 0, written_bytes: 0 },
            },
        };
        Ok(self.segments.entry(id).or_insert(record))
    }

    /// Takes data of a file out of the write buffer, with everything else that the change does.
    pub(crate) fn cut_buffer(&mut self, inode: InodeId, cut: Cut) {
        self.cuts.push((inode, cut));
    }

    /// What UNSTABLE data changes in an inode's attributes, after this change.
    pub(crate) fn unstable(&self, inode: InodeId) -> Option<DirtyView> {
        let cuts = self.cuts.iter().filter(|(of, _)| *of == inode);
        self.volume.buffer.view_after(inode, cuts.map(|(_, cut)| *cut))
    }

    /// The last record from one key up to another, which may be it.
    pub(crate) fn last(&self, from: &[u8], upto: &[u8]) -> Result<Option<(Bytes, Bytes)>> {
        self.transaction.last(from, upto)
    }

    /// How large the record is so far.
    pub(crate) fn record_bytes(&self) -> usize {
        self.transaction.record_bytes()
    }

    pub(crate) fn put(&mut self, key: Vec<u8>, value: Vec<u8>) {
        self.touched = true;
        self.transaction.put(key, value);
    }

    pub(crate) fn delete(&mut self, key: Vec<u8>) {
        self.touched = true;
        self.transaction.delete(key);
    }

    /// Makes the change visible and hands it to the journal.
    pub(crate) fn commit(mut self) -> Ticket {
        if !self.touched && self.totals == self.before && self.segments.is_empty() && self.cuts.is_empty() {
            return Ticket::nothing();
        }
        let mut released = self.releases;
        for (id, record) in std::mem::take(&mut self.segments) {
            released |= record.live_bytes == 0;
            self.transaction.put(key::segment(id), record.encode());
        }
        if self.totals != self.before {
            self.transaction.put(key::totals(), self.totals.encode());
        }
        let fold = self.totals.piece_bytes >= self.volume.budgets.fold_threshold_bytes();
        let Change { volume, cuts, transaction, now, .. } = self;
        let ticket = transaction.commit_and(|| {
            for (inode, cut) in cuts {
                volume.buffer.cut(inode, cut, now);
            }
        });
        if fold {
            volume.upkeep.wake_folding();
        }
        if released {
            volume.upkeep.wake();
        }
        ticket
    }
}

impl Look for Change<'_> {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>> {
        self.transaction.get(key)
    }

    fn scan(&self, from: &[u8], to: &[u8], limit: usize) -> Result<Vec<(Bytes, Bytes)>> {
        self.transaction.scan(from, to, limit)
    }
}

/// A record with what UNSTABLE data changes in it.
pub(super) fn overlaid(mut record: Inode, view: DirtyView) -> Inode {
    if let Content::File { size, .. } = &mut record.content {
        *size = (*size).max(view.end);
    }
    record.mtime = record.mtime.max(view.mtime);
    record.ctime = record.ctime.max(view.mtime);
    record.change = record.change.max(view.change);
    record
}

/// Whether all of a file's content is in cold tiers.
pub(crate) fn is_cold(record: &Inode) -> bool {
    match &record.content {
        Content::File { standard_bytes, cold_bytes, piece_bytes, .. } => {
            *cold_bytes > 0 && *standard_bytes == 0 && *piece_bytes == 0
        }
        _ => false,
    }
}

/// The key in the age index for a second.
pub(crate) fn age_key(second: u64, inode: InodeId) -> Vec<u8> {
    key::age(Timestamp { seconds: i64::try_from(second).unwrap_or(i64::MAX), nanoseconds: 0 }, inode)
}

pub(crate) fn decode_segment(id: SegmentId, bytes: &[u8]) -> Result<SegmentRecord> {
    SegmentRecord::decode(bytes).map_err(|error| Error::corrupt(format!("segment {id}: {error}")))
}

/// The change number that follows one in this life of the file system. Readers are shown numbers before the changes are durable. What a
/// crash takes back leaves its numbers behind, and they must not come again with another content: each life has numbers of its own, and
/// the ceiling of what is stored is what the next one shows of it.
pub(crate) fn next_change(epoch: Epoch, stored: &Inode, number: u64) -> u64 {
    let next = number.saturating_add(1).max(first_change(epoch));
    if next == stored.change_ceiling { next.saturating_add(1) } else { next }
}

/// The first change number of a life.
pub(crate) fn first_change(epoch: Epoch) -> u64 {
    u64::from(epoch.0) << 32
}

/// Bumps the change number and the change time, as every change of content or attributes does.
pub(crate) fn bump(record: &mut Inode, epoch: Epoch, now: Timestamp) {
    record.change = next_change(epoch, record, record.change);
    record.change_ceiling = record.change_ceiling.max(record.change);
    record.ctime = now;
    debug_assert!(record.kind() != FileKind::Directory || record.links >= 2 || record.links == 0);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A crash that takes a change back leaves the ceiling as the number of what was before.
    #[test]
    fn no_change_gets_the_number_that_a_crash_leaves() {
        let now = Timestamp { seconds: 1, nanoseconds: 0 };
        let mut record = Inode::directory(InodeId::ROOT, 0o755, now);
        (record.change, record.change_ceiling) = (9, 10);
        bump(&mut record, Epoch(0), now);
        assert_eq!((record.change, record.change_ceiling), (11, 11));
        bump(&mut record, Epoch(0), now);
        assert_eq!((record.change, record.change_ceiling), (12, 12));
        bump(&mut record, Epoch(3), now);
        assert_eq!(record.change, 3 << 32);
    }
}
