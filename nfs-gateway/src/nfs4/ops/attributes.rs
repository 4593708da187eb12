//! GETATTR, SETATTR, VERIFY, NVERIFY.

use engine::{Attributes, Authority, FileKind};

use super::{Failure, OpResult};
use crate::nfs4::attributes::{
    Attribute, AttributeSource, Bitmap, SUPPORTED, decode_settable, encode_fattr, read_fattr,
};
use crate::nfs4::compound::Compound;
use crate::nfs4::state::{Intent, Permission, Selector, Stateid};
use crate::nfs4::status::Status;
use crate::xdr::Writer;

impl Compound<'_> {
    pub(super) fn getattr(&mut self, out: &mut Writer) -> OpResult {
        let asked = Bitmap::decode(&mut self.args)?;
        let attributes = self.attributes()?;
        self.encode_attributes(out, asked, &attributes)
    }

    /// Writes a `fattr4`.
    pub(super) fn encode_attributes(
        &self,
        out: &mut Writer,
        asked: Bitmap,
        attributes: &Attributes,
    ) -> OpResult {
        let space = match AttributeSource::needs_space(asked) {
            true => Some(self.file_system().space()?),
            false => None,
        };
        let handle = self.service.handles.encode(attributes.inode, attributes.generation);
        let id = u128::from_be_bytes(self.file_system().id().to_bytes());
        let halves = (id >> 64, id & u128::from(u64::MAX));
        let half = |value| u64::try_from(value).unwrap_or_default();
        let source = AttributeSource {
            attributes,
            handle,
            file_system: (half(halves.0), half(halves.1)),
            lease: self.service.lease,
            space,
        };
        Ok(encode_fattr(out, asked, &source)?)
    }

    pub(super) async fn setattr(&mut self, out: &mut Writer) -> OpResult {
        let stateid = Stateid::decode(&mut self.args)?;
        let (bitmap, values) = read_fattr(&mut self.args)?;
        self.current()?;
        self.check_writable()?;
        let decoded = decode_settable(bitmap, values)?;
        let authority = match decoded.set.size {
            None => Authority::Mode,
            Some(_) => self.check_truncation(stateid).await?,
        };
        let inode = self.inode()?;
        let pending = self.file_system().set_attributes(&self.who, inode, &decoded.set, authority).await?;
        self.promise(pending);
        bitmap.encode(out);
        Ok(())
    }

    /// Whether the size may be set under the stateid, and on what ground.
    async fn check_truncation(&mut self, stateid: Stateid) -> Result<Authority, Failure> {
        match self.current()?.attributes.kind {
            FileKind::Regular => {}
            FileKind::Directory => return Err(Status::ISDIR.into()),
            _ => return Err(Status::INVAL.into()),
        }
        let stateid = self.stateid(stateid)?;
        Ok(match self.permit(&stateid, Intent::Write).await? {
            Permission::Opened => Authority::OpenForWriting,
            Permission::Mode => Authority::Mode,
        })
    }

    /// Whether data may be touched under the stateid. Those whose lease is over do not stand in the way.
    pub(super) async fn permit(&mut self, stateid: &Stateid, intent: Intent) -> Result<Permission, Failure> {
        let client = self.client()?.id;
        let inode = self.inode()?;
        if self.service.in_grace() && !matches!(stateid.selector(self.service.epoch)?, Selector::State { .. })
        {
            // Somebody may still reclaim an open that denies this.
            return Err(Status::GRACE.into());
        }
        loop {
            match self.service.files.permit(inode, stateid, client, intent) {
                Ok(permission) => return Ok(permission),
                Err(refused) => self.service.give_way(refused).await?,
            }
        }
    }

    pub(super) fn verify(&mut self) -> OpResult {
        match self.is_same()? {
            true => Ok(()),
            false => Err(Status::NOT_SAME.into()),
        }
    }

    pub(super) fn nverify(&mut self) -> OpResult {
        match self.is_same()? {
            true => Err(Status::SAME.into()),
            false => Ok(()),
        }
    }

    /// Whether the file has the attributes of the request. XDR has one form for each value, so bytes can be compared.
    fn is_same(&mut self) -> Result<bool, Failure> {
        let (asked, values) = read_fattr(&mut self.args)?;
        let attributes = self.attributes()?;
        if !asked.is_subset(SUPPORTED) {
            return Err(Status::ATTRNOTSUPP.into());
        }
        if asked.contains(Attribute::ReadDirectoryError) {
            return Err(Status::INVAL.into());
        }
        let mut own = Writer::new();
        self.encode_attributes(&mut own, asked, &attributes)?;
        let mut theirs = Writer::new();
        asked.encode(&mut theirs);
        theirs.opaque(&values);
        Ok(own.finish().concat() == theirs.finish().concat())
    }
}
