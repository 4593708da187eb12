//! Every limit of the gateway, each with its reason.

/// Bytes in one READ or WRITE: what the Linux client asks for at most.
pub(crate) const TRANSFER_BYTES_MAX: u32 = 1 << 20;
/// Bytes that a compound needs beside the payload: headers, credentials, the other operations.
const OVERHEAD_BYTES: u32 = 64 * 1024;
/// Bytes in a request or reply: one full transfer and its overhead.
pub(crate) const MESSAGE_BYTES_MAX: u32 = TRANSFER_BYTES_MAX + OVERHEAD_BYTES;
/// Bytes in a reply that is kept for a retry: with every slot full, a session keeps 8 MiB at most.
pub(crate) const CACHED_REPLY_BYTES_MAX: u32 = 8 * 1024;
/// Slots of a session: as many as the Linux client can use.
pub(crate) const SLOTS_MAX: u32 = 1024;
/// Operations in a compound. Linux needs 8 at least and sends about 10; pynfs some dozens.
pub(crate) const OPERATIONS_MAX: u32 = 128;
/// The smallest request or reply that holds RPC header, SEQUENCE and one small operation.
pub(crate) const MESSAGE_BYTES_MIN: u32 = 256;
/// Clients that are known at once; each costs some kilobytes with its sessions.
pub(crate) const CLIENTS_MAX: usize = 16_384;
/// Sessions of one client. Linux makes one; trunking tests some.
pub(crate) const SESSIONS_PER_CLIENT_MAX: usize = 64;
/// Opens and lock owners of one client on all files together: about 100 MiB of memory at most.
pub(crate) const STATES_PER_CLIENT_MAX: usize = 262_144;
/// Byte ranges that one lock owner holds on one file: changing them costs linear time.
pub(crate) const RANGES_PER_OWNER_MAX: usize = 16_384;
/// Bytes in the name of a client or of an owner (NFS4_OPAQUE_LIMIT).
pub(crate) const OPAQUE_BYTES_MAX: usize = 1024;
/// Bytes in a file handle (NFS4_FHSIZE).
pub(crate) const HANDLE_BYTES_MAX: usize = 128;
/// Bytes in the target of a symbolic link that are read: the engine refuses longer ones than its own limit with an error that says so.
pub(crate) const LINK_TEXT_BYTES_MAX: usize = 64 * 1024;
/// Algorithms that an EXCHANGE_ID with SSV names: a handful exist, and SSV is refused all the same.
pub(crate) const ALGORITHMS_MAX: usize = 32;
/// Flavors for callbacks that a CREATE_SESSION names: three exist, and there are no callbacks.
pub(crate) const CALLBACK_FLAVORS_MAX: usize = 16;
/// Bytes in the tag of a compound: nobody sends more than a word.
pub(crate) const TAG_BYTES_MAX: usize = 1024;
/// Words of an attribute bitmap: three are defined; a client from the future may send some more.
pub(crate) const BITMAP_WORDS_MAX: usize = 8;
/// Bytes of encoded attributes: far above the sum of all that can be set.
pub(crate) const ATTRIBUTES_BYTES_MAX: usize = 16 * 1024;
/// Stateids in one TEST_STATEID.
pub(crate) const TEST_STATEIDS_MAX: usize = 4096;
/// Entries that READDIR takes from the engine at once, so that no listing holds the directory for long.
pub(crate) const DIRECTORY_PAGE_ENTRIES_MAX: usize = 512;
/// Compounds of one connection that execute at once: one per slot of a session.
pub(crate) const IN_FLIGHT_PER_CONNECTION_MAX: usize = 1024;
/// Bytes of requests that one connection has in execution before no more is read from it.
pub(crate) const IN_FLIGHT_BYTES_MAX: usize = 64 << 20;
/// Bytes of replies that wait for a slow client before no more is read from it.
pub(crate) const UNSENT_BYTES_MAX: usize = 32 << 20;
/// Bytes asked of the socket at once: dozens of small requests, or a quarter of a large one.
pub(crate) const RECEIVE_BYTES: usize = 256 * 1024;

const _: () = assert!(OPERATIONS_MAX >= 8, "Linux refuses a session with fewer");
const _: () = assert!(TRANSFER_BYTES_MAX as usize <= engine::limits::TRANSFER_BYTES_MAX);
