//! A task that runs while its lease lasts, and is started again by the next use after it ended.

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
    room::Standing,
};

/// What a task does until it is dropped.
pub(crate) type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A task with what it shows to others (`R`). Dropped, it ends.
///
/// It runs on the runtime of the use that started it, and a use on another runtime starts it again once that one has ended.
pub(crate) struct Background<R> {
    tenure: Arc<Tenure>,
    /// Locked before the lease, never after it.
    run: Mutex<Option<Run<R>>>,
    start: Box<dyn Fn() -> (R, Work) + Send + Sync>,
    at_end: Arc<dyn Fn() + Send + Sync>,
}

struct Run<R> {
    shown: R,
    _task: AbortOnDropHandle<()>,
}

/// The lease of a task, shared by its holders and the task itself.
#[derive(Debug)]
struct Tenure {
    lease: Mutex<Lease>,
    /// As the lease says, to be read without a lock.
    is_running: AtomicBool,
    released: Notify,
}

/// Keeps a task running. Dropped, the task lingers.
#[derive(Debug)]
pub(crate) struct Hold {
    tenure: Arc<Tenure>,
    linger: Duration,
}

impl<R: Clone> Background<R> {
    /// Starts nothing yet. `start` makes what is shown and the work of a run; `at_end` is done when a lease has ended.
    pub(crate) fn new(
        start: impl Fn() -> (R, Work) + Send + Sync + 'static,
        at_end: impl Fn() + Send + Sync + 'static,
    ) -> Self {
        let lease = Mutex::new(Lease::new(Instant::now()));
        let tenure = Tenure { lease, is_running: AtomicBool::new(false), released: Notify::new() };
        let (tenure, start) = (Arc::new(tenure), Box::new(start));
        Self { tenure, run: Mutex::default(), start, at_end: Arc::new(at_end) }
    }

    /// Holds it: it runs until this is dropped, and so much longer.
    ///
    /// # Panics
    /// Outside of a tokio runtime, when it has to start.
    pub(crate) fn hold(&self, linger: Duration) -> Hold {
        self.using(Lease::hold);
        Hold { tenure: self.tenure.clone(), linger }
    }

    /// Uses it without holding it: it runs for [`LINGER`] at least. Does nothing outside of a tokio runtime.
    pub(crate) fn touch(&self, now: Instant) {
        if Handle::try_current().is_ok() {
            self.using(|lease| lease.touch(now + LINGER));
        }
    }

    /// Starts it again if it has ended, here where a runtime is. One read of memory where it runs.
    pub(crate) fn keep_running(&self) {
        if !self.is_running() {
            self.touch(Instant::now());
        }
    }

    pub(crate) fn is_running(&self) -> bool {
        self.tenure.is_running.load(Ordering::Acquire)
    }

    /// What the present run shows, or the last one did; none before the first.
    pub(crate) fn shown(&self) -> Option<R> {
        self.run().as_ref().map(|run| run.shown.clone())
    }

    pub(crate) fn standing(&self) -> Standing {
        let lease = self.tenure.lease();
        match lease.ends_at() {
            None => Standing::Held,
            Some(_) if !lease.is_running() => Standing::Ended,
            Some(at) => Standing::Lingers(at),
        }
    }

    fn using(&self, how: impl FnOnce(&mut Lease) -> Found) {
        let mut slot = self.run();
        let found = self.tenure.change(how);
        if let Found::Ended(run) = found {
            let ending = Ending { tenure: self.tenure.clone(), run };
            let (shown, work) = (self.start)();
            let task = tokio::spawn(live(ending, work, self.at_end.clone()));
            *slot = Some(Run { shown, _task: AbortOnDropHandle::new(task) });
        }
    }

    fn run(&self) -> MutexGuard<'_, Option<Run<R>>> {
        self.run.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tenure {
    fn lease(&self) -> MutexGuard<'_, Lease> {
        self.lease.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change<T>(&self, how: impl FnOnce(&mut Lease) -> T) -> T {
        let mut lease = self.lease();
        let result = how(&mut lease);
        self.is_running.store(lease.is_running(), Ordering::Release);
        result
    }

    /// Waits until the lease of this run is over, and ends it.
    async fn over(&self, run: u64, at_end: &(dyn Fn() + Send + Sync)) {
        loop {
            let ends_at = self.lease().ends_at();
            match ends_at {
                None => self.released.notified().await,
                Some(at) => sleep_until(at).await,
            }
            // Under the lease's lock: who uses it next finds it ended, and what it left cleared away.
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

/// Notes the end of a run, whatever ended it: its lease, its runtime, or a panic.
struct Ending {
    tenure: Arc<Tenure>,
    run: u64,
}

impl Drop for Ending {
    fn drop(&mut self) {
        self.tenure.change(|lease| lease.ended(self.run));
    }
}

async fn live(ending: Ending, mut work: Work, at_end: Arc<dyn Fn() + Send + Sync>) {
    // Dropped before the work: who sees that the work is gone finds that it has ended.
    let ending = ending;
    tokio::select! {
        () = &mut work => {}
        () = ending.tenure.over(ending.run, &*at_end) => {}
    }
}

impl Clone for Hold {
    fn clone(&self) -> Self {
        // Its task is started again, should it have ended, by whoever uses what it shows.
        self.tenure.change(Lease::hold_too);
        Self { tenure: self.tenure.clone(), linger: self.linger }
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        let until = Instant::now() + self.linger;
        self.tenure.change(|lease| lease.release(until));
        self.tenure.released.notify_one();
    }
}

impl<R> fmt::Debug for Background<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Background").field("tenure", &self.tenure).finish_non_exhaustive()
    }
}
