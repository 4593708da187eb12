//! TEST_STATEID, FREE_STATEID.

use super::OpResult;
use crate::nfs4::compound::Compound;
use crate::nfs4::limits::TEST_STATEIDS_MAX;
use crate::nfs4::state::Stateid;
use crate::nfs4::status::Status;
use crate::xdr::Writer;

impl Compound<'_> {
    pub(super) fn test_stateid(&mut self, out: &mut Writer) -> OpResult {
        let client = self.client()?;
        let count = self.args.count(TEST_STATEIDS_MAX)?;
        out.length(count);
        for _ in 0..count {
            let stateid = Stateid::decode(&mut self.args)?;
            let status = self.service.files.test(&stateid, &client).err().unwrap_or(Status::OK);
            out.u32(status.number());
        }
        Ok(())
    }

    pub(super) fn free_stateid(&mut self) -> OpResult {
        let given = Stateid::decode(&mut self.args)?;
        let stateid = match given.is_current() {
            true => self.stateid(given)?,
            false => given,
        };
        Ok(self.service.files.free(&stateid, &*self.client()?)?)
    }
}
