//! The steps of a repair: each looks again, and is one record. Counters move by what they were wrong by, so that what changed since
//! they were counted stays counted.

use std::collections::BTreeSet;

use bytes::Bytes;

use super::problem::{Counter, Problem};
use super::structure::each_row;
use crate::data::BlockAddress;
use crate::error::{Error, Result};
use crate::identity::{BlockIndex, ContentId, InodeId, SegmentId};
use crate::ops::entries::{self, EntryDelta, Found};
use crate::ops::{cut_behind_end, keep_age_index};
use crate::records::{Content, Dentry, Extent, Inode, SegmentRecord, SegmentState, key};
use crate::volume::{Change, Look, Volume, age_key, decode_segment};

/// Entries that one record takes.
const ENTRIES_MAX: usize = 1000;

/// Mends what is in records; `false` if it is not wrong any more.
pub(super) fn record(volume: &Volume, problem: &Problem) -> Result<bool> {
    let mut change = volume.begin()?;
    let mended = match problem {
        Problem::EntryWithoutInode { directory, cookie, inode, .. } => {
            let lost = matches!(change.stored_inode(*inode), Err(Error::Stale));
            lost && delete_entry(
                &mut change,
                *directory,
                Found { cookie: *cookie, inode: *inode, alone: false },
            )?
        }
        Problem::EntryMisplaced { directory, cookie, name, .. } => {
            replace(volume, &mut change, *directory, *cookie, name)?
        }
        Problem::Tombstone { directory, cookie } => {
            let row = key::dentry(*directory, *cookie);
            let there = change.get(&row)?.is_some_and(|value| is_tombstone(&value));
            there && delete(&mut change, row)
        }
        Problem::DirectoryLinked { directory, .. } => unlink_twins(volume, &mut change, *directory)?,
        Problem::Parent { directory, found, .. } => update(&mut change, *directory, |record| {
            if let Content::Directory { parent, .. } = &mut record.content {
                *parent = *found;
            }
        })?,
        Problem::UnlinkedNotOrphan { inode } => {
            let unlinked = change.stored_inode(*inode).is_ok_and(|record| record.links == 0);
            unlinked && put(&mut change, key::orphan(*inode))
        }
        Problem::OrphanLinked { inode } | Problem::OrphanMissing { inode } => {
            let orphan = change.stored_inode(*inode).is_ok_and(|record| record.links == 0);
            !orphan && delete(&mut change, key::orphan(*inode))
        }
        Problem::InodeCounter { inode, counter } => {
            update(&mut change, *inode, |record| correct_inode(record, counter))?
        }
        Problem::Total(counter) => correct_total(&mut change, counter),
        Problem::NextNumber { used, .. } => {
            change.raise_ids_above(*used);
            true
        }
        Problem::Age { inode, second, .. } => age(&mut change, *inode, *second)?,
        Problem::ContentDoomed { content, .. } => delete(&mut change, key::dead_content(*content)),
        Problem::ContentUnowned { content, .. } => put(&mut change, key::dead_content(*content)),
        Problem::ReferenceMissing { content, block } => make_reference(&mut change, (*content, *block))?,
        Problem::ReferenceStray { segment, frame, content, block } => {
            drop_reference(&mut change, (*segment, *frame), (*content, *block))?
        }
        Problem::BehindEnd { inode, .. } => cut_behind_end(&mut change, *inode)?,
        Problem::SegmentUnknown { segment, .. } => make_row(&mut change, *segment)?,
        Problem::SegmentCounter { segment, counter } => correct_row(&mut change, *segment, counter)?,
        _ => false,
    };
    if mended {
        drop(change.commit());
    }
    Ok(mended)
}

fn put(change: &mut Change<'_>, key: Vec<u8>) -> bool {
    change.put(key, Vec::new());
    true
}

fn delete(change: &mut Change<'_>, key: Vec<u8>) -> bool {
    change.delete(key);
    true
}

fn shared_address(change: &Change<'_>, place: (ContentId, BlockIndex)) -> Result<Option<BlockAddress>> {
    let value = change.get(&key::extent(place.0, place.1))?;
    let extent = value.and_then(|value| Extent::decode(&value).ok()).filter(|extent| extent.shared.is_some());
    Ok(extent.map(|extent| extent.address))
}

fn make_reference(change: &mut Change<'_>, place: (ContentId, BlockIndex)) -> Result<bool> {
    let address = shared_address(change, place)?;
    Ok(address.is_some_and(|address| put(change, key::reference(&address, place.0, place.1))))
}

fn drop_reference(
    change: &mut Change<'_>,
    (segment, frame): (SegmentId, u32),
    place: (ContentId, BlockIndex),
) -> Result<bool> {
    let used = shared_address(change, place)?;
    if used.is_some_and(|address| address.segment == segment && address.frame == frame) {
        return Ok(false);
    }
    Ok(delete(change, key::reference_at(segment, frame, place.0, place.1)))
}

fn is_tombstone(value: &Bytes) -> bool {
    Dentry::decode(value).is_ok_and(|dentry| dentry.is_tombstone())
}

