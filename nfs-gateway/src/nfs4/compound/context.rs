//! What the operations of a compound share.

use std::sync::Arc;

use engine::{Attributes, Credential, FileKind, FileSystem, InodeId, Pending, Ticket};

use crate::broken::breaks_d5;
use crate::export::AccessMode;
use crate::nfs4::service::{ConnectionState, Service};
use crate::nfs4::state::{Client, Session, Stateid};
use crate::nfs4::status::Status;
use crate::rpc::{Call, Principal};
use crate::xdr::Reader;

/// The file of a handle.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    /// As they were when the handle was set, or newer.
    pub(crate) attributes: Attributes,
    /// Whether nothing was done since.
    pub(crate) fresh: bool,
    /// The stateid that goes with the handle.
    pub(crate) stateid: Option<Stateid>,
}

/// A compound in execution.
pub(crate) struct Compound<'a> {
    /// The program.
    pub(crate) service: &'a Service,
    /// The connection it came over.
    pub(crate) connection: &'a ConnectionState,
    /// Stands at the arguments of the operation.
    pub(crate) args: Reader,
    /// Under which identity it runs.
    pub(crate) who: Credential,
    /// Who asks, before squashing.
    pub(crate) principal: Principal,
    /// Set by SEQUENCE.
    pub(crate) session: Option<Arc<Session>>,
    /// The current file handle.
    pub(crate) current: Option<Node>,
    /// The saved file handle.
    pub(crate) saved: Option<Node>,
    /// Whether the operation is the last one.
    pub(crate) is_last: bool,
    /// What to wait for before the reply.
    pub(crate) ticket: Ticket,
    new_ticket: bool,
    /// The client whose record becomes durable with the ticket.
    to_record: Option<Arc<Client>>,
}

impl<'a> Compound<'a> {
    /// Before its first operation.
    pub(super) fn new(service: &'a Service, call: Call, connection: &'a ConnectionState) -> Compound<'a> {
        Compound {
            who: service.export.identity.apply(&call.credentials),
            principal: call.credentials.principal(),
            args: call.arguments,
            service,
            connection,
            session: None,
            current: None,
            saved: None,
            is_last: false,
            ticket: Ticket::nothing(),
            new_ticket: false,
            to_record: None,
        }
    }

    /// SEQUENCE has succeeded.
    pub(super) fn enter(&mut self, session: Arc<Session>) {
        self.session = Some(session);
    }

    /// The file system.
    pub(crate) fn file_system(&self) -> &'a FileSystem {
        &self.service.export.file_system
    }

    /// The client of the session.
    pub(crate) fn client(&self) -> Result<Arc<Client>, Status> {
        self.session.as_ref().map(|session| Arc::clone(&session.client)).ok_or(Status::OP_NOT_IN_SESSION)
    }

    /// The file of the current handle.
    pub(crate) fn current(&self) -> Result<&Node, Status> {
        self.current.as_ref().ok_or(Status::NOFILEHANDLE)
    }

    /// Its inode.
    pub(crate) fn inode(&self) -> Result<InodeId, Status> {
        self.current().map(|node| node.attributes.inode)
    }

    /// Its attributes of now.
    pub(crate) fn attributes(&mut self) -> Result<Attributes, Status> {
        let node = self.current.as_mut().ok_or(Status::NOFILEHANDLE)?;
        if !node.fresh {
            node.attributes = self.service.export.file_system.attributes(node.attributes.inode)?;
            node.fresh = true;
        }
        Ok(node.attributes.clone())
    }

    /// The inode of the current handle, which must be a directory.
    pub(crate) fn directory(&self) -> Result<InodeId, Status> {
        directory_of(self.current()?)
    }

    /// The inode of the saved handle.
    pub(crate) fn saved(&self) -> Result<&Node, Status> {
        self.saved.as_ref().ok_or(Status::NOFILEHANDLE)
    }

    /// Makes a file the current one; the stateid goes.
    pub(crate) fn set_current(&mut self, attributes: Attributes) {
        self.current = Some(Node { attributes, fresh: true, stateid: None });
    }

    /// The stateid of an operation, which may refer to the current one.
    pub(crate) fn stateid(&self, given: Stateid) -> Result<Stateid, Status> {
        match given.is_current() {
            true => self.current()?.stateid.ok_or(Status::BAD_STATEID),
            false => Ok(given),
        }
    }

    /// Reads a stateid, which may refer to the current one.
    pub(crate) fn decode_stateid(&mut self) -> Result<Stateid, Status> {
        let given = Stateid::decode(&mut self.args)?;
        self.stateid(given)
    }

    /// Sets the current stateid.
    pub(crate) fn set_stateid(&mut self, stateid: Stateid) {
        if let Some(node) = &mut self.current {
            node.stateid = Some(stateid);
        }
    }

    /// Attributes may have changed.
    pub(crate) fn touched(&mut self) {
        for node in [&mut self.current, &mut self.saved].into_iter().flatten() {
            node.fresh = false;
        }
    }

    /// Whether changes are allowed here.
    pub(crate) fn check_writable(&self) -> Result<(), Status> {
        match self.service.export.access {
            AccessMode::ReadWrite => Ok(()),
            AccessMode::ReadOnly => Err(Status::ROFS),
        }
    }

    /// Takes the value of a change, whose durability the reply waits for.
    pub(crate) fn promise<T>(&mut self, pending: Pending<T>) -> T {
        let (value, ticket) = pending.into_parts();
        self.wait_for(ticket);
        self.touched();
        value
    }

    /// The reply waits for this.
    pub(crate) fn wait_for(&mut self, ticket: Ticket) {
        let before = std::mem::replace(&mut self.ticket, Ticket::nothing());
        self.ticket = before.merge(ticket);
        self.new_ticket = true;
    }

    /// Whether there is something to wait for.
    pub(super) fn has_new_ticket(&self) -> bool {
        self.new_ticket
    }

    /// State is about to be granted to the client: its record must stand before that is answered (rule D5).
    pub(crate) async fn record(&mut self, client: &Arc<Client>) -> Result<(), Status> {
        if !client.is_recorded() {
            let ticket = self.service.record_client(client).await?;
            if !breaks_d5(&client.owner) {
                self.wait_for(ticket);
            }
            self.to_record = Some(Arc::clone(client));
        }
        Ok(())
    }

    /// The ticket is durable.
    pub(super) fn recorded(&self) {
        if let Some(client) = &self.to_record {
            client.set_recorded();
        }
    }
}

/// The inode of a directory.
pub(crate) fn directory_of(node: &Node) -> Result<InodeId, Status> {
    match node.attributes.kind {
        FileKind::Directory => Ok(node.attributes.inode),
        FileKind::Symlink => Err(Status::SYMLINK),
        _ => Err(Status::NOTDIR),
    }
}
