//! Preallocated files, made ahead in the background, so that no write of the journal allocates.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use super::files::{self, Use};
use super::ledger::Ledger;
use super::{Place, Progress, Starved};
use crate::broken::{Broken, broken};
use crate::disk::{Disk, OpenHow};
use crate::error::{Error, Result};
use crate::keys::KeyRing;
use crate::limits::{JOURNAL_FILES, SYNC_BYTES};
use crate::threads::Condvar;

/// Spare files that are made ahead.
const SPARES_WANTED: usize = 1;
/// Spare files that are kept when files come back from trimming: all that the budget allows, so that under load none is made anew, which
/// would write as many zeros as the journal writes data. More are removed.
const SPARES_MAX: usize = JOURNAL_FILES as usize;
/// How often a full disk is asked again.
const FULL_DISK_RETRY: Duration = Duration::from_millis(500);
/// Zeros are written in pieces of this size.
const ZEROS_BYTES: usize = 1024 * 1024;

/// Called when there is no space for another file, with who has none: who can give some back begins to.
pub(super) type Scarce = Box<dyn Fn(Starved) + Send + Sync>;

/// A preallocated file.
struct Spare {
    path: PathBuf,
    /// Whether it has only zeros. Else there may be old frames in it, which the key that sealed them opens.
    blank: bool,
}

/// The spare files.
pub(super) struct Supply {
    keys: KeyRing,
    directory: PathBuf,
    disk: Arc<dyn Disk>,
    file_bytes: u64,
    fold_bytes: u64,
    ledger: Arc<Ledger>,
    progress: Arc<Progress>,
    scarce: Scarce,
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    spares: Vec<Spare>,
    next_number: u64,
    /// Whether the last file could not be made for want of space.
    full: bool,
    failure: Option<Error>,
    stopping: bool,
}

impl Supply {
    /// Takes over the spares of an earlier run that are whole, and removes what is not.
    pub(super) fn open(
        place: &Place,
        ledger: Arc<Ledger>,
        progress: Arc<Progress>,
        scarce: Scarce,
    ) -> Result<Self> {
        let (directory, disk) = (place.directory.clone(), Arc::clone(&place.home.disk));
        let mut state =
            State { spares: Vec::new(), next_number: 1, full: false, failure: None, stopping: false };
        for name in disk.list(&directory).map_err(Error::io("cannot list", &directory))? {
            let path = directory.join(&name);
            let whole = match files::parse(&name) {
                Some((_, Use::Journal)) => continue,
                Some((number, Use::Spare)) => {
                    state.next_number = state.next_number.max(number.saturating_add(1));
                    state.spares.len() < SPARES_MAX && length(disk.as_ref(), &path)? == place.file_bytes
                }
                Some((_, Use::Making)) => false,
                None => {
                    tracing::warn!(file = %path.display(), "a file in the journal's directory is not the journal's; it is left alone");
                    continue;
                }
            };
            if whole {
                state.spares.push(Spare { path, blank: false });
            } else {
                disk.remove(&path).map_err(Error::io("cannot remove", &path))?;
            }
        }
        if !state.spares.is_empty() && !broken(Broken::RecycledNotSynced) {
            // Whoever gave them their names may have been killed before these were durable, and the old ones were journal files.
            disk.sync_directory(&directory).map_err(Error::io("cannot sync", &directory))?;
        }
        Ok(Supply {
            keys: place.home.keys.clone(),
            directory,
            disk,
            file_bytes: place.file_bytes,
            fold_bytes: place.fold_bytes,
            ledger,
            progress,
            scarce,
            state: Mutex::new(state),
            changed: Condvar::new(),
        })
    }

