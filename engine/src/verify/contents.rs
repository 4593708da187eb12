//! Extents and pieces, and the sums that inodes and segments keep of them.
//!
//! A pass takes the contents with the lowest numbers that are not done yet, as many as the budget allows, and joins their extents and
//! pieces with them. Contents that wait for their release are read before those that are in use: one that stops being in use
//! meanwhile is found with either, and one that is found with neither is of nobody.

use bytes::Bytes;

use super::problem::{Counter, Problem};
use super::structure::{Anchor, Structure, digest};
use crate::error::Result;
use crate::identity::{BlockIndex, ContentId, InodeId};
use crate::records::key::{self, KeyRange};
use crate::records::{Content, Extent, Inode, Piece, SegmentState};
use crate::tiering::Tier;
use crate::volume::Look;

/// What is known of a content in a pass.
#[derive(Debug, Clone, Copy)]
struct Owned {
    content: ContentId,
    /// `None` if it waits for its release.
    owner: Option<Owner>,
}

/// The file of a content, and what was counted of it.
#[derive(Debug, Clone, Copy)]
struct Owner {
    inode: InodeId,
    digest: u64,
    size: u64,
    stored: Sums,
    counted: Sums,
    behind_end: Option<BlockIndex>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Sums {
    standard: u64,
    cold: u64,
    pieces: u64,
}

struct Pass {
    contents: Vec<Owned>,
    from: ContentId,
    /// The last number, with it.
    last: ContentId,
    /// Numbers from here on were given since the verification began.
    new_from: u64,
    unowned: Option<(ContentId, u64, Vec<Anchor>)>,
    /// The last extent: its content, where it ends, and what that rests on.
    behind: Option<(ContentId, u64, Anchor)>,
}

impl Pass {
    fn find(&mut self, content: ContentId) -> Option<&mut Owned> {
        let at = self.contents.binary_search_by_key(&content, |owned| owned.content).ok()?;
        self.contents.get_mut(at)
    }

    fn range(&self, family: u8) -> KeyRange {
        let (first, end) = key::family(family, b"");
        let from = [first.as_slice(), &self.from.0.to_be_bytes()].concat();
        let end = match self.last.0.checked_add(1) {
            Some(next) => [first.as_slice(), &next.to_be_bytes()].concat(),
            None => end,
        };
        (from, end)
    }
}

impl<L: Look + ?Sized> Structure<'_, L> {
    pub(super) fn check_contents(&mut self, next_id: u64) -> Result<()> {
        let mut from = ContentId(0);
        loop {
            let mut pass = self.take_contents(from, next_id)?;
            let (extents, pieces) = (pass.range(b'e'), pass.range(b'p'));
            self.each(&extents, |this, row, value| this.join_extent(&mut pass, row, value))?;
            self.end_of_unowned(&mut pass);
            self.each(&pieces, |this, row, value| {
                this.join_piece(&mut pass, row, value);
                Ok(())
            })?;
            self.end_of_unowned(&mut pass);
            for owned in &pass.contents {
                self.judge_content(owned);
            }
            match pass.last.0.checked_add(1) {
                Some(next) => from = ContentId(next),
                None => return Ok(()),
            }
        }
    }

    /// The contents of a pass: those with the lowest numbers.
    fn take_contents(&mut self, from: ContentId, new_from: u64) -> Result<Pass> {
        // Twice as many are held at times, and dead ones beside those in use.
        let room = (self.room_for::<Owned>() / 4).max(16);
        let mut pass = Pass {
            contents: Vec::new(),
            from,
            last: ContentId(u64::MAX),
            new_from,
            unowned: None,
            behind: None,
        };
        self.each(&pass.range(b'x'), |this, row, value| {
            match key::dead_content_id(row) {
                Some(content) => this.take_content(&mut pass, room, Owned { content, owner: None }),
                None => this.bad_key(row, value),
            }
            Ok(())
        })?;
        self.each(&key::family(b'i', b""), |this, row, value| {
            let (Some(inode), Ok(record)) = (key::orphan_inode(row), Inode::decode(value)) else {
                return Ok(());
            };
            if let Content::File { size, id, standard_bytes, cold_bytes, piece_bytes, .. } = record.content {
                let stored = Sums { standard: standard_bytes, cold: cold_bytes, pieces: piece_bytes };
                let owner = Owner {
                    inode,
                    digest: digest(value),
                    size,
                    stored,
                    counted: Sums::default(),
                    behind_end: None,
                };
                this.take_content(&mut pass, room, Owned { content: id, owner: Some(owner) });
            }
            Ok(())
        })?;
        cut(&mut pass, room);
        self.join_same(&mut pass);
        Ok(pass)
    }

