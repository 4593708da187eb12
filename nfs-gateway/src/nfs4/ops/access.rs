//! ACCESS: what the identity may do with a file, after squashing.

use engine::{Access, FileKind};

use super::OpResult;
use crate::export::AccessMode;
use crate::nfs4::compound::Compound;
use crate::nfs4::status::Status;
use crate::xdr::Writer;

/// A bit of ACCESS and the permissions that it stands for.
type Bit = (u32, Access);

const READ: u32 = 0x01;
const LOOKUP: u32 = 0x02;
const MODIFY: u32 = 0x04;
const EXTEND: u32 = 0x08;
const DELETE: u32 = 0x10;
const EXECUTE: u32 = 0x20;
const CHANGES: u32 = MODIFY | EXTEND | DELETE;

/// To change the entries of a directory one must also be able to search it.
const CHANGE_ENTRIES: Access = Access::WRITE.union(Access::EXECUTE);
const DIRECTORY: [Bit; 5] = [
    (READ, Access::READ),
    (LOOKUP, Access::EXECUTE),
    (MODIFY, CHANGE_ENTRIES),
    (EXTEND, CHANGE_ENTRIES),
    (DELETE, CHANGE_ENTRIES),
];
const OTHER: [Bit; 4] =
    [(READ, Access::READ), (MODIFY, Access::WRITE), (EXTEND, Access::WRITE), (EXECUTE, Access::EXECUTE)];

impl Compound<'_> {
    pub(super) fn access(&mut self, out: &mut Writer) -> OpResult {
        let asked = self.args.u32()?;
        let node = self.current()?;
        let bits: &[Bit] = if node.attributes.kind == FileKind::Directory { &DIRECTORY } else { &OTHER };
        let all = Access::READ.union(Access::WRITE).union(Access::EXECUTE);
        let mut permitted = self.file_system().access(&self.who, node.attributes.inode, all)?;
        if self.service.export.access == AccessMode::ReadOnly {
            permitted = Access::from_bits(u32::from(permitted.bits() & !Access::WRITE.bits()));
        }
        let known = bits.iter().filter(|(bit, _)| asked & bit != 0);
        let (supported, granted) = known.fold((0, 0), |(supported, granted), (bit, needed)| {
            (supported | bit, if permitted.contains(*needed) { granted | bit } else { granted })
        });
        debug_assert_eq!(granted & !supported, 0);
        debug_assert!(permitted.contains(Access::WRITE) || granted & CHANGES == 0);
        out.u32(supported);
        out.u32(granted);
        Ok(())
    }

    /// Whether data may be touched by the mode bits. The owner always may: he could change them, and may have opened the
    /// file before they were changed.
    pub(super) fn check_data_access(&mut self, wanted: Access) -> Result<(), Status> {
        let attributes = self.attributes()?;
        if attributes.uid == self.who.uid {
            return Ok(());
        }
        match self.file_system().access(&self.who, attributes.inode, wanted)?.contains(wanted) {
            true => Ok(()),
            false => Err(Status::ACCESS),
        }
    }
}
