//! Moving the overlay into checkpoints and the index, and merging checkpoints, in the background of commits.
//!
//! A fold goes in steps, each of which may be the last one before a crash: freeze, wait until the frozen records are durable (or can only
//! become so by the fold), write and sync a delta, swing the manifest (D3), trim the journal, apply to the index, drop the frozen map. A
//! step that fails for want of space is tried again from its beginning; any other failure halts the store. An index that has no room is let go
//! of ([`super::rebuild`]): the checkpoint is enough.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::overlay::Frozen;
use super::rebuild;
use super::rests::Rests;
use super::store::Parts;
use crate::broken::{Broken, broken};
use crate::error::{Error, Result};
use crate::identity::Lsn;
use crate::journal::{self, Starved};
use crate::threads::{self, Condvar, Thread};

/// How often a full disk is asked again.
const FULL_DISK_RETRY: Duration = Duration::from_millis(500);
/// How long a fold waits for what need not be folded.
const PASSING_WAIT_MAX: Duration = Duration::from_secs(2);
/// How often it looks whether it still may: nobody says that the budgets are nearly full.
const PASSING_LOOK: Duration = Duration::from_millis(50);

/// Wakes the background threads.
#[derive(Debug)]
pub(super) struct Signal {
    state: Mutex<State>,
    changed: Condvar,
    /// What a retry does not wait for its time with.
    pressing: Condvar,
    /// Told when a fold waits for passing rows to go, and whether one does.
    passing: Arc<Notify>,
    asks_to_pass: AtomicBool,
}

#[derive(Debug)]
struct State {
    /// The record up to which somebody wants a fold, and that of those who can wait for nothing else.
    requested: Lsn,
    urgent: Lsn,
    /// Nobody can wait any more.
    hastened: bool,
    seen: Seen,
    stopping: bool,
}

/// How much somebody who asks for a fold is in a hurry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Haste {
    /// It begins at once.
    Urgent,
    /// It may wait for what need not be folded.
    None,
}

/// What a thread had been told when it began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Seen {
    pokes: u64,
    hurries: u64,
}

impl Signal {
    pub(super) fn new() -> Self {
        let state = State {
            requested: Lsn(0),
            urgent: Lsn(0),
            hastened: false,
            seen: Seen::default(),
            stopping: false,
        };
        let (changed, pressing) = (Condvar::new(), Condvar::new());
        let (passing, asks_to_pass) = (Arc::default(), AtomicBool::new(false));
        Signal { state: Mutex::new(state), changed, pressing, passing, asks_to_pass }
    }

    /// Says that there may be something to do.
    pub(super) fn poke(&self) {
        self.state.lock().seen.pokes += 1;
        self.changed.notify_all();
    }

    /// Says that something waits that a fold alone can help: one that is under way and fails is tried again at once.
    pub(super) fn hurry(&self) {
        let mut state = self.state.lock();
        state.seen.pokes += 1;
        state.seen.hurries += 1;
        self.changed.notify_all();
        self.pressing.notify_all();
    }

    /// Asks for a fold of everything up to this record.
    pub(super) fn request(&self, lsn: Lsn, haste: Haste) {
        let mut state = self.state.lock();
        state.requested = state.requested.max(lsn);
        if haste == Haste::Urgent {
            state.urgent = state.urgent.max(lsn);
        }
        state.seen.pokes += 1;
        self.changed.notify_all();
        self.pressing.notify_all();
    }

    /// Told when a fold waits for passing rows to go.
    pub(super) fn passing(&self) -> &Arc<Notify> {
        &self.passing
    }

    pub(super) fn asks_to_pass(&self) -> bool {
        self.asks_to_pass.load(Ordering::Acquire)
    }

