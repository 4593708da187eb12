//! Every limit of the engine, each with its reason.

/// Bytes in a name: what Linux and EFS allow.
pub const NAME_BYTES_MAX: usize = 255;
/// Bytes in the target of a symbolic link: `PATH_MAX` of Linux less its NUL.
pub const SYMLINK_BYTES_MAX: usize = 4095;
/// Hard links to one inode, as ext4 has it; fits the `u32` of NFS and the `u16` of old tools.
pub const LINKS_MAX: u32 = 65_000;
/// Bytes in a file: 47.9 TiB, the limit of EFS.
pub const FILE_SIZE_MAX: u64 = 52_673_613_135_872;
/// Bytes of a block, the unit of sealing and of extents: a random read of 4 KiB opens at most this much.
pub const BLOCK_BYTES: u64 = 64 * 1024;
/// Bytes in one read or write: what the Linux client sends at most.
pub const TRANSFER_BYTES_MAX: usize = 1024 * 1024;

const _: () = assert!(FILE_SIZE_MAX.is_multiple_of(4096));
const _: () = assert!((TRANSFER_BYTES_MAX as u64).is_multiple_of(BLOCK_BYTES));
/// Blocks that one record of a truncation may release: 8 GiB, some 3 MiB of journal. Longer cuts take several records.
pub(crate) const TRUNCATE_BLOCKS_MAX: u64 = 131_072;
/// Bytes up to which a flush goes into the journal as pieces: one sync instead of two, at the price of writing twice.
pub(crate) const PIECE_FLUSH_BYTES_MAX: u64 = 128 * 1024;
/// Bytes of pieces in one record.
pub(crate) const RECORD_PIECE_BYTES_MAX: u64 = 1024 * 1024;
/// Extents that one record changes at most, except in a truncation: some 64 KiB of journal.
pub(crate) const RECORD_EXTENTS_MAX: usize = 512;
/// Blocks in one append to a segment: 32 MiB held in memory until they are synced.
pub(crate) const APPEND_BLOCKS_MAX: usize = 512;
