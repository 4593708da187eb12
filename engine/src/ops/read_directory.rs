//! READDIR.

use super::permission;
use crate::credential::{Access, Credential};
use crate::error::{Error, Result};
use crate::file_system::{Cookie, DirectoryEntry, DirectoryPage};
use crate::identity::InodeId;
use crate::records::{Dentry, key};
use crate::volume::Volume;

impl Volume {
    pub(crate) fn read_directory(
        &self,
        who: &Credential,
        directory: InodeId,
        after: Cookie,
        entries_max: usize,
    ) -> Result<DirectoryPage> {
        let record = self.stored_inode(directory)?;
        permission::need_directory(&record)?;
        permission::need(who, &record, Access::READ)?;
        let (mut from, end) = key::dentries(directory, after.0.saturating_add(1), u64::MAX);
        let mut page = DirectoryPage { entries: Vec::new(), end: false };
        while page.entries.len() < entries_max && !page.end {
            let wanted = entries_max - page.entries.len();
            let rows = self.store.scan(&from, &end, wanted)?;
            page.end = rows.len() < wanted;
            if let Some((last, _)) = rows.last() {
                from = key::after(last);
            }
            for (row, value) in &rows {
                let corrupt = |what: &str| Error::corrupt(format!("directory {directory}: {what}"));
                let cookie = key::dentry_cookie(row).ok_or_else(|| corrupt("an entry's key is too short"))?;
                let dentry = Dentry::decode(value).map_err(|error| corrupt(&error.to_string()))?;
                if dentry.is_tombstone() {
                    continue;
                }
                match self.attributes(dentry.inode) {
                    Ok(attributes) => {
                        page.entries.push(DirectoryEntry {
                            cookie: Cookie(cookie),
                            name: dentry.name,
                            attributes,
                        });
                    }
                    // Removed since the scan.
                    Err(Error::Stale) => {}
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(page)
    }
}
