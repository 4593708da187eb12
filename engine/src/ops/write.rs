//! WRITE.

use bytes::Bytes;

use super::permission;
use crate::attributes::{FileKind, Timestamp};
use crate::buffer::{FlushJob, RangeMap};
use crate::credential::Credential;
use crate::error::{Error, Result};
use crate::file_system::{Stability, Written};
use crate::identity::{BlockIndex, ContentId, InodeId};
use crate::journal::Ticket;
use crate::limits::{BLOCK_BYTES, BLOCK_PIECES_MAX, FILE_SIZE_MAX, PIECE_FLUSH_BYTES_MAX};
use crate::records::{Content, Inode, Piece, key};
use crate::volume::{CHANGE_RESERVATION, Change, Look, PieceRow, Volume, age_key};

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

    /// Takes a write into the buffer. The ticket is that of the reserved change numbers, mostly nothing.
    fn take_in(&self, who: &Credential, inode: InodeId, offset: u64, data: Bytes) -> Result<Ticket> {
        let mut change = self.begin()?;
        let record = change.inode(inode)?;
        self.writable(&record)?;
        let stored = change.stored_inode(inode)?;
        let number = record.change + 1;
        let mut new = stored.clone();
        permission::clear_set_id(who, &mut new);
        if number > stored.change_ceiling {
            new.change_ceiling = number + CHANGE_RESERVATION;
        }
        if new != stored {
            change.update_inode(inode, &stored, new);
        }
        self.buffer.insert(inode, offset, data, change.now(), number);
        Ok(change.commit())
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
        self.bump(inode, record, stamp.now);
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

/// Splits ranges where slots end and puts each part as a piece, in place of those that it covers.
pub(super) fn add_pieces(
    change: &mut Change<'_>,
    inode: InodeId,
    record: &mut Inode,
    ranges: &[(u64, Bytes)],
) -> Result<()> {
    let Content::File { id, piece_bytes, .. } = &mut record.content else { return Err(Error::WrongType) };
    for (offset, data) in ranges {
        let mut rest = data.clone();
        let mut at = *offset;
        while !rest.is_empty() {
            let slot = BlockIndex::of_byte(at).slot();
            let within = at - slot.start();
            let room = usize::try_from(BLOCK_BYTES - within).unwrap_or(usize::MAX);
            let bytes = rest.split_to(room.min(rest.len()));
            at += bytes.len() as u64;
            let piece = Piece { inode, offset: u32::try_from(within).unwrap_or(0), bytes };
            let pieces =
                if *piece_bytes > 0 { change.pieces(*id, slot, slot.next_slot())? } else { Vec::new() };
            *piece_bytes -= total_bytes(&pieces);
            let joined = place_piece(change, (*id, slot), pieces, piece);
            *piece_bytes += joined;
        }
    }
    Ok(())
}

fn total_bytes(pieces: &[PieceRow]) -> u64 {
    pieces.iter().map(|row| row.piece.bytes.len() as u64).sum()
}

/// Puts a piece over the others of its slot; returns the bytes of all of them. Those that it covers go, and when there are too
/// many they are joined.
fn place_piece(
    change: &mut Change<'_>,
    (content, slot): (ContentId, BlockIndex),
    pieces: Vec<PieceRow>,
    new: Piece,
) -> u64 {
    let lsn = change.lsn();
    let end = |piece: &Piece| u64::from(piece.offset) + piece.bytes.len() as u64;
    let (covered, mut kept): (Vec<_>, Vec<_>) =
        pieces.into_iter().partition(|row| row.piece.offset >= new.offset && end(&row.piece) <= end(&new));
    for row in covered {
        change.delete(row.key.to_vec());
    }
    if kept.len() < BLOCK_PIECES_MAX {
        change.put(key::piece(content, slot, lsn, new.offset), new.encode());
        return total_bytes(&kept) + new.bytes.len() as u64;
    }
    let mut joined = RangeMap::default();
    for row in kept.drain(..) {
        change.delete(row.key.to_vec());
        joined.insert(u64::from(row.piece.offset), row.piece.bytes);
    }
    let inode = new.inode;
    joined.insert(u64::from(new.offset), new.bytes);
    for (offset, bytes) in joined.joined() {
        let piece = Piece { inode, offset: u32::try_from(offset).unwrap_or(0), bytes };
        change.put(key::piece(content, slot, lsn, piece.offset), piece.encode());
    }
    joined.bytes()
}
