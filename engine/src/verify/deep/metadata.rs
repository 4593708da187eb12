//! Superblock, journal, checkpoints and index.

use std::path::Path;

use super::super::options::{Stage, VerifyProgress};
use super::super::problem::Problem;
use super::super::report::Unused;
use super::super::site::Site;
use super::super::structure::Found;
use crate::error::{Error, OpenError, Result};
use crate::home::Home;
use crate::identity::Lsn;
use crate::metadata::offline;
use crate::volume::Volume;

/// How often what is being changed is looked at again.
const TRIES: usize = 3;

pub(super) async fn check(site: &Site<'_>, progress: &VerifyProgress, found: &mut Found) -> Result<()> {
    // Offline it was done before anything else.
    let Some(volume) = site.live else { return Ok(()) };
    superblock(volume, found)?;
    let statistics = volume.store.statistics();
    progress.enter(Stage::Metadata, statistics.checkpoint_bytes.saturating_mul(2));
    live_journal(volume, found)?;
    checkpoints(volume, progress, found)?;
    index(volume, progress, found).await
}

/// The superblock, and the ranges of files that have no meaning.
fn superblock(volume: &Volume, found: &mut Found) -> Result<()> {
    match volume.keys.check() {
        Ok(()) => Ok(()),
        Err(error) => file_damage(error, found),
    }
}

/// A file that is not as it was written is a problem; what else goes wrong ends the verification.
pub(in super::super) fn file_damage(error: Error, found: &mut Found) -> Result<()> {
    match error {
        Error::Open(OpenError::Damaged { path, what }) => {
            found.add(Problem::FileDamaged { path, what }, Vec::new());
            Ok(())
        }
        Error::Open(error @ OpenError::UnknownVersion { .. }) => {
            let OpenError::UnknownVersion { path, .. } = &error else { return Err(error.into()) };
            let problem = Problem::FileDamaged { path: path.clone(), what: error.to_string() };
            found.add(problem, Vec::new());
            Ok(())
        }
        // Of a file whose header is damaged, or that is older or newer than the superblock.
        Error::Open(error @ OpenError::KeyGenerationMissing { .. }) => {
            let OpenError::KeyGenerationMissing { what: path, .. } = &error else { return Err(error.into()) };
            let problem = Problem::FileDamaged { path: path.into(), what: error.to_string() };
            found.add(problem, Vec::new());
            Ok(())
        }
        Error::Open(error @ OpenError::NotAFileSystem { .. }) => {
            let OpenError::NotAFileSystem { path } = &error else { return Err(error.into()) };
            let problem = Problem::FileDamaged { path: path.join("superblock"), what: "missing".to_owned() };
            found.add(problem, Vec::new());
            Ok(())
        }
        // A bad sector hits the one file.
        Error::Io { path, source, action } if source.kind() != std::io::ErrorKind::NotFound => {
            found.add(Problem::FileDamaged { path, what: format!("{action} it: {source}") }, Vec::new());
            Ok(())
        }
        error => Err(error),
    }
}

/// Journal and manifest of a file system that is not open; the record that the checkpoints reach, if they can be read.
pub(in super::super) fn raw(home: &Home, directory: &Path, found: &mut Found) -> Result<()> {
    let (journaled, covered) = match offline::manifest(home, directory) {
        Ok(manifest) => (manifest.journaled(), manifest.covered()),
        Err(error) => {
            file_damage(error, found)?;
            (Lsn(0), Lsn(0))
        }
    };
    let audits = offline::audit_journal(home, directory)?;
    for (path, what) in offline::judge_journal(&audits, (journaled, covered), journaled) {
        found.add(Problem::FileDamaged { path, what }, Vec::new());
    }
    for (path, length) in offline::lengths(home, &directory.join("journal"))? {
        let spare = path.extension().is_some_and(|extension| extension != "journal");
        if spare {
            found.unused.push(Unused { place: shown(directory, &path), from: 0, to: length });
        }
    }
    for audit in &audits {
        let place = shown(directory, &audit.path);
        found.unused.push(Unused { place, from: audit.end, to: audit.length });
    }
    if let Err(error) = offline::marker(home, directory) {
        let problem = match error {
            Error::Open(OpenError::Damaged { path, what }) => Problem::MarkerDamaged { path, what },
            error => {
                let path = directory.join("index.marker");
                Problem::MarkerDamaged { path, what: error.to_string() }
            }
        };
        found.add(problem, Vec::new());
    }
    Ok(())
}

fn shown(directory: &Path, path: &Path) -> String {
    path.strip_prefix(directory).unwrap_or(path).display().to_string()
}

/// The journal while it is written: what was durable before must be there.
fn live_journal(volume: &Volume, found: &mut Found) -> Result<()> {
    let mut wrong = Vec::new();
    for _ in 0..TRIES {
        wrong = volume.store.audit_journal()?;
        if wrong.is_empty() {
            break;
        }
    }
    for (path, what) in wrong {
        found.add(Problem::FileDamaged { path, what }, Vec::new());
    }
    Ok(())
}

fn checkpoints(volume: &Volume, progress: &VerifyProgress, found: &mut Found) -> Result<()> {
    match volume.store.audit_checkpoints(|bytes| progress.advance(bytes)) {
        Ok(()) => Ok(()),
        Err(error) => file_damage(error, found),
    }
}

async fn index(volume: &Volume, progress: &VerifyProgress, found: &mut Found) -> Result<()> {
    for _ in 0..TRIES {
        volume.store.after_fold().await;
        if volume.store.rebuilding().is_some() {
            let what = "the index is being built anew: it could not be compared with the checkpoints, which are read instead";
            found.unsettled.push(what.to_owned());
            return Ok(());
        }
        match volume.store.compare_index(|bytes| progress.advance(bytes)) {
            Ok(Some((0, _))) => return Ok(()),
            Ok(Some((keys, example))) => {
                found.add(Problem::IndexDiffers { keys, example }, Vec::new());
                return Ok(());
            }
            Ok(None) => {}
            Err(Error::Corrupt { what }) => {
                found.add(Problem::IndexUnreadable { what }, Vec::new());
                return Ok(());
            }
            // The checkpoints were read a moment ago; what is wrong with them is known.
            Err(Error::Open(_)) => return Ok(()),
            Err(error) => return Err(error),
        }
    }
    found.unsettled.push(
        "the index could not be compared with the checkpoints: it was folded into all the time".to_owned(),
    );
    Ok(())
}
