//! WRITE.

use bytes::Bytes;

use super::permission;
use crate::attributes::{FileKind, Timestamp};
use crate::broken::{Broken, broken};
use crate::buffer::{FlushJob, RangeMap};
use crate::credential::Credential;
use crate::error::{Error, Result};
use crate::file_system::{Stability, Written};
use crate::identity::{BlockIndex, ContentId, InodeId};
use crate::journal::Ticket;
use crate::limits::{BLOCK_BYTES, BLOCK_PIECES_MAX, FILE_SIZE_MAX, PIECE_FLUSH_BYTES_MAX};
use crate::records::{Content, Inode, Piece, key};
use crate::volume::{CHANGE_RESERVATION, Change, Look, PieceRow, Volume, age_key, next_change};

/// Data that is copied when it is taken into the buffer.
const COPIED_BYTES_MAX: usize = 64 * 1024;

impl Volume {
    pub(crate) async fn write(
        &self,
        who: &Credential,
        inode: InodeId,
        offset: u64,
        data: Bytes,
        stability: Stability,
    ) -> Result<Written> {
        let length = data.len();
        let end = offset
            .checked_add(length as u64)
            .filter(|end| *end <= FILE_SIZE_MAX)
            .ok_or(Error::FileTooLarge)?;
        self.store.admit().await?;
        if length == 0 {
            self.writable(&self.stored_inode(inode)?)?;
            return Ok(Written { length, ticket: Ticket::nothing() });
        }
        self.space.grant(length as u64, self.buffer.bytes())?;
        let small = length as u64 <= PIECE_FLUSH_BYTES_MAX;
        if stability == Stability::FileSync && small {
            let mut change = self.begin()?;
            if !self.buffer.holds(inode) {
                let now = change.now();
                self.put_pieces(&mut change, inode, &[(offset, data)], Stamp { now, end, who: Some(who) })?;
                return Ok(Written { length, ticket: change.commit() });
            }
        }
        self.relieve_buffer(length as u64).await?;
        let reservation = self.take_in(who, inode, offset, data)?;
        let ticket = match stability {
            Stability::Unstable => reservation,
            Stability::FileSync => self.flush(inode).await?,
        };
        Ok(Written { length, ticket })
    }

    fn writable(&self, record: &Inode) -> Result<()> {
        match record.kind() {
            FileKind::Regular => Ok(()),
            FileKind::Directory => Err(Error::IsDirectory),
            _ => Err(Error::WrongType),
        }
    }

    /// Takes a write into the buffer. The ticket is that of the last reservation of change numbers, mostly nothing.
    fn take_in(&self, who: &Credential, inode: InodeId, offset: u64, data: Bytes) -> Result<Ticket> {
        let mut change = self.begin()?;
        let record = change.inode(inode)?;
        self.writable(&record)?;
        let stored = change.stored_inode(inode)?;
        let number = next_change(self.epoch, &stored, record.change);
        let mut new = stored.clone();
        permission::clear_set_id(who, &mut new);
        let reserves = number >= stored.change_ceiling && !broken(Broken::ChangeNotReserved);
        if reserves {
            new.change_ceiling = number + CHANGE_RESERVATION;
        }
        if new != stored {
            change.update_inode(inode, &stored, new);
        }
        // A small part would keep all of what it was received in, which is not counted.
        let data = if data.len() <= COPIED_BYTES_MAX { Bytes::copy_from_slice(&data) } else { data };
        self.buffer.insert(inode, offset, data, change.now(), number);
        // Held until the ticket is there: the next write, which has its number from this reservation, waits for it, too.
        let mut reservations = self.reservations.lock();
        let ticket = change.commit();
        if reserves {
            reservations.retain(|_, ticket| !ticket.is_durable());
            reservations.insert(inode, ticket);
        }
        Ok(reservations.get(&inode).cloned().unwrap_or_else(Ticket::nothing))
    }

