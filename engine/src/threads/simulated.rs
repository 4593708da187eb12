//! Real threads of which one runs at a time: a seed decides which, wherever one of them waits, ends, or comes to a
//! [`switch_point`].
//!
//! The thread of the tokio runtime is the first of them. When the runtime has nothing to do it calls [`Schedule::idle`], and the others run
//! until they wait, too, or until they have woken a task that was made with [`Schedule::task`]. So one seed is one run.

use std::cell::RefCell;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use parking_lot::MutexGuard;

use crate::broken::Broken;

thread_local! {
    static CURRENT: RefCell<Option<(Schedule, usize)>> = const { RefCell::new(None) };
}

/// Decides which thread runs.
#[derive(Clone)]
pub(crate) struct Schedule(Arc<Shared>);

struct Shared {
    state: parking_lot::Mutex<State>,
    /// A task of the runtime was woken since the runtime became idle.
    woken: AtomicBool,
}

struct State {
    random: u64,
    running: usize,
    threads: Vec<Arc<Slot>>,
    panicked: bool,
    broken: Option<Broken>,
}

struct Slot {
    wait: parking_lot::Mutex<Wait>,
    turn: parking_lot::Condvar,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wait {
    Ready,
    Running,
    /// On a condition, and whether a time limit may end that.
    On(usize, bool),
    Ended,
}

/// What the runtime's thread waits on while it is idle, and what the ends of threads are waited for on.
const IDLE: usize = 1;
const END: usize = 2;
/// What a future of that thread is waited for on.
const FUTURES: usize = 1 << 20;
const CONDITIONS: usize = 1 << 30;

const RUNTIME: usize = 0;

/// The schedule of this thread, if it has one.
pub(crate) fn current() -> Option<Schedule> {
    CURRENT.with_borrow(|current| current.as_ref().map(|(schedule, _)| schedule.clone()))
}

fn me() -> Option<(Schedule, usize)> {
    CURRENT.with_borrow(Clone::clone)
}

/// A place where another thread may go on instead.
pub(crate) fn switch_point() {
    if let Some((schedule, me)) = me()
        && schedule.below(4) == 0
    {
        schedule.give_way(me, Wait::Ready);
    }
}

/// Makes a thread of a schedule out of a body, if the caller is one.
pub(super) fn register<F: FnOnce() + Send + 'static>(body: F) -> (Option<Scheduled>, impl FnOnce() + Send) {
    let scheduled = current().map(|schedule| {
        let slot = Arc::new(Slot { wait: Wait::Ready.into(), turn: parking_lot::Condvar::new() });
        let mut state = schedule.0.state.lock();
        state.threads.push(slot);
        let id = state.threads.len() - 1;
        drop(state);
        Scheduled { schedule, id }
    });
    let inside = scheduled.clone();
    let body = move || match inside {
        Some(scheduled) => scheduled.run(body),
        None => body(),
    };
    (scheduled, body)
}

/// A thread of a schedule.
#[derive(Clone)]
pub(super) struct Scheduled {
    schedule: Schedule,
    id: usize,
}

impl std::fmt::Debug for Scheduled {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "thread {}", self.id)
    }
}

impl Scheduled {
    fn run(self, body: impl FnOnce()) {
        CURRENT.set(Some((self.schedule.clone(), self.id)));
        self.schedule.slot(self.id).wait_for_turn();
        let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(body));
        self.schedule.0.state.lock().panicked |= ended.is_err();
        self.schedule.notify(END);
        self.schedule.give_way(self.id, Wait::Ended);
        CURRENT.set(None);
        if let Err(panic) = ended {
            std::panic::resume_unwind(panic);
        }
    }

    /// Waits for its end, as far as the schedule is concerned.
    pub(super) fn ended(&self) {
        let slot = self.schedule.slot(self.id);
        let me = me().expect("threads of a schedule are joined by threads of it").1;
        while *slot.wait.lock() != Wait::Ended {
            self.schedule.give_way(me, Wait::On(END, false));
        }
    }
}

impl Slot {
    fn wait_for_turn(&self) {
        let mut wait = self.wait.lock();
        while *wait != Wait::Running {
            self.turn.wait(&mut wait);
        }
    }
}

impl Schedule {
    /// Makes the calling thread the first of a new schedule, until [`Schedule::finish`].
    pub(crate) fn begin(seed: u64, broken: Option<Broken>) -> Schedule {
        let slot = Arc::new(Slot { wait: Wait::Running.into(), turn: parking_lot::Condvar::new() });
        let state =
            State { random: mix(seed), running: RUNTIME, threads: vec![slot], panicked: false, broken };
        let schedule = Schedule(Arc::new(Shared { state: state.into(), woken: AtomicBool::new(false) }));
        assert!(CURRENT.replace(Some((schedule.clone(), RUNTIME))).is_none(), "one schedule at a time");
        schedule
    }

