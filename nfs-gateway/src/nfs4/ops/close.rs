//! CLOSE, OPEN_DOWNGRADE.

use super::OpResult;
use crate::nfs4::compound::Compound;
use crate::nfs4::state::{Share, Stateid};
use crate::nfs4::status::Status;
use crate::xdr::Writer;

impl Compound<'_> {
    pub(super) fn close(&mut self, out: &mut Writer) -> OpResult {
        let _sequence = self.args.u32()?;
        let stateid = self.decode_stateid()?;
        let inode = self.inode()?;
        self.service.files.close(inode, &stateid, &*self.client()?)?;
        if let Some(node) = &mut self.current {
            node.stateid = None;
        }
        Stateid::INVALID.encode(out);
        Ok(())
    }

    pub(super) fn open_downgrade(&mut self, out: &mut Writer) -> OpResult {
        let stateid = self.decode_stateid()?;
        let _sequence = self.args.u32()?;
        let share = decode_share(self.args.u32()?, self.args.u32()?)?;
        let (inode, client) = (self.inode()?, self.client()?);
        let stateid = self.service.files.downgrade(inode, &stateid, client.id, share)?;
        self.set_stateid(stateid);
        stateid.encode(out);
        Ok(())
    }
}

/// The bits of `share_access` and `share_deny` that count; what is wanted of delegations is above them.
pub(super) fn decode_share(access: u32, deny: u32) -> Result<Share, Status> {
    if access & !(ACCESS_BITS | WANT_BITS) != 0 || deny & !DENY_BITS != 0 || access & ACCESS_BITS == 0 {
        return Err(Status::INVAL);
    }
    let low = |bits: u32| u8::try_from(bits & 3).map_err(|_| Status::INVAL);
    Ok(Share { access: low(access)?, deny: low(deny)? })
}

const ACCESS_BITS: u32 = 0x3;
const DENY_BITS: u32 = 0x3;
/// OPEN4_SHARE_ACCESS_WANT_*, with the two bits for signals.
const WANT_BITS: u32 = 0x3_ff00;