    /// Makes spares until it is stopped.
    pub(super) fn run(&self) {
        while let Some(number) = self.wanted() {
            let made = self.make(number);
            let mut state = self.state.lock();
            match made {
                Ok(path) => self.offer(&mut state, Spare { path, blank: true }),
                Err(Error::NoSpace) if !state.stopping => {
                    // The writer may still have a file. Space that is freed later is found without a restart.
                    if state.spares.is_empty() {
                        state.full = true;
                        self.progress.starve(Starved::Journal);
                        (self.scarce)(Starved::Journal);
                        self.changed.notify_all();
                    }
                    self.changed.wait_for(&mut state, FULL_DISK_RETRY);
                }
                Err(error) => {
                    state.failure = Some(error);
                    self.changed.notify_all();
                    return;
                }
            }
        }
    }

    fn offer(&self, state: &mut State, spare: Spare) {
        state.spares.push(spare);
        state.full = false;
        self.progress.relieve(Starved::Journal);
        self.progress.relieve(Starved::Writer);
        self.changed.notify_all();
    }

    /// Waits until another spare is wanted; `None` when it was stopped.
    fn wanted(&self) -> Option<u64> {
        let mut state = self.state.lock();
        while !state.stopping && state.spares.len() >= SPARES_WANTED {
            self.changed.wait(&mut state);
        }
        let number = state.next_number;
        state.next_number = number.saturating_add(1);
        (!state.stopping).then_some(number)
    }

    fn make(&self, number: u64) -> Result<PathBuf> {
        let making = files::path(&self.directory, number, Use::Making);
        let spare = files::path(&self.directory, number, Use::Spare);
        // On a disk that is nearly full a half of a file would take from others what they could still use, again and again.
        let fold_fails = self.progress.is_starved(Starved::Fold) && self.progress.is_starved(Starved::Writer);
        let left_free = if fold_fails || self.ledger.file_count() == 0 { 0 } else { self.fold_bytes };
        let wanted = self.file_bytes.saturating_add(left_free);
        if self.disk.free_bytes(&self.directory).is_ok_and(|free| free < wanted) {
            return Err(Error::NoSpace);
        }
        let zeroed = write_zeros(self.disk.as_ref(), &making, self.file_bytes);
        if let Err(error) = zeroed {
            self.disk.remove(&making).map_err(Error::io("cannot remove", &making))?;
            return Err(error);
        }
        self.disk.rename(&making, &spare).map_err(Error::io("cannot rename to", &spare))?;
        Ok(spare)
    }

    /// A preallocated file; waits until there is one. While keys are rotated it has nothing in it that an older key opens.
    pub(super) fn take(&self) -> Result<PathBuf> {
        let mut state = self.state.lock();
        loop {
            if self.keys.is_rotating() && state.spares.iter().any(|spare| !spare.blank) {
                drop(state);
                self.remove_used()?;
                state = self.state.lock();
                continue;
            }
            if let Some(spare) = state.spares.pop() {
                self.changed.notify_all();
                return Ok(spare.path);
            }
            if let Some(error) = &state.failure {
                return Err(error.clone());
            }
            if state.stopping {
                return Err(Error::Halted { reason: "the file system was closed".to_owned() });
            }
            if state.full && !self.progress.is_starved(Starved::Writer) {
                (self.scarce)(Starved::Writer);
                self.progress.starve(Starved::Writer);
            }
            self.changed.wait(&mut state);
        }
    }

    /// Removes the spares that may have old frames in them.
    pub(super) fn remove_used(&self) -> Result<()> {
        let used: Vec<Spare> = self.state.lock().spares.extract_if(.., |spare| !spare.blank).collect();
        for Spare { path, .. } in &used {
            self.disk.remove(path).map_err(Error::io("cannot remove", path))?;
        }
        self.changed.notify_all();
        Ok(())
    }

    /// Takes back a file that is covered by checkpoints; whether it could be. It is offered again only when its old name is durably gone.
    pub(super) fn recycle(&self, path: PathBuf) -> bool {
        let recycled = self.try_recycle(&path);
        if let Err(error) = &recycled {
            // The file is covered, so that leaving it there costs space only; the next open removes it.
            tracing::warn!(file = %path.display(), %error, "a journal file could not be recycled");
        }
        recycled.is_ok()
    }

