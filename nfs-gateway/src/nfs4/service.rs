//! The NFS program on one export: what the transport sees.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use engine::{Environment, Epoch, Pin};
use parking_lot::Mutex;

use super::compound;
use super::handle::HandleCodec;
use super::recovery;
use super::state::{Clients, Files, Grace, Session};
use crate::export::Export;
use crate::rpc::{self, AcceptStatus, AuthStatus, Call, Credentials, Rejection};

/// The NFS program on one export.
pub(crate) struct Service {
    pub(super) export: Export,
    pub(super) environment: Environment,
    pub(super) lease: Duration,
    pub(super) epoch: Epoch,
    pub(super) handles: HandleCodec,
    pub(super) clients: Clients,
    pub(super) files: Files<Pin>,
    pub(super) grace: Mutex<Grace>,
    in_grace: AtomicBool,
    operations: AtomicU64,
}

/// What is remembered of a connection.
#[derive(Debug, Default)]
pub(crate) struct ConnectionState {
    /// The session that it used last: nearly always the one that it uses next.
    pub(super) session: Mutex<Option<Arc<Session>>>,
}

impl Service {
    /// Reads what a former life left, and starts the grace period if somebody had state.
    pub(crate) fn start(
        export: Export,
        environment: Environment,
        lease: Duration,
    ) -> engine::Result<Service> {
        let file_system = &export.file_system;
        let epoch = file_system.epoch();
        let recorded = recovery::recorded(file_system)?;
        let now = environment.clock.monotonic();
        let grace = Grace::start(recorded.into_iter().collect(), now, lease);
        Ok(Service {
            handles: HandleCodec::new(file_system.id(), &file_system.derive_secret("file-handle")),
            in_grace: AtomicBool::new(grace.is_active()),
            grace: Mutex::new(grace),
            clients: Clients::new(epoch, lease),
            files: Files::new(epoch),
            operations: AtomicU64::new(0),
            export,
            environment,
            lease,
            epoch,
        })
    }

    /// Answers a call.
    pub(crate) async fn call(&self, call: Call, connection: &ConnectionState) -> Vec<Bytes> {
        let xid = call.xid;
        let answer = |status| rpc::accepted(xid, status, Vec::new());
        if call.program != NFS_PROGRAM {
            return answer(AcceptStatus::ProgramUnavailable);
        }
        if call.version != NFS_VERSION {
            return answer(AcceptStatus::ProgramMismatch { only: NFS_VERSION });
        }
        match (call.procedure, &call.credentials) {
            (PROCEDURE_NULL, _) => answer(AcceptStatus::Success),
            (PROCEDURE_COMPOUND, Credentials::TlsProbe) => {
                rpc::rejected(xid, Rejection::Auth(AuthStatus::BadCredential))
            }
            (PROCEDURE_COMPOUND, _) => match compound::run(self, call, connection).await {
                Ok(results) => rpc::accepted(xid, AcceptStatus::Success, results),
                Err(_) => answer(AcceptStatus::GarbageArguments),
            },
            _ => answer(AcceptStatus::ProcedureUnavailable),
        }
    }

    /// Releases what was unlinked while it was open and is not open any more.
    pub(crate) async fn release_orphans(&self) -> engine::Result<()> {
        self.export.file_system.release_orphans().await
    }

    /// Time on the clock of leases.
    pub(super) fn now(&self) -> Duration {
        self.environment.clock.monotonic()
    }

    /// Unpredictable bytes.
    pub(super) fn random<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.environment.entropy.fill(&mut bytes);
        bytes
    }

    /// Whether only reclaims are accepted.
    pub(crate) fn in_grace(&self) -> bool {
        self.in_grace.load(Ordering::Acquire)
    }

    pub(super) fn end_grace(&self) {
        self.grace.lock().end();
        self.in_grace.store(false, Ordering::Release);
    }

    pub(super) fn count_operation(&self) {
        self.operations.fetch_add(1, Ordering::Relaxed);
    }

    /// Operations that were executed.
    pub(crate) fn operations(&self) -> u64 {
        self.operations.load(Ordering::Relaxed)
    }

    /// Clients and sessions.
    pub(crate) fn client_counts(&self) -> (usize, usize) {
        self.clients.counts()
    }

    /// Opens and locked ranges.
    pub(crate) fn file_counts(&self) -> (usize, usize) {
        self.files.counts()
    }
}

const NFS_PROGRAM: u32 = 100_003;
const NFS_VERSION: u32 = 4;
const PROCEDURE_NULL: u32 = 0;
const PROCEDURE_COMPOUND: u32 = 1;