    fn take_content(&mut self, pass: &mut Pass, room: usize, owned: Owned) {
        if (pass.from..=pass.last).contains(&owned.content) {
            pass.contents.push(owned);
            if pass.contents.len() >= 2 * room {
                cut(pass, room);
            }
        }
    }

    /// Each content is of one file, or to be released.
    fn join_same(&mut self, pass: &mut Pass) {
        let owned = std::mem::take(&mut pass.contents);
        for one in owned {
            let Some(last) = pass.contents.last().filter(|last| last.content == one.content) else {
                pass.contents.push(one);
                continue;
            };
            let content = one.content;
            let anchor = |owner: &Owner| Anchor::kept(key::inode(owner.inode), owner.digest);
            let dead = Anchor::on(key::dead_content(content), b"");
            match (&last.owner, &one.owner) {
                (Some(first), Some(second)) => {
                    let problem = Problem::ContentTwice { content, first: first.inode, second: second.inode };
                    self.found.add(problem, vec![anchor(first), anchor(second)]);
                }
                (Some(owner), None) | (None, Some(owner)) => {
                    let problem = Problem::ContentDoomed { content, inode: owner.inode };
                    self.found.add(problem, vec![anchor(owner), dead]);
                }
                (None, None) => {}
            }
        }
    }

    fn join_extent(&mut self, pass: &mut Pass, row: &Bytes, value: &Bytes) -> Result<()> {
        self.found.checked.extents += 1;
        let parts = key::content_block(row).filter(|_| row.len() == 17);
        let extent = self.decode(row, value, Extent::decode);
        let (Some((content, block)), Some(extent)) = (parts, extent) else {
            if parts.is_none() {
                self.bad_key(row, value);
            }
            return Ok(());
        };
        self.count_in_segment(&extent);
        self.check_layout(pass, (content, block), (row, value), &extent);
        if extent.shared.is_some() {
            self.see_shared((content, block), (row, value), &extent.address)?;
        }
        match pass.find(content) {
            Some(Owned { owner: Some(owner), .. }) => {
                let bytes = u64::from(extent.visible_bytes);
                match extent.tier {
                    Tier::Standard => owner.counted.standard += bytes,
                    Tier::InfrequentAccess => owner.counted.cold += bytes,
                }
                owner.see_end(block, bytes);
            }
            Some(Owned { owner: None, .. }) => {}
            None => self.unowned(pass, content, row, value),
        }
        Ok(())
    }

    /// Extents of a content do not overlap, and each stays within its slot.
    fn check_layout(
        &mut self,
        pass: &mut Pass,
        (content, block): (ContentId, BlockIndex),
        (row, value): (&Bytes, &Bytes),
        extent: &Extent,
    ) {
        let end = block.start().saturating_add(u64::from(extent.visible_bytes));
        let own = Anchor::on(row.to_vec(), value);
        let mut layout = |what, anchors| self.found.add(Problem::Layout { content, block, what }, anchors);
        if end > block.next_slot().start() {
            layout("it reaches into the next slot", vec![own.clone()]);
        }
        match pass.behind.take() {
            Some((last, behind, before)) if last == content && behind > block.start() => {
                layout("it lies over the extent before it", vec![own.clone(), before]);
            }
            _ => {}
        }
        pass.behind = Some((content, end, own));
    }

    fn join_piece(&mut self, pass: &mut Pass, row: &Bytes, value: &Bytes) {
        self.found.checked.pieces += 1;
        let parts = key::content_block(row).filter(|_| row.len() == 29);
        let piece = self.decode(row, value, |_| Piece::decode(value));
        let (Some((content, block)), Some(piece)) = (parts, piece) else {
            if parts.is_none() {
                self.bad_key(row, value);
            }
            return;
        };
        let end = u64::from(piece.offset) + piece.bytes.len() as u64;
        if block.slot() != block || piece.bytes.is_empty() || end > block.next_slot().start() - block.start()
        {
            let problem = Problem::Layout { content, block, what: "a piece does not stay within its slot" };
            self.found.add(problem, vec![Anchor::on(row.to_vec(), value)]);
        }
        match pass.find(content) {
            Some(Owned { owner: Some(owner), .. }) => {
                owner.counted.pieces += piece.bytes.len() as u64;
                owner.see_end(block, u64::from(piece.offset) + piece.bytes.len() as u64);
                if owner.inode != piece.inode {
                    let problem = Problem::PieceOwner { inode: owner.inode, stored: piece.inode };
                    let own = Anchor::kept(key::inode(owner.inode), owner.digest);
                    self.found.add(problem, vec![Anchor::on(row.to_vec(), value), own]);
                }
            }
            Some(Owned { owner: None, .. }) => {}
            None => self.unowned(pass, content, row, value),
        }
    }

