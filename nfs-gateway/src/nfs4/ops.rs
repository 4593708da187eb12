//! The operations, one file per family. Each reads its arguments, acts, and writes the result that follows the status.

mod access;
mod attributes;
mod client;
mod close;
mod directory;
mod handle;
mod io;
mod lock;
mod lookup;
mod namespace;
mod open;
mod open_arguments;
mod security;
mod session;
mod stateid;

use super::compound::Compound;
use super::operation::Operation;
use super::state::{Denied, LockKind, Refused};
use super::status::Status;
use crate::xdr::{Writer, XdrError};

/// Why an operation fails.
#[derive(Debug)]
pub(crate) struct Failure {
    /// The status.
    pub(crate) status: Status,
    /// With DENIED: what is in the way.
    pub(crate) denied: Option<Denied>,
}

type OpResult = Result<(), Failure>;

impl Compound<'_> {
    /// Executes an operation and writes its result.
    pub(super) async fn execute(&mut self, operation: Operation, out: &mut Writer) -> OpResult {
        match operation {
            Operation::ACCESS => self.access(out),
            Operation::CLOSE => self.close(out),
            Operation::COMMIT => self.commit(out).await,
            Operation::CREATE => self.create(out).await,
            Operation::GETATTR => self.getattr(out),
            Operation::GETFH => self.getfh(out),
            Operation::LINK => self.link(out).await,
            Operation::LOCK => self.lock(out).await,
            Operation::LOCKT => self.lockt().await,
            Operation::LOCKU => self.locku(out),
            Operation::LOOKUP => self.lookup(),
            Operation::LOOKUPP => self.lookupp(),
            Operation::NVERIFY => self.nverify(),
            Operation::OPEN => self.open(out).await,
            Operation::OPEN_DOWNGRADE => self.open_downgrade(out),
            Operation::PUTFH => self.putfh(),
            Operation::PUTPUBFH | Operation::PUTROOTFH => self.putrootfh(),
            Operation::READ => self.read(out).await,
            Operation::READDIR => self.readdir(out),
            Operation::READLINK => self.readlink(out),
            Operation::REMOVE => self.remove(out).await,
            Operation::RENAME => self.rename(out).await,
            Operation::RESTOREFH => self.restorefh(),
            Operation::SAVEFH => self.savefh(),
            Operation::SECINFO => self.secinfo(out),
            Operation::SECINFO_NO_NAME => self.secinfo_no_name(out),
            Operation::SETATTR => self.setattr(out).await,
            Operation::VERIFY => self.verify(),
            Operation::WRITE => self.write(out).await,
            Operation::BIND_CONN_TO_SESSION => self.bind_conn_to_session(out),
            Operation::EXCHANGE_ID => self.exchange_id(out),
            Operation::CREATE_SESSION => self.create_session(out),
            Operation::DESTROY_SESSION => self.destroy_session(),
            Operation::DESTROY_CLIENTID => self.destroy_clientid().await,
            Operation::RECLAIM_COMPLETE => self.reclaim_complete(),
            Operation::FREE_STATEID => self.free_stateid(),
            Operation::TEST_STATEID => self.test_stateid(out),
            Operation::SEQUENCE => Err(Status::SEQUENCE_POS.into()),
            // Those of 4.0 only, and those of pNFS, delegations, SSV and 4.2.
            Operation::DELEGPURGE
            | Operation::DELEGRETURN
            | Operation::OPENATTR
            | Operation::OPEN_CONFIRM
            | Operation::RENEW
            | Operation::SETCLIENTID
            | Operation::SETCLIENTID_CONFIRM
            | Operation::RELEASE_LOCKOWNER
            | Operation::BACKCHANNEL_CTL
            | Operation::GET_DIR_DELEGATION
            | Operation::GETDEVICEINFO
            | Operation::GETDEVICELIST
            | Operation::LAYOUTCOMMIT
            | Operation::LAYOUTGET
            | Operation::LAYOUTRETURN
            | Operation::SET_SSV
            | Operation::WANT_DELEGATION
            | Operation::ALLOCATE
            | Operation::COPY
            | Operation::COPY_NOTIFY
            | Operation::DEALLOCATE
            | Operation::IO_ADVISE
            | Operation::LAYOUTERROR
            | Operation::LAYOUTSTATS
            | Operation::OFFLOAD_CANCEL
            | Operation::OFFLOAD_STATUS
            | Operation::READ_PLUS
            | Operation::SEEK
            | Operation::WRITE_SAME
            | Operation::CLONE
            | Operation::GETXATTR
            | Operation::SETXATTR
            | Operation::LISTXATTRS
            | Operation::REMOVEXATTR => Err(Status::NOTSUPP.into()),
        }
    }
}

impl Failure {
    /// Writes the status and what follows it.
    pub(super) fn encode(&self, operation: u32, writer: &mut Writer) {
        writer.u32(self.status.number());
        if operation == Operation::SETATTR as u32 {
            // Nothing was set.
            writer.u32(0);
        }
        if let Some(denied) = &self.denied {
            writer.u64(denied.lock.range.first);
            writer.u64(denied.lock.range.length());
            writer.u32(match denied.lock.kind {
                LockKind::Read => 1,
                LockKind::Write => 2,
            });
            writer.u64(denied.client.0);
            writer.opaque(&denied.owner);
        }
    }
}

impl From<Status> for Failure {
    fn from(status: Status) -> Self {
        Failure { status, denied: None }
    }
}

impl From<XdrError> for Failure {
    fn from(error: XdrError) -> Self {
        Status::from(error).into()
    }
}

impl From<engine::Error> for Failure {
    fn from(error: engine::Error) -> Self {
        match error.kind() {
            engine::ErrorKind::Corrupt | engine::ErrorKind::Fatal => {
                tracing::error!(%error, "an operation failed")
            }
            engine::ErrorKind::Retry(_) => tracing::debug!(%error, "an operation has to wait"),
            engine::ErrorKind::Refused | engine::ErrorKind::NoSpace => {}
        }
        Status::from(error).into()
    }
}

impl From<Refused> for Failure {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Status(status) => status.into(),
            Refused::Held { status, denied, .. } => Failure { status, denied },
        }
    }
}

fn encode_change(out: &mut Writer, change: engine::DirectoryChange) {
    // The engine takes both under the directory's lock.
    out.bool(true);
    out.u64(change.before);
    out.u64(change.after);
}
