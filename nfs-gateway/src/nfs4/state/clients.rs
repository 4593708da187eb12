//! The table of clients and sessions: EXCHANGE_ID (RFC 8881 §18.35), CREATE_SESSION (§18.36) and what undoes them.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use engine::Epoch;
use parking_lot::{Mutex, RwLock};

use super::client::{Client, ClientId};
use super::session::{Session, SessionId, SessionRequest};
use crate::nfs4::limits;
use crate::nfs4::status::Status;
use crate::rpc::Principal;

/// All clients and sessions.
#[derive(Debug)]
pub(crate) struct Clients {
    epoch: Epoch,
    lease: Duration,
    table: Mutex<Table>,
    sessions: Vec<RwLock<HashMap<SessionId, Arc<Session>>>>,
}

#[derive(Debug, Default)]
struct Table {
    by_id: HashMap<ClientId, Arc<Client>>,
    by_owner: HashMap<Bytes, Records>,
    clients_made: u32,
    sessions_made: u32,
}

#[derive(Debug, Default)]
struct Records {
    confirmed: Option<Arc<Client>>,
    unconfirmed: Option<Arc<Client>>,
}

/// Whether EXCHANGE_ID is to make a record or to change one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Registration {
    /// Make one, if need be.
    New,
    /// EXCHGID4_FLAG_UPD_CONFIRMED_REC_A.
    Update,
}

/// The arguments of EXCHANGE_ID that count.
#[derive(Debug, Clone)]
pub(crate) struct ExchangeId {
    /// `co_ownerid`.
    pub(crate) owner: Bytes,
    /// `co_verifier`.
    pub(crate) verifier: [u8; 8],
    /// Who asks.
    pub(crate) principal: Principal,
    /// What for.
    pub(crate) registration: Registration,
}

/// The result of EXCHANGE_ID.
#[derive(Debug)]
pub(crate) struct Exchanged {
    /// The client's id.
    pub(crate) id: ClientId,
    /// The sequence number that CREATE_SESSION is to have.
    pub(crate) sequence: u32,
    /// Whether the record is confirmed.
    pub(crate) confirmed: bool,
    /// A client that has been replaced and whose states are to be released.
    pub(crate) replaced: Option<Arc<Client>>,
}

/// The arguments of CREATE_SESSION.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CreateSession {
    /// For whom.
    pub(crate) client: ClientId,
    /// Its sequence number.
    pub(crate) sequence: u32,
    /// Who asks.
    pub(crate) principal: Principal,
    /// What for.
    pub(crate) request: SessionRequest,
}

/// The session and what is granted; and the client's former life, whose states are to be released.
type SessionCreated = ((SessionId, SessionRequest), Option<Arc<Client>>);

impl Clients {
    /// An empty table.
    pub(crate) fn new(epoch: Epoch, lease: Duration) -> Clients {
        let sessions = (0..SHARDS).map(|_| RwLock::default()).collect();
        Clients { epoch, lease, table: Mutex::default(), sessions }
    }

    /// EXCHANGE_ID: the table of RFC 8881 §18.35.4.
    pub(crate) fn exchange_id(&self, asked: &ExchangeId, now: Duration) -> Result<Exchanged, Status> {
        let mut table = self.table.lock();
        let confirmed = table.by_owner.get(&asked.owner).and_then(|records| records.confirmed.clone());
        let replaced = match (asked.registration, confirmed) {
            (Registration::Update, None) => return Err(Status::NOENT),
            (Registration::Update, Some(client)) if client.principal != asked.principal => {
                return Err(Status::PERM);
            }
            (Registration::Update, Some(client)) if client.verifier != asked.verifier => {
                return Err(Status::NOT_SAME);
            }
            (Registration::Update, Some(client)) => return Ok(Exchanged::existing(&client)),
            (Registration::New, None) => None,
            (Registration::New, Some(client)) if client.principal != asked.principal => {
                let alive = client.idle(now) <= self.lease;
                if alive && (client.has_state() || client.has_sessions()) {
                    return Err(Status::CLID_INUSE);
                }
                Some(client)
            }
            (Registration::New, Some(client)) if client.verifier == asked.verifier => {
                return Ok(Exchanged::existing(&client));
            }
            // The client has been started anew; what it held goes when it confirms.
            (Registration::New, Some(_)) => None,
        };
        if let Some(client) = &replaced {
            self.remove(&mut table, client);
        }
        if table.by_id.len() >= limits::CLIENTS_MAX {
            return Err(Status::DELAY);
        }
        table.clients_made += 1;
        let id = ClientId(u64::from(self.epoch.0) << 32 | u64::from(table.clients_made));
        let client = Arc::new(Client::new(id, asked.owner.clone(), asked.verifier, asked.principal, now));
        table.by_id.insert(id, Arc::clone(&client));
        let former = table.by_owner.entry(asked.owner.clone()).or_default().unconfirmed.replace(client);
        if let Some(former) = former {
            table.by_id.remove(&former.id);
        }
        Ok(Exchanged { id, sequence: 1, confirmed: false, replaced })
    }

    /// CREATE_SESSION. `random` goes into the session's id.
    pub(crate) fn create_session(
        &self,
        asked: &CreateSession,
        random: [u8; 4],
        now: Duration,
    ) -> Result<SessionCreated, Status> {
        let granted = asked.request.negotiate()?;
        let mut table = self.table.lock();
        let client = table.by_id.get(&asked.client).cloned().ok_or(Status::STALE_CLIENTID)?;
        let mut slot = client.create.lock();
        if let Some(last) = &slot.last {
            if asked.sequence == slot.next.wrapping_sub(1) {
                return last.clone().map(|created| (created, None));
            }
        }
        if asked.sequence != slot.next {
            return Err(Status::SEQ_MISORDERED);
        }
        let result = self.create_in_order(&mut table, &client, asked, granted, random);
        slot.next = slot.next.wrapping_add(1);
        slot.last = Some(result.as_ref().map(|(created, _)| *created).map_err(|status| *status));
        client.renew(now);
        result
    }

