//! Metadata: a transactional, ordered store of byte strings, and the only user of the journal.
//!
//! A [`Transaction`] holds the one sequencer, reads its own writes, and commits one journal record of all its changes, which is applied
//! to the [`overlay`] at once. Its [`Ticket`](crate::journal::Ticket) says when it is durable. A fold moves the overlay into a
//! checkpoint file and then into the [`index`]; only then the journal is trimmed.
//!
//! | in the file system's directory | what |
//! |---|---|
//! | `journal/` | records that no checkpoint covers yet, and older ones |
//! | `checkpoint/` | a base, deltas after it, and the manifest that names them |
//! | `index/` | sled; is built anew from the checkpoints if it cannot be trusted, while these are read instead |
//! | `index.marker` | whether `index/` can be trusted |
//!
//! # Crash consistency
//! - What a ticket promised is there again. What was committed and not durable is lost from some record on: never in the middle.
//! - A transaction is there whole or not at all.
//! - Nothing is leaked beyond the next open: journal files that are covered and checkpoint files that no manifest names are removed by
//!   it, and an index that cannot be trusted soon after.
//! - The epoch is durable before anything of the run is written.

mod checkpoint;
mod fold;
mod index;
mod inspect;
mod key_map;
mod merge;
pub(crate) mod offline;
mod overlay;
mod pace;
mod passing;
mod rebuild;
mod recovery;
mod reseal;
mod rests;
mod store;
mod transaction;

#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing {
    pub(crate) use super::checkpoint::fuzzing::DECODERS as CHECKPOINT;
    pub(crate) use super::index::fuzzing::DECODERS as INDEX;
}
#[cfg(test)]
pub(crate) mod golden {
    pub(crate) use super::checkpoint::golden::FORMATS as CHECKPOINT;
    pub(crate) use super::index::golden::FORMATS as INDEX;
}
#[cfg(test)]
mod tests;

pub(crate) use fold::Haste;
#[cfg(test)]
pub(crate) use index::MetaStore;
pub(crate) use index::{Indexes, SledIndexes};
pub(crate) use store::{Store, StoreBudgets};
pub(crate) use transaction::Transaction;
