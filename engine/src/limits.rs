//! Every limit of the engine, each with its reason.

/// Bytes in a name: what Linux and EFS allow.
pub const NAME_BYTES_MAX: usize = 255;
/// Bytes in the target of a symbolic link: `PATH_MAX` of Linux less its NUL.
pub const SYMLINK_BYTES_MAX: usize = 4095;
/// Hard links to one inode, as ext4 has it; fits the `u32` of NFS and the `u16` of old tools.
pub const LINKS_MAX: u32 = 65_000;
/// Bytes in a file: 47.9 TiB, the limit of EFS.
pub const FILE_SIZE_MAX: u64 = 52_673_613_135_872;
/// Bytes of the largest block, and of a slot: a content is a row of slots of this size, and no block crosses from one into the
/// next. A random read of 4 KiB opens at most this much.
pub const BLOCK_BYTES: u64 = 64 * 1024;
/// Bytes of a unit: where blocks may start, and what a block holds where a file is written at random. The page of the clients, so that
/// a random write of theirs touches one block.
pub const UNIT_BYTES: u64 = 4096;
/// Bytes that `df` shows as the size of a file system: as EFS does, 2^63 bytes less 1 MiB.
pub const FILE_SYSTEM_BYTES: u64 = (1 << 63) - (1 << 20);
/// Files that `df -i` shows as the size of a file system: nothing ends there, but a client wants a number.
pub const FILE_SYSTEM_FILES: u64 = 1 << 50;
/// Bytes in one read or write: what the Linux client sends at most.
pub const TRANSFER_BYTES_MAX: usize = 1024 * 1024;
/// Bytes of the smallest journal file: large enough for a record of [`RECORD_BYTES_MAX`].
pub const JOURNAL_FILE_BYTES_MIN: u64 = 4 * 1024 * 1024;
/// Journal files within the journal's budget: with sixteen, trimming gives room back in steps of a sixteenth, and a file of the
/// default budget is 32 MiB to make anew.
pub const JOURNAL_FILES: u64 = 16;
/// Bytes of one journal record, that is of all keys and values that one transaction changes and about 16 for each of them. It fits
/// the smallest journal file, whatever the budget is, and takes the content of one largest transfer with room to spare, or the deletion of all
/// pieces that a slot can have, one for each of its bytes, behind what was enough for a record before.
pub const RECORD_BYTES_MAX: usize = 4 * 1024 * 1024 - 64 * 1024;
/// Bytes of records that one journal write carries, unless a single record is larger: more would only add latency.
pub const JOURNAL_FRAME_BYTES: usize = 1024 * 1024;
/// Bytes of entries in one sealed chunk of a checkpoint file: the unit that a merge holds in memory for each file, and that a key is
/// looked for in while the index is built anew.
pub const CHECKPOINT_CHUNK_BYTES: usize = 16 * 1024;
/// Bytes of one node of the tree of a checkpoint file: some 350 chunks, so that two levels lead to 2 GB of entries.
pub const CHECKPOINT_NODE_BYTES: usize = 16 * 1024;
/// Bytes of a large file that are written before they are synced: the journal's own writes wait while the disk takes more at once.
pub const SYNC_BYTES: u64 = 4 * 1024 * 1024;
/// Delta checkpoints beside the base, before they are merged into one: a look-up without the index may read each of them, and each is an open file of
/// it, of a merge and of the building of the index.
pub const DELTAS_MAX: usize = 16;
/// Bytes of deltas that are not worth rewriting the base for.
pub const DELTA_BYTES_KEPT: u64 = 64 * 1024 * 1024;
/// Entries in one batch of the index: sled holds a batch in memory more than once.
pub const INDEX_BATCH_ENTRIES: usize = 4096;
/// Bytes of keys and values that the index takes in before it waits for sled to write them: sled writes a multiple of it, and may stand
/// still for good with eight of its buffers of 512 KiB under way (see `metadata::index::sled_store`).
pub const INDEX_BATCH_BYTES: usize = 128 * 1024;
/// Bytes that are sealed anew in a second after the rotation of a key: far below what a disk gives, so that users do not notice.
pub const RESEAL_BYTES_PER_SECOND: u64 = 64 * 1024 * 1024;
/// Data keys in one file system at a time: one that seals, and those that a rotation under way still needs. More rotations at once
/// only make the re-sealing start over.
pub const KEY_GENERATIONS_MAX: usize = 16;
/// Bytes in a key file or in the file of a passphrase: a hundred times what either needs, so that another file is not taken for one.
pub const SECRET_FILE_BYTES_MAX: u64 = 64 * 1024;
/// Files that a verification names for one finding: a packed segment may hit tens of thousands, and nobody reads more.
pub const FINDING_FILES_MAX: usize = 1000;
/// Directories above a file that a verification names: twice what a path of `PATH_MAX` of Linux can have. A deeper file is named by its inode.
pub const NAMED_DEPTH_MAX: usize = 4096;
/// Files that one line of the status names: a line is for a glance, the log and `tidefs verify` have all of them.
pub const STATUS_FILES_NAMED: usize = 5;
/// Files whose damage a read has met that are remembered, the last ones: for one that was forgotten the log has another line.
pub const DAMAGED_FILES_KEPT: usize = 64;
/// Segments whose damage the scrub remembers between starts; with more it is the disk that is lost, and no list helps.
pub const DAMAGED_SEGMENTS_KEPT: usize = 100;
/// Bytes of the names of files that the scrub remembers for one segment, as they are in its note, which has to be one record.
pub const DAMAGED_NAMES_BYTES_MAX: usize = 32 * 1024;
/// Bytes of a bundle of the index, the unit that is opened for a look-up and sealed for a change: a dozen entries. Larger ones
/// make the index smaller in memory and faster to start, and random changes dearer.
pub const INDEX_BUNDLE_BYTES: usize = 2 * 1024;

