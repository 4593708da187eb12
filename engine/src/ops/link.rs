//! LINK.

use super::entries::{self, EntryDelta};
use super::permission;
use crate::attributes::FileKind;
use crate::credential::Credential;
use crate::error::{Error, Result};
use crate::file_system::{CreateOutcome, Created, Entry};
use crate::identity::InodeId;
use crate::journal::Pending;
use crate::limits::LINKS_MAX;
use crate::volume::Volume;

impl Volume {
    pub(crate) async fn link(
        &self,
        who: &Credential,
        inode: InodeId,
        entry: Entry<'_>,
    ) -> Result<Pending<Created>> {
        entries::check_name(entry.name)?;
        self.store.admit().await?;
        let mut change = self.begin()?;
        let directory = change.stored_inode(entry.directory)?;
        permission::need_search(who, &directory)?;
        let (old, mut new) = self.touch(&change, inode)?;
        match old.kind() {
            FileKind::Directory => return Err(Error::IsDirectory),
            _ if old.links == 0 => return Err(Error::NotFound),
            _ if old.links >= LINKS_MAX => return Err(Error::TooManyLinks),
            _ => {}
        }
        if entries::find(&change, &self.names, entry.directory, entry.name)?.is_some() {
            return Err(Error::Exists);
        }
        permission::need_entry_write(who, &directory)?;
        let now = change.now();
        new.links += 1;
        self.bump(inode, &mut new, now);
        change.update_inode(inode, &old, new);
        entries::insert(&mut change, &self.names, entry.directory, entry.name, inode)?;
        let delta = EntryDelta { entries: 1, subdirectories: 0 };
        let directory = entries::update_directory(&mut change, entry.directory, delta, now)?;
        let attributes = change.inode(inode)?.attributes(inode, 0);
        Ok(Pending::new(Created { attributes, outcome: CreateOutcome::Created, directory }, change.commit()))
    }
}
