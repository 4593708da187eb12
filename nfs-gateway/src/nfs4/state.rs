//! The state of the protocol, without sockets, clocks or files: time and randomness are arguments.
//!
//! Locks are per session (slots), per client and per shard of files; no two of them are held together, except that a shard
//! of files may be held while a client's index of its states is taken.

mod client;
mod clients;
mod file;
mod files;
mod grace;
mod ranges;
mod session;
mod slots;
mod stateid;

pub(crate) use client::{Client, ClientId};
pub(crate) use clients::{Clients, CreateSession, ExchangeId, Registration};
pub(crate) use file::{Denied, LockOwner, LockRequest, Opening, Refused, Share};
pub(crate) use files::{Files, Intent, Permission};
pub(crate) use grace::{Grace, RecordKey};
pub(crate) use ranges::{LockKind, Range};
pub(crate) use session::{ChannelAttributes, Session, SessionId, SessionRequest};
pub(crate) use slots::{Acquired, CachedReply, SlotRequest};
pub(crate) use stateid::{Selector, Stateid};
