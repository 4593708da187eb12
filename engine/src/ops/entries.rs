//! The entries of directories: where a name stands, adding and removing.

use bytes::Bytes;

use crate::attributes::Timestamp;
use crate::error::{Error, Result};
use crate::file_system::DirectoryChange;
use crate::identity::InodeId;
use crate::limits::NAME_BYTES_MAX;
use crate::records::{Content, Dentry, Inode, key};
use crate::volume::{Change, Look, NameHasher};

use super::permission;

/// The number of names that may share one hash.
const COLLISIONS_MAX: u64 = crate::volume::COLLISIONS_MAX;

/// A name that may stand in a directory.
pub(super) fn check_name(name: &[u8]) -> Result<()> {
    if name.len() > NAME_BYTES_MAX {
        return Err(Error::NameTooLong { max: NAME_BYTES_MAX });
    }
    if name.is_empty() || name == b"." || name == b".." || name.iter().any(|byte| matches!(byte, 0 | b'/')) {
        return Err(Error::InvalidName);
    }
    Ok(())
}

/// An entry and where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) cookie: u64,
    pub(crate) inode: InodeId,
    /// Whether it is known that no other name has its hash.
    pub(crate) alone: bool,
}

fn decode(bytes: &Bytes) -> Result<Dentry> {
    Dentry::decode(bytes).map_err(|error| Error::corrupt(format!("directory entry: {error}")))
}

/// The rows that share the hash of a name. A missing first row means that there are none.
fn rows(look: &impl Look, directory: InodeId, first: u64) -> Result<Vec<(u64, Dentry)>> {
    let Some(bytes) = look.get(&key::dentry(directory, first))? else { return Ok(Vec::new()) };
    let mut rows = vec![(first, decode(&bytes)?)];
    let range = key::dentries(directory, first + 1, first + COLLISIONS_MAX - 1);
    for (row_key, value) in look.scan_all(&range)? {
        let cookie = key::dentry_cookie(&row_key)
            .ok_or_else(|| Error::corrupt("a directory entry's key is too short"))?;
        rows.push((cookie, decode(&value)?));
    }
    Ok(rows)
}

/// Looks a name up.
pub(crate) fn find(
    look: &impl Look,
    names: &NameHasher,
    directory: InodeId,
    name: &[u8],
) -> Result<Option<Found>> {
    let first = names.first_cookie(directory, name);
    let Some(bytes) = look.get(&key::dentry(directory, first))? else { return Ok(None) };
    let dentry = decode(&bytes)?;
    if dentry.name == name {
        return Ok(Some(Found { cookie: first, inode: dentry.inode, alone: false }));
    }
    let rows = rows(look, directory, first)?;
    let row = rows.into_iter().find(|(_, dentry)| dentry.name == name);
    Ok(row.map(|(cookie, dentry)| Found { cookie, inode: dentry.inode, alone: false }))
}

/// Looks a name up that is to be removed: nearly always it stands alone, which one look tells.
pub(crate) fn find_to_remove(
    change: &Change<'_>,
    names: &NameHasher,
    directory: InodeId,
    name: &[u8],
) -> Result<Option<Found>> {
    let first = names.first_cookie(directory, name);
    let (from, upto) = (key::dentry(directory, first), key::dentry(directory, first + COLLISIONS_MAX - 1));
    match change.last(&from, &upto)? {
        None => Ok(None),
        Some((row, value)) if row == from => {
            let dentry = decode(&value)?;
            let found = Found { cookie: first, inode: dentry.inode, alone: true };
            Ok(Some(found).filter(|_| dentry.name == name))
        }
        Some(_) => find(change, names, directory, name),
    }
}

/// Adds a name that is not there yet. The directory's record is the caller's to update.
pub(crate) fn insert(
    change: &mut Change<'_>,
    names: &NameHasher,
    directory: InodeId,
    name: &[u8],
    inode: InodeId,
) -> Result<()> {
    let first = names.first_cookie(directory, name);
    let rows = rows(change, directory, first)?;
    let taken = |cookie| rows.iter().any(|(row, dentry)| *row == cookie && !dentry.is_tombstone());
    let free = (first..first + COLLISIONS_MAX).find(|cookie| !taken(*cookie)).ok_or(Error::NoSpace)?;
    let dentry = Dentry { inode, name: Bytes::copy_from_slice(name) };
    change.put(key::dentry(directory, free), dentry.encode());
    Ok(())
}

