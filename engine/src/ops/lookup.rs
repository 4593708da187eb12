//! LOOKUP, LOOKUPP, ACCESS, READLINK and the way from a handle or a path to an inode.

use bytes::Bytes;

use super::{entries, permission};
use crate::attributes::Attributes;
use crate::credential::{Access, Credential};
use crate::error::{Error, Result};
use crate::file_system::Entry;
use crate::identity::{Generation, InodeId};
use crate::records::Content;
use crate::volume::Volume;

impl Volume {
    pub(crate) fn resolve(&self, inode: InodeId, generation: Generation) -> Result<Attributes> {
        let attributes = self.attributes(inode)?;
        let open = attributes.links > 0 || self.pins.is_pinned(inode) || self.orphans_are_kept();
        if attributes.generation == generation && open { Ok(attributes) } else { Err(Error::Stale) }
    }

    pub(crate) fn lookup(&self, who: &Credential, entry: Entry<'_>) -> Result<Attributes> {
        if !matches!(entry.name, b"." | b"..") {
            entries::check_name(entry.name)?;
        }
        let directory = self.stored_inode(entry.directory)?;
        permission::need_search(who, &directory)?;
        let found = entries::find(self.store.as_ref(), &self.names, entry.directory, entry.name)?;
        match self.attributes(found.ok_or(Error::NotFound)?.inode) {
            // Removed between the two looks.
            Err(Error::Stale) => Err(Error::NotFound),
            result => result,
        }
    }

    pub(crate) fn lookup_parent(&self, who: &Credential, directory: InodeId) -> Result<Attributes> {
        let record = self.stored_inode(directory)?;
        permission::need_search(who, &record)?;
        match record.content {
            Content::Directory { parent, .. } if directory != InodeId::ROOT => self.attributes(parent),
            _ => Err(Error::NotFound),
        }
    }

    pub(crate) fn access(&self, who: &Credential, inode: InodeId, wanted: Access) -> Result<Access> {
        let granted = permission::granted(who, &self.stored_inode(inode)?);
        Ok(Access::from_bits(u32::from(granted.bits() & wanted.bits())))
    }

    pub(crate) fn read_link(&self, inode: InodeId) -> Result<Bytes> {
        match self.stored_inode(inode)?.content {
            Content::Symlink { target } => Ok(target),
            _ => Err(Error::Invalid { what: "not a symbolic link" }),
        }
    }

    pub(crate) fn resolve_path(&self, path: &[u8]) -> Result<Attributes> {
        if path.first() != Some(&b'/') {
            return Err(Error::Invalid { what: "the path must be absolute, as /directory/file" });
        }
        let mut at = self.attributes(InodeId::ROOT)?;
        for name in path.split(|byte| *byte == b'/').filter(|name| !name.is_empty()) {
            at = self.lookup(&Credential::root(), Entry { directory: at.inode, name })?;
        }
        Ok(at)
    }
}