/// Changes an inode; `false` if it is gone or the change changes nothing.
fn update(change: &mut Change<'_>, inode: InodeId, with: impl FnOnce(&mut Inode)) -> Result<bool> {
    let old = match change.stored_inode(inode) {
        Ok(old) => old,
        Err(Error::Stale) => return Ok(false),
        Err(error) => return Err(error),
    };
    let mut new = old.clone();
    with(&mut new);
    let changed = new != old;
    if changed {
        change.update_inode(inode, &old, new);
    }
    Ok(changed)
}

/// Removes an entry if it is there. The directory's number of entries is found wrong, and corrected, in the next turn.
fn delete_entry(change: &mut Change<'_>, directory: InodeId, found: Found) -> Result<bool> {
    let value = change.get(&key::dentry(directory, found.cookie))?;
    let same =
        value.and_then(|value| Dentry::decode(&value).ok()).is_some_and(|dentry| dentry.inode == found.inode);
    if same {
        entries::delete(change, directory, found)?;
    }
    Ok(same)
}

/// Puts an entry where its name belongs. If the name is there already, this entry is one too many.
fn replace(
    volume: &Volume,
    change: &mut Change<'_>,
    directory: InodeId,
    cookie: u64,
    name: &Bytes,
) -> Result<bool> {
    let row = key::dentry(directory, cookie);
    let Some(dentry) = change.get(&row)?.and_then(|value| Dentry::decode(&value).ok()) else {
        return Ok(false);
    };
    if dentry.name != *name {
        return Ok(false);
    }
    change.delete(row);
    if entries::find(change, &volume.names, directory, name)?.is_none() {
        entries::insert(change, &volume.names, directory, name, dentry.inode)?;
    }
    Ok(true)
}

/// The entries that name an inode: this looks at all there are.
fn entries_of(volume: &Volume, inode: InodeId) -> Result<Vec<(InodeId, u64)>> {
    let mut entries = Vec::new();
    each_row(volume.store.as_ref(), &key::family(b'd', b""), |row, value| {
        if let (Some(place), Ok(dentry)) = (key::dentry_parts(row), Dentry::decode(value))
            && !dentry.is_tombstone()
            && dentry.inode == inode
        {
            entries.push(place);
        }
    })?;
    Ok(entries)
}

fn unlink_twins(volume: &Volume, change: &mut Change<'_>, directory: InodeId) -> Result<bool> {
    let Content::Directory { parent, .. } = change.stored_inode(directory)?.content else { return Ok(false) };
    let entries = entries_of(volume, directory)?;
    let kept = entries.iter().find(|(place, _)| *place == parent).or(entries.first()).copied();
    let mut mended = false;
    for (place, cookie) in
        entries.iter().copied().filter(|entry| Some(*entry) != kept || directory == InodeId::ROOT)
    {
        mended |= delete_entry(change, place, Found { cookie, inode: directory, alone: false })?;
    }
    Ok(mended)
}

/// Whether an entry names the inode by now.
pub(super) fn is_named(volume: &Volume, _change: &Change<'_>, inode: InodeId) -> Result<bool> {
    Ok(!entries_of(volume, inode)?.is_empty())
}

/// Whether the directory hangs below the root by now: what was mended before it may have seen to that.
pub(super) fn below_root(_volume: &Volume, change: &Change<'_>, inode: InodeId) -> Result<bool> {
    let (mut at, mut way) = (inode, BTreeSet::new());
    while at != InodeId::ROOT {
        let Ok(Inode { content: Content::Directory { parent, .. }, .. }) = change.stored_inode(at) else {
            return Ok(false);
        };
        if !way.insert(at) {
            return Ok(false);
        }
        at = parent;
    }
    Ok(true)
}

