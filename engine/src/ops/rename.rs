//! RENAME.

use super::entries::{self, EntryDelta, Found};
use super::permission;
use crate::credential::{Access, Credential};
use crate::error::{Error, Result};
use crate::file_system::{DirectoryChange, Entry, Renamed};
use crate::identity::InodeId;
use crate::journal::Pending;
use crate::limits::LINKS_MAX;
use crate::records::{Content, Inode};
use crate::volume::{Change, Volume};

impl Volume {
    pub(crate) async fn rename(
        &self,
        who: &Credential,
        from: Entry<'_>,
        to: Entry<'_>,
    ) -> Result<Pending<Renamed>> {
        entries::check_name(from.name)?;
        entries::check_name(to.name)?;
        self.store.admit().await?;
        let change = self.begin()?;
        let source = change.stored_inode(from.directory)?;
        permission::need_search(who, &source)?;
        let target = change.stored_inode(to.directory)?;
        permission::need_search(who, &target)?;
        let moved = entries::find_to_remove(&change, &self.names, from.directory, from.name)?;
        let moved = moved.ok_or(Error::NotFound)?;
        let replaced = entries::find(&change, &self.names, to.directory, to.name)?;
        permission::need_entry_write(who, &source)?;
        permission::need_entry_write(who, &target)?;
        if replaced.is_some_and(|replaced| replaced.inode == moved.inode) {
            let same =
                |directory: &Inode| DirectoryChange { before: directory.change, after: directory.change };
            let renamed = Renamed { source: same(&source), target: same(&target) };
            // It tells the numbers of changes that may not be durable yet.
            return Ok(Pending::new(renamed, change.commit().merge(self.store.everything())));
        }
        let record = change.stored_inode(moved.inode)?;
        permission::need_sticky(who, &source, &record)?;
        let is_directory = matches!(record.content, Content::Directory { .. });
        let other_directory = from.directory != to.directory;
        if is_directory && other_directory {
            check_directory_move(&change, who, moved.inode, &record, to.directory)?;
            if target.links >= LINKS_MAX && replaced.is_none() {
                return Err(Error::TooManyLinks);
            }
        }
        if let Some(replaced) = replaced {
            check_replaced(&change, who, &target, replaced, is_directory)?;
        }
        self.finish_rename(change, (from, moved), (to, replaced), is_directory)
    }

    fn finish_rename(
        &self,
        mut change: Change<'_>,
        (from, moved): (Entry<'_>, Found),
        (to, replaced): (Entry<'_>, Option<Found>),
        is_directory: bool,
    ) -> Result<Pending<Renamed>> {
        let now = change.now();
        let subdirectories = i64::from(is_directory);
        entries::delete(&mut change, from.directory, moved)?;
        let mut arrival = EntryDelta { entries: 1, subdirectories };
        if let Some(replaced) = replaced {
            entries::delete(&mut change, to.directory, replaced)?;
            self.drop_link(&mut change, replaced.inode)?;
            arrival = EntryDelta::default();
        }
        entries::insert(&mut change, &self.names, to.directory, to.name, moved.inode)?;
        let (old, mut new) = self.touch(&change, moved.inode)?;
        if let Content::Directory { parent, .. } = &mut new.content {
            *parent = to.directory;
        }
        self.bump(moved.inode, &mut new, now);
        change.update_inode(moved.inode, &old, new);
        let departure = EntryDelta { entries: -1, subdirectories: -subdirectories };
        let renamed = if from.directory == to.directory {
            let both = EntryDelta {
                entries: departure.entries + arrival.entries,
                subdirectories: departure.subdirectories + arrival.subdirectories,
            };
            let directory = entries::update_directory(&mut change, from.directory, both, now)?;
            Renamed { source: directory, target: directory }
        } else {
            let source = entries::update_directory(&mut change, from.directory, departure, now)?;
            let target = entries::update_directory(&mut change, to.directory, arrival, now)?;
            Renamed { source, target }
        };
        Ok(Pending::new(renamed, change.commit()))
    }
}

/// A directory may not become its own descendant, and moving it changes its `..`, which needs write permission on it.
fn check_directory_move(
    change: &Change<'_>,
    who: &Credential,
    moved: InodeId,
    record: &Inode,
    target: InodeId,
) -> Result<()> {
    let mut ancestor = target;
    while ancestor != InodeId::ROOT {
        if ancestor == moved {
            return Err(Error::Invalid { what: "a directory cannot be moved into itself" });
        }
        match change.stored_inode(ancestor)?.content {
            Content::Directory { parent, .. } => ancestor = parent,
            _ => return Err(Error::NotDirectory),
        }
    }
    permission::need(who, record, Access::WRITE)
}

fn check_replaced(
    change: &Change<'_>,
    who: &Credential,
    target: &Inode,
    replaced: Found,
    moves_directory: bool,
) -> Result<()> {
    let record = change.stored_inode(replaced.inode)?;
    permission::need_sticky(who, target, &record)?;
    match (moves_directory, &record.content) {
        (true, Content::Directory { entries: 0, .. }) => Ok(()),
        (true, Content::Directory { .. }) => Err(Error::NotEmpty),
        (true, _) => Err(Error::NotDirectory),
        (false, Content::Directory { .. }) => Err(Error::IsDirectory),
        (false, _) => Ok(()),
    }
}
