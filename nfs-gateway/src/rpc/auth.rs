//! Credentials: AUTH_NONE and AUTH_SYS (RFC 5531 §8.1, appendix A).

use bytes::Bytes;

use super::message::AuthStatus;
use crate::xdr::{Reader, XdrError};

/// Who a call says it comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Credentials {
    /// Nobody in particular.
    None,
    /// A user of the client.
    System {
        /// User.
        uid: u32,
        /// Primary group.
        gid: u32,
        /// Supplementary groups, 16 at most.
        groups: Vec<u32>,
    },
    /// A probe for RPC over TLS (RFC 9289), allowed with the NULL procedure only.
    TlsProbe,
}

/// Who owns a client record: what must be the same for the record to be changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Principal {
    /// AUTH_NONE.
    Nobody,
    /// AUTH_SYS, before any squashing.
    User {
        /// User.
        uid: u32,
        /// Primary group.
        gid: u32,
    },
}

impl Credentials {
    /// Reads the credential and the verifier of a call.
    pub(super) fn decode(reader: &mut Reader) -> Result<Result<Credentials, AuthStatus>, XdrError> {
        let flavor = reader.u32()?;
        let body = reader.opaque(AUTH_BYTES_MAX)?;
        let verifier = reader.u32()?;
        let verifier_body = reader.opaque(AUTH_BYTES_MAX)?;
        Ok(match flavor {
            AUTH_NONE => Ok(Credentials::None),
            AUTH_SYS => decode_system(body).map_err(|_| AuthStatus::BadCredential),
            AUTH_TLS if !body.is_empty() => Err(AuthStatus::BadCredential),
            AUTH_TLS if verifier != AUTH_NONE || !verifier_body.is_empty() => Err(AuthStatus::BadVerifier),
            AUTH_TLS => Ok(Credentials::TlsProbe),
            // RPCSEC_GSS too: what is not served is a bad credential, so that the client tries another flavor.
            _ => Err(AuthStatus::BadCredential),
        })
    }

    /// The owner of client records made by this caller.
    pub(crate) fn principal(&self) -> Principal {
        match self {
            Credentials::System { uid, gid, .. } => Principal::User { uid: *uid, gid: *gid },
            Credentials::None | Credentials::TlsProbe => Principal::Nobody,
        }
    }
}

fn decode_system(body: Bytes) -> Result<Credentials, XdrError> {
    let mut reader = Reader::new(body);
    let _stamp = reader.u32()?;
    let _machine = reader.opaque(MACHINE_NAME_BYTES_MAX)?;
    let uid = reader.u32()?;
    let gid = reader.u32()?;
    let count = reader.count(GROUPS_MAX)?;
    let groups = (0..count).map(|_| reader.u32()).collect::<Result<Vec<_>, _>>()?;
    reader.end()?;
    Ok(Credentials::System { uid, gid, groups })
}

pub(crate) const AUTH_NONE: u32 = 0;
pub(crate) const AUTH_SYS: u32 = 1;
const AUTH_TLS: u32 = 7;
/// RFC 5531 §8.2.
const AUTH_BYTES_MAX: usize = 400;
/// RFC 5531, appendix A.
pub(crate) const MACHINE_NAME_BYTES_MAX: usize = 255;
/// The same: of a user who is in more groups a client names only so many.
pub(crate) const GROUPS_MAX: usize = 16;