    /// The rule that is broken in it.
    pub(crate) fn broken(&self) -> Option<Broken> {
        self.0.state.lock().broken
    }

    /// Lets all other threads come to their end, which they must, and leaves the schedule.
    pub(crate) fn finish(self) {
        while self.others().any(|slot| *slot.wait.lock() != Wait::Ended) {
            self.give_way(RUNTIME, Wait::On(END, false));
        }
        CURRENT.set(None);
        assert!(!self.0.state.lock().panicked, "a thread of the engine panicked");
    }

    /// For the runtime: nothing to do. The other threads go on until they wait, or have woken a task and chance says so.
    pub(crate) fn idle(&self) {
        self.0.woken.store(false, Ordering::Release);
        for slot in self.others() {
            let mut wait = slot.wait.lock();
            if matches!(*wait, Wait::On(_, true)) && self.below(2) == 0 {
                *wait = Wait::Ready;
            }
        }
        while self.others().any(|slot| *slot.wait.lock() == Wait::Ready) {
            if self.0.woken.load(Ordering::Acquire) && self.below(3) == 0 {
                return;
            }
            self.give_way(RUNTIME, Wait::On(IDLE, false));
        }
    }

    /// A task of the runtime that goes on early when another thread wakes it.
    pub(crate) fn task<T>(&self, future: impl Future<Output = T>) -> impl Future<Output = T> {
        let shared = Arc::clone(&self.0);
        let mut future = Box::pin(future);
        std::future::poll_fn(move |context| {
            let inner = context.waker().clone();
            let waker = Waker::from(Arc::new(Noting { shared: Arc::clone(&shared), inner }));
            future.as_mut().poll(&mut Context::from_waker(&waker))
        })
    }

    pub(super) fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        let (_, me) = me().expect("only threads of a schedule wait in it");
        let mut future = pin!(future);
        let waker = Waker::from(Arc::new(Waking { schedule: self.clone(), condition: FUTURES + me }));
        loop {
            if let Poll::Ready(result) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
                return result;
            }
            self.give_way(me, Wait::On(FUTURES + me, false));
        }
    }

    /// A number below the bound, of the seed.
    fn below(&self, bound: usize) -> usize {
        let mut state = self.0.state.lock();
        state.random = mix(state.random);
        (state.random >> 33) as usize % bound
    }

    fn slot(&self, id: usize) -> Arc<Slot> {
        Arc::clone(&self.0.state.lock().threads[id])
    }

    fn others(&self) -> impl Iterator<Item = Arc<Slot>> {
        self.0.state.lock().threads.clone().into_iter().skip(1)
    }

    fn notify(&self, condition: usize) {
        for slot in &self.0.state.lock().threads {
            let mut wait = slot.wait.lock();
            if matches!(*wait, Wait::On(on, _) if on == condition) {
                *wait = Wait::Ready;
            }
        }
    }

    /// Lets another thread run. The runtime's thread gets its turn while it is idle when nobody else is ready.
    fn give_way(&self, me: usize, how: Wait) {
        let mine = self.slot(me);
        *mine.wait.lock() = how;
        let threads = self.0.state.lock().threads.clone();
        let ready: Vec<usize> = (0..threads.len())
            .filter(|&id| {
                let wait = *threads[id].wait.lock();
                wait == Wait::Ready || (id == RUNTIME && wait == Wait::On(IDLE, false))
            })
            .collect();
        let others_are_ready = ready.iter().any(|&id| id != RUNTIME);
        let ready: Vec<usize> = match how {
            Wait::On(IDLE, _) if others_are_ready => ready.into_iter().filter(|&id| id != RUNTIME).collect(),
            _ => ready,
        };
        let next = match ready.len() {
            0 => {
                // Only a time limit can end this.
                let timed = |id: &usize| matches!(*threads[*id].wait.lock(), Wait::On(_, true));
                let next = (0..threads.len()).find(timed);
                next.expect("every thread waits for another one: a deadlock")
            }
            count => ready[self.below(count)],
        };
        self.0.state.lock().running = next;
        *threads[next].wait.lock() = Wait::Running;
        threads[next].turn.notify_one();
        if how != Wait::Ended {
            mine.wait_for_turn();
        }
    }
}

/// Wakes a task of the runtime and notes that there is something to do.
struct Noting {
    shared: Arc<Shared>,
    inner: Waker,
}