/// Tells whether an inode is where it can be found.
type IsFound = fn(&Volume, &Change<'_>, InodeId) -> Result<bool>;

/// Puts an inode that hangs nowhere into a directory.
pub(super) fn attach(volume: &Volume, home: InodeId, inode: InodeId, is_found: IsFound) -> Result<bool> {
    let mut change = volume.begin()?;
    let Ok(old) = change.stored_inode(inode) else { return Ok(false) };
    if is_found(volume, &change, inode)? {
        return Ok(false);
    }
    let name = format!("#{inode}");
    if old.links == 0 || entries::find(&change, &volume.names, home, name.as_bytes())?.is_some() {
        return Ok(false);
    }
    for (directory, cookie) in entries_of(volume, inode)? {
        delete_entry(&mut change, directory, Found { cookie, inode, alone: false })?;
    }
    let mut new = old.clone();
    let mut delta = EntryDelta { entries: 1, subdirectories: 0 };
    if let Content::Directory { parent, .. } = &mut new.content {
        *parent = home;
        delta.subdirectories = 1;
    } else {
        new.links = 1;
    }
    change.update_inode(inode, &old, new);
    entries::insert(&mut change, &volume.names, home, name.as_bytes(), inode)?;
    let now = change.now();
    entries::update_directory(&mut change, home, delta, now)?;
    drop(change.commit());
    Ok(true)
}

/// Makes a directory for entries that have none. If something else has its number, the entries go: what they name is put into
/// lost+found in the next turn.
pub(super) fn house(volume: &Volume, home: InodeId, directory: InodeId) -> Result<bool> {
    let mut change = volume.begin()?;
    match change.stored_inode(directory) {
        Ok(Inode { content: Content::Directory { .. }, .. }) => return Ok(false),
        Ok(_) => {
            let (from, end) = key::dentries(directory, 0, u64::MAX);
            for (row, _) in change.scan(&from, &end, ENTRIES_MAX)? {
                change.delete(row.to_vec());
            }
            drop(change.commit());
            return Ok(true);
        }
        Err(Error::Stale) => {}
        Err(error) => return Err(error),
    }
    let now = change.now();
    let mut record = Inode::directory(home, 0o700, now);
    record.change = crate::volume::first_change(volume.epoch);
    record.change_ceiling = record.change;
    change.insert_inode(directory, record);
    entries::insert(&mut change, &volume.names, home, format!("#{directory}").as_bytes(), directory)?;
    entries::update_directory(&mut change, home, EntryDelta { entries: 1, subdirectories: 1 }, now)?;
    drop(change.commit());
    Ok(true)
}

/// A number, moved by what it was wrong by.
fn moved(now: u64, counter: &Counter) -> u64 {
    now.wrapping_add(counter.counted).wrapping_sub(counter.stored)
}

fn correct_inode(record: &mut Inode, counter: &Counter) {
    if counter.name == "links" {
        let links = moved(u64::from(record.links), counter);
        record.links = u32::try_from(links).unwrap_or(record.links);
    }
    match (&mut record.content, counter.name) {
        (Content::Directory { entries, .. }, "entries") => *entries = moved(*entries, counter),
        (Content::File { standard_bytes, .. }, "Standard bytes") => {
            *standard_bytes = moved(*standard_bytes, counter);
        }
        (Content::File { cold_bytes, .. }, "cold bytes") => *cold_bytes = moved(*cold_bytes, counter),
        (Content::File { piece_bytes, .. }, "bytes of pieces") => {
            *piece_bytes = moved(*piece_bytes, counter);
        }
        _ => {}
    }
}

fn correct_total(change: &mut Change<'_>, counter: &Counter) -> bool {
    let totals = change.totals_to_correct();
    let field = match counter.name {
        "inodes" => &mut totals.inodes,
        "files" => &mut totals.files,
        "cold files" => &mut totals.cold_files,
        "Standard bytes" => &mut totals.standard_bytes,
        "cold bytes" => &mut totals.cold_bytes,
        "bytes of pieces" => &mut totals.piece_bytes,
        _ => return false,
    };
    *field = moved(*field, counter);
    true
}

fn age(change: &mut Change<'_>, inode: InodeId, second: Option<u64>) -> Result<bool> {
    if let Some(second) = second {
        change.delete(age_key(second, inode));
    }
    let old = match change.stored_inode(inode) {
        Ok(old) => old,
        Err(Error::Stale) => return Ok(true),
        Err(error) => return Err(error),
    };
    let mut new = old.clone();
    if let Content::File { age_second, .. } = &mut new.content {
        // Entered anew below, if it belongs there.
        if let Some(second) = age_second.take() {
            change.delete(age_key(second, inode));
        }
    }
    keep_age_index(change, inode, &mut new);
    if new != old {
        change.update_inode(inode, &old, new);
    }
    Ok(true)
}

/// The row of a segment that extents point into.
fn make_row(change: &mut Change<'_>, segment: SegmentId) -> Result<bool> {
    if change.get(&key::segment(segment))?.is_some() {
        return Ok(false);
    }
    let mut row: Option<SegmentRecord> = None;
    each_row(change, &key::family(b'e', b""), |_, value| {
        if let Ok(extent) = Extent::decode(value)
            && extent.address.segment == segment
        {
            let tier = extent.tier;
            let empty = SegmentRecord { tier, state: SegmentState::InUse, live_bytes: 0, written_bytes: 0 };
            let row = row.get_or_insert(empty);
            row.live_bytes += u64::from(extent.address.sealed_bytes);
            row.written_bytes = row.live_bytes;
        }
    })?;
    if let Some(row) = row {
        change.put(key::segment(segment), row.encode());
    }
    Ok(row.is_some())
}

fn correct_row(change: &mut Change<'_>, segment: SegmentId, counter: &Counter) -> Result<bool> {
    let Some(value) = change.get(&key::segment(segment))? else { return Ok(false) };
    let mut row = decode_segment(segment, &value)?;
    match counter.name {
        "live bytes" => row.live_bytes = moved(row.live_bytes, counter),
        "written bytes" => row.written_bytes = row.written_bytes.max(row.live_bytes).max(counter.counted),
        _ => row.state = SegmentState::InUse,
    }
    change.put(key::segment(segment), row.encode());
    Ok(true)
}
