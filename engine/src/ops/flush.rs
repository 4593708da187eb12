//! COMMIT: what UNSTABLE writes left in the buffer becomes durable.
//!
//! # Crash consistency
//! Whole blocks go to a segment first, are synced there, and then a record points to them (D1); parts of blocks go into
//! the record itself. So a flush reads nothing, and never waits for the object store.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::{Bytes, BytesMut};
use futures::{StreamExt, stream};

use super::layout::{Span, clear, clear_pieces, count, lay};
use super::write::{Stamp, add_pieces};
use crate::attributes::Timestamp;
use crate::broken::{Broken, broken};
use crate::buffer::{Cut, FlushJob};
use crate::data::{BlockAddress, BlockIdentity, PlainBlock, Urgency};
use crate::error::{Error, Result};
use crate::identity::{BlockIndex, ContentId, InodeId};
use crate::journal::Ticket;
use crate::limits::{
    APPEND_BLOCKS_MAX, APPEND_BYTES_MAX, APPENDS_AT_ONCE, BLOCK_BYTES, FLUSH_BYTES_ENOUGH,
    PIECE_FLUSH_BYTES_MAX, RECORD_EXTENTS_MAX, RECORD_PIECE_BYTES_MAX,
};
use crate::records::{Content, Extent, Inode};
use crate::tiering::Tier;
use crate::upkeep::Busy;
use crate::volume::{Change, HeldLocks, Look, Volume};

/// Parts that are put into a slot at once.
const SLOT_PARTS_MAX: usize = 1024;

/// A whole slot: nothing of what is stored there shows through. It becomes one block, also where the file was written at random.
struct WholeBlock {
    block: BlockIndex,
    bytes: Bytes,
}

/// What a flush writes where.
#[derive(Default)]
struct FlushPlan {
    whole: Vec<WholeBlock>,
    parts: Vec<(u64, Bytes)>,
}

impl Volume {
    pub(crate) async fn commit(&self, inode: InodeId) -> Result<Ticket> {
        if self.buffer.holds(inode) && !broken(Broken::CommitWithoutFlush) {
            return self.flush(inode).await;
        }
        self.stored_inode(inode)?;
        // Somebody else may have flushed the data a moment ago.
        Ok(self.store.everything())
    }

    /// Flushes all data of a file.
    pub(crate) async fn flush(&self, inode: InodeId) -> Result<Ticket> {
        let _alone = self.locks.lock(inode).await;
        self.flush_alone(inode).await
    }

    /// The same, unless somebody rewrites the file now.
    pub(crate) async fn flush_if_free(&self, inode: InodeId) -> Result<Option<Ticket>> {
        let mut alone = HeldLocks::default();
        if !self.locks.try_add(inode, &mut alone) {
            return Ok(None);
        }
        self.flush_alone(inode).await.map(Some)
    }

    /// The caller has the lock of the file.
    async fn flush_alone(&self, inode: InodeId) -> Result<Ticket> {
        loop {
            let Some(job) = self.buffer.start_flush(inode) else { return Ok(self.store.everything()) };
            match self.flush_job(inode, &job).await {
                Ok(Some(ticket)) => return Ok(ticket),
                // A truncation came between: begin again with what is left.
                Ok(None) => {}
                Err(Error::Stale) => {
                    self.buffer.cut(inode, Cut::Behind(0), Timestamp::default());
                    return Err(Error::Stale);
                }
                Err(error) => return Err(error),
            }
        }
    }

    async fn flush_job(&self, inode: InodeId, job: &FlushJob) -> Result<Option<Ticket>> {
        let record = self.stored_inode(inode)?;
        let Content::File { size, id, .. } = record.content else { return Err(Error::WrongType) };
        let plan = if job.bytes <= PIECE_FLUSH_BYTES_MAX {
            FlushPlan { whole: Vec::new(), parts: job.ranges.clone() }
        } else {
            plan_flush(&job.ranges, size)
        };
        let blocks = plan.whole.iter().map(|whole| PlainBlock {
            identity: BlockIdentity { content: id, block: whole.block },
            bytes: whole.bytes.clone(),
        });
        let blocks: Vec<_> = blocks.collect();
        let _writing = self.data_writes.read().await;
        let addresses = self.append_standard(blocks, Urgency::Waited).await?;
        let mut steps = VecDeque::from(steps(&plan, &addresses));
        let mut step = steps.pop_front().unwrap_or_default();
        loop {
            let ticket = match self.flush_step(inode, id, job, &mut step, steps.is_empty()) {
                Ok(Some(ticket)) => ticket,
                given_up => {
                    self.count_unused(std::iter::once(&step).chain(&steps))?;
                    return given_up;
                }
            };
            if step.is_done() {
                match steps.pop_front() {
                    Some(next) => {
                        if broken(Broken::WriteSplit) {
                            ticket.durable().await?;
                        }
                        step = next;
                    }
                    None => return Ok(Some(ticket)),
                }
            }
            if let Err(error) = self.store.admit().await {
                self.count_unused(std::iter::once(&step).chain(&steps))?;
                return Err(error);
            }
        }
    }

