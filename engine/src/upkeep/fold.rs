//! Folding pieces into blocks: small writes leave the journal and the metadata for a segment, many files at a time.

use crate::error::{Error, Result};
use crate::identity::{BlockIndex, InodeId};
use crate::ops::relocate::{Move, Select};
use crate::records::{Content, Totals, key};
use crate::tiering::Tier;
use crate::volume::{HeldLocks, Volume, piece_row};

/// Bytes of blocks that one fold appends to a segment.
const FOLD_BYTES_MAX: u64 = 8 << 20;
/// Rows of pieces that are looked at in one step.
const ROWS_MAX: usize = 1024;

/// What is written together: slots of many files, whose locks are held.
#[derive(Default)]
struct Fold {
    moves: Vec<Move>,
    locks: HeldLocks,
}

impl Volume {
    /// Folds pieces if there are many, or `all` of them. Those for which there is no room stay where they are: a checkpoint takes less.
    pub(crate) async fn fold_pieces(&self, all: bool) -> Result<()> {
        let pieces = self.totals()?.piece_bytes;
        if pieces == 0 || (!all && pieces < self.budgets.fold_threshold_bytes()) {
            return Ok(());
        }
        match self.fold_all_pieces().await {
            Err(Error::NoSpace) => Ok(()),
            result => result,
        }
    }

    async fn fold_all_pieces(&self) -> Result<()> {
        let (mut from, end) = key::family(b'p', b"");
        let mut fold = Fold::default();
        // A file that cannot be read does not keep the others from being folded.
        let mut failures = Vec::new();
        loop {
            let rows = self.store.scan(&from, &end, ROWS_MAX)?;
            // The rows of a file stand together: each is folded once, from its first to its last row.
            let mut done = None;
            for (row, value) in &rows {
                let content = key::piece_content(row).ok_or_else(corrupt_key)?;
                if done != Some(content) {
                    match self.fold_file(piece_row(row.clone(), value)?.piece.inode, &mut fold).await {
                        Err(error @ Error::Corrupt { .. }) => failures.push(error),
                        result => result?,
                    }
                    done = Some(content);
                }
            }
            let Some(last) = done.filter(|_| rows.len() == ROWS_MAX) else { break };
            (_, from) = key::pieces(last, BlockIndex(0), None);
        }
        self.write_fold(&mut fold).await?;
        failures.into_iter().next().map_or(Ok(()), Err)
    }

    /// One with cold blocks may wait for the object store: the lock of no other file is held meanwhile.
    async fn fold_file(&self, inode: InodeId, fold: &mut Fold) -> Result<()> {
        let waits = matches!(
            self.stored_inode(inode).map(|record| record.content),
            Ok(Content::File { cold_bytes: 1.., .. })
        );
        if !waits {
            return self.fold_slots(inode, fold).await;
        }
        self.write_fold(fold).await?;
        let folded = self.fold_slots(inode, fold).await;
        self.write_fold(fold).await?;
        folded
    }

    async fn fold_slots(&self, inode: InodeId, fold: &mut Fold) -> Result<()> {
        let mut from = Some(BlockIndex(0));
        while let Some(start) = from {
            // A file that is being rewritten is folded next time.
            if !self.locks.try_add(inode, &mut fold.locks) {
                return Ok(());
            }
            match self.gather(inode, Select::WithPieces, start, ROWS_MAX).await {
                Ok(gathered) => {
                    fold.moves.extend(gathered.moves);
                    from = gathered.next;
                }
                // The block below the piece is cold and the store is away: the piece stays in the journal.
                Err(Error::Stale | Error::WrongType | Error::Unavailable { .. }) => return Ok(()),
                Err(error) => return Err(error),
            }
            if fold.moves.iter().map(Move::bytes).sum::<u64>() >= FOLD_BYTES_MAX {
                self.write_fold(fold).await?;
            }
        }
        Ok(())
    }

    async fn write_fold(&self, fold: &mut Fold) -> Result<()> {
        let Fold { moves, locks } = std::mem::take(fold);
        if !moves.is_empty() {
            // A small piece can take many times its size as a block.
            let bytes = moves.iter().map(Move::bytes).sum();
            self.space.grant_copies(bytes, self.store.statistics().overlay_bytes)?;
            drop(self.write_and_swing(&moves, Tier::Standard).await?.ticket);
        }
        drop(locks);
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

fn corrupt_key() -> Error {
    Error::corrupt("a piece's key is too short")
}
