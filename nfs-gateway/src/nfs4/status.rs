//! `nfsstat4`, and the one place where an error of the engine becomes one.

use engine::Error;

use crate::xdr::XdrError;

macro_rules! statuses {
    ($($name:ident = $value:literal),* $(,)?) => {
        /// `nfsstat4` with the numbers of RFC 8881 §15.1.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[expect(clippy::upper_case_acronyms, non_camel_case_types, dead_code, reason = "as in the RFC, in one table")]
        pub(crate) enum Status { $($name = $value),* }
    };
}

statuses! {
    OK = 0, PERM = 1, NOENT = 2, IO = 5, NXIO = 6, ACCESS = 13, EXIST = 17, XDEV = 18, NOTDIR = 20, ISDIR = 21, INVAL = 22,
    FBIG = 27, NOSPC = 28, ROFS = 30, MLINK = 31, NAMETOOLONG = 63, NOTEMPTY = 66, DQUOT = 69, STALE = 70,
    BADHANDLE = 10001, BAD_COOKIE = 10003, NOTSUPP = 10004, TOOSMALL = 10005, SERVERFAULT = 10006, BADTYPE = 10007,
    DELAY = 10008, SAME = 10009, DENIED = 10010, EXPIRED = 10011, LOCKED = 10012, GRACE = 10013, SHARE_DENIED = 10015,
    CLID_INUSE = 10017, RESOURCE = 10018, NOFILEHANDLE = 10020, MINOR_VERS_MISMATCH = 10021, STALE_CLIENTID = 10022,
    STALE_STATEID = 10023, OLD_STATEID = 10024, BAD_STATEID = 10025, BAD_SEQID = 10026, NOT_SAME = 10027, SYMLINK = 10029,
    RESTOREFH = 10030, ATTRNOTSUPP = 10032, NO_GRACE = 10033, RECLAIM_BAD = 10034, BADXDR = 10036, LOCKS_HELD = 10037,
    OPENMODE = 10038, BADOWNER = 10039, BADCHAR = 10040, BADNAME = 10041, BAD_RANGE = 10042, OP_ILLEGAL = 10044,
    BADSESSION = 10052, BADSLOT = 10053, COMPLETE_ALREADY = 10054, SEQ_MISORDERED = 10063, SEQUENCE_POS = 10064,
    REQ_TOO_BIG = 10065, REP_TOO_BIG = 10066, REP_TOO_BIG_TO_CACHE = 10067, RETRY_UNCACHED_REP = 10068,
    TOO_MANY_OPS = 10070, OP_NOT_IN_SESSION = 10071, CLIENTID_BUSY = 10074, SEQ_FALSE_RETRY = 10076, WRONG_TYPE = 10083,
    NOT_ONLY_OP = 10081,
}

impl Status {
    /// Its number on the wire.
    pub(crate) fn number(self) -> u32 {
        self as u32
    }
}

impl From<XdrError> for Status {
    fn from(_: XdrError) -> Self {
        Status::BADXDR
    }
}

impl From<Error> for Status {
    fn from(error: Error) -> Self {
        match error {
            Error::NotFound => Status::NOENT,
            Error::Stale => Status::STALE,
            Error::Exists => Status::EXIST,
            Error::NotDirectory => Status::NOTDIR,
            Error::IsDirectory => Status::ISDIR,
            Error::WrongType => Status::WRONG_TYPE,
            Error::NotEmpty => Status::NOTEMPTY,
            Error::AccessDenied => Status::ACCESS,
            Error::NotPermitted => Status::PERM,
            Error::NameTooLong { .. } => Status::NAMETOOLONG,
            Error::InvalidName => Status::BADNAME,
            Error::FileTooLarge => Status::FBIG,
            Error::TooManyLinks => Status::MLINK,
            Error::Invalid { .. } => Status::INVAL,
            Error::NoSpace => Status::NOSPC,
            // The client retries by itself until the store is back.
            Error::Unavailable { .. } => Status::DELAY,
            // Not ROFS: a client takes that for a property of the mount, while here a person has to look, and what was
            // written and not yet committed must be reported as lost, which EIO does at fsync and close.
            Error::Halted { .. } => Status::IO,
            Error::Corrupt { .. } => Status::IO,
            Error::Io { .. } => Status::IO,
            // A mounted file system does not answer so; if it does, the fault is the server's.
            Error::Open(_) => Status::SERVERFAULT,
        }
    }
}
