//! CREATE_SESSION, BIND_CONN_TO_SESSION, DESTROY_SESSION.

use super::OpResult;
use crate::nfs4::compound::Compound;
use crate::nfs4::limits::{CALLBACK_FLAVORS_MAX, OPAQUE_BYTES_MAX};
use crate::nfs4::state::{ChannelAttributes, ClientId, CreateSession, SessionId, SessionRequest};
use crate::nfs4::status::Status;
use crate::rpc::{GROUPS_MAX, MACHINE_NAME_BYTES_MAX};
use crate::xdr::{Reader, Writer, XdrError};

impl Compound<'_> {
    pub(super) fn create_session(&mut self, out: &mut Writer) -> OpResult {
        let client = ClientId(self.args.u64()?);
        let sequence = self.args.u32()?;
        let flags = self.args.u32()?;
        let request = SessionRequest {
            flags,
            fore: decode_channel(&mut self.args)?,
            back: decode_channel(&mut self.args)?,
        };
        let _callback_program = self.args.u32()?;
        skip_callback_security(&mut self.args)?;
        let asked = CreateSession { client, sequence, principal: self.principal, request };
        let random = self.service.random();
        let clients = &self.service.clients;
        let ((id, granted), former) = clients.create_session(&asked, random, self.service.now())?;
        if let Some(former) = former {
            // The client has been started anew: what its former life held is gone with it.
            self.service.files.release_client(&former);
        }
        out.fixed(&id);
        out.u32(sequence);
        out.u32(granted.flags);
        encode_channel(out, &granted.fore);
        encode_channel(out, &granted.back);
        Ok(())
    }

    pub(super) fn bind_conn_to_session(&mut self, out: &mut Writer) -> OpResult {
        let id: SessionId = self.args.fixed()?;
        let asked = self.args.u32()?;
        let _rdma = self.args.bool()?;
        let session = self.service.clients.session(&id)?;
        if self.session.is_some() {
            return Err(Status::NOT_ONLY_OP.into());
        }
        let granted = match (asked, session.granted.has_back_channel()) {
            (FORE, _) => FORE,
            (BACK, true) => BACK,
            (FORE_OR_BOTH | BACK_OR_BOTH, true) => BOTH,
            (FORE_OR_BOTH, false) => FORE,
            (BACK | BACK_OR_BOTH, false) => return Err(Status::INVAL.into()),
            (other, _) => return Err(XdrError::UnknownValue(other).into()),
        };
        *self.connection.session.lock() = Some(session);
        out.fixed(&id);
        out.u32(granted);
        out.bool(false);
        Ok(())
    }

    pub(super) fn destroy_session(&mut self) -> OpResult {
        let id: SessionId = self.args.fixed()?;
        let is_own = self.session.as_ref().is_some_and(|session| session.id == id);
        if is_own && !self.is_last {
            return Err(Status::NOT_ONLY_OP.into());
        }
        self.service.clients.destroy_session(&id, usize::from(is_own))?;
        Ok(())
    }
}

fn decode_channel(reader: &mut Reader) -> Result<ChannelAttributes, XdrError> {
    let attributes = ChannelAttributes {
        header_pad: reader.u32()?,
        request_bytes_max: reader.u32()?,
        response_bytes_max: reader.u32()?,
        cached_bytes_max: reader.u32()?,
        operations_max: reader.u32()?,
        requests_max: reader.u32()?,
    };
    // The depth of an RDMA queue, if there is one.
    for _ in 0..reader.count(1)? {
        reader.u32()?;
    }
    Ok(attributes)
}

fn encode_channel(out: &mut Writer, channel: &ChannelAttributes) {
    for value in [
        channel.header_pad,
        channel.request_bytes_max,
        channel.response_bytes_max,
        channel.cached_bytes_max,
        channel.operations_max,
        channel.requests_max,
        0,
    ] {
        out.u32(value);
    }
}

/// `callback_sec_parms4<>`: there are no callbacks to secure.
fn skip_callback_security(reader: &mut Reader) -> Result<(), XdrError> {
    for _ in 0..reader.count(CALLBACK_FLAVORS_MAX)? {
        match reader.u32()? {
            AUTH_NONE => {}
            AUTH_SYS => {
                let _stamp = reader.u32()?;
                let _machine = reader.opaque(MACHINE_NAME_BYTES_MAX)?;
                let _user = (reader.u32()?, reader.u32()?);
                for _ in 0..reader.count(GROUPS_MAX)? {
                    reader.u32()?;
                }
            }
            RPCSEC_GSS => {
                let _service = reader.u32()?;
                let _handles = (reader.opaque(OPAQUE_BYTES_MAX)?, reader.opaque(OPAQUE_BYTES_MAX)?);
            }
            other => return Err(XdrError::UnknownValue(other)),
        }
    }
    Ok(())
}

const AUTH_NONE: u32 = 0;
const AUTH_SYS: u32 = 1;
const RPCSEC_GSS: u32 = 6;
/// `channel_dir_from_client4` and `channel_dir_from_server4`.
const FORE: u32 = 1;
const BACK: u32 = 2;
const BOTH: u32 = 3;
const FORE_OR_BOTH: u32 = 3;
const BACK_OR_BOTH: u32 = 7;
