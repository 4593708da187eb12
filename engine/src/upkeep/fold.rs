//! Folding pieces into blocks: small writes leave the journal and the metadata for a segment, many files at a time.

use std::collections::BTreeSet;

use bytes::Bytes;

use crate::error::{Error, Result};
use crate::identity::{BlockIndex, InodeId};
use crate::ops::relocate::{Move, Select};
use crate::records::{Totals, key};
use crate::tiering::Tier;
use crate::volume::{HeldLocks, Volume, piece_row};

/// Bytes of blocks that one fold appends to a segment.
const FOLD_BYTES_MAX: u64 = 8 << 20;
/// Rows of pieces that are looked at in one step.
const ROWS_MAX: usize = 1024;
/// Blocks that are folded of one file in one step.
const FILE_BLOCKS_MAX: usize = 256;

impl Volume {
    /// Folds pieces if there are many, or `all` of them.
    pub(crate) async fn fold_pieces(&self, all: bool) -> Result<()> {
        let pieces = self.totals()?.piece_bytes;
        if pieces == 0 || (!all && pieces < self.budgets.fold_threshold_bytes()) {
            return Ok(());
        }
        let (mut from, end) = key::family(b'p', b"");
        loop {
            let rows = self.store.scan(&from, &end, ROWS_MAX)?;
            let Some((last, _)) = rows.last() else { return Ok(()) };
            from = key::after(last);
            self.fold_files(inodes_of(&rows)?).await?;
            if rows.len() < ROWS_MAX {
                return Ok(());
            }
        }
    }

    async fn fold_files(&self, inodes: BTreeSet<InodeId>) -> Result<()> {
        let mut moves: Vec<Move> = Vec::new();
        let mut locks = HeldLocks::default();
        for inode in inodes {
            // A file that is being rewritten is folded next time.
            if !self.locks.try_add(inode, &mut locks) {
                continue;
            }
            match self.gather(inode, Select::WithPieces, BlockIndex(0), FILE_BLOCKS_MAX).await {
                Ok(gathered) => moves.extend(gathered.moves),
                // The block below the piece is cold and the store is away: the piece stays in the journal.
                Err(Error::Stale | Error::WrongType | Error::Unavailable { .. }) => {}
                Err(error) => return Err(error),
            }
            if moves.iter().map(|one| one.bytes.len() as u64).sum::<u64>() >= FOLD_BYTES_MAX {
                drop(self.write_and_swing(&std::mem::take(&mut moves), Tier::Standard).await?.ticket);
                locks = HeldLocks::default();
            }
        }
        if !moves.is_empty() {
            drop(self.write_and_swing(&moves, Tier::Standard).await?.ticket);
        }
        Ok(())
    }

    /// The totals of the file system.
    pub(crate) fn totals(&self) -> Result<Totals> {
        match self.store.get(&key::totals())? {
            Some(bytes) => Totals::decode(&bytes).map_err(|error| Error::corrupt(format!("totals: {error}"))),
            None => Ok(Totals::default()),
        }
    }
}

fn inodes_of(rows: &[(Bytes, Bytes)]) -> Result<BTreeSet<InodeId>> {
    rows.iter().map(|(row, value)| Ok(piece_row(row.clone(), value)?.piece.inode)).collect()
}
