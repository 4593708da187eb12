//! What survives a restart: which clients had state.
//!
//! # Format
//! A record is the note `nfs4/client/` and the client's owner (`co_ownerid`) in hexadecimal digits; of one of more than 128 bytes it is
//! `sha256-` and the digits of its SHA-256. It has a format byte, 1, and the client's verifier (`co_verifier`, 8 bytes). That a record is
//! there is all that a restart looks at.
//!
//! # Crash consistency
//! A client's record is a note of the file system. It is durable before the first OPEN or LOCK of the client is answered (rule
//! D5), and durably gone before anything that the client held is given to another one. See [`super::state::Grace`].

use std::sync::Arc;
use std::time::Duration;

use engine::{FileSystem, Ticket};
use sha2::{Digest, Sha256};

use super::ops::Failure;
use super::service::Service;
use super::state::{Client, RecordKey, Refused};
use super::status::Status;

/// The keys of the records that a former life of the server left.
pub(super) fn recorded(file_system: &FileSystem) -> engine::Result<Vec<RecordKey>> {
    Ok(file_system.notes(PREFIX)?.into_iter().map(|(key, _)| key).collect())
}

/// Where the record of a client is kept.
pub(super) fn record_key(owner: &[u8]) -> RecordKey {
    if owner.len() <= OWNER_BYTES_PLAIN_MAX {
        return format!("{PREFIX}{}", hex::encode(owner));
    }
    format!("{PREFIX}sha256-{}", hex::encode(Sha256::digest(owner)))
}

/// What is in it.
pub(super) fn record_value(verifier: [u8; 8]) -> Vec<u8> {
    [&[RECORD_VERSION], verifier.as_slice()].concat()
}

impl Service {
    /// Before the first state is granted to a client: what to wait for before that is answered.
    pub(super) async fn record_client(&self, client: &Client) -> engine::Result<Ticket> {
        if client.is_recorded() {
            return Ok(Ticket::nothing());
        }
        let value = record_value(client.verifier);
        self.export.file_system.set_note(&record_key(&client.owner), Some(&value)).await
    }

    /// The client is gone by its own will.
    pub(super) async fn forget_client(&self, client: &Client) -> engine::Result<Ticket> {
        let key = record_key(&client.owner);
        self.grace.lock().complete(&key);
        if client.is_recorded() {
            return self.export.file_system.set_note(&key, None).await;
        }
        Ok(Ticket::nothing())
    }

    /// Ends a client whose lease is over. When this returns, others may have what it held.
    pub(super) async fn expire_client(&self, client: &Arc<Client>) -> engine::Result<()> {
        self.clients.expire(client);
        self.forget_client(client).await?.durable().await?;
        self.files.release_client(client);
        tracing::info!(client = %hex::encode(&client.owner), "a client whose lease is over has lost its state");
        Ok(())
    }

    /// Something is held by another client. If his lease is over he gives way, and it can be tried again.
    pub(super) async fn give_way(&self, refused: Refused) -> Result<(), Failure> {
        match refused {
            Refused::Status(status) => Err(status.into()),
            Refused::Held { by, .. } if by.idle(self.now()) > self.lease => {
                Ok(self.expire_client(&by).await?)
            }
            Refused::Held { status, denied, .. } => Err(Failure { status, denied }),
        }
    }

    /// Whether a reclaim of this client is in order now.
    pub(super) fn check_reclaim(&self, client: &Client) -> Result<(), Status> {
        if client.is_reclaim_complete() || !self.in_grace() {
            return Err(Status::NO_GRACE);
        }
        let key = record_key(&client.owner);
        let mut grace = self.grace.lock();
        if !grace.may_reclaim(&key) {
            return Err(Status::RECLAIM_BAD);
        }
        grace.reclaimed(&key);
        drop(grace);
        client.set_recorded();
        Ok(())
    }

    /// Whether a client may get new state now.
    pub(super) fn check_no_grace(&self, client: &Client) -> Result<(), Status> {
        match self.in_grace() || !client.is_reclaim_complete() {
            true => Err(Status::GRACE),
            false => Ok(()),
        }
    }

    /// What time brings: the end of the grace period and of clients. To be called about once in a second.
    pub(crate) async fn tick(&self) -> engine::Result<()> {
        let now = self.now();
        let ended = self.grace.lock().poll(now);
        if let Some(dropped) = ended {
            if let Err(error) = self.drop_unreclaimed(&dropped).await {
                self.grace.lock().failed();
                return Err(error);
            }
            self.end_grace();
            tracing::info!(not_reclaimed = dropped.len(), "the grace period is over");
        }
        for client in self.clients.overdue(now) {
            self.expire_client(&client).await?;
        }
        Ok(())
    }

    async fn drop_unreclaimed(&self, records: &[RecordKey]) -> engine::Result<()> {
        let mut ticket = Ticket::nothing();
        for key in records {
            ticket = ticket.merge(self.export.file_system.set_note(key, None).await?);
        }
        ticket.durable().await?;
        self.export.file_system.release_orphans().await
    }

    /// How long until [`Service::tick`] is of use again.
    pub(crate) const TICK: Duration = Duration::from_millis(500);
}

const PREFIX: &str = "nfs4/client/";
const RECORD_VERSION: u8 = 1;
/// Longer names of clients are hashed, so that the key of a note stays short.
const OWNER_BYTES_PLAIN_MAX: usize = 128;

#[cfg(test)]
mod tests;
