//! How old files are, and which of them are due for a transition.

use crate::attributes::Timestamp;
use crate::error::{Error, Result};
use crate::identity::InodeId;
use crate::records::{Content, Inode, key};
use crate::tiering::{DueCursor, DuePage, FileFacts};
use crate::volume::{Volume, age_key};

/// Rows of the age index in one look.
const LOOKS_MAX: usize = 1024;
/// Rows in one scan, and files that one record moves.
const STEP: usize = 64;

impl Volume {
    pub(crate) fn facts(&self, inode: InodeId) -> Result<FileFacts> {
        let record = self.stored_inode(inode)?;
        let size = self.attributes(inode)?.size;
        let Content::File { standard_bytes, cold_bytes, piece_bytes, .. } = record.content else {
            return Err(Error::WrongType);
        };
        Ok(FileFacts {
            inode,
            size,
            last_access: self.last_access(inode, &record),
            standard_bytes: standard_bytes + piece_bytes,
            infrequent_access_bytes: cold_bytes,
        })
    }

    fn last_access(&self, inode: InodeId, record: &Inode) -> Timestamp {
        let logged = self.access_log.last(inode).unwrap_or(record.last_access);
        let unflushed = self.buffer.view(inode).map_or(logged, |view| view.mtime);
        record.last_access.max(logged).max(unflushed)
    }

    /// Files that are due, up to a limit, and where to go on. A page ends after some rows, whatever was found in them: a file that was
    /// accessed since it was indexed moves to its place in the index instead.
    pub(crate) fn due(&self, before: Timestamp, after: &DueCursor, limit: usize) -> Result<DuePage> {
        let (start, end) = key::ages_until(before);
        let mut from = if after.0.is_empty() { start } else { key::after(&after.0) };
        let mut page = DuePage { files: Vec::new(), next: None };
        let (mut looks, mut moved) = (0, Vec::new());
        while page.files.len() < limit && looks < LOOKS_MAX {
            // One that is looked for alone often stands behind others.
            let wanted = STEP.min(LOOKS_MAX - looks);
            let rows = self.store.scan(&from, &end, wanted)?;
            let mut is_last = rows.len() < wanted;
            for (row, _) in &rows {
                if page.files.len() == limit {
                    is_last = false;
                    break;
                }
                looks += 1;
                from = key::after(row);
                page.next = Some(DueCursor(row.to_vec()));
                let (second, inode) = key::age_parts(row)
                    .ok_or_else(|| Error::corrupt("a key of the age index is not 17 bytes"))?;
                match self.facts(inode) {
                    Ok(facts) if facts.last_access <= before => page.files.push(facts),
                    Ok(facts) if key::age_second(facts.last_access) > second => {
                        moved.push((second, inode, facts.last_access));
                    }
                    // Removed meanwhile; its entry went with it.
                    Ok(_) | Err(Error::Stale | Error::WrongType) => {}
                    Err(error) => return Err(error),
                }
            }
            if is_last {
                page.next = None;
                break;
            }
        }
        for moved in moved.chunks(STEP) {
            self.reindex(moved)?;
        }
        Ok(page)
    }

    /// Moves files to their places in the age index, while there is room: nobody waits for that here, and the next look does the rest.
    fn reindex(&self, moved: &[(u64, InodeId, Timestamp)]) -> Result<()> {
        if moved.is_empty() || self.store.is_pressed() {
            return Ok(());
        }
        let mut change = self.begin()?;
        for (second, inode, last_access) in moved.iter().copied() {
            let old = match change.stored_inode(inode) {
                Ok(record) => record,
                Err(Error::Stale) => continue,
                Err(error) => return Err(error),
            };
            let mut new = old.clone();
            new.last_access = new.last_access.max(last_access);
            match &mut new.content {
                Content::File { age_second: Some(indexed), .. } if *indexed == second => {
                    *indexed = key::age_second(last_access);
                    change.delete(age_key(second, inode));
                    change.put(age_key(*indexed, inode), Vec::new());
                    change.update_inode(inode, &old, new);
                }
                _ => {}
            }
        }
        drop(change.commit());
        Ok(())
    }

    /// Folds accesses from memory into the inodes.
    pub(crate) async fn fold_accesses(&self) -> Result<()> {
        const STEP: usize = 512;
        loop {
            let accesses = self.access_log.take(STEP);
            if accesses.is_empty() {
                return Ok(());
            }
            self.store.admit().await?;
            let mut change = self.begin()?;
            for (inode, time) in accesses {
                let old = match change.stored_inode(inode) {
                    Ok(record) => record,
                    Err(Error::Stale) => continue,
                    Err(error) => return Err(error),
                };
                if time > old.last_access {
                    let new = Inode { last_access: time, ..old.clone() };
                    change.update_inode(inode, &old, new);
                }
            }
            drop(change.commit());
        }
    }
}
