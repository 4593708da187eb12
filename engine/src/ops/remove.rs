//! REMOVE.

use super::entries::{self, EntryDelta};
use super::permission;
use crate::broken::{Broken, broken};
use crate::buffer::Cut;
use crate::credential::Credential;
use crate::error::{Error, Result};
use crate::file_system::{Entry, Removed};
use crate::identity::InodeId;
use crate::journal::Pending;
use crate::records::{Content, key};
use crate::volume::{Change, Volume};

impl Volume {
    pub(crate) async fn remove(&self, who: &Credential, entry: Entry<'_>) -> Result<Pending<Removed>> {
        entries::check_name(entry.name)?;
        self.store.admit().await?;
        let mut change = self.begin()?;
        let directory = change.stored_inode(entry.directory)?;
        permission::need_search(who, &directory)?;
        let found = entries::find_to_remove(&change, &self.names, entry.directory, entry.name)?
            .ok_or(Error::NotFound)?;
        permission::need_entry_write(who, &directory)?;
        let record = change.stored_inode(found.inode)?;
        permission::need_sticky(who, &directory, &record)?;
        let mut delta = EntryDelta { entries: -1, subdirectories: 0 };
        if let Content::Directory { entries, .. } = record.content {
            if entries > 0 {
                return Err(Error::NotEmpty);
            }
            delta.subdirectories = -1;
        }
        let now = change.now();
        entries::delete(&mut change, entry.directory, found)?;
        self.drop_link(&mut change, found.inode)?;
        let directory = entries::update_directory(&mut change, entry.directory, delta, now)?;
        Ok(Pending::new(Removed { inode: found.inode, directory }, change.commit()))
    }

    /// Takes one link from an inode; with the last one it becomes an orphan while somebody has it open, else it is gone.
    pub(super) fn drop_link(&self, change: &mut Change<'_>, inode: InodeId) -> Result<()> {
        let (old, mut new) = self.touch(change, inode)?;
        let now = change.now();
        let is_directory = matches!(old.content, Content::Directory { .. });
        new.links = if is_directory { 0 } else { new.links.saturating_sub(1) };
        if new.links > 0 {
            self.bump(inode, &mut new, now);
            change.update_inode(inode, &old, new);
            return Ok(());
        }
        if self.pins.is_pinned(inode) || self.orphans_are_kept() {
            self.bump(inode, &mut new, now);
            change.update_inode(inode, &old, new);
            if !broken(Broken::OrphanNotNoted) {
                change.put(key::orphan(inode), Vec::new());
            }
        } else {
            change.delete_inode(inode, &old);
            self.forget(change, inode);
        }
        Ok(())
    }

    /// Drops what memory holds about an inode that the change removes.
    pub(crate) fn forget(&self, change: &mut Change<'_>, inode: InodeId) {
        change.cut_buffer(inode, Cut::Behind(0));
        self.access_log.forget(inode);
    }
}
