//! A task that runs while its lease lasts, and is restarted by the next use after it ended.

use std::{
    fmt,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{
    runtime::Handle,
    sync::Notify,
    time::{Instant, sleep_until},
};
use tokio_util::task::AbortOnDropHandle;

use super::{
    lease::{Found, LINGER, Lease},
    room::Usage,
};

/// The work of a task, until it is dropped.
pub(crate) type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A task with a value for its users (`R`). When this is dropped, the task ends.
///
/// It runs on the runtime of the use that started it. After that runtime ended, a use on another one restarts it.
pub(crate) struct Background<R> {
    shared: Arc<Shared>,
    /// Locked before the lease, never after it.
    run: Mutex<Option<Run<R>>>,
    start: Box<dyn Fn() -> (R, Work) + Send + Sync>,
    at_end: Arc<dyn Fn() + Send + Sync>,
}

struct Run<R> {
    shown: R,
    _task: AbortOnDropHandle<()>,
}

/// The lease of a task, shared by its holders and the task.
#[derive(Debug)]
struct Shared {
    lease: Mutex<Lease>,
    /// As in the lease, readable without a lock.
    is_running: AtomicBool,
    released: Notify,
}

/// Keeps a task running. When it is dropped, the task lingers.
#[derive(Debug)]
pub(crate) struct Hold {
    shared: Arc<Shared>,
    linger: Duration,
}

impl<R: Clone> Background<R> {
    /// Starts nothing yet. `start` creates the value and the work of a run; `at_end` is called when a lease has ended.
    pub(crate) fn new(
        start: impl Fn() -> (R, Work) + Send + Sync + 'static,
        at_end: impl Fn() + Send + Sync + 'static,
    ) -> Self {
        let lease = Mutex::new(Lease::new(Instant::now()));
        let shared = Shared { lease, is_running: AtomicBool::new(false), released: Notify::new() };
        let (shared, start) = (Arc::new(shared), Box::new(start));
        Self { shared, run: Mutex::default(), start, at_end: Arc::new(at_end) }
    }

    /// Holds it: it runs until this is dropped, and for the linger time after that.
    ///
    /// # Panics
    /// Outside of a tokio runtime, when it has to start.
    pub(crate) fn hold(&self, linger: Duration) -> Hold {
        self.using(Lease::hold);
        Hold { shared: self.shared.clone(), linger }
    }

    /// Uses it without holding it: it runs for [`LINGER`] at least. Does nothing outside of a tokio runtime.
    pub(crate) fn touch(&self, now: Instant) {
        if Handle::try_current().is_ok() {
            self.using(|lease| lease.touch(now + LINGER));
        }
    }

    /// Restarts it if it has ended, inside of a tokio runtime. One atomic load while it runs.
    #[inline]
    pub(crate) fn keep_running(&self) {
        if !self.is_running() {
            self.touch(Instant::now());
        }
    }

    #[inline]
    pub(crate) fn is_running(&self) -> bool {
        self.shared.is_running.load(Ordering::Acquire)
    }

    /// The value of the present or else the last run; none before the first.
    pub(crate) fn shown(&self) -> Option<R> {
        self.run().as_ref().map(|run| run.shown.clone())
    }

    pub(crate) fn usage(&self) -> Usage {
        let lease = self.shared.lease();
        match lease.ends_at() {
            None => Usage::Held,
            Some(_) if !lease.is_running() => Usage::Ended,
            Some(at) => Usage::Lingering(at),
        }
    }

    fn using(&self, how: impl FnOnce(&mut Lease) -> Found) {
        let mut slot = self.run();
        let found = self.shared.change(how);
        if let Found::Ended(run) = found {
            let ending = Ending { shared: self.shared.clone(), run };
            let (shown, work) = (self.start)();
            let task = tokio::spawn(drive(ending, work, self.at_end.clone()));
            *slot = Some(Run { shown, _task: AbortOnDropHandle::new(task) });
        }
    }

    fn run(&self) -> MutexGuard<'_, Option<Run<R>>> {
        self.run.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shared {
    fn lease(&self) -> MutexGuard<'_, Lease> {
        self.lease.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change<T>(&self, how: impl FnOnce(&mut Lease) -> T) -> T {
        let mut lease = self.lease();
        let result = how(&mut lease);
        self.is_running.store(lease.is_running(), Ordering::Release);
        result
    }

    /// Waits until the lease of this run is over, then ends it.
    async fn over(&self, run: u64, at_end: &(dyn Fn() + Send + Sync)) {
        loop {
            let ends_at = self.lease().ends_at();
            match ends_at {
                None => self.released.notified().await,
                Some(at) => sleep_until(at).await,
            }
            // Under the lock of the lease: the next use finds the task ended, and `at_end` called.
            let is_over = self.change(|lease| {
                let is_over = lease.end_if_over(run, Instant::now());
                if is_over {
                    at_end();
                }
                is_over
            });
            if is_over {
                return;
            }
        }
    }
}

/// Records the end of a run, by its lease, its runtime, or a panic.
struct Ending {
    shared: Arc<Shared>,
    run: u64,
}

impl Drop for Ending {
    fn drop(&mut self) {
        self.shared.change(|lease| lease.ended(self.run));
    }
}

async fn drive(ending: Ending, mut work: Work, at_end: Arc<dyn Fn() + Send + Sync>) {
    // Dropped before the work: a use that finds no work finds that the run has ended.
    let ending = ending;
    tokio::select! {
        () = &mut work => {}
        () = ending.shared.over(ending.run, &*at_end) => {}
    }
}

impl Clone for Hold {
    fn clone(&self) -> Self {
        // If the task has ended, the next use of its value restarts it.
        self.shared.change(Lease::hold_too);
        Self { shared: self.shared.clone(), linger: self.linger }
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        let until = Instant::now() + self.linger;
        self.shared.change(|lease| lease.release(until));
        self.shared.released.notify_one();
    }
}

impl<R> fmt::Debug for Background<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Background").field("shared", &self.shared).finish_non_exhaustive()
    }
}
