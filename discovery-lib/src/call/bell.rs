//! A waker that knows when its owner is at work.
//!
//! The two ends of a connection wake each other: who asks for an answer wakes the one who reads it, and that one wakes who asked. Where
//! both are driven by one task, that task would wake itself, and tokio would rouse another thread for it, twice for each request. So what
//! rings while the owner is at work only makes it go round once more.

use std::{
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Wake, Waker},
};

/// How often in a row work is repeated because something rang meanwhile. Then others get their turn, as everywhere in tokio.
const ROUNDS_MAX: usize = 8;

#[derive(Debug)]
pub(crate) struct Bell(Mutex<State>);

#[derive(Debug)]
struct State {
    /// Whom to wake. Nobody, while its connection is idle.
    listener: Waker,
    is_at_work: bool,
    has_rung: bool,
}

impl Bell {
    pub(crate) fn new() -> Arc<Self> {
        let listener = Waker::noop().clone();
        Arc::new(Self(Mutex::new(State { listener, is_at_work: false, has_rung: false })))
    }

    /// Works until it is done, or nothing has rung meanwhile. Then whatever rings wakes the task of `cx`.
    pub(crate) fn poll<T>(
        self: &Arc<Self>,
        cx: &mut Context<'_>,
        mut work: impl FnMut(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        let waker = Waker::from(Arc::clone(self));
        for _ in 0..ROUNDS_MAX {
            self.begin(cx.waker());
            let done = work(&mut Context::from_waker(&waker));
            let has_rung = self.end();
            if done.is_ready() || !has_rung {
                return done;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn begin(&self, listener: &Waker) {
        let mut state = self.state();
        state.is_at_work = true;
        state.has_rung = false;
        let is_another = !state.listener.will_wake(listener);
        let last = is_another.then(|| mem::replace(&mut state.listener, listener.clone()));
        // A task may end with its last waker, and whatever it held may ring here.
        drop(state);
        drop(last);
    }

    /// Says whether it has rung since the beginning.
    fn end(&self) -> bool {
        let mut state = self.state();
        state.is_at_work = false;
        state.has_rung
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let mut state = self.state();
        state.has_rung = true;
        if !state.is_at_work {
            let listener = state.listener.clone();
            drop(state);
            listener.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

    use super::*;

    /// Counts how often its task is woken.
    #[derive(Default)]
    struct Task(AtomicUsize);

    impl Wake for Task {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Relaxed);
        }
    }

    /// Work that rings in its first rounds and is never done: how often it is done, and how often its task is woken by that.
    fn rings(rounds: usize) -> (usize, usize) {
        let (task, bell) = (Arc::new(Task::default()), Bell::new());
        let (waker, mut worked) = (Waker::from(task.clone()), 0);
        let polled = bell.poll(&mut Context::from_waker(&waker), |cx| {
            worked += 1;
            if worked <= rounds {
                cx.waker().wake_by_ref();
            }
            Poll::<()>::Pending
        });
        assert!(polled.is_pending());
        (worked, task.0.load(Relaxed))
    }

    #[test]
    fn what_rings_at_work_is_heard_without_waking_anybody() {
        for (rounds, worked) in [(0, 1), (1, 2), (3, 4), (ROUNDS_MAX - 1, ROUNDS_MAX)] {
            assert_eq!(rings(rounds), (worked, 0), "{rounds} rounds");
        }
    }

    #[test]
    fn work_without_end_lets_others_have_their_turn() {
        assert_eq!(rings(usize::MAX), (ROUNDS_MAX, 1));
    }

    #[test]
    fn what_rings_later_wakes_the_last_who_waited() {
        let (first, last, bell) =
            (Arc::new(Task::default()), Arc::new(Task::default()), Bell::new());
        let mut kept = None;
        for task in [&first, &last] {
            let waker = Waker::from(Arc::clone(task));
            let polled = bell.poll(&mut Context::from_waker(&waker), |cx| {
                kept = Some(cx.waker().clone());
                Poll::<()>::Pending
            });
            assert!(polled.is_pending());
        }
        kept.unwrap().wake();
        assert_eq!((first.0.load(Relaxed), last.0.load(Relaxed)), (0, 1));
    }

    #[test]
    fn work_that_is_done_is_not_repeated() {
        let mut worked = 0;
        let polled = Bell::new().poll(&mut Context::from_waker(Waker::noop()), |cx| {
            worked += 1;
            cx.waker().wake_by_ref();
            Poll::Ready(())
        });
        assert_eq!((polled, worked), (Poll::Ready(()), 1));
    }
}