    fn try_recycle(&self, path: &Path) -> Result<()> {
        let number = {
            let mut state = self.state.lock();
            let number = state.next_number;
            state.next_number = number.saturating_add(1);
            (state.spares.len() < SPARES_MAX && !self.keys.is_rotating()).then_some(number)
        };
        let usable =
            number.filter(|_| length(self.disk.as_ref(), path).is_ok_and(|found| found == self.file_bytes));
        let Some(number) = usable else {
            self.disk.remove(path).map_err(Error::io("cannot remove", path))?;
            self.changed.notify_all();
            return Ok(());
        };
        let spare = files::path(&self.directory, number, Use::Spare);
        self.disk.rename(path, &spare).map_err(Error::io("cannot rename to", &spare))?;
        if !broken(Broken::RecycledNotSynced) {
            self.disk.sync_directory(&self.directory).map_err(Error::io("cannot sync", &self.directory))?;
        }
        self.offer(&mut self.state.lock(), Spare { path: spare, blank: false });
        Ok(())
    }

    pub(super) fn stop(&self) {
        self.state.lock().stopping = true;
        self.changed.notify_all();
    }
}

fn length(disk: &dyn Disk, path: &Path) -> Result<u64> {
    let file = disk.open(path, OpenHow::Read).map_err(Error::io("cannot open", path))?;
    file.length().map_err(Error::io("cannot read the length of", path))
}

/// Writes zeros instead of extending the file: only written blocks are allocated for good.
fn write_zeros(disk: &dyn Disk, path: &Path, length: u64) -> Result<()> {
    let file = disk.open(path, OpenHow::CreateNew).map_err(Error::io("cannot create", path))?;
    let zeros = vec![0; ZEROS_BYTES];
    let mut offset = 0;
    while offset < length {
        let piece = usize::try_from(length - offset).unwrap_or(usize::MAX).min(ZEROS_BYTES);
        let bytes = zeros.get(..piece).unwrap_or(&zeros);
        file.write_all_at(bytes, offset).map_err(Error::io("cannot write", path))?;
        offset += piece as u64;
        if offset.is_multiple_of(SYNC_BYTES) {
            file.sync_data().map_err(Error::io("cannot sync", path))?;
        }
    }
    file.sync_data().map_err(Error::io("cannot sync", path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::simulated::SimulatedDisk;
    use crate::environment::Environment;
    use crate::home::Home;
    use crate::identity::{FileSystemId, Lsn};
    use crate::journal::replay;
    use crate::keys::DataKey;

    /// Whoever made it a spare was killed before its old name was durably gone.
    #[test]
    fn a_spare_of_a_killed_process_never_turns_up_under_its_old_name() {
        for seed in 0..20 {
            let disk = SimulatedDisk::new(seed);
            let directory = PathBuf::from("/journal");
            disk.create_directory(&directory).unwrap();
            disk.sync_directory(Path::new("/")).unwrap();
            let old = files::path(&directory, 2, Use::Journal);
            disk.open(&old, OpenHow::CreateNew).unwrap().set_length(4096).unwrap();
            disk.sync_directory(&directory).unwrap();
            disk.rename(&old, &files::path(&directory, 5, Use::Spare)).unwrap();
            let disk = disk.after_kill();
            let environment = Environment { disk: Arc::new(disk.clone()), ..Environment::system() };
            let home = Home {
                disk: Arc::new(disk.clone()),
                environment,
                keys: KeyRing::of(DataKey::from_bytes([1; 32])),
                file_system: FileSystemId::from_random([1; 16]),
            };
            let place = Place { directory: directory.clone(), home, file_bytes: 4096, fold_bytes: 0 };
            let ledger = Arc::new(Ledger::new(replay(&place, Lsn(0), |_, _| Ok(())).unwrap()));
            let progress = Progress::new(Lsn(0), Lsn(0));
            let supply = Supply::open(&place, ledger, progress, Box::new(|_| {})).unwrap();
            supply.take().unwrap();
            assert!(
                !disk
                    .after_power_failure()
                    .list(&directory)
                    .unwrap()
                    .contains(&"00000002.journal".to_owned())
            );
        }
    }
}
