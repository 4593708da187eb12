//! PUTFH, PUTROOTFH, PUTPUBFH, GETFH, SAVEFH, RESTOREFH.

use super::OpResult;
use crate::nfs4::compound::Compound;
use crate::nfs4::limits::HANDLE_BYTES_MAX;
use crate::nfs4::status::Status;
use crate::xdr::Writer;

impl Compound<'_> {
    pub(super) fn putfh(&mut self) -> OpResult {
        let handle = self.args.opaque(HANDLE_BYTES_MAX)?;
        let (inode, generation) = self.service.handles.decode(&handle).ok_or(Status::BADHANDLE)?;
        let attributes = self.file_system().resolve(inode, generation)?;
        self.set_current(attributes);
        Ok(())
    }

    pub(super) fn putrootfh(&mut self) -> OpResult {
        let root = self.file_system().attributes(self.service.export.root)?;
        self.set_current(root);
        Ok(())
    }

    pub(super) fn getfh(&mut self, out: &mut Writer) -> OpResult {
        let attributes = &self.current()?.attributes;
        out.opaque(&self.service.handles.encode(attributes.inode, attributes.generation));
        Ok(())
    }

    pub(super) fn savefh(&mut self) -> OpResult {
        self.saved = Some(self.current()?.clone());
        Ok(())
    }

    pub(super) fn restorefh(&mut self) -> OpResult {
        self.current = Some(self.saved.clone().ok_or(Status::RESTOREFH)?);
        Ok(())
    }
}
