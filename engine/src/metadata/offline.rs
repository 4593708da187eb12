//! The metadata of a file system that is not open: from checkpoint and journal alone, and without changing anything.

use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::checkpoint::{CheckpointView, Checkpoints, Manifest};
use super::index::Marker;
use super::merge::{Layer, Merge};
use super::overlay;
use crate::disk::OpenHow;
use crate::error::{Error, Result};
use crate::home::Home;
use crate::identity::Lsn;
use crate::journal::{self, Changes, FileAudit, Place};
use crate::records::key;

/// What checkpoint and journal say together.
pub(crate) struct OfflineStore {
    checkpoint: CheckpointView,
    recent: Changes,
}

impl OfflineStore {
    /// Reads and authenticates the checkpoint, then the journal. `read` is told how many bytes were.
    pub(crate) fn load(
        home: &Home,
        directory: &Path,
        read: impl FnMut(u64) -> Result<()>,
    ) -> Result<OfflineStore> {
        let checkpoints = directory.join("checkpoint");
        let manifest = Checkpoints::open(home, &checkpoints)?.manifest();
        let checkpoint = CheckpointView::load(home, &checkpoints, &manifest, read)?;
        let place =
            Place { directory: directory.join("journal"), home: home.clone(), file_bytes: 0, fold_bytes: 0 };
        let mut recent = Changes::new();
        journal::read(&place, manifest.covered(), |_, changes| {
            recent.extend(changes);
            Ok(())
        })?;
        Ok(OfflineStore { checkpoint, recent })
    }

    /// The value of a key.
    pub(crate) fn get(&self, key: &[u8]) -> Result<Option<Bytes>> {
        Ok(self.scan(key, &key::after(key), 1)?.pop().map(|(_, value)| value))
    }

    /// Up to `limit` entries from one key up to another, which is not among them, in ascending order.
    pub(crate) fn scan(&self, from: &[u8], to: &[u8], limit: usize) -> Result<Vec<(Bytes, Bytes)>> {
        let recent = overlay::range(&self.recent, from, to);
        let mut layers: Vec<Layer<'_>> =
            vec![Box::new(recent.map(|(key, value)| Ok((key.clone(), value.clone()))))];
        layers.extend(self.checkpoint.entries_from(from));
        let entries =
            Merge::new(layers).take_while(|entry| entry.as_ref().map_or(true, |(key, _)| key.as_ref() < to));
        let live = entries.filter_map(|entry| match entry {
            Ok((key, value)) => value.map(|value| Ok((key, value))),
            Err(error) => Some(Err(error)),
        });
        live.take(limit).collect()
    }
}

/// What the manifest says.
pub(crate) fn manifest(home: &Home, directory: &Path) -> Result<Manifest> {
    Ok(Checkpoints::open(home, &directory.join("checkpoint"))?.manifest())
}

/// Whether the marker of the index can be read, if there is one.
pub(crate) fn marker(home: &Home, directory: &Path) -> Result<()> {
    Marker::check(home, &directory.join("index.marker"))
}

/// Audits of all journal files below a file system's directory, in the order of their numbers.
pub(crate) fn audit_journal(home: &Home, directory: &Path) -> Result<Vec<FileAudit>> {
    let journal = directory.join("journal");
    let mut names = home.disk.list(&journal).map_err(Error::io("cannot list", &journal))?;
    // Of equal length up to 10^8 files; longer ones are later.
    names.sort_by_key(|name| (name.len(), name.clone()));
    let mut audits = Vec::new();
    for name in names {
        audits.extend(journal::audit(home, &journal, &journal.join(name))?);
    }
    Ok(audits)
}

/// What is wrong with a row of journal files, by file: each goes on where the one before ends, and the last one has at least `reached`.
/// What a checkpoint has that had no room in the journal may be missing between two of them.
///
/// The checkpoints have records up to `covered`, of which the journal is sure to have had those up to `journaled`.
pub(crate) fn judge_journal(
    audits: &[FileAudit],
    (journaled, covered): (Lsn, Lsn),
    reached: Lsn,
) -> Vec<(PathBuf, String)> {
    let missing = journaled.0.saturating_add(1)..=covered.0.saturating_add(1);
    let mut wrong = Vec::new();
    for (number, audit) in audits.iter().enumerate() {
        let next = audits.get(number + 1).filter(|next| next.damage.is_none());
        let (end, wanted) = (audit.records.end, next.map(|next| next.records.start));
        let last = end.saturating_sub(1);
        let problem = match (&audit.damage, wanted) {
            (Some(damage), _) => Some(damage.clone()),
            (None, Some(wanted)) if end != wanted => {
                let known = end < wanted && missing.contains(&end) && missing.contains(&wanted);
                let problem = format!("ends with record {last}, but the next file begins with {wanted}");
                (!known).then_some(problem)
            }
            (None, None) if number + 1 == audits.len() && end <= reached.0 => {
                Some(format!("ends with record {last}, though record {reached} was written"))
            }
            _ => None,
        };
        wrong.extend(problem.map(|problem| (audit.path.clone(), problem)));
    }
    wrong
}

/// The lengths of the files in a directory.
pub(crate) fn lengths(home: &Home, directory: &Path) -> Result<Vec<(PathBuf, u64)>> {
    let names = home.disk.list(directory).map_err(Error::io("cannot list", directory))?;
    let mut lengths = Vec::with_capacity(names.len());
    for name in names {
        let path = directory.join(name);
        let file = home.disk.open(&path, OpenHow::Read).map_err(Error::io("cannot open", &path))?;
        lengths.push((path.clone(), file.length().map_err(Error::io("cannot read the length of", &path))?));
    }
    Ok(lengths)
}