    /// Asks for passing rows to go, as long as what this returns lives.
    fn ask_to_pass(&self) -> Asking<'_> {
        self.asks_to_pass.store(true, Ordering::Release);
        self.passing.notify_one();
        Asking(self)
    }

    /// From now on no fold waits for anything that it need not wait for.
    pub(super) fn hasten(&self) {
        let mut state = self.state.lock();
        state.hastened = true;
        state.seen.pokes += 1;
        self.changed.notify_all();
    }

    pub(super) fn stop(&self) {
        self.state.lock().stopping = true;
        self.changed.notify_all();
        self.pressing.notify_all();
    }

    pub(super) fn stopping(&self) -> bool {
        self.state.lock().stopping
    }

    pub(super) fn requested(&self) -> Lsn {
        self.state.lock().requested
    }

    pub(super) fn urgent(&self) -> Lsn {
        self.state.lock().urgent
    }

    pub(super) fn is_hastened(&self) -> bool {
        self.state.lock().hastened
    }

    fn seen(&self) -> Seen {
        self.state.lock().seen
    }

    /// Waits for a poke that came after `seen` was read; `false` when it was stopped.
    fn wait(&self, seen: Seen) -> bool {
        let mut state = self.state.lock();
        while !state.stopping && state.seen.pokes == seen.pokes {
            self.changed.wait(&mut state);
        }
        !state.stopping
    }

    /// Waits a while before the same is tried again, unless there was a hurry after `seen` was read. Pokes alone do not shorten it: those
    /// who wait for room poke again and again. `false` when it was stopped.
    fn wait_to_retry(&self, seen: Seen) -> bool {
        let mut state = self.state.lock();
        if !state.stopping && state.seen.hurries == seen.hurries {
            self.pressing.wait_for(&mut state, FULL_DISK_RETRY);
        }
        !state.stopping
    }

    /// Waits a while, unless it is stopped; `false` when it was.
    pub(super) fn pause(&self, longest: Duration) -> bool {
        let mut state = self.state.lock();
        if !state.stopping {
            self.changed.wait_for(&mut state, longest);
        }
        !state.stopping
    }
}

/// A fold that waits for passing rows to go.
struct Asking<'a>(&'a Signal);

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        self.0.asks_to_pass.store(false, Ordering::Release);
    }
}

/// The background threads.
pub(super) struct Folding {
    threads: Vec<Thread>,
}

impl Folding {
    pub(super) fn start(parts: &Arc<Parts>) -> Result<Self> {
        let spawn = |name: &str, work: &'static Work| {
            let parts = Arc::clone(parts);
            threads::spawn(name, move || run(&parts, work))
        };
        let threads = vec![
            spawn("tidefs-fold", &FOLD)?,
            spawn("tidefs-merge", &MERGE)?,
            spawn("tidefs-index", &REBUILD)?,
        ];
        Ok(Folding { threads })
    }

    /// Waits for their end.
    pub(super) fn join(self) {
        for thread in self.threads {
            thread.join();
        }
    }
}

/// What came of an attempt that did not fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Done {
    All,
    /// The journal lacks a file, and there is nothing yet that would give one back.
    NothingToGiveBack,
}

/// What a thread does again and again, how it tells what came of it, and what is the matter if it fails.
struct Work {
    work: fn(&Parts) -> Result<Done>,
    tell: fn(&Parts, &Result<Done>),
    failed: &'static str,
}

const FOLD: Work = Work { work: fold_as_needed, tell, failed: "metadata cannot be folded" };
// Nobody waits for these.
const MERGE: Work =
    Work { work: merge_as_needed, tell: |_, _| {}, failed: "metadata checkpoints cannot be merged" };
const REBUILD: Work =
    Work { work: rebuild_as_needed, tell: |_, _| {}, failed: "the metadata index cannot be built anew" };

fn run(parts: &Parts, Work { work, tell, failed }: &Work) {
    loop {
        let seen = parts.signal.seen();
        let done = work(parts);
        let again = !matches!(done, Ok(Done::All)) && parts.signal.seen().hurries != seen.hurries;
        if !again {
            tell(parts, &done);
        }
        let go_on = match done {
            Ok(Done::All) => parts.signal.wait(seen),
            Ok(Done::NothingToGiveBack) | Err(Error::NoSpace) => parts.signal.wait_to_retry(seen),
            Err(_) if parts.signal.stopping() => false,
            Err(error) => {
                tracing::error!(%error, "{failed}; no more changes are accepted");
                parts.progress.halt(&format!("{failed}: {error}"));
                false
            }
        };
        if !go_on {
            return;
        }
    }
}

/// Tells those who wait for a fold what came of it.
fn tell(parts: &Parts, done: &Result<Done>) {
    let progress = &parts.progress;
    match done {
        Ok(Done::All) => {
            progress.relieve(Starved::Fold);
            progress.relieve(Starved::Trim);
        }
        Ok(Done::NothingToGiveBack) => {
            progress.starve(Starved::Trim);
            progress.relieve(Starved::Fold);
        }
        Err(Error::NoSpace) => progress.starve(Starved::Fold),
        Err(_) => {}
    }
}

