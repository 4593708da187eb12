//! EXCHANGE_ID, DESTROY_CLIENTID, RECLAIM_COMPLETE.

use super::OpResult;
use crate::nfs4::attributes::Bitmap;
use crate::nfs4::compound::Compound;
use crate::nfs4::limits::{ALGORITHMS_MAX, OPAQUE_BYTES_MAX};
use crate::nfs4::recovery::record_key;
use crate::nfs4::state::{ClientId, ExchangeId, Registration};
use crate::nfs4::status::Status;
use crate::xdr::{Reader, Writer, XdrError};

impl Compound<'_> {
    pub(super) fn exchange_id(&mut self, out: &mut Writer) -> OpResult {
        let verifier = self.args.fixed()?;
        let owner = self.args.opaque(OPAQUE_BYTES_MAX)?;
        let flags = self.args.u32()?;
        skip_state_protection(&mut self.args)?;
        skip_implementation(&mut self.args)?;
        if flags & !FLAGS_OF_CLIENTS != 0 {
            return Err(Status::INVAL.into());
        }
        let registration = match flags & FLAG_UPDATE {
            0 => Registration::New,
            _ => Registration::Update,
        };
        let asked = ExchangeId { owner, verifier, principal: self.principal, registration };
        let exchanged = self.service.clients.exchange_id(&asked, self.service.now())?;
        if let Some(replaced) = exchanged.replaced {
            self.service.files.release_client(&replaced);
        }
        let confirmed = if exchanged.confirmed { FLAG_CONFIRMED } else { 0 };
        out.u64(exchanged.id.0);
        out.u32(exchanged.sequence);
        out.u32(FLAG_NO_PNFS | confirmed);
        // No state protection, whatever was asked for.
        out.u32(0);
        // The same over restarts and on every address: this is how the client knows that it is the same server.
        let name = self.file_system().id().to_string();
        out.u64(0);
        out.opaque(name.as_bytes());
        out.opaque(name.as_bytes());
        out.u32(0);
        Ok(())
    }

    pub(super) async fn destroy_clientid(&mut self) -> OpResult {
        let id = ClientId(self.args.u64()?);
        let client = self.service.clients.destroy_client(id)?;
        self.service.files.release_client(&client);
        if client.is_recorded() {
            let ticket = self.service.forget_client(&client).await?;
            self.wait_for(ticket);
        }
        Ok(())
    }

    pub(super) fn reclaim_complete(&mut self) -> OpResult {
        let one_file_system = self.args.bool()?;
        let client = self.client()?;
        if one_file_system {
            // Of a file system that has moved; there are none, and the rest goes on.
            self.current()?;
            return Ok(());
        }
        client.complete_reclaim()?;
        self.service.grace.lock().complete(&record_key(&client.owner));
        Ok(())
    }
}

/// `state_protect4_a`: read and declined.
fn skip_state_protection(reader: &mut Reader) -> Result<(), XdrError> {
    let skip_operations = |reader: &mut Reader| -> Result<(), XdrError> {
        Bitmap::decode(reader)?;
        Bitmap::decode(reader).map(|_| ())
    };
    match reader.u32()? {
        0 => Ok(()),
        1 => skip_operations(reader),
        2 => {
            skip_operations(reader)?;
            for _algorithms in 0..2 {
                for _ in 0..reader.count(ALGORITHMS_MAX)? {
                    reader.opaque(OPAQUE_BYTES_MAX)?;
                }
            }
            let _window = reader.u32()?;
            reader.u32().map(|_handles| ())
        }
        other => Err(XdrError::UnknownValue(other)),
    }
}

/// `nfs_impl_id4<1>`.
fn skip_implementation(reader: &mut Reader) -> Result<(), XdrError> {
    for _ in 0..reader.count(1)? {
        let _domain = reader.opaque(OPAQUE_BYTES_MAX)?;
        let _name = reader.opaque(OPAQUE_BYTES_MAX)?;
        let _date = (reader.i64()?, reader.u32()?);
    }
    Ok(())
}

/// EXCHGID4_FLAG_SUPP_MOVED_REFER, _SUPP_MOVED_MIGR, _BIND_PRINC_STATEID, the pNFS roles and _UPD_CONFIRMED_REC_A.
const FLAGS_OF_CLIENTS: u32 = 0x0007_0103 | FLAG_UPDATE;
const FLAG_NO_PNFS: u32 = 0x0001_0000;
const FLAG_UPDATE: u32 = 0x4000_0000;
const FLAG_CONFIRMED: u32 = 0x8000_0000;