    /// Puts ranges into the journal as pieces, and updates the inode.
    pub(super) fn put_pieces(
        &self,
        change: &mut Change<'_>,
        inode: InodeId,
        ranges: &[(u64, Bytes)],
        stamp: Stamp<'_>,
    ) -> Result<()> {
        let (old, mut new) = self.touch(change, inode)?;
        self.writable(&old)?;
        add_pieces(change, inode, &mut new, ranges)?;
        self.stamp(change, inode, &mut new, stamp);
        change.update_inode(inode, &old, new);
        Ok(())
    }

    /// What every write of data does to an inode.
    pub(super) fn stamp(
        &self,
        change: &mut Change<'_>,
        inode: InodeId,
        record: &mut Inode,
        stamp: Stamp<'_>,
    ) {
        if let Content::File { size, .. } = &mut record.content {
            *size = (*size).max(stamp.end);
        }
        if let Some(who) = stamp.who {
            permission::clear_set_id(who, record);
        }
        record.mtime = stamp.now;
        record.last_access = record.last_access.max(stamp.now);
        enter_age_index(change, inode, record);
        match stamp.who {
            Some(_) => self.bump(inode, record, stamp.now),
            // The write bumped it when it was taken in. Another number would have clients drop what they have of the file.
            None => {
                record.change_ceiling = record.change_ceiling.max(record.change);
                record.ctime = record.ctime.max(stamp.now);
            }
        }
    }
}

/// When a write was, where it ends and whose it is (if that is not accounted for yet).
#[derive(Debug, Clone, Copy)]
pub(super) struct Stamp<'a> {
    pub(super) now: Timestamp,
    pub(super) end: u64,
    pub(super) who: Option<&'a Credential>,
}

impl Stamp<'_> {
    /// The stamp of a flush.
    pub(super) fn of(job: &FlushJob, mtime: Timestamp) -> Self {
        let end = job.ranges.last().map_or(0, |(offset, data)| offset + data.len() as u64);
        Stamp { now: mtime, end, who: None }
    }
}

/// A file with data in Standard stands in the age index, once.
pub(super) fn enter_age_index(change: &mut Change<'_>, inode: InodeId, record: &mut Inode) {
    let last_access = record.last_access;
    if let Content::File { standard_bytes, piece_bytes, age_second, .. } = &mut record.content
        && age_second.is_none()
        && *standard_bytes + *piece_bytes > 0
    {
        let second = key::age_second(last_access);
        *age_second = Some(second);
        change.put(age_key(second, inode), Vec::new());
    }
}

/// Splits ranges, which do not overlap, where slots end and puts the parts as pieces, in place of those that they cover.
pub(super) fn add_pieces(
    change: &mut Change<'_>,
    inode: InodeId,
    record: &mut Inode,
    ranges: &[(u64, Bytes)],
) -> Result<()> {
    let Content::File { id, piece_bytes, .. } = &mut record.content else { return Err(Error::WrongType) };
    let parts = ranges.iter().flat_map(|(offset, data)| split_at_slots(inode, *offset, data.clone()));
    let mut parts = parts.peekable();
    while let Some((slot, first)) = parts.next() {
        let mut new = vec![first];
        while let Some((_, next)) = parts.next_if(|(of, _)| *of == slot) {
            new.push(next);
        }
        let pieces = if *piece_bytes > 0 { change.pieces(*id, slot, slot.next_slot())? } else { Vec::new() };
        *piece_bytes -= total_bytes(&pieces);
        *piece_bytes += place_pieces(change, (*id, slot), pieces, touching_joined(new));
    }
    Ok(())
}

fn split_at_slots(inode: InodeId, offset: u64, data: Bytes) -> impl Iterator<Item = (BlockIndex, Piece)> {
    let (mut rest, mut at) = (data, offset);
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let slot = BlockIndex::of_byte(at).slot();
        let within = at - slot.start();
        let room = usize::try_from(BLOCK_BYTES - within).unwrap_or(usize::MAX);
        let bytes = rest.split_to(room.min(rest.len()));
        at += bytes.len() as u64;
        Some((slot, Piece { inode, offset: u32::try_from(within).unwrap_or(0), bytes }))
    })
}