    /// Commits one record of a flush, and takes out of the step what is in it; `None` if a truncation came between.
    fn flush_step(
        &self,
        inode: InodeId,
        content: ContentId,
        job: &FlushJob,
        step: &mut FlushStep,
        last: bool,
    ) -> Result<Option<Ticket>> {
        let mut change = self.begin()?;
        if !self.buffer.still_wanted(inode, job) && !broken(Broken::TruncationNotNoticed) {
            return Ok(None);
        }
        let mtime = self.buffer.view(inode).map_or_else(|| change.now(), |view| view.mtime);
        let (old, mut new) = self.touch(&change, inode)?;
        match new.content {
            Content::File { id, .. } if id == content => {}
            _ => return Ok(None),
        }
        let (mut end, mut placed) = (0, 0);
        // What they take in a record depends on what lies there already, and a part on what it is joined with.
        while change.record_bytes() < FLUSH_BYTES_ENOUGH
            && let Some((block, address)) = step.extents.get(placed).copied()
        {
            put_slot(&mut change, &mut new, (content, block), address)?;
            end = block.start() + u64::from(address.plain_bytes);
            placed += 1;
        }
        while placed == step.extents.len()
            && change.record_bytes() < FLUSH_BYTES_ENOUGH
            && let Some(part) = step.parts.pop_front()
        {
            end = end.max(part.0 + part.1.len() as u64);
            let mut of_slot = vec![part];
            // To look at a slot once for each of its parts takes the square of their number.
            while step.parts.front().is_some_and(|(at, data)| lies_with(&of_slot, *at, data.len())) {
                let Some(next) = step.parts.pop_front() else { break };
                end = end.max(next.0 + next.1.len() as u64);
                of_slot.push(next);
            }
            add_pieces(&mut change, inode, &mut new, &of_slot)?;
        }
        let last = last && placed == step.extents.len() && step.parts.is_empty();
        // Also before the last step: a crash after it must not leave data behind the end of the file, or out of the age index.
        let stamp = if last { Stamp::of(job, mtime) } else { Stamp { now: mtime, end, who: None } };
        self.stamp(&mut change, inode, &mut new, stamp);
        // Attributes may have been changed since the data was written.
        new.ctime = new.ctime.max(old.ctime);
        if last {
            change.cut_buffer(inode, Cut::Flushed);
        }
        change.update_inode(inode, &old, new);
        let ticket = change.commit().accepted()?;
        step.extents.drain(..placed);
        Ok(Some(ticket))
    }

