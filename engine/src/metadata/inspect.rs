//! What verification asks an open store.

use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::checkpoint::CheckpointView;
use super::offline::judge_journal;
use super::store::Store;
use crate::error::{Error, Result};
use crate::home::Home;
use crate::journal;

/// Entries that are compared at once.
const STEP: usize = 1024;
/// A key behind all others.
const BEHIND_ALL: &[u8] = &[0xff; 64];

/// How many keys differ, with one of them; `None` if the index was changed meanwhile, or is not there.
pub(crate) type Differences = Option<(u64, String)>;

impl Store {
    /// The file system's parts and the directory that it lives in.
    pub(crate) fn place(&self) -> (&Home, &Path) {
        (&self.parts().home, &self.parts().directory)
    }

    /// The names of files in the journal's directory that are of no use.
    pub(crate) fn journal_strays(&self) -> Result<Vec<String>> {
        let parts = self.parts();
        parts.journal.strays(&parts.directory.join("journal"), parts.home.disk.as_ref())
    }

    /// The names of files in the directory of the checkpoints that are of no use.
    pub(crate) fn checkpoint_strays(&self) -> Result<Vec<String>> {
        self.parts().checkpoints.strays()
    }

    /// Reads the journal, and says what is wrong with which file of it. It may be written meanwhile, so that what is found may be
    /// gone when it is looked at again.
    pub(crate) fn audit_journal(&self) -> Result<Vec<(PathBuf, String)>> {
        let parts = self.parts();
        let directory = parts.directory.join("journal");
        let manifest = parts.checkpoints.manifest();
        let (journaled, covered, durable) =
            (manifest.journaled(), manifest.covered(), parts.progress.durable());
        let files = parts.journal.files();
        let mut audits = Vec::with_capacity(files.len());
        for path in &files {
            audits.extend(journal::audit(&parts.home, &directory, path)?);
        }
        let now = parts.journal.files();
        // A file that was trimmed meanwhile may have been read while it was made into another one.
        audits.retain(|audit| now.contains(&audit.path));
        if audits.is_empty() && files.iter().any(|file| now.contains(file)) {
            let what = "none of the journal files is there".to_owned();
            return Ok(vec![(directory, what)]);
        }
        let reached = match durable {
            _ if audits.is_empty() => crate::identity::Lsn(0),
            // After a start that counts as durable which the checkpoints have.
            durable if durable <= covered => durable.min(journaled),
            durable => durable,
        };
        Ok(judge_journal(&audits, (journaled, covered), reached))
    }

