//! What has happened on a connection, for its limits and for the verdict on its instance.

use std::{
    cell::{Cell, OnceCell},
    future::poll_fn,
    task::Poll,
    time::Duration,
};

use discovery::Verdict;
use tokio::time::{Instant, sleep_until};

use super::outcome::verdict;

/// What has happened on a connection. Written by its relay, in the task that reads it.
#[derive(Debug)]
pub(crate) struct Activity {
    /// When the last byte moved; not updated without an idle timeout, as reading the clock is not free.
    moved_at: Cell<Instant>,
    is_timed: bool,
    opened_at: Instant,
    has_answered: Cell<bool>,
    first_end: OnceCell<(End, Instant)>,
    leaving_since: OnceCell<Instant>,
}

/// One end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Client,
    Instance,
}

impl Activity {
    pub(super) fn new(is_timed: bool, now: Instant) -> Self {
        Self {
            moved_at: Cell::new(now),
            is_timed,
            opened_at: now,
            has_answered: Cell::new(false),
            first_end: OnceCell::new(),
            leaving_since: OnceCell::new(),
        }
    }

    /// So many bytes have moved.
    pub(super) fn moved(&self, bytes: u64) {
        if self.is_timed && bytes > 0 {
            self.moved_at.set(Instant::now());
        }
    }

    /// Bytes from the instance have moved.
    pub(super) fn answered(&self) {
        self.has_answered.set(true);
    }

    /// An end has closed its sending side, or broken.
    pub(super) fn ended(&self, end: End) {
        self.first_end.get_or_init(|| (end, Instant::now()));
    }

    /// The verdict on the instance, once it is known.
    pub(super) fn verdict(&self) -> Option<Verdict> {
        let first_end = self.first_end.get();
        let first_end = first_end.map(|(end, at)| (*end, at.duration_since(self.opened_at)));
        verdict(self.has_answered.get(), first_end)
    }

    /// Waits for the verdict. The relay must be polled before this, in the same task: nothing else wakes it.
    pub(super) async fn judged(&self) -> Verdict {
        poll_fn(|_| self.verdict().map_or(Poll::Pending, Poll::Ready)).await
    }

    /// Waits until no byte has moved for this long. Cancel safe.
    pub(super) async fn idle(&self, timeout: Duration) {
        loop {
            let until = self.moved_at.get() + timeout;
            if Instant::now() >= until {
                return;
            }
            sleep_until(until).await;
        }
    }

    /// Waits until this long after the instance or the route began to leave, which is now unless it has begun before. Cancel safe.
    pub(super) async fn linger(&self, linger: Duration) {
        let since = *self.leaving_since.get_or_init(Instant::now);
        sleep_until(since + linger).await;
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::{advance, timeout};

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn a_connection_is_idle_after_its_last_byte() {
        let start = Instant::now();
        let activity = Activity::new(true, start);
        let bytes = async {
            for _ in 0..3 {
                advance(9 * SECOND).await;
                activity.moved(1);
            }
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = activity.idle(10 * SECOND) => {}
            () = bytes => {}
        }
        assert_eq!(start.elapsed(), 37 * SECOND);
    }

    #[tokio::test(start_paused = true)]
    async fn the_time_to_linger_continues_when_it_is_asked_again() {
        let activity = Activity::new(false, Instant::now());
        let start = Instant::now();
        assert!(timeout(6 * SECOND, activity.linger(10 * SECOND)).await.is_err());
        activity.linger(10 * SECOND).await;
        assert_eq!(start.elapsed(), 10 * SECOND);
    }
}
