//! READ, WRITE, COMMIT.

use bytes::Bytes;
use engine::{Access, ErrorKind, FileKind, Stability};

use super::{Failure, OpResult};
use crate::nfs4::compound::Compound;
use crate::nfs4::limits::TRANSFER_BYTES_MAX;
use crate::nfs4::state::{Intent, Permission};
use crate::nfs4::status::Status;
use crate::xdr::{Writer, XdrError};

/// `stable_how4`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stable {
    Unstable = 0,
    DataSync = 1,
    FileSync = 2,
}

impl Stable {
    fn decode(number: u32) -> Result<Stable, XdrError> {
        match number {
            0 => Ok(Stable::Unstable),
            1 => Ok(Stable::DataSync),
            2 => Ok(Stable::FileSync),
            other => Err(XdrError::UnknownValue(other)),
        }
    }
}

impl Compound<'_> {
    fn check_regular(&self) -> Result<(), Status> {
        match self.current()?.attributes.kind {
            FileKind::Regular => Ok(()),
            FileKind::Directory => Err(Status::ISDIR),
            FileKind::Symlink => Err(Status::SYMLINK),
            FileKind::Fifo | FileKind::Socket | FileKind::BlockDevice | FileKind::CharacterDevice => {
                Err(Status::WRONG_TYPE)
            }
        }
    }

    pub(super) async fn read(&mut self, out: &mut Writer) -> OpResult {
        let stateid = self.decode_stateid()?;
        let (offset, count) = (self.args.u64()?, self.args.u32()?);
        self.check_regular()?;
        if self.permit(&stateid, Intent::Read).await? == Permission::Mode {
            self.check_data_access(Access::READ)?;
        }
        // Nothing is beyond the largest file, and a range that reaches beyond all numbers is cut, not refused.
        let room = engine::limits::FILE_SIZE_MAX.saturating_sub(offset);
        let length = u64::from(count.min(TRANSFER_BYTES_MAX)).min(room);
        let length = usize::try_from(length).map_err(|_| Status::SERVERFAULT)?;
        let offset = offset.min(engine::limits::FILE_SIZE_MAX);
        let data = self.file_system().read(self.inode()?, offset, length).await;
        let data = data.map_err(|error| match error.kind() {
            // The engine tells of it, once for each file.
            ErrorKind::Corrupt | ErrorKind::Fatal => Status::from(error).into(),
            _ => Failure::from(error),
        })?;
        self.touched();
        out.bool(data.end_of_file);
        out.payload(data.parts);
        Ok(())
    }

    pub(super) async fn write(&mut self, out: &mut Writer) -> OpResult {
        let stateid = self.decode_stateid()?;
        let (offset, stable) = (self.args.u64()?, self.args.u32()?);
        let stable = Stable::decode(stable)?;
        let data = self.args.opaque(TRANSFER_BYTES_MAX as usize)?;
        self.check_writable()?;
        self.check_regular()?;
        if self.permit(&stateid, Intent::Write).await? == Permission::Mode {
            self.check_data_access(Access::WRITE)?;
        }
        let length = u32::try_from(data.len()).map_err(|_| Status::SERVERFAULT)?;
        let end = offset.checked_add(u64::from(length)).ok_or(Status::FBIG)?;
        if end > engine::limits::FILE_SIZE_MAX {
            return Err(Status::FBIG.into());
        }
        if length > 0 {
            self.write_data(offset, data, stable).await?;
        }
        out.u32(length);
        // What is durable with its attributes is more than DATA_SYNC asks for.
        out.u32(if stable == Stable::Unstable { stable } else { Stable::FileSync } as u32);
        out.fixed(&self.file_system().write_verifier());
        Ok(())
    }

    async fn write_data(&mut self, offset: u64, data: Bytes, stable: Stable) -> Result<(), Failure> {
        let stability = match stable {
            Stable::Unstable => Stability::Unstable,
            Stable::DataSync | Stable::FileSync => Stability::FileSync,
        };
        let inode = self.inode()?;
        let asked = data.len();
        let written = self.file_system().write(&self.who, inode, offset, data, stability).await?;
        debug_assert_eq!(written.length, asked);
        self.touched();
        // Unstable data needs nothing durable but now and then the numbers for its change attribute, which must not come twice.
        self.wait_for(written.ticket);
        Ok(())
    }

    pub(super) async fn commit(&mut self, out: &mut Writer) -> OpResult {
        let (offset, count) = (self.args.u64()?, self.args.u32()?);
        self.check_regular()?;
        offset.checked_add(u64::from(count)).ok_or(Status::INVAL)?;
        // Asked before: if data is lost while this goes on, the client must see that the verifier is another one.
        let verifier = self.file_system().write_verifier();
        let ticket = self.file_system().commit(self.inode()?).await?;
        self.wait_for(ticket);
        out.fixed(&verifier);
        Ok(())
    }
}