/// Removes an entry. Its place becomes a tombstone while other names stand behind the first one of a hash.
pub(crate) fn delete(change: &mut Change<'_>, directory: InodeId, found: Found) -> Result<()> {
    if found.alone {
        change.delete(key::dentry(directory, found.cookie));
        return Ok(());
    }
    let first = found.cookie - found.cookie % COLLISIONS_MAX;
    let others: Vec<_> =
        rows(change, directory, first)?.into_iter().filter(|(cookie, _)| *cookie != found.cookie).collect();
    let live = others.iter().any(|(_, dentry)| !dentry.is_tombstone());
    if found.cookie == first && live {
        change.put(key::dentry(directory, first), Dentry::tombstone().encode());
        return Ok(());
    }
    change.delete(key::dentry(directory, found.cookie));
    if !live {
        change.delete(key::dentry(directory, first));
    }
    Ok(())
}

/// How the entries of a directory changed in number.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct EntryDelta {
    pub(crate) entries: i64,
    pub(crate) subdirectories: i64,
}

/// Updates a directory's record after its entries changed.
pub(crate) fn update_directory(
    change: &mut Change<'_>,
    directory: InodeId,
    delta: EntryDelta,
    now: Timestamp,
) -> Result<DirectoryChange> {
    let old = change.stored_inode(directory)?;
    permission::need_directory(&old)?;
    let mut new = old.clone();
    apply_delta(&mut new, delta);
    new.mtime = now;
    crate::volume::bump(&mut new, change.epoch(), now);
    let result = DirectoryChange { before: old.change, after: new.change };
    change.update_inode(directory, &old, new);
    Ok(result)
}

fn apply_delta(record: &mut Inode, delta: EntryDelta) {
    if let Content::Directory { entries, .. } = &mut record.content {
        *entries = entries.saturating_add_signed(delta.entries);
    }
    let links = i64::from(record.links) + delta.subdirectories;
    record.links = u32::try_from(links).unwrap_or(record.links);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::credential::Credential;
    use crate::environment::Environment;
    use crate::file_system::open::{Substitutes, open_with};
    use crate::{
        Budgets, ColdStoreConfig, Cookie, CreateMode, Entry, FileSystem, KeyFile, OpenOptions, SetAttributes,
    };

    #[test]
    fn names_are_checked() {
        for bad in [&b""[..], b".", b"..", b"a/b", b"a\0"] {
            assert!(matches!(check_name(bad), Err(Error::InvalidName)), "{bad:?}");
        }
        for good in [&b"a"[..], b"...", b"\xff\xfe", b" ", &[b'x'; 255]] {
            assert!(check_name(good).is_ok(), "{good:?}");
        }
        assert!(matches!(check_name(&[b'x'; 256]), Err(Error::NameTooLong { max: 255 })));
    }

    /// Nearly all names share one hash: lookups, removals in any order and listings must still find each of them once.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn names_that_collide_are_told_apart() {
        let home = tempfile::tempdir().unwrap();
        let environment = Environment::system();
        let key_file = home.path().join("key");
        KeyFile::create(&key_file, environment.entropy.as_ref()).unwrap();
        let cold = ColdStoreConfig::Directory(home.path().join("cold"));
        let options = OpenOptions {
            key: crate::KeySource::File(key_file),
            cold,
            environment,
            budgets: Budgets::default(),
        };
        let data = home.path().join("data");
        let id = FileSystem::make(&data, &options).unwrap();
        let substitutes = Substitutes { names: |_| NameHasher::colliding(), ..Substitutes::default() };
        let volume = open_with(&data, id, options, substitutes).await.unwrap();
        volume.release_orphans().await.unwrap();

        let (root, set) = (Credential::root(), SetAttributes::default());
        let names: Vec<Vec<u8>> = (0..40u8).map(|number| vec![b'n', number + 1]).collect();
        for name in &names {
            let entry = Entry { directory: InodeId::ROOT, name };
            drop(volume.create_file(&root, entry, CreateMode::Guarded, &set).await.unwrap());
            assert!(volume.create_file(&root, entry, CreateMode::Guarded, &set).await.is_err());
        }
        // The first of a hash goes before the others, and comes back.
        for (gone, name) in names.iter().enumerate() {
            let entry = Entry { directory: InodeId::ROOT, name };
            drop(volume.remove(&root, entry).await.unwrap());
            assert!(matches!(volume.lookup(&root, entry), Err(Error::NotFound)));
            for other in names.iter().skip(gone + 1) {
                volume.lookup(&root, Entry { directory: InodeId::ROOT, name: other }).unwrap();
            }
            if gone % 3 == 0 {
                drop(volume.create_file(&root, entry, CreateMode::Guarded, &set).await.unwrap());
                drop(volume.remove(&root, entry).await.unwrap());
            }
            let page = volume.read_directory(&root, InodeId::ROOT, Cookie(0), 100).unwrap();
            assert_eq!(page.entries.len(), names.len() - gone - 1);
        }
        let (from, end) = key::dentries(InodeId::ROOT, 0, u64::MAX);
        assert!(volume.store.scan_all(&(from, end)).unwrap().is_empty(), "no tombstone is left behind");
        volume.shutdown().await.unwrap();
    }
}
