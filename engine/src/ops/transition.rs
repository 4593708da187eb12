//! Moving files between tiers.
//!
//! # Crash consistency
//! An object is announced by a durable record before it is uploaded, so that one that was uploaded in vain is found and
//! removed; it is complete and verified before an extent names it (D2). Local blocks are released by the reclaim
//! stages, after the record that swung the extents is checkpointed (D4).

use std::collections::BTreeMap;

use super::relocate::{Move, Select, Swung, blocks_of};
use crate::broken::{Broken, broken};
use crate::data::{BlockAddress, Urgency};
use crate::error::{Error, Result};
use crate::identity::{BlockIndex, InodeId, SegmentId};
use crate::journal::Ticket;
use crate::records::{SegmentRecord, SegmentState, key};
use crate::tiering::{Tier, Transitioned};
use crate::volume::{HeldLocks, Look, Upload, Volume, is_cold};

/// Blocks of several files that go into one object.
#[derive(Default)]
struct Pack {
    moves: Vec<Move>,
    bytes: u64,
    /// The files whose last blocks are in this pack.
    complete: Vec<InodeId>,
    locks: HeldLocks,
}

impl Volume {
    pub(crate) async fn transition(&self, files: &[InodeId], to: Tier) -> Result<Transitioned> {
        let mut done = Transitioned::default();
        let mut pack = Pack::default();
        for inode in files {
            // Never wait for one lock while holding others: somebody may do so the other way round.
            if self.buffer.holds(*inode) || !self.locks.try_add(*inode, &mut pack.locks) {
                done.skipped += 1;
                continue;
            }
            self.pack_file(*inode, to, &mut pack, &mut done).await?;
        }
        self.ship(&mut pack, to, &mut done).await?;
        if done.bytes > 0 {
            if to == Tier::InfrequentAccess {
                // What is left of the segment that is being written may all be cold now.
                self.standard.close_active().await?;
            }
            self.upkeep.wake();
        }
        Ok(done)
    }

    async fn pack_file(
        &self,
        inode: InodeId,
        to: Tier,
        pack: &mut Pack,
        done: &mut Transitioned,
    ) -> Result<()> {
        let select = match to {
            Tier::Standard => Select::Cold,
            Tier::InfrequentAccess => Select::NotCold,
        };
        let mut from = Some(BlockIndex(0));
        while let Some(start) = from {
            let room = self.budgets.object_bytes.saturating_sub(pack.bytes);
            let gathered = match self.gather(inode, select, start, blocks_of(room)).await {
                Err(Error::Stale | Error::WrongType) => {
                    done.skipped += 1;
                    return Ok(());
                }
                result => result?,
            };
            from = gathered.next;
            pack.bytes += gathered.moves.iter().map(Move::bytes).sum::<u64>();
            pack.moves.extend(gathered.moves);
            if from.is_none() {
                pack.complete.push(inode);
            }
            if pack.bytes >= self.budgets.object_bytes {
                self.ship(pack, to, done).await?;
                // It went with the pack. Somebody may have waited for it.
                if from.is_some() && !self.locks.try_add(inode, &mut pack.locks) {
                    done.skipped += 1;
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Writes a pack and swings its extents; durable when it returns.
    async fn ship(&self, pack: &mut Pack, to: Tier, done: &mut Transitioned) -> Result<()> {
        let Pack { moves, complete, locks, .. } = std::mem::take(pack);
        if !moves.is_empty() {
            if to == Tier::Standard {
                let bytes = moves.iter().map(Move::bytes).sum();
                self.space.grant(bytes, self.buffer.bytes())?;
            }
            let swung = self.write_and_swing(&moves, to).await?;
            swung.ticket.durable().await?;
            done.bytes += swung.bytes.values().sum::<u64>();
            done.objects += u64::from(to == Tier::InfrequentAccess);
        }
        for inode in complete {
            match self.stored_inode(inode) {
                Ok(record) if is_cold(&record) == (to == Tier::InfrequentAccess) => done.files += 1,
                Ok(_) | Err(Error::Stale) => done.skipped += 1,
                Err(error) => return Err(error),
            }
        }
        drop(locks);
        Ok(())
    }

    /// Writes blocks to a tier, in one segment or object, and swings their extents.
    pub(crate) async fn write_and_swing(&self, moves: &[Move], to: Tier) -> Result<Swung> {
        let blocks = moves.iter().flat_map(Move::plain_blocks).collect();
        match to {
            Tier::Standard => {
                let _writing = self.data_writes.read().await;
                let addresses = self.append_standard(blocks, Urgency::Upkeep).await?;
                self.swing(moves, &addresses, to).await
            }
            Tier::InfrequentAccess => {
                let segment = self.new_segment_id();
                let _upload = self.announce(segment, to).await?;
                let addresses: Vec<BlockAddress> = self.cold.put(segment, blocks).await?;
                self.swing(moves, &addresses, to).await
            }
        }
    }

    pub(crate) fn new_segment_id(&self) -> SegmentId {
        SegmentId::generate(self.environment.entropy.as_ref(), self.keys.ring().newest())
    }

    /// Records durably that an object of this name may come to be, and keeps it from being collected while it does.
    pub(crate) async fn announce(&self, segment: SegmentId, tier: Tier) -> Result<Upload<'_>> {
        let upload = self.uploads.begin(segment);
        if !broken(Broken::UploadNotAnnounced) {
            self.put_announcement(segment, tier)?.durable().await?;
        }
        Ok(upload)
    }

    fn put_announcement(&self, segment: SegmentId, tier: Tier) -> Result<Ticket> {
        let mut change = self.begin()?;
        let record = SegmentRecord { tier, state: SegmentState::Announced, live_bytes: 0, written_bytes: 0 };
        change.put(key::segment(segment), record.encode());
        Ok(change.commit())
    }

    /// The rows of all segments.
    pub(crate) fn segments(&self) -> Result<BTreeMap<SegmentId, SegmentRecord>> {
        let rows = self.store.scan_all(&key::family(b's', b""))?;
        let decode = |(row, value): &(bytes::Bytes, bytes::Bytes)| {
            let id = key::segment_id(row).ok_or_else(|| Error::corrupt("a segment's key is not 16 bytes"))?;
            Ok((id, crate::volume::decode_segment(id, value)?))
        };
        rows.iter().map(decode).collect()
    }
}
