//! SECINFO, SECINFO_NO_NAME.

use engine::Entry;

use super::OpResult;
use crate::nfs4::compound::Compound;
use crate::nfs4::name::decode_name;
use crate::nfs4::status::Status;
use crate::xdr::{Writer, XdrError};

impl Compound<'_> {
    pub(super) fn secinfo(&mut self, out: &mut Writer) -> OpResult {
        let name = decode_name(&mut self.args)?;
        let directory = self.directory()?;
        self.file_system().lookup(&self.who, Entry { directory, name: &name })?;
        self.encode_flavors(out);
        Ok(())
    }

    pub(super) fn secinfo_no_name(&mut self, out: &mut Writer) -> OpResult {
        match self.args.u32()? {
            CURRENT => {
                self.current()?;
            }
            PARENT if self.directory()? == self.service.export.root => return Err(Status::NOENT.into()),
            PARENT => {}
            other => return Err(XdrError::UnknownValue(other).into()),
        }
        self.encode_flavors(out);
        Ok(())
    }

    fn encode_flavors(&mut self, out: &mut Writer) {
        out.u32(2);
        out.u32(AUTH_SYS);
        out.u32(AUTH_NONE);
        // It takes the current handle away (RFC 8881 §18.29.3).
        self.current = None;
    }
}

const CURRENT: u32 = 0;
const PARENT: u32 = 1;
const AUTH_NONE: u32 = 0;
const AUTH_SYS: u32 = 1;
