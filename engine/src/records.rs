//! The records of the metadata store: what each family of keys means, and how its values are written.
//!
//! | family | key after the tag                      | value                                     |
//! |--------|----------------------------------------|-------------------------------------------|
//! | `a`    | access second (8), inode (8)           | nothing: the age index                    |
//! | `d`    | directory (8), cookie (8)              | [`Dentry`]                                |
//! | `e`    | content (8), block (8)                 | [`Extent`]                                |
//! | `i`    | inode (8)                              | [`Inode`]                                 |
//! | `n`    | the key of a note                      | the note                                  |
//! | `o`    | inode (8)                              | nothing: unlinked, waits for its release  |
//! | `p`    | content (8), block (8), LSN (8), offset (4) | [`Piece`]                            |
//! | `r`    | segment (16), frame (4), content (8), block (8) | nothing: a user of a shared block |
//! | `s`    | segment (16)                           | [`SegmentRecord`]                         |
//! | `t`    | nothing                                | [`Totals`]                                |
//! | `x`    | content (8)                            | nothing: its extents wait for release     |
//!
//! A block in a key is a place in the content in units of 4 KiB: of an extent where it starts, of a piece the slot of 64 KiB in
//! which it lies (a multiple of 16). What must be true of extents, pieces, references and segments together stands in
//! `records/extent.rs`.
//!
//! Numbers in keys are big-endian, so that the order of the keys is the order of the numbers. No name and no path is
//! ever in a key, so that an error may show it.

mod dentry;
mod extent;
mod inode;
pub(crate) mod key;
mod totals;

pub(crate) use dentry::Dentry;
pub(crate) use extent::{Extent, Piece, SegmentRecord, SegmentState, Shared};
pub(crate) use inode::{Content, Inode};
pub(crate) use totals::Totals;