    /// Blocks that were appended and that nothing will point to are garbage, which is collected by what the segments say of it.
    fn count_unused<'a>(&self, steps: impl Iterator<Item = &'a FlushStep>) -> Result<()> {
        self.count_unused_blocks(steps.flat_map(|step| &step.extents).map(|(_, address)| address))
    }

    fn count_unused_blocks<'a>(&self, unused: impl Iterator<Item = &'a BlockAddress>) -> Result<()> {
        let mut unused = unused.peekable();
        if unused.peek().is_some() {
            let mut change = self.begin()?;
            for address in unused {
                change.count_unused(Tier::Standard, address)?;
            }
            drop(change.commit());
        }
        Ok(())
    }

    /// Appends blocks to Standard, in requests of bounded size. The caller holds `data_writes`.
    pub(crate) async fn append_standard(
        &self,
        mut blocks: Vec<PlainBlock>,
        urgency: Urgency,
    ) -> Result<Vec<BlockAddress>> {
        let mut requests = Vec::new();
        while !blocks.is_empty() {
            let rest = blocks.split_off(append_length(&blocks));
            requests.push(std::mem::replace(&mut blocks, rest));
        }
        let failed = AtomicBool::new(false);
        let appends = requests.into_iter().map(|request| async {
            if failed.load(Ordering::Relaxed) {
                return Ok(Vec::new());
            }
            let addresses = self.standard.append(request, urgency).await;
            let addresses = addresses.inspect_err(|_| failed.store(true, Ordering::Relaxed))?;
            self.appended.lock().extend(addresses.iter().map(|address| address.segment));
            Ok::<_, Error>(addresses)
        });
        // One is sealed while the one before it is written.
        let results: Vec<_> = stream::iter(appends).buffered(APPENDS_AT_ONCE).collect().await;
        let (mut addresses, mut failure) = (Vec::new(), None);
        for result in results {
            match result {
                Ok(appended) => addresses.extend(appended),
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        let Some(error) = failure else { return Ok(addresses) };
        self.heed_halt();
        self.count_unused_blocks(addresses.iter())?;
        Err(error)
    }

    /// When Standard has halted, because what the disk has of it is not known any more, nothing else is accepted either.
    pub(crate) fn heed_halt(&self) {
        if let Some(reason) = self.standard.halted() {
            self.store.halt(&reason);
        }
    }

    /// Makes room in the buffer, by flushing, before more data is taken in.
    pub(crate) async fn relieve_buffer(&self, coming: u64) -> Result<()> {
        let is_full = || self.buffer.bytes() + coming > self.budgets.write_buffer_bytes;
        if !is_full() {
            return Ok(());
        }
        // Nobody waits for a file that is busy if the others give enough.
        for busy in [Busy::Skipped, Busy::Awaited] {
            match self.write_back(busy, is_full).await {
                Err(error) if is_full() && busy == Busy::Awaited => return Err(error),
                Err(error @ (Error::Halted { .. } | Error::NoSpace)) => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }
}

/// Whether a part lies in the slot of these, and not much is there yet.
fn lies_with(parts: &[(u64, Bytes)], at: u64, length: usize) -> bool {
    let slot = parts.first().map(|(first, _)| BlockIndex::of_byte(*first).slot());
    parts.len() < SLOT_PARTS_MAX
        && slot == Some(BlockIndex::of_byte(at).slot())
        && slot == Some(BlockIndex::of_byte(at + (length as u64).saturating_sub(1)).slot())
}

/// How many of the blocks go into one append.
fn append_length(blocks: &[PlainBlock]) -> usize {
    let mut bytes = 0;
    let fitting = blocks.iter().take(APPEND_BLOCKS_MAX).take_while(|block| {
        bytes += block.bytes.len() as u64;
        bytes <= APPEND_BYTES_MAX
    });
    fitting.count().max(1)
}

/// What goes into one record.
#[derive(Default)]
struct FlushStep {
    extents: Vec<(BlockIndex, BlockAddress)>,
    parts: VecDeque<(u64, Bytes)>,
}

impl FlushStep {
    fn is_done(&self) -> bool {
        self.extents.is_empty() && self.parts.is_empty()
    }
}

/// Cuts a plan into records of bounded size. What fits into one record is one, so that it is there whole or not at all.
fn steps(plan: &FlushPlan, addresses: &[BlockAddress]) -> Vec<FlushStep> {
    let extents: Vec<_> = plan.whole.iter().map(|whole| whole.block).zip(addresses.iter().copied()).collect();
    let most = if broken(Broken::WriteSplit) { 1 } else { RECORD_EXTENTS_MAX };
    let mut steps: Vec<FlushStep> = extents
        .chunks(most)
        .map(|chunk| FlushStep { extents: chunk.to_vec(), parts: VecDeque::new() })
        .collect();
    for (number, parts) in chunks_of_bytes(&plan.parts, RECORD_PIECE_BYTES_MAX).into_iter().enumerate() {
        match steps.get_mut(number) {
            Some(step) => step.parts = parts.into(),
            None => steps.push(FlushStep { extents: Vec::new(), parts: parts.into() }),
        }
    }
    steps
}

fn chunks_of_bytes(parts: &[(u64, Bytes)], bytes_max: u64) -> Vec<Vec<(u64, Bytes)>> {
    let mut chunks: Vec<Vec<(u64, Bytes)>> = Vec::new();
    let mut room = 0;
    for (offset, data) in parts {
        let length = data.len() as u64;
        if length > room || chunks.is_empty() {
            chunks.push(Vec::new());
            room = bytes_max;
        }
        room = room.saturating_sub(length);
        if let Some(chunk) = chunks.last_mut() {
            chunk.push((*offset, data.clone()));
        }
    }
    chunks
}

/// Sorts ranges into whole blocks and parts. `size` is where the stored data ends.
fn plan_flush(ranges: &[(u64, Bytes)], size: u64) -> FlushPlan {
    let mut plan = FlushPlan::default();
    let mut by_block: Vec<(BlockIndex, Vec<(u64, Bytes)>)> = Vec::new();
    for (offset, data) in ranges {
        let (mut at, mut rest) = (*offset, data.clone());
        while !rest.is_empty() {
            let block = BlockIndex::of_byte(at).slot();
            let room = usize::try_from(BLOCK_BYTES - at % BLOCK_BYTES).unwrap_or(usize::MAX);
            let part = rest.split_to(room.min(rest.len()));
            let length = part.len() as u64;
            match by_block.last_mut() {
                Some((last, parts)) if *last == block => parts.push((at, part)),
                _ => by_block.push((block, vec![(at, part)])),
            }
            at += length;
        }
    }
    for (block, parts) in by_block {
        match whole(block, &parts, size) {
            Some(bytes) => plan.whole.push(WholeBlock { block, bytes }),
            None => plan.parts.extend(parts),
        }
    }
    plan
}

/// The content of a block, if the parts leave nothing of what is stored there.
fn whole(block: BlockIndex, parts: &[(u64, Bytes)], size: u64) -> Option<Bytes> {
    let start = block.start();
    let mut at = start;
    for (offset, data) in parts {
        if *offset != at {
            return None;
        }
        at += data.len() as u64;
    }
    if at != start + BLOCK_BYTES && at < size {
        return None;
    }
    match parts {
        [(_, only)] => Some(only.clone()),
        _ => {
            let mut joined = BytesMut::with_capacity(usize::try_from(at - start).unwrap_or(0));
            parts.iter().for_each(|(_, data)| joined.extend_from_slice(data));
            Some(joined.freeze())
        }
    }
}

/// Puts a block over a slot, in place of all of its extents and pieces.
fn put_slot(
    change: &mut Change<'_>,
    record: &mut Inode,
    (content, slot): (ContentId, BlockIndex),
    address: BlockAddress,
) -> Result<()> {
    clear_pieces(change, record, content, Span::slot(slot))?;
    match change.extents(content, slot, slot.next_slot())?.as_slice() {
        // The usual case, with one write of the row.
        [(block, old)] if *block == slot => {
            count(record, old.tier, -i64::from(old.visible_bytes));
            let new = Extent::whole(Tier::Standard, address);
            count(record, new.tier, i64::from(new.visible_bytes));
            change.replace_extent((content, slot), Some(old), Some(&new))
        }
        _ => {
            clear(change, record, content, Span::slot(slot))?;
            lay(change, record, (content, slot), &Extent::whole(Tier::Standard, address))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(offset: u64, length: usize) -> (u64, Bytes) {
        (offset, Bytes::from(vec![1; length]))
    }

    #[test]
    fn whole_blocks_go_to_segments_and_parts_to_the_journal() {
        let block = usize::try_from(BLOCK_BYTES).unwrap();
        // Blocks 0 and 1 whole, then a part of block 2 in the middle of a longer file.
        let plan = plan_flush(&[range(0, 2 * block + 10)], 10 * BLOCK_BYTES);
        assert_eq!(plan.whole.iter().map(|whole| whole.block.0).collect::<Vec<_>>(), [0, 16]);
        assert_eq!(plan.parts, [range(2 * BLOCK_BYTES, 10)]);
        // The same at the end of the file: the last block is whole too.
        let plan = plan_flush(&[range(0, 2 * block + 10)], 2 * BLOCK_BYTES);
        assert_eq!(plan.whole.len(), 3);
        assert!(plan.parts.is_empty());
        // A gap, or a beginning in the middle, makes a part.
        let plan = plan_flush(&[range(5, 10), range(BLOCK_BYTES, 1), range(BLOCK_BYTES + 2, 1)], 0);
        assert!(plan.whole.is_empty());
        assert_eq!(plan.parts.len(), 3);
    }

    #[test]
    fn no_record_grows_beyond_its_bounds_and_nothing_is_left_out() {
        let mib = usize::try_from(RECORD_PIECE_BYTES_MAX).unwrap();
        let parts: Vec<_> = (0..5).map(|part| range(part * 3 * BLOCK_BYTES, mib / 2)).collect();
        let plan = FlushPlan { whole: Vec::new(), parts: parts.clone() };
        let steps = steps(&plan, &[]);
        assert_eq!(steps.iter().map(|step| step.parts.len()).collect::<Vec<_>>(), [2, 2, 1]);
        let all: Vec<_> = steps.into_iter().flat_map(|step| step.parts).collect();
        assert_eq!(all, parts);
    }
}