const _: () = assert!(RECORD_BYTES_MAX as u64 + 2 * 4096 + 64 <= JOURNAL_FILE_BYTES_MIN);
const _: () = assert!(RECORD_BYTES_MAX > TRANSFER_BYTES_MAX + TRANSFER_BYTES_MAX / 2);
const _: () = assert!(RECORD_BYTES_MAX > FLUSH_BYTES_ENOUGH + BLOCK_BYTES as usize * PIECE_DELETION_BYTES);
const _: () = assert!(DAMAGED_SEGMENTS_KEPT * (DAMAGED_NAMES_BYTES_MAX + 1024) < RECORD_BYTES_MAX);
const _: () = assert!(FILE_SIZE_MAX.is_multiple_of(4096));
const _: () = assert!((TRANSFER_BYTES_MAX as u64).is_multiple_of(BLOCK_BYTES));
const _: () = assert!(BLOCK_BYTES.is_multiple_of(UNIT_BYTES) && UNIT_BYTES.is_multiple_of(512));
/// Extents, and pieces, that one record of a truncation may release: some 500 KiB of journal. Longer cuts take several records.
pub(crate) const TRUNCATE_ROWS_MAX: usize = 4096;
/// Bytes up to which a flush goes into the journal as pieces: one sync instead of two, at the price of writing twice.
pub(crate) const PIECE_FLUSH_BYTES_MAX: u64 = 128 * 1024;
/// Bytes of pieces in one record.
pub(crate) const RECORD_PIECE_BYTES_MAX: u64 = 1024 * 1024;
/// Extents that one record changes at most, except in a truncation: some 32 KiB of journal.
/// In tests it is a few, so that small files take several records, too.
pub(crate) const RECORD_EXTENTS_MAX: usize = if cfg!(test) { 3 } else { 256 };
/// Extents that one record of the upkeep changes at most: writers wait for each of these records, and folds and collections let them
/// go first in between. In tests as above.
pub(crate) const UPKEEP_EXTENTS_MAX: usize = if cfg!(test) { 3 } else { 32 };
/// Bytes at which a record that is still growing is committed, well below [`RECORD_BYTES_MAX`].
pub(crate) const RECORD_BYTES_ENOUGH: usize = 1024 * 1024;
/// The same in a flush, of which as much as possible should be in one record.
pub(crate) const FLUSH_BYTES_ENOUGH: usize = 1536 * 1024;
/// What the deletion of a piece takes in a record.
const PIECE_DELETION_BYTES: usize = 34;
/// Pieces in one block at which they are joined: small appends then stay one piece each block.
pub(crate) const BLOCK_PIECES_MAX: usize = 32;
/// Blocks in one append to a segment: 1,024 small ones.
pub(crate) const APPEND_BLOCKS_MAX: usize = 1024;
/// Bytes in one append to a segment, and in a batch of several, held in memory until they are synced: enough to hide the cost of a sync.
/// Sealed they are less than the 8 MiB from which on jemalloc gives memory back to the system at once, which then is cleared for the next one.
pub(crate) const APPEND_BYTES_MAX: u64 = 7 * 1024 * 1024;
/// Appends that a flush has under way: one being sealed, one being written, one waiting. Each holds its sealed bytes.
pub(crate) const APPENDS_AT_ONCE: usize = 3;
