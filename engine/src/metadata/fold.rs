//! Moving the overlay into checkpoints and the index, and merging checkpoints, in the background of commits.
//!
//! A fold goes in steps, each of which may be the last one before a crash: freeze, wait until the frozen records are durable, write and
//! sync a delta, swing the manifest (D3), trim the journal, apply to the index, drop the frozen map. A step that fails for want of
//! space is tried again from its beginning; any other failure halts the store.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use super::recovery;
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
const PASSING_WAIT_MAX: Duration = Duration::from_millis(500);

/// Wakes the background threads.
#[derive(Debug)]
pub(super) struct Signal {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    requested: Lsn,
    pokes: u64,
    stopping: bool,
}

impl Signal {
    pub(super) fn new() -> Self {
        let state = State { requested: Lsn(0), pokes: 0, stopping: false };
        Signal { state: Mutex::new(state), changed: Condvar::new() }
    }

    /// Says that there may be something to do.
    pub(super) fn poke(&self) {
        let mut state = self.state.lock();
        state.pokes = state.pokes.wrapping_add(1);
        self.changed.notify_all();
    }

    /// Asks for a fold of everything up to this record.
    pub(super) fn request(&self, lsn: Lsn) {
        let mut state = self.state.lock();
        state.requested = state.requested.max(lsn);
        state.pokes = state.pokes.wrapping_add(1);
        self.changed.notify_all();
    }

    pub(super) fn stop(&self) {
        self.state.lock().stopping = true;
        self.changed.notify_all();
    }

    pub(super) fn stopping(&self) -> bool {
        self.state.lock().stopping
    }

    pub(super) fn requested(&self) -> Lsn {
        self.state.lock().requested
    }

    fn pokes(&self) -> u64 {
        self.state.lock().pokes
    }

    /// Waits for a poke that came after `seen` was read; `false` when it was stopped.
    fn wait(&self, seen: u64) -> bool {
        let mut state = self.state.lock();
        while !state.stopping && state.pokes == seen {
            self.changed.wait(&mut state);
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

/// The background threads.
pub(super) struct Folding {
    threads: Vec<Thread>,
}

impl Folding {
    pub(super) fn start(parts: &Arc<Parts>) -> Result<Self> {
        let spawn = |name: &str, body: fn(&Parts)| {
            let parts = Arc::clone(parts);
            threads::spawn(name, move || body(&parts))
        };
        let threads = vec![
            spawn("tidefs-fold", |parts| run(parts, Some(Starved::Fold), fold_as_needed))?,
            spawn("tidefs-merge", |parts| run(parts, None, merge_as_needed))?,
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

/// `starved` is what waiters are told if there is no space. Nobody waits for a merge.
fn run(parts: &Parts, starved: Option<Starved>, work: fn(&Parts) -> Result<()>) {
    loop {
        let seen = parts.signal.pokes();
        match work(parts) {
            Ok(()) => {
                starved.into_iter().for_each(|what| parts.progress.relieve(what));
                if !parts.signal.wait(seen) {
                    return;
                }
            }
            Err(Error::NoSpace) => {
                starved.into_iter().for_each(|what| parts.progress.starve(what));
                if !parts.signal.pause(FULL_DISK_RETRY) {
                    return;
                }
            }
            Err(_) if parts.signal.stopping() => return,
            Err(error) => {
                tracing::error!(%error, "metadata cannot be folded; no more changes are accepted");
                parts.progress.halt(&format!("metadata cannot be folded: {error}"));
                return;
            }
        }
    }
}

fn fold_as_needed(parts: &Parts) -> Result<()> {
    if parts.index_is_incomplete() {
        recovery::rebuild_index(parts)?;
    }
    while parts.overlay.is_folding()
        || parts.fold_is_due()
        || parts.signal.requested() > parts.progress.checkpointed()
        || parts.progress.is_starved(Starved::Journal)
    {
        let (lacks_file, given_back) =
            (parts.progress.is_starved(Starved::Journal), parts.journal.files_given_back());
        if parts.signal.stopping() {
            break;
        }
        if !fold(parts)? {
            // Without anything to fold nothing is given back: whoever waits for that is told.
            let starved = parts.progress.is_starved(Starved::Journal);
            return if starved { Err(Error::NoSpace) } else { Ok(()) };
        }
        // There may be enough deltas for a merge now.
        parts.signal.poke();
        if lacks_file && parts.journal.files_given_back() == given_back {
            // The next one may give a file back, but not at once.
            return Err(Error::NoSpace);
        }
    }
    Ok(())
}

/// Waits until what is frozen is durable. A journal without a file to write it to, on a full disk, waits for what only a fold could give
/// back: then this one gives way, and is tried again.
fn await_durable(parts: &Parts, last: Lsn) -> Result<()> {
    let progress = &parts.progress;
    let stuck = |state: &journal::State| state.durable < last && state.starved.contains(&Starved::Writer);
    threads::block_on(progress.until(|state| state.durable >= last || stuck(state)))?;
    if progress.durable() >= last { Ok(()) } else { Err(Error::NoSpace) }
}

/// Folds once; `false` if there was nothing to fold.
fn fold(parts: &Parts) -> Result<bool> {
    let Some(frozen) = parts.overlay.freeze() else { return Ok(false) };
    await_passing(parts);
    let settled = parts.overlay.settle(&frozen);
    await_durable(parts, settled)?;
    if broken(Broken::TrimmedBeforeCheckpoint) {
        parts.journal.trim(frozen.last);
    }
    if parts.checkpoints.covered() < frozen.last {
        parts.checkpoints.add_delta(&frozen)?;
    }
    parts.journal.trim(frozen.last);
    let mut rests = Rests::new(parts);
    let entries = frozen.lasting().map(|(key, value)| {
        rests.step(parts);
        Ok((key.clone(), value.clone()))
    });
    parts.passing.expect_some();
    parts.completing(parts.index.apply(entries, frozen.last))?;
    parts.doubting(parts.passing.look_again(&parts.index))?;
    parts.overlay.drop_frozen();
    parts.progress.set_checkpointed(frozen.last);
    Ok(true)
}

/// Gives the passing rows of the frozen map a while to pass, unless somebody waits for the fold.
fn await_passing(parts: &Parts) {
    let clock = &parts.home.environment.clock;
    let deadline = clock.monotonic().saturating_add(PASSING_WAIT_MAX);
    while parts.overlay.frozen_passing_bytes() > 0 && !parts.fold_is_awaited() && clock.monotonic() < deadline
    {
        if !parts.signal.pause(PASSING_WAIT_MAX) {
            return;
        }
    }
}

fn merge_as_needed(parts: &Parts) -> Result<()> {
    while let Some(plan) = parts.checkpoints.merge_plan() {
        if parts.signal.stopping() {
            break;
        }
        parts.checkpoints.merge(&plan, || !parts.signal.stopping())?;
    }
    Ok(())
}
