//! ONC RPC version 2 (RFC 5531) over TCP: record marking, call headers, credentials.

mod auth;
mod message;
mod record;

pub(crate) use auth::{Credentials, GROUPS_MAX, MACHINE_NAME_BYTES_MAX, Principal};
pub(crate) use message::{AcceptStatus, AuthStatus, Call, CallError, Rejection, accepted, rejected};
pub(crate) use record::{RecordError, Records};