fn fold_as_needed(parts: &Parts) -> Result<Done> {
    let lacks_file = || parts.progress.is_starved(Starved::Journal);
    let writer_waits = || parts.progress.is_starved(Starved::Writer);
    // The file that is written now is given back by no fold.
    let may_give_back = || lacks_file() && (writer_waits() || parts.journal.uncovered_files() > 1);
    let given_back_before = parts.journal.files_given_back();
    while parts.overlay.is_folding()
        || parts.fold_is_due()
        || parts.signal.requested() > parts.progress.checkpointed()
        || may_give_back()
    {
        if parts.signal.stopping() {
            return Ok(Done::All);
        }
        let (lacked_file, given_back) = (lacks_file(), parts.journal.files_given_back());
        let folded = fold(parts)?;
        if folded {
            // There may be enough deltas for a merge now.
            parts.signal.poke();
        }
        let in_vain = lacked_file && parts.journal.files_given_back() == given_back;
        if !folded && writer_waits() && parts.journal.files_given_back() == given_back_before {
            return Err(Error::NoSpace);
        }
        if !folded || (in_vain && !writer_waits()) {
            break;
        }
    }
    // The next fold may give a file back, but not at once.
    Ok(if lacks_file() { Done::NothingToGiveBack } else { Done::All })
}

/// Waits until what is frozen may become a checkpoint: it is durable, and so is the deletion of what is left out of it. On a full disk
/// the journal may have no file to write that to, and only this fold gives one back: then nothing is left out, and what is frozen
/// becomes durable with the checkpoint, before the journal has it. Returns the last record that the journal has of it, if not all.
fn settle(parts: &Parts, frozen: &Frozen) -> Result<Option<Lsn>> {
    let progress = &parts.progress;
    parts.overlay.settle(frozen);
    let settled = parts.overlay.committed();
    let stuck = |state: &journal::State| state.starved.contains(&Starved::Writer);
    threads::block_on(progress.until(|state| state.durable >= settled || stuck(state)))?;
    let durable = progress.durable();
    if durable < settled {
        frozen.keep_all();
    }
    Ok((durable < frozen.last).then_some(durable))
}

/// Folds once; `false` if there was nothing to fold.
fn fold(parts: &Parts) -> Result<bool> {
    // What was covered before the journal had it may stand in files of its own by now.
    parts.journal.trim(parts.checkpoints.covered());
    let Some(frozen) = parts.overlay.freeze() else { return Ok(false) };
    let is_covered = parts.checkpoints.covered() >= frozen.last;
    let journaled = if is_covered {
        None
    } else {
        await_passing(parts);
        settle(parts, &frozen)?
    };
    let _alone = parts.fold.lock();
    if !is_covered {
        checkpoint(parts, &frozen, journaled)?;
    }
    parts.progress.set_checkpointed(frozen.last);
    bring_into_index(parts, &frozen)?;
    parts.overlay.drop_frozen();
    Ok(true)
}

/// Makes what is frozen durable as a checkpoint.
fn checkpoint(parts: &Parts, frozen: &Frozen, journaled: Option<Lsn>) -> Result<()> {
    if broken(Broken::TrimmedBeforeCheckpoint) {
        parts.journal.trim(frozen.last);
    }
    parts.checkpoints.add_delta(frozen, journaled)?;
    parts.journal.trim(frozen.last);
    Ok(())
}

fn bring_into_index(parts: &Parts, frozen: &Frozen) -> Result<()> {
    let mut rests = Rests::new(parts);
    let entries = frozen.lasting().map(|(key, value)| {
        rests.step(parts);
        Ok((key.clone(), value.clone()))
    });
    parts.passing.expect_some();
    match parts.completing(parts.index.apply(entries, frozen.last)) {
        // The checkpoints are read instead, until it is built anew from them.
        Err(_) if parts.index.is_away() => {}
        applied => applied?,
    }
    match parts.doubting(parts.passing.look_again(&parts.index)) {
        // Whoever asks for what cannot be read is told so.
        Err(_) if parts.index.is_away() => Ok(()),
        looked => looked,
    }
}

/// Gives the passing rows of the frozen map a while to pass, unless somebody waits for the fold.
fn await_passing(parts: &Parts) {
    let (signal, clock) = (&parts.signal, &parts.home.environment.clock);
    let left = || parts.overlay.frozen_passing_bytes() > 0 && !parts.fold_is_awaited();
    if !left() {
        return;
    }
    let _asking = signal.ask_to_pass();
    let deadline = clock.monotonic().saturating_add(PASSING_WAIT_MAX);
    while left() && clock.monotonic() < deadline && signal.pause(PASSING_LOOK) {}
}

fn rebuild_as_needed(parts: &Parts) -> Result<Done> {
    rebuild::as_needed(parts).map(|()| Done::All)
}

fn merge_as_needed(parts: &Parts) -> Result<Done> {
    while let Some(plan) = parts.checkpoints.merge_plan(parts.rebuild.is_under_way()) {
        if parts.signal.stopping() {
            break;
        }
        parts.checkpoints.merge(&plan, parts.budgets.overlay_bytes, || !parts.signal.stopping())?;
        // Whoever reads next is told if it cannot be read.
        let _refreshed = parts.index.refresh_stand_in();
    }
    Ok(Done::All)
}