/// Pieces, which are sorted and do not overlap, with those as one that touch.
fn touching_joined(mut pieces: Vec<Piece>) -> Vec<Piece> {
    pieces.sort_by_key(|piece| piece.offset);
    let rows = pieces.chunk_by(|one, next| end_of(one) == u64::from(next.offset));
    let joined = rows.filter_map(|row| {
        let first = row.first()?.clone();
        let bytes = match row {
            [_] => first.bytes,
            _ => row.iter().map(|piece| piece.bytes.as_ref()).collect::<Vec<_>>().concat().into(),
        };
        Some(Piece { bytes, ..first })
    });
    joined.collect()
}

fn total_bytes(pieces: &[PieceRow]) -> u64 {
    pieces.iter().map(|row| row.piece.bytes.len() as u64).sum()
}

fn end_of(piece: &Piece) -> u64 {
    u64::from(piece.offset) + piece.bytes.len() as u64
}

/// Puts pieces, which are sorted and do not overlap, over the others of their slot; returns the bytes of all of them. Those that one of them covers go,
/// and when there are too many they are joined.
fn place_pieces(
    change: &mut Change<'_>,
    (content, slot): (ContentId, BlockIndex),
    pieces: Vec<PieceRow>,
    new: Vec<Piece>,
) -> u64 {
    let lsn = change.lsn();
    // There may be tens of thousands of both.
    let is_covered = |old: &Piece| {
        let behind = new.partition_point(|new| new.offset <= old.offset);
        new.get(..behind).and_then(<[_]>::last).is_some_and(|new| end_of(old) <= end_of(new))
    };
    let (covered, kept): (Vec<_>, Vec<_>) = pieces.into_iter().partition(|row| is_covered(&row.piece));
    for row in covered {
        change.delete(row.key.to_vec());
    }
    // Of one record no piece may lie over another one: which is the newer could not be told.
    let meets = |old: &Piece| {
        let first = new.partition_point(|new| end_of(new) <= u64::from(old.offset));
        new.get(first).is_some_and(|new| u64::from(new.offset) < end_of(old))
    };
    let clashes = kept.iter().any(|row| key::piece_lsn(&row.key) == Some(lsn) && meets(&row.piece));
    let mut put =
        |offset: u32, piece: &Piece| change.put(key::piece(content, slot, lsn, offset), piece.encode());
    if !clashes && !are_many(&kept) {
        new.iter().for_each(|piece| put(piece.offset, piece));
        return total_bytes(&kept) + new.iter().map(|piece| piece.bytes.len() as u64).sum::<u64>();
    }
    let Some(inode) = new.first().map(|piece| piece.inode) else { return total_bytes(&kept) };
    let mut joined = RangeMap::default();
    let old = kept.iter().map(|row| &row.piece);
    for piece in old.chain(&new) {
        joined.insert(u64::from(piece.offset), piece.bytes.clone());
    }
    for row in &kept {
        change.delete(row.key.to_vec());
    }
    for (offset, bytes) in joined.joined() {
        let piece = Piece { inode, offset: u32::try_from(offset).unwrap_or(0), bytes };
        change.put(key::piece(content, slot, lsn, piece.offset), piece.encode());
    }
    joined.bytes()
}

/// Whether pieces are worth joining: there are many that did not come of the last join, and as many as did. So pieces that do not
/// touch are not written again and again, and what a fold gathered mostly stays.
fn are_many(pieces: &[PieceRow]) -> bool {
    let of_one_record = pieces.chunk_by(|one, next| key::piece_lsn(&one.key) == key::piece_lsn(&next.key));
    let joined = of_one_record.map(<[PieceRow]>::len).max().unwrap_or(0);
    let others = (pieces.len() - joined).saturating_add(1);
    pieces.len() <= JOINED_MAX && others >= BLOCK_PIECES_MAX.max(pieces.len().div_ceil(2))
}

/// More are not joined: the record would become too large.
const JOINED_MAX: usize = 3072;