    /// Reads the checkpoints whole.
    pub(crate) fn audit_checkpoints(&self, mut read: impl FnMut(u64) -> Result<()>) -> Result<()> {
        let parts = self.parts();
        let directory = parts.directory.join("checkpoint");
        loop {
            let manifest = parts.checkpoints.manifest();
            super::offline::manifest(&parts.home, &parts.directory)?;
            match CheckpointView::load(&parts.home, &directory, &manifest, &mut read) {
                Ok(_) => return Ok(()),
                // Merged meanwhile.
                Err(_) if parts.checkpoints.manifest().files != manifest.files => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Compares the index with the checkpoints.
    pub(crate) fn compare_index(&self, mut read: impl FnMut(u64) -> Result<()>) -> Result<Differences> {
        let parts = self.parts();
        if parts.index.is_away() {
            return Ok(None);
        }
        let directory = parts.directory.join("checkpoint");
        let manifest = parts.checkpoints.manifest();
        let view = match CheckpointView::load(&parts.home, &directory, &manifest, |_| Ok(())) {
            Ok(view) => view,
            Err(_) if parts.checkpoints.manifest().files != manifest.files => return Ok(None),
            Err(error) => return Err(error),
        };
        // A fold swings the manifest before it touches the index, and marks the index when it is done.
        let quiet = || -> Result<bool> {
            let covered = manifest.covered();
            let applied = match parts.index.applied() {
                Err(Error::Unavailable { .. }) => return Ok(false),
                applied => applied?.unwrap_or(crate::identity::Lsn(0)),
            };
            Ok(parts.checkpoints.covered() == covered && applied == covered)
        };
        let live = view.merged(b"").filter(|entry| !matches!(entry, Ok((_, None))));
        let mut stored = live.peekable();
        let (mut from, mut different, mut example) = (Vec::new(), 0, String::new());
        loop {
            let mut step: Vec<(Bytes, Bytes)> = Vec::with_capacity(STEP);
            while step.len() < STEP {
                match stored.next() {
                    Some(Ok((key, value))) => step.extend(value.map(|value| (key, value))),
                    Some(Err(error)) => return Err(error),
                    None => break,
                }
            }
            let end = match step.last() {
                Some((last, _)) if step.len() == STEP => crate::records::key::after(last),
                _ => BEHIND_ALL.to_vec(),
            };
            let indexed = parts.index.with_range(&from, &end, |entries| {
                entries.map(|entry| entry.map(|(key, value)| (key, value.unwrap_or_default()))).collect()
            });
            let indexed: Vec<(Bytes, Bytes)> = match indexed {
                Err(Error::Corrupt { .. }) if !quiet()? => return Ok(None),
                indexed => parts.doubting(indexed)?,
            };
            read(indexed.iter().map(|(key, value)| (key.len() + value.len()) as u64).sum())?;
            if let Some(key) = first_difference(&step, &indexed) {
                if !quiet()? {
                    return Ok(None);
                }
                parts.doubt_index("it differs from the checkpoints");
                different += 1;
                if example.is_empty() {
                    example = hex::encode(key);
                }
            }
            if end == BEHIND_ALL {
                return Ok(Some((different, example)));
            }
            from = end;
        }
    }
}

fn first_difference(left: &[(Bytes, Bytes)], right: &[(Bytes, Bytes)]) -> Option<Bytes> {
    if left == right {
        return None;
    }
    let (mut left, mut right) = (left.iter(), right.iter());
    loop {
        match (left.next(), right.next()) {
            (Some(one), Some(other)) if one == other => {}
            (Some((one, _)), Some((other, _))) => return Some(one.min(other).clone()),
            (Some((key, _)), None) | (None, Some((key, _))) => return Some(key.clone()),
            (None, None) => return None,
        }
    }
}

/// Damage that tests of what lies above plant.
#[cfg(test)]
impl Store {
    /// Makes the index say something else than the checkpoints, under the right seal.
    pub(crate) fn falsify_index(&self, key: Vec<u8>, value: &'static [u8]) {
        let parts = self.parts();
        let entry = (Bytes::from(key), Some(Bytes::from_static(value)));
        parts.index.apply(std::iter::once(Ok(entry)), parts.checkpoints.covered()).unwrap();
    }

    /// Takes the seal off what the index has of the lowest keys.
    pub(crate) fn spoil_index(&self) {
        self.parts().index.write_raw(&[0], Some(b"no seal".to_vec()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metadata::tests::support::{Bench, put, wait};

    #[test]
    fn an_index_that_differs_from_the_checkpoints_is_found() {
        let bench = Bench::on_real_disk();
        bench.create().unwrap();
        let store = bench.open().unwrap();
        let keys: Vec<String> = (0..3000).map(|number| format!("key-{number:05}")).collect();
        let entries: Vec<(&str, Option<&str>)> =
            keys.iter().map(|key| (key.as_str(), Some("value"))).collect();
        for entries in entries.chunks(500) {
            wait(put(&store, entries).durable()).unwrap();
        }
        wait(store.fold()).unwrap();
        let compared = store.compare_index(|_| Ok(())).unwrap();
        assert_eq!(compared, Some((0, String::new())));
        let covered = store.parts().checkpoints.covered();
        for (key, value) in [("key-02500", None), ("key-01x", Some("new")), ("key-00007", Some("other"))] {
            let value = value.map(|value: &str| Bytes::copy_from_slice(value.as_bytes()));
            let entry = (Bytes::copy_from_slice(key.as_bytes()), value);
            store.parts().index.apply(std::iter::once(Ok(entry)), covered).unwrap();
        }
        let found = store.compare_index(|_| Ok(())).unwrap();
        assert_eq!(found, Some((3, hex::encode("key-00007"))));
        assert_eq!(store.audit_journal().unwrap(), Vec::new());
        store.audit_checkpoints(|_| Ok(())).unwrap();
    }
}
