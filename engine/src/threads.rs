//! Threads, and what they wait on: the operating system's.
//!
//! In tests a `simulated::Schedule` may stand in for it: then one thread runs at a time, and a seed decides which.

#[cfg(test)]
pub(crate) mod simulated;

use crate::error::{Error, Result};

#[cfg(not(test))]
pub(crate) use parking_lot::{Condvar, Mutex};
#[cfg(test)]
pub(crate) use simulated::{Condvar, Mutex};

/// A thread that was started here.
#[derive(Debug)]
pub(crate) struct Thread {
    handle: std::thread::JoinHandle<()>,
    #[cfg(test)]
    scheduled: Option<simulated::Scheduled>,
}

/// Starts a thread.
pub(crate) fn spawn(name: &str, body: impl FnOnce() + Send + 'static) -> Result<Thread> {
    #[cfg(test)]
    let (scheduled, body) = simulated::register(body);
    let handle = std::thread::Builder::new().name(name.to_owned()).spawn(body);
    let handle = handle.map_err(Error::io("cannot start a thread for", name))?;
    Ok(Thread {
        handle,
        #[cfg(test)]
        scheduled,
    })
}

impl Thread {
    /// Waits for its end.
    pub(crate) fn join(self) {
        #[cfg(test)]
        if let Some(scheduled) = &self.scheduled {
            scheduled.ended();
        }
        let name = self.handle.thread().name().unwrap_or_default().to_owned();
        if self.handle.join().is_err() {
            tracing::error!(name, "a thread panicked");
        }
    }
}

/// Waits for a future on a thread of its own.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    #[cfg(test)]
    if let Some(schedule) = simulated::current() {
        return schedule.block_on(future);
    }
    futures::executor::block_on(future)
}

/// Lets others go first, those on this thread and those that wait for its core: a scheduler may leave them waiting for milliseconds
/// behind somebody who computes, even if there is an idle core.
pub(crate) async fn give_way() {
    std::thread::yield_now();
    tokio::task::yield_now().await;
}

/// Runs work that blocks or computes for long, away from the threads that serve requests.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    #[cfg(test)]
    if simulated::current().is_some() {
        return work();
    }
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|_| Error::Halted { reason: "a worker thread failed".into() })?
}
