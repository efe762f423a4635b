//! The retry budget of one service: how many tries beyond the first its callers may make, so that retries never multiply the load on
//! instances that are already in trouble.
//!
//! In any ten seconds at most a fifth of the requests, and a reserve of ten a second on top for callers that ask little. The window starts
//! full: half of all instances may go dark at once, and those who notice first have the whole reserve to find the other half. It is not a
//! backoff: a try that the budget grants starts at once, on another instance. The idea is Finagle's; the counts here are exact.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// The span in which requests and retries are counted.
pub(crate) const WINDOW: Duration = Duration::from_secs(10);
/// Retries granted for a hundred requests in the window.
const PERCENT: u64 = 20;
/// Retries granted in a window whatever the number of requests: ten a second.
const RESERVE: u64 = 10 * WINDOW.as_secs();
/// The grain of the count: a retry counts for the window and at most one slot longer, never shorter.
const SLOT: Duration = Duration::from_millis(100);
const SLOTS: usize = (WINDOW.as_millis() / SLOT.as_millis()) as usize + 1;

/// The budget that all callers of one service share.
#[derive(Debug)]
pub(crate) struct Budget(Mutex<Window>);

impl Budget {
    pub(crate) fn new(now: Instant) -> Self {
        Self(Mutex::new(Window::new(now)))
    }

    /// Notes a request: one for each call, however many tries it takes.
    pub(crate) fn request(&self, now: Instant) {
        self.window(|window| window.request(now));
    }

    /// Asks for one more try, and takes it from the budget when it is granted.
    pub(crate) fn retry(&self, now: Instant) -> bool {
        self.window(|window| window.retry(now))
    }

    /// When it was last asked, to the slot.
    pub(crate) fn last_asked_at(&self) -> Instant {
        self.window(|window| window.start + SLOT * window.newest as u32)
    }

    fn window<T>(&self, f: impl FnOnce(&mut Window) -> T) -> T {
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The counts of the last window, in a ring of slots with their sums.
#[derive(Debug)]
struct Window {
    start: Instant,
    /// The slot that `now` was in when last asked, counted from the start.
    newest: u64,
    slots: [Counts; SLOTS],
    sum: Counts,
}

#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    requests: u64,
    retries: u64,
}

impl Window {
    fn new(now: Instant) -> Self {
        Self { start: now, newest: 0, slots: [Counts::default(); SLOTS], sum: Counts::default() }
    }

    fn request(&mut self, now: Instant) {
        self.forget_before(now);
        self.count(Counts { requests: 1, retries: 0 });
    }

    fn retry(&mut self, now: Instant) -> bool {
        self.forget_before(now);
        let granted = 100 * (self.sum.retries + 1) <= PERCENT * self.sum.requests + 100 * RESERVE;
        if granted {
            self.count(Counts { requests: 0, retries: 1 });
        }
        granted
    }

    fn count(&mut self, counts: Counts) {
        let slot = &mut self.slots[self.newest as usize % SLOTS];
        for sum in [slot, &mut self.sum] {
            sum.requests += counts.requests;
            sum.retries += counts.retries;
        }
    }

    /// Moves on to the slot of `now` and forgets what has left the window by then. Time that stands still or runs backwards changes nothing.
    fn forget_before(&mut self, now: Instant) {
        let slot =
            (now.saturating_duration_since(self.start).as_millis() / SLOT.as_millis()) as u64;
        let passed = slot.saturating_sub(self.newest).min(SLOTS as u64);
        self.newest = self.newest.max(slot);
        for behind in 0..passed {
            let left = std::mem::take(&mut self.slots[(self.newest - behind) as usize % SLOTS]);
            self.sum.requests -= left.requests;
            self.sum.retries -= left.retries;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn starts_full() {
        let now = Instant::now();
        let budget = Budget::new(now);
        let granted = (0..1000).filter(|_| budget.retry(now)).count();
        assert_eq!(granted, 100);
    }

    #[test]
    fn grants_a_fifth_and_the_reserve_to_the_last_one() {
        for (requests, retries) in [(0, 100), (4, 100), (5, 101), (9, 101), (10, 102), (1000, 300)]
        {
            let now = Instant::now();
            let budget = Budget::new(now);
            (0..requests).for_each(|_| budget.request(now));
            assert_eq!(
                (0..2000).filter(|_| budget.retry(now)).count(),
                retries,
                "{requests} requests"
            );
        }
    }

    #[test]
    fn is_full_again_after_a_window_and_not_before() {
        let start = Instant::now();
        let budget = Budget::new(start);
        while budget.retry(start) {}
        assert!(!budget.retry(start + WINDOW - Duration::from_millis(1)));
        assert_eq!((0..1000).filter(|_| budget.retry(start + WINDOW + SLOT)).count(), 100);
    }

    /// What has been asked, by time: the slow and obvious way to count.
    #[derive(Default)]
    struct Log {
        requests: Vec<Duration>,
        retries: Vec<Duration>,
    }

    impl Log {
        /// Whether one more retry at `now` would be right if the window were this long for each.
        fn allows(&self, now: Duration, retries_for: Duration, requests_for: Duration) -> bool {
            let within = |all: &[Duration], span| all.iter().filter(|at| now - **at < span).count();
            5 * (within(&self.retries, retries_for) + 1)
                <= within(&self.requests, requests_for) + 5 * RESERVE as usize
        }
    }

    proptest! {
        /// Never a retry too many in any ten seconds, and never one refused that would be right with one slot of doubt.
        #[test]
        fn is_exact_to_one_slot(steps in prop::collection::vec((0u64..1500, 0usize..20, 0usize..20), 1..60)) {
            let start = Instant::now();
            let budget = Budget::new(start);
            let (mut log, mut now) = (Log::default(), Duration::ZERO);
            for (pause, requests, retries) in steps {
                now += Duration::from_millis(pause);
                for _ in 0..requests {
                    budget.request(start + now);
                    log.requests.push(now);
                }
                for _ in 0..retries {
                    if budget.retry(start + now) {
                        prop_assert!(log.allows(now, WINDOW, WINDOW + SLOT));
                        log.retries.push(now);
                    } else {
                        prop_assert!(!log.allows(now, WINDOW + SLOT, WINDOW));
                    }
                }
            }
        }
    }
}
