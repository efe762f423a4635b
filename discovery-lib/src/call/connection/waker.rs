//! A waker that does not wake a task that is already polling.
//!
//! The two halves of a connection wake each other: the sender wakes the driver, and the driver wakes the sender. Where one task polls both,
//! it would wake itself, and tokio would notify another worker thread for it, twice per request. A wake-up during a poll only repeats that
//! poll.

use std::{
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Wake, Waker},
};

/// The maximum number of consecutive polls that are repeated because of a wake-up during the previous one. Then the task yields, as in tokio.
const POLLS_MAX: usize = 8;

#[derive(Debug)]
pub(crate) struct CoalescingWaker(Mutex<State>);

#[derive(Debug)]
struct State {
    /// The task to wake. A no-op while the connection is idle.
    task: Waker,
    is_polling: bool,
    is_woken: bool,
}

impl CoalescingWaker {
    pub(crate) fn new() -> Arc<Self> {
        let task = Waker::noop().clone();
        Arc::new(Self(Mutex::new(State { task, is_polling: false, is_woken: false })))
    }

    /// Polls until the work is ready, or until a poll without a wake-up. Later wake-ups wake the task of `cx`.
    pub(crate) fn poll<T>(
        self: &Arc<Self>,
        cx: &mut Context<'_>,
        mut work: impl FnMut(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        let waker = Waker::from(Arc::clone(self));
        for _ in 0..POLLS_MAX {
            self.begin(cx.waker());
            let polled = work(&mut Context::from_waker(&waker));
            let is_woken = self.end();
            if polled.is_ready() || !is_woken {
                return polled;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn begin(&self, task: &Waker) {
        let mut state = self.state();
        state.is_polling = true;
        state.is_woken = false;
        let is_another = !state.task.will_wake(task);
        let last = is_another.then(|| mem::replace(&mut state.task, task.clone()));
        // Dropping the last waker of a task can drop the task, and that can wake this waker.
        drop(state);
        drop(last);
    }

    /// Returns whether there was a wake-up since the poll began.
    fn end(&self) -> bool {
        let mut state = self.state();
        state.is_polling = false;
        state.is_woken
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wake for CoalescingWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let mut state = self.state();
        state.is_woken = true;
        if !state.is_polling {
            let task = state.task.clone();
            drop(state);
            task.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

    use super::*;

    /// Counts the wake-ups of its task.
    #[derive(Default)]
    struct Task(AtomicUsize);

    impl Wake for Task {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Relaxed);
        }
    }

    /// Work that wakes itself in its first polls and is never ready: the number of polls, and of wake-ups of its task.
    fn wakes_itself(times: usize) -> (usize, usize) {
        let (task, coalescing) = (Arc::new(Task::default()), CoalescingWaker::new());
        let (waker, mut polls) = (Waker::from(task.clone()), 0);
        let polled = coalescing.poll(&mut Context::from_waker(&waker), |cx| {
            polls += 1;
            if polls <= times {
                cx.waker().wake_by_ref();
            }
            Poll::<()>::Pending
        });
        assert!(polled.is_pending());
        (polls, task.0.load(Relaxed))
    }

    #[test]
    fn a_wake_up_during_a_poll_repeats_it_and_wakes_no_task() {
        for (times, polls) in [(0, 1), (1, 2), (3, 4), (POLLS_MAX - 1, POLLS_MAX)] {
            assert_eq!(wakes_itself(times), (polls, 0), "{times} wake-ups");
        }
    }

    #[test]
    fn work_without_end_yields() {
        assert_eq!(wakes_itself(usize::MAX), (POLLS_MAX, 1));
    }

    #[test]
    fn a_later_wake_up_wakes_the_task_that_polled_last() {
        let (first, last) = (Arc::new(Task::default()), Arc::new(Task::default()));
        let coalescing = CoalescingWaker::new();
        let mut kept = None;
        for task in [&first, &last] {
            let waker = Waker::from(Arc::clone(task));
            let polled = coalescing.poll(&mut Context::from_waker(&waker), |cx| {
                kept = Some(cx.waker().clone());
                Poll::<()>::Pending
            });
            assert!(polled.is_pending());
        }
        kept.unwrap().wake();
        assert_eq!((first.0.load(Relaxed), last.0.load(Relaxed)), (0, 1));
    }

    #[test]
    fn work_that_is_ready_is_not_repeated() {
        let (mut polls, coalescing) = (0, CoalescingWaker::new());
        let polled = coalescing.poll(&mut Context::from_waker(Waker::noop()), |cx| {
            polls += 1;
            cx.waker().wake_by_ref();
            Poll::Ready(())
        });
        assert_eq!((polled, polls), (Poll::Ready(()), 1));
    }
}
