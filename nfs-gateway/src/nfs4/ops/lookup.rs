//! LOOKUP, LOOKUPP, READLINK.

use engine::{Entry, FileKind};

use super::OpResult;
use crate::nfs4::compound::Compound;
use crate::nfs4::name::decode_name;
use crate::nfs4::status::Status;
use crate::xdr::Writer;

impl Compound<'_> {
    pub(super) fn lookup(&mut self) -> OpResult {
        let name = decode_name(&mut self.args)?;
        let directory = self.directory()?;
        let found = self.file_system().lookup(&self.who, Entry { directory, name: &name })?;
        self.set_current(found);
        Ok(())
    }

    pub(super) fn lookupp(&mut self) -> OpResult {
        let directory = self.directory()?;
        if directory == self.service.export.root {
            return Err(Status::NOENT.into());
        }
        let parent = self.file_system().lookup_parent(&self.who, directory)?;
        self.set_current(parent);
        Ok(())
    }

    pub(super) fn readlink(&mut self, out: &mut Writer) -> OpResult {
        let attributes = &self.current()?.attributes;
        if attributes.kind != FileKind::Symlink {
            return Err(Status::WRONG_TYPE.into());
        }
        out.opaque(&self.file_system().read_link(attributes.inode)?);
        Ok(())
    }
}
