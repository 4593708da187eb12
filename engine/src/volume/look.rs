//! Reading records: the same from the store as from within a change.

use bytes::Bytes;

use crate::error::{Error, Result};
use crate::identity::{BlockIndex, ContentId, Epoch, InodeId};
use crate::metadata::{Store, Transaction};
use crate::records::key::KeyRange;
use crate::records::{Extent, Inode, Piece, key};

/// Something that records can be read from.
pub(crate) trait Look {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>>;
    fn scan(&self, from: &[u8], to: &[u8], limit: usize) -> Result<Vec<(Bytes, Bytes)>>;

    /// All records of a range that is known to be small enough for memory.
    fn scan_all(&self, range: &KeyRange) -> Result<Vec<(Bytes, Bytes)>> {
        const STEP: usize = 1024;
        let mut all = self.scan(&range.0, &range.1, STEP)?;
        let mut step = all.len();
        while step == STEP {
            let Some((last, _)) = all.last() else { break };
            let more = self.scan(&key::after(last), &range.1, STEP)?;
            step = more.len();
            all.extend(more);
        }
        Ok(all)
    }

    /// The extents that start at the places `from..end`. Those that show something of a range are all among them if `from` is the
    /// first unit of a slot.
    fn extents(
        &self,
        content: ContentId,
        from: BlockIndex,
        end: BlockIndex,
    ) -> Result<Vec<(BlockIndex, Extent)>> {
        let found = self.scan_all(&key::extents(content, from, Some(end)))?;
        found.iter().map(|(key, value)| extent_row(key, value)).collect()
    }

    /// The pieces of the slots that start at the places `from..end`, in the order in which they were written within each. All are of one
    /// moment: a fold between two looks would leave older ones without what lies over them.
    fn pieces(&self, content: ContentId, from: BlockIndex, end: BlockIndex) -> Result<Vec<PieceRow>> {
        let (from, end) = key::pieces(content, from, Some(end));
        let found = self.scan(&from, &end, usize::MAX)?;
        found.into_iter().map(|(key, value)| piece_row(key, &value)).collect()
    }
}

/// The extent that shows something of a unit, if one does: no other one can.
pub(crate) fn extent_of_unit(
    store: &Store,
    content: ContentId,
    unit: BlockIndex,
) -> Result<Option<(BlockIndex, Extent)>> {
    let last = store.last(&key::extent(content, unit.slot()), &key::extent(content, unit))?;
    last.map(|(key, value)| extent_row(&key, &value)).transpose()
}

/// A piece with its key.
#[derive(Debug, Clone)]
pub(crate) struct PieceRow {
    pub(crate) key: Bytes,
    pub(crate) block: BlockIndex,
    pub(crate) piece: Piece,
}

impl PieceRow {
    /// Where its bytes lie in the content: from, and to before.
    pub(crate) fn bounds(&self) -> (u64, u64) {
        let from = self.block.start() + u64::from(self.piece.offset);
        (from, from + self.piece.bytes.len() as u64)
    }
}

impl Look for Store {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>> {
        Store::get(self, key)
    }

    fn scan(&self, from: &[u8], to: &[u8], limit: usize) -> Result<Vec<(Bytes, Bytes)>> {
        Store::scan(self, from, to, limit)
    }
}

impl Look for Transaction<'_> {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>> {
        Transaction::get(self, key)
    }

    fn scan(&self, from: &[u8], to: &[u8], limit: usize) -> Result<Vec<(Bytes, Bytes)>> {
        Transaction::scan(self, from, to, limit)
    }
}

pub(crate) fn inode(look: &impl Look, epoch: Epoch, inode: InodeId) -> Result<Inode> {
    let bytes = look.get(&key::inode(inode))?.ok_or(Error::Stale)?;
    super::decode_inode(epoch, inode, &bytes)
}

pub(crate) fn extent_row(key: &[u8], value: &[u8]) -> Result<(BlockIndex, Extent)> {
    let block = key::extent_block(key).ok_or_else(|| Error::corrupt("an extent's key is too short"))?;
    let extent =
        Extent::decode(value).map_err(|error| Error::corrupt(format!("extent of block {block}: {error}")))?;
    Ok((block, extent))
}

pub(crate) fn piece_row(key: Bytes, value: &Bytes) -> Result<PieceRow> {
    let block = key::piece_block(&key).ok_or_else(|| Error::corrupt("a piece's key is too short"))?;
    let piece =
        Piece::decode(value).map_err(|error| Error::corrupt(format!("piece of block {block}: {error}")))?;
    Ok(PieceRow { key, block, piece })
}
