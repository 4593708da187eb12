//! The numbers of the operations, and which of them a minor version has.

macro_rules! operations {
    ($($name:ident = $value:literal since $minor:literal),* $(,)?) => {
        /// `nfs_opnum4` with the names and numbers of RFC 8881 §16.2 and RFC 7862.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[expect(clippy::upper_case_acronyms, non_camel_case_types, reason = "as in the RFC, in one table")]
        pub(crate) enum Operation { $($name = $value),* }

        impl Operation {
            /// The operation of that number, if the minor version has it; if not, it is illegal there.
            pub(crate) fn decode(number: u32, minor: MinorVersion) -> Option<Operation> {
                let (operation, since) = match number {
                    $($value => (Operation::$name, $minor),)*
                    _ => return None,
                };
                (minor.0 >= since).then_some(operation)
            }
        }
    };
}

/// A minor version of NFS version 4.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct MinorVersion(pub(crate) u32);

impl MinorVersion {
    /// NFSv4.1, the only one that is served.
    pub(crate) const ONE: MinorVersion = MinorVersion(1);
}

operations! {
    ACCESS = 3 since 0, CLOSE = 4 since 0, COMMIT = 5 since 0, CREATE = 6 since 0, DELEGPURGE = 7 since 0,
    DELEGRETURN = 8 since 0, GETATTR = 9 since 0, GETFH = 10 since 0, LINK = 11 since 0, LOCK = 12 since 0,
    LOCKT = 13 since 0, LOCKU = 14 since 0, LOOKUP = 15 since 0, LOOKUPP = 16 since 0, NVERIFY = 17 since 0,
    OPEN = 18 since 0, OPENATTR = 19 since 0, OPEN_CONFIRM = 20 since 0, OPEN_DOWNGRADE = 21 since 0, PUTFH = 22 since 0,
    PUTPUBFH = 23 since 0, PUTROOTFH = 24 since 0, READ = 25 since 0, READDIR = 26 since 0, READLINK = 27 since 0,
    REMOVE = 28 since 0, RENAME = 29 since 0, RENEW = 30 since 0, RESTOREFH = 31 since 0, SAVEFH = 32 since 0,
    SECINFO = 33 since 0, SETATTR = 34 since 0, SETCLIENTID = 35 since 0, SETCLIENTID_CONFIRM = 36 since 0,
    VERIFY = 37 since 0, WRITE = 38 since 0, RELEASE_LOCKOWNER = 39 since 0, BACKCHANNEL_CTL = 40 since 1,
    BIND_CONN_TO_SESSION = 41 since 1, EXCHANGE_ID = 42 since 1, CREATE_SESSION = 43 since 1, DESTROY_SESSION = 44 since 1,
    FREE_STATEID = 45 since 1, GET_DIR_DELEGATION = 46 since 1, GETDEVICEINFO = 47 since 1, GETDEVICELIST = 48 since 1,
    LAYOUTCOMMIT = 49 since 1, LAYOUTGET = 50 since 1, LAYOUTRETURN = 51 since 1, SECINFO_NO_NAME = 52 since 1,
    SEQUENCE = 53 since 1, SET_SSV = 54 since 1, TEST_STATEID = 55 since 1, WANT_DELEGATION = 56 since 1,
    DESTROY_CLIENTID = 57 since 1, RECLAIM_COMPLETE = 58 since 1, ALLOCATE = 59 since 2, COPY = 60 since 2,
    COPY_NOTIFY = 61 since 2, DEALLOCATE = 62 since 2, IO_ADVISE = 63 since 2, LAYOUTERROR = 64 since 2,
    LAYOUTSTATS = 65 since 2, OFFLOAD_CANCEL = 66 since 2, OFFLOAD_STATUS = 67 since 2, READ_PLUS = 68 since 2,
    SEEK = 69 since 2, WRITE_SAME = 70 since 2, CLONE = 71 since 2, GETXATTR = 72 since 2, SETXATTR = 73 since 2,
    LISTXATTRS = 74 since 2, REMOVEXATTR = 75 since 2,
}

/// What an illegal operation is answered with in place of its number.
pub(crate) const OP_ILLEGAL: u32 = 10_044;

impl Operation {
    /// Whether it may stand first in a compound that has no SEQUENCE (RFC 8881 §2.10.2), alone.
    pub(crate) fn stands_alone(self) -> bool {
        matches!(
            self,
            Operation::EXCHANGE_ID
                | Operation::CREATE_SESSION
                | Operation::BIND_CONN_TO_SESSION
                | Operation::DESTROY_SESSION
                | Operation::DESTROY_CLIENTID
        )
    }

    /// The bytes that its result needs at least to be worth executing: enough for any result of an operation that changes
    /// something, so that no change is made whose result does not fit. Results of the others may turn out too long later.
    pub(crate) fn result_bytes(self) -> usize {
        match self {
            Operation::OPEN => 96,
            // A denied lock names the owner of the other one.
            Operation::LOCK => 64,
            Operation::CREATE | Operation::SETATTR => 48,
            Operation::REMOVE | Operation::LINK => 32,
            Operation::RENAME => 52,
            _ => 24,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minor_version_has_its_own_operations() {
        assert_eq!(Operation::decode(53, MinorVersion::ONE), Some(Operation::SEQUENCE));
        assert_eq!(Operation::decode(59, MinorVersion::ONE), None);
        assert_eq!(Operation::decode(59, MinorVersion(2)), Some(Operation::ALLOCATE));
        for unknown in [0, 1, 2, 76, OP_ILLEGAL, u32::MAX] {
            assert_eq!(Operation::decode(unknown, MinorVersion(2)), None);
        }
    }
}