impl Wake for Noting {
    fn wake(self: Arc<Self>) {
        self.shared.woken.store(true, Ordering::Release);
        self.inner.wake_by_ref();
    }
}

/// Wakes a thread that waits for a future.
struct Waking {
    schedule: Schedule,
    condition: usize,
}

impl Wake for Waking {
    fn wake(self: Arc<Self>) {
        self.schedule.notify(self.condition);
    }
}

/// A condition that threads wait on: of the schedule, if they have one.
#[derive(Debug)]
pub(crate) struct Condvar {
    id: usize,
    inner: parking_lot::Condvar,
}

impl Default for Condvar {
    fn default() -> Self {
        Condvar::new()
    }
}

impl Condvar {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(CONDITIONS);
        Condvar { id: NEXT.fetch_add(1, Ordering::Relaxed), inner: parking_lot::Condvar::new() }
    }

    pub(crate) fn wait<T>(&self, guard: &mut MutexGuard<'_, T>) {
        match me() {
            Some((schedule, me)) => {
                MutexGuard::unlocked(guard, || schedule.give_way(me, Wait::On(self.id, false)));
            }
            None => self.inner.wait(guard),
        }
    }

    pub(crate) fn wait_for<T>(&self, guard: &mut MutexGuard<'_, T>, limit: Duration) {
        match me() {
            Some((schedule, me)) => {
                MutexGuard::unlocked(guard, || schedule.give_way(me, Wait::On(self.id, true)));
            }
            None => {
                self.inner.wait_for(guard, limit);
            }
        }
    }

    pub(crate) fn notify_one(&self) {
        self.notify_all();
    }

    pub(crate) fn notify_all(&self) {
        match current() {
            Some(schedule) => schedule.notify(self.id),
            None => {
                self.inner.notify_all();
            }
        }
    }
}

/// A lock that may be held at a [`switch_point`].
#[derive(Debug, Default)]
pub(crate) struct Mutex<T>(parking_lot::Mutex<T>);

/// A lock that is held.
#[derive(Debug)]
pub(crate) struct Guard<'a, T> {
    /// `None` only while it is dropped.
    held: Option<MutexGuard<'a, T>>,
    condition: usize,
}

impl<T> Mutex<T> {
    pub(crate) fn new(value: T) -> Self {
        Mutex(parking_lot::Mutex::new(value))
    }

    pub(crate) fn lock(&self) -> Guard<'_, T> {
        let condition = std::ptr::from_ref(self).addr();
        let held = match me() {
            None => self.0.lock(),
            Some((schedule, me)) => loop {
                if let Some(held) = self.0.try_lock() {
                    break held;
                }
                schedule.give_way(me, Wait::On(condition, false));
            },
        };
        Guard { held: Some(held), condition }
    }
}

impl<T> std::ops::Deref for Guard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.held.as_ref().unwrap()
    }
}

impl<T> std::ops::DerefMut for Guard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        self.held.as_mut().unwrap()
    }
}

impl<T> Drop for Guard<'_, T> {
    fn drop(&mut self) {
        self.held = None;
        if let Some(schedule) = current() {
            schedule.notify(self.condition);
        }
    }
}

fn mix(seed: u64) -> u64 {
    let mut mixed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The order in which two threads that pass a switch point many times get on.
    fn trace(seed: u64) -> Vec<usize> {
        let schedule = Schedule::begin(seed, None);
        let trace = Arc::new(parking_lot::Mutex::new(Vec::new()));
        let threads: Vec<_> = (0..2)
            .map(|number| {
                let trace = Arc::clone(&trace);
                let body = move || {
                    for _ in 0..20 {
                        trace.lock().push(number);
                        switch_point();
                    }
                };
                crate::threads::spawn("traced", body).unwrap()
            })
            .collect();
        for thread in threads {
            thread.join();
        }
        schedule.finish();
        std::mem::take(&mut *trace.lock())
    }

    #[test]
    fn one_seed_is_one_order() {
        assert_eq!(trace(7), trace(7));
        assert!((0..20).any(|seed| trace(seed) != trace(7)));
    }

    #[test]
    fn a_future_of_the_runtime_goes_on_when_a_thread_completes_it() {
        let schedule = Schedule::begin(1, None);
        let idle = schedule.clone();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .on_thread_park(move || idle.idle())
            .build()
            .unwrap();
        runtime.block_on(schedule.task(async {
            let (sender, receiver) = tokio::sync::oneshot::channel();
            let thread = crate::threads::spawn("sender", move || sender.send(5).unwrap()).unwrap();
            assert_eq!(receiver.await.unwrap(), 5);
            thread.join();
        }));
        drop(runtime);
        schedule.finish();
    }
}
