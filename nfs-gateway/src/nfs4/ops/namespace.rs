//! CREATE, REMOVE, RENAME, LINK.

use engine::{DeviceNumber, Entry, FileKind};

use super::{OpResult, encode_change};
use crate::nfs4::attributes::{decode_settable, read_fattr};
use crate::nfs4::compound::{Compound, directory_of};
use crate::nfs4::limits::LINK_TEXT_BYTES_MAX;
use crate::nfs4::name::decode_name;
use crate::nfs4::status::Status;
use crate::xdr::{Reader, Writer};

/// What CREATE is to make.
enum Kind {
    Directory,
    Symlink(bytes::Bytes),
    Node(FileKind, DeviceNumber),
    /// A regular file, or nothing that can be made.
    Wrong,
}

impl Kind {
    fn decode(reader: &mut Reader) -> Result<Kind, Status> {
        let none = DeviceNumber::default();
        match reader.u32()? {
            2 => Ok(Kind::Directory),
            3 => Ok(Kind::Node(FileKind::BlockDevice, decode_device(reader)?)),
            4 => Ok(Kind::Node(FileKind::CharacterDevice, decode_device(reader)?)),
            5 => Ok(Kind::Symlink(reader.opaque(LINK_TEXT_BYTES_MAX)?)),
            6 => Ok(Kind::Node(FileKind::Socket, none)),
            7 => Ok(Kind::Node(FileKind::Fifo, none)),
            _ => Ok(Kind::Wrong),
        }
    }
}

fn decode_device(reader: &mut Reader) -> Result<DeviceNumber, Status> {
    Ok(DeviceNumber { major: reader.u32()?, minor: reader.u32()? })
}

impl Compound<'_> {
    pub(super) async fn create(&mut self, out: &mut Writer) -> OpResult {
        let kind = Kind::decode(&mut self.args)?;
        let name = decode_name(&mut self.args)?;
        let (bitmap, values) = read_fattr(&mut self.args)?;
        let directory = self.directory()?;
        self.check_writable()?;
        let set = decode_settable(bitmap, values)?.set;
        let entry = Entry { directory, name: &name };
        let engine = self.file_system();
        let pending = match kind {
            Kind::Directory => engine.make_directory(&self.who, entry, &set).await?,
            Kind::Symlink(target) if target.is_empty() => return Err(Status::INVAL.into()),
            Kind::Symlink(target) => engine.make_symlink(&self.who, entry, &target, &set).await?,
            Kind::Node(kind, device) => engine.make_node(&self.who, entry, kind, device, &set).await?,
            Kind::Wrong => return Err(Status::BADTYPE.into()),
        };
        let created = self.promise(pending);
        encode_change(out, created.directory);
        bitmap.encode(out);
        self.set_current(created.attributes);
        Ok(())
    }

    pub(super) async fn remove(&mut self, out: &mut Writer) -> OpResult {
        let name = decode_name(&mut self.args)?;
        let directory = self.directory()?;
        self.check_writable()?;
        let pending = self.file_system().remove(&self.who, Entry { directory, name: &name }).await?;
        encode_change(out, self.promise(pending).directory);
        Ok(())
    }

    pub(super) async fn rename(&mut self, out: &mut Writer) -> OpResult {
        let old = decode_name(&mut self.args)?;
        let new = decode_name(&mut self.args)?;
        let source = directory_of(self.saved()?)?;
        let target = self.directory()?;
        self.check_writable()?;
        let from = Entry { directory: source, name: &old };
        let to = Entry { directory: target, name: &new };
        let pending = self.file_system().rename(&self.who, from, to).await?;
        let renamed = self.promise(pending);
        encode_change(out, renamed.source);
        encode_change(out, renamed.target);
        Ok(())
    }

    pub(super) async fn link(&mut self, out: &mut Writer) -> OpResult {
        let name = decode_name(&mut self.args)?;
        let file = self.saved()?.attributes.clone();
        let directory = self.directory()?;
        if file.kind == FileKind::Directory {
            return Err(Status::ISDIR.into());
        }
        self.check_writable()?;
        let entry = Entry { directory, name: &name };
        let pending = self.file_system().link(&self.who, file.inode, entry).await?;
        encode_change(out, self.promise(pending).directory);
        Ok(())
    }
}