    fn create_in_order(
        &self,
        table: &mut Table,
        client: &Arc<Client>,
        asked: &CreateSession,
        granted: SessionRequest,
        random: [u8; 4],
    ) -> Result<SessionCreated, Status> {
        if client.principal != asked.principal {
            return Err(Status::CLID_INUSE);
        }
        if client.sessions.lock().len() >= limits::SESSIONS_PER_CLIENT_MAX {
            return Err(Status::DELAY);
        }
        let former = self.confirm(table, client);
        table.sessions_made = table.sessions_made.wrapping_add(1);
        let mut id = [0; 16];
        let parts = [&client.id.0.to_be_bytes()[..], &table.sessions_made.to_be_bytes(), &random];
        for (place, byte) in id.iter_mut().zip(parts.into_iter().flatten()) {
            *place = *byte;
        }
        let session = Arc::new(Session::new(id, Arc::clone(client), granted));
        client.sessions.lock().push(id);
        if let Some(shard) = self.shard(&id) {
            shard.write().insert(id, session);
        }
        Ok(((id, granted), former))
    }

    /// Makes the record the confirmed one of its owner; the former one, if there is.
    fn confirm(&self, table: &mut Table, client: &Arc<Client>) -> Option<Arc<Client>> {
        let records = table.by_owner.entry(client.owner.clone()).or_default();
        let is_new = records.unconfirmed.as_ref().is_some_and(|record| record.id == client.id);
        if !is_new {
            return None;
        }
        let former = records.confirmed.take();
        if let Some(former) = &former {
            self.remove(table, former);
        }
        let records = table.by_owner.entry(client.owner.clone()).or_default();
        records.confirmed = Some(Arc::clone(client));
        records.unconfirmed = None;
        former
    }

    /// The session of that id.
    pub(crate) fn session(&self, id: &SessionId) -> Result<Arc<Session>, Status> {
        let shard = self.shard(id).ok_or(Status::BADSESSION)?;
        shard.read().get(id).cloned().ok_or(Status::BADSESSION)
    }

    /// DESTROY_SESSION. `own_requests` are those in execution on it that belong to the compound that asks.
    pub(crate) fn destroy_session(&self, id: &SessionId, own_requests: usize) -> Result<(), Status> {
        let session = self.session(id)?;
        if session.busy() > own_requests {
            return Err(Status::DELAY);
        }
        self.forget_session(id);
        session.client.sessions.lock().retain(|other| other != id);
        Ok(())
    }

    /// DESTROY_CLIENTID: the client that is gone.
    pub(crate) fn destroy_client(&self, id: ClientId) -> Result<Arc<Client>, Status> {
        let mut table = self.table.lock();
        let client = table.by_id.get(&id).cloned().ok_or(Status::STALE_CLIENTID)?;
        if client.has_sessions() || client.has_state() {
            return Err(Status::CLIENTID_BUSY);
        }
        self.remove(&mut table, &client);
        Ok(client)
    }

    /// Ends a client with its sessions. Its states are released by [`super::Files::release_client`].
    pub(crate) fn expire(&self, client: &Arc<Client>) {
        self.remove(&mut self.table.lock(), client);
    }

    /// The client of that id.
    pub(crate) fn client(&self, id: ClientId) -> Option<Arc<Client>> {
        self.table.lock().by_id.get(&id).cloned()
    }

    /// Those whose time is over: with nothing to lose after a lease, with states after the courtesy.
    pub(crate) fn overdue(&self, now: Duration) -> Vec<Arc<Client>> {
        let table = self.table.lock();
        let is_overdue = |client: &&Arc<Client>| {
            let idle = client.idle(now);
            idle > COURTESY || (idle > self.lease && !client.has_state())
        };
        table.by_id.values().filter(is_overdue).cloned().collect()
    }

    /// How many clients and sessions there are.
    pub(crate) fn counts(&self) -> (usize, usize) {
        let sessions = self.sessions.iter().map(|shard| shard.read().len()).sum();
        (self.table.lock().by_id.len(), sessions)
    }

    fn remove(&self, table: &mut Table, client: &Arc<Client>) {
        table.by_id.remove(&client.id);
        if let Some(records) = table.by_owner.get_mut(&client.owner) {
            for record in [&mut records.confirmed, &mut records.unconfirmed] {
                record.take_if(|record| record.id == client.id);
            }
            if records.confirmed.is_none() && records.unconfirmed.is_none() {
                table.by_owner.remove(&client.owner);
            }
        }
        for id in std::mem::take(&mut *client.sessions.lock()) {
            self.forget_session(&id);
        }
    }

    fn forget_session(&self, id: &SessionId) {
        let session = self.shard(id).and_then(|shard| shard.write().remove(id));
        if let Some(session) = session {
            session.destroy();
        }
    }

    fn shard(&self, id: &SessionId) -> Option<&RwLock<HashMap<SessionId, Arc<Session>>>> {
        let byte = id.last().copied().unwrap_or_default();
        self.sessions.get(usize::from(byte) % SHARDS)
    }
}

impl Exchanged {
    fn existing(client: &Client) -> Exchanged {
        let sequence = client.create.lock().next;
        Exchanged { id: client.id, sequence, confirmed: true, replaced: None }
    }
}

const SHARDS: usize = 16;
/// How long the states of a silent client are kept while nobody wants what it holds, as the Linux server does.
const COURTESY: Duration = Duration::from_secs(24 * 60 * 60);

#[cfg(test)]
mod tests;
