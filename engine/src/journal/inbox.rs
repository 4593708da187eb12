//! The queue between those who commit and the one who writes.

use std::collections::VecDeque;
use std::time::Duration;

use parking_lot::Mutex;

use crate::identity::Lsn;
use crate::threads::Condvar;

/// A record that waits to be written.
#[derive(Debug)]
pub(super) struct Queued {
    pub(super) lsn: Lsn,
    pub(super) record: Vec<u8>,
}

/// Records in the order of their LSNs. The budgets of the store bound it: whoever commits was admitted before.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    state: Mutex<State>,
    filled: Condvar,
}

#[derive(Debug, Default)]
struct State {
    records: VecDeque<Queued>,
    stopping: bool,
}

impl Inbox {
    pub(super) fn push(&self, queued: Queued) {
        self.state.lock().records.push_back(queued);
        self.filled.notify_one();
    }

    /// All that is waiting, up to so many bytes and at least one record; `None` when it was stopped and is empty. With a limit to the
    /// waiting it may be nothing.
    pub(super) fn take(&self, bytes_max: usize, limit: Option<Duration>) -> Option<Vec<Queued>> {
        let mut state = self.state.lock();
        while state.records.is_empty() {
            if state.stopping {
                return None;
            }
            match limit {
                None => self.filled.wait(&mut state),
                Some(limit) => {
                    self.filled.wait_for(&mut state, limit);
                    if state.records.is_empty() && !state.stopping {
                        return Some(Vec::new());
                    }
                }
            }
        }
        let mut room = bytes_max;
        let mut batch = Vec::new();
        while let Some(next) = state.records.front() {
            let length = next.record.len();
            if length > room && !batch.is_empty() {
                break;
            }
            room = room.saturating_sub(length);
            batch.extend(state.records.pop_front());
        }
        Some(batch)
    }

    pub(super) fn stop(&self) {
        self.state.lock().stopping = true;
        self.filled.notify_all();
    }
}