    /// A row of a content that nobody has. One that was given its number since is in use by now.
    fn unowned(&mut self, pass: &mut Pass, content: ContentId, row: &Bytes, value: &Bytes) {
        if content.0 >= pass.new_from {
            return;
        }
        if pass.unowned.as_ref().is_some_and(|(last, ..)| *last != content) {
            self.end_of_unowned(pass);
        }
        let anchors = || vec![Anchor::on(row.to_vec(), value), Anchor::absent(key::dead_content(content))];
        pass.unowned.get_or_insert_with(|| (content, 0, anchors())).1 += 1;
    }

    fn end_of_unowned(&mut self, pass: &mut Pass) {
        if let Some((content, rows, anchors)) = pass.unowned.take() {
            self.found.add(Problem::ContentUnowned { content, rows }, anchors);
        }
    }

    fn count_in_segment(&mut self, extent: &Extent) {
        let facts = self.found.segments.entry(extent.address.segment).or_default();
        if extent.shared.is_none() {
            facts.live_bytes += u64::from(extent.address.sealed_bytes);
        }
        facts.extents += 1;
        facts.end = facts.end.max(extent.address.end());
        facts.mixed |= facts.row.is_some_and(|(row, _)| row.tier != extent.tier);
    }

    fn judge_content(&mut self, owned: &Owned) {
        let Some(owner) = &owned.owner else { return };
        let inode = owner.inode;
        let anchors = || vec![Anchor::kept(key::inode(inode), owner.digest)];
        let (stored, counted) = (&owner.stored, &owner.counted);
        for (name, stored, counted) in [
            ("Standard bytes", stored.standard, counted.standard),
            ("cold bytes", stored.cold, counted.cold),
            ("bytes of pieces", stored.pieces, counted.pieces),
        ] {
            if stored != counted {
                let counter = Counter { name, stored, counted };
                self.found.add(Problem::InodeCounter { inode, counter }, anchors());
            }
        }
        if let Some(block) = owner.behind_end {
            self.found.add(Problem::BehindEnd { inode, block }, anchors());
        }
    }

    /// Rows against what was counted of the extents.
    pub(super) fn check_segment_rows(&mut self) {
        for (segment, facts) in self.found.segments.clone() {
            let Some((row, digest)) = facts.row else {
                let anchors = vec![Anchor::absent(key::segment(segment))];
                let extents = facts.extents;
                self.found.add(Problem::SegmentUnknown { segment, extents }, anchors);
                continue;
            };
            let anchors = || vec![Anchor::kept(key::segment(segment), digest)];
            if facts.mixed {
                self.found.add(Problem::SegmentTier { segment }, anchors());
            }
            if facts.shared_extents != facts.references {
                // Either it is found on its own, or blocks were shared meanwhile, and were counted twice or not at all.
                continue;
            }
            let announced = row.state == SegmentState::Announced;
            for (name, stored, counted, wrong) in [
                ("live bytes", row.live_bytes, facts.live_bytes, row.live_bytes != facts.live_bytes),
                (
                    "written bytes",
                    row.written_bytes,
                    facts.live_bytes,
                    row.written_bytes < facts.live_bytes.max(row.live_bytes),
                ),
                ("extents while it is only announced", 0, facts.extents, announced && facts.extents > 0),
            ] {
                if wrong {
                    let counter = Counter { name, stored, counted };
                    self.found.add(Problem::SegmentCounter { segment, counter }, anchors());
                }
            }
        }
    }
}

impl Owner {
    /// Data in a block up to so many bytes after the start of the block.
    fn see_end(&mut self, block: BlockIndex, within: u64) {
        if self.behind_end.is_none() && block.start().saturating_add(within) > self.size {
            self.behind_end = Some(block);
        }
    }
}

/// Keeps the lowest numbers, and says with which one the pass ends. What is of one content stays together.
fn cut(pass: &mut Pass, room: usize) {
    pass.contents.sort_by_key(|owned| owned.content);
    let Some(last) = pass.contents.get(room).map(|owned| owned.content) else { return };
    let before = pass.contents.partition_point(|owned| owned.content < last);
    // If all of them are of one content, it is the whole pass.
    let (kept, end) = match before {
        0 => (pass.contents.partition_point(|owned| owned.content <= last), last),
        before => (before, ContentId(last.0 - 1)),
    };
    pass.contents.truncate(kept);
    pass.last = end;
}
