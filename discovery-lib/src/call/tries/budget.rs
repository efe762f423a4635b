//! The retry budget of one service: how many tries beyond the first its callers may make, so that retries do not multiply the load on
//! instances that are already overloaded.
//!
//! Retries are limited to a share of the requests in a sliding window, plus a fixed rate for callers with few requests. The window starts
//! full: when half of all instances fail at once, the first callers that notice can use the whole reserve. It is not a backoff: a granted
//! try starts at once, on another instance. The idea is Finagle's; the counts here are exact.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use super::super::CallOptions;
use crate::Error;

/// A retry counts for the window and at most one slot longer, never shorter.
const SLOTS_PER_WINDOW: u32 = 100;
const SLOTS: usize = SLOTS_PER_WINDOW as usize + 1;

/// The retry budget of one service, which all its callers share.
///
/// Retries are limited to a share of the requests in a sliding window ([`retry_percent`](CallOptions::retry_percent),
/// [`retry_window`](CallOptions::retry_window)), plus a fixed rate ([`retries_per_second`](CallOptions::retries_per_second)). It starts full.
///
/// ```
/// use discovery::{CallOptions, tries::Budget};
/// use tokio::time::Instant;
///
/// # fn main() -> Result<(), discovery::Error> {
/// let now = Instant::now();
/// let options = CallOptions::default().retry_percent(20).retries_per_second(0);
/// let budget = Budget::new(&options, now)?;
/// (0..5).for_each(|_| budget.request(now));
/// assert!(budget.retry(now)); // one per five requests
/// assert!(!budget.retry(now));
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Budget(Mutex<Window>);

impl Budget {
    /// A full budget.
    ///
    /// # Errors
    ///
    /// An option is out of its bounds ([`Error::is_setting`]).
    pub fn new(options: &CallOptions, now: Instant) -> Result<Self, Error> {
        options.check()?;
        Ok(Self::of_checked(options, now))
    }

    /// As [`Budget::new`], for options that were checked.
    pub(crate) fn of_checked(options: &CallOptions, now: Instant) -> Self {
        Self(Mutex::new(Window::new(options, now)))
    }

    /// Counts a request: one per call, regardless of its tries.
    pub fn request(&self, now: Instant) {
        self.window(|window| window.request(now));
    }

    /// Takes one retry from the budget. Returns whether there was one.
    #[must_use]
    pub fn retry(&self, now: Instant) -> bool {
        self.window(|window| window.retry(now))
    }

    /// The time of the last request or retry, rounded down to a slot.
    pub(crate) fn last_used_at(&self) -> Instant {
        self.window(|window| window.start + window.slot * window.newest as u32)
    }

    fn window<T>(&self, f: impl FnOnce(&mut Window) -> T) -> T {
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The counts of the last window, in a ring of slots, and their sums.
#[derive(Debug)]
struct Window {
    start: Instant,
    slot: Duration,
    /// Retries granted per hundred requests in the window.
    percent: u64,
    /// Retries granted per window regardless of the requests.
    reserve: u64,
    /// The slot of the last use, counted from the start.
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
    fn new(options: &CallOptions, now: Instant) -> Self {
        let window = options.retry_window;
        let reserve = f64::from(options.retries_per_second) * window.as_secs_f64();
        Self {
            start: now,
            slot: window / SLOTS_PER_WINDOW,
            percent: options.retry_percent.into(),
            reserve: reserve as u64,
            newest: 0,
            slots: [Counts::default(); SLOTS],
            sum: Counts::default(),
        }
    }

    fn request(&mut self, now: Instant) {
        self.advance(now);
        self.count(Counts { requests: 1, retries: 0 });
    }

    fn retry(&mut self, now: Instant) -> bool {
        self.advance(now);
        let granted =
            100 * (self.sum.retries + 1) <= self.percent * self.sum.requests + 100 * self.reserve;
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

    /// Moves on to the slot of `now` and subtracts the slots that left the window. An earlier `now` changes nothing.
    fn advance(&mut self, now: Instant) {
        let slot =
            (now.saturating_duration_since(self.start).as_micros() / self.slot.as_micros()) as u64;
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

    const WINDOW: Duration = Duration::from_secs(10);
    const SLOT: Duration = Duration::from_millis(100);
    const RESERVE: usize = 100;

    fn budget(now: Instant) -> Budget {
        Budget::of_checked(&CallOptions::default(), now)
    }

    #[test]
    fn starts_full() {
        let now = Instant::now();
        let budget = budget(now);
        let granted = (0..1000).filter(|_| budget.retry(now)).count();
        assert_eq!(granted, 100);
    }

    #[test]
    fn grants_a_fifth_and_the_reserve_to_the_last_one() {
        for (requests, retries) in [(0, 100), (4, 100), (5, 101), (9, 101), (10, 102), (1000, 300)]
        {
            let now = Instant::now();
            let budget = budget(now);
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
        let budget = budget(start);
        while budget.retry(start) {}
        assert!(!budget.retry(start + WINDOW - Duration::from_millis(1)));
        assert_eq!((0..1000).filter(|_| budget.retry(start + WINDOW + SLOT)).count(), 100);
    }

    #[test]
    fn options_set_share_rate_and_window() {
        let default = CallOptions::default;
        for (options, granted) in [
            (default().retry_percent(0), 100),
            (default().retry_percent(100), 200),
            (default().retries_per_second(0), 20),
            (default().retry_percent(0).retries_per_second(0), 0),
            (default().retry_window(Duration::from_secs(1)), 30),
            (default().retry_window(Duration::from_millis(1500)), 35),
        ] {
            let now = Instant::now();
            let budget = Budget::of_checked(&options, now);
            (0..100).for_each(|_| budget.request(now));
            assert_eq!((0..2000).filter(|_| budget.retry(now)).count(), granted, "{options:?}");
            let later = now + options.retry_window + options.retry_window / SLOTS_PER_WINDOW;
            let reserve =
                f64::from(options.retries_per_second) * options.retry_window.as_secs_f64();
            assert_eq!((0..2000).filter(|_| budget.retry(later)).count(), reserve as usize);
        }
    }

    /// All uses by time: the slow and obvious way to count.
    #[derive(Default)]
    struct Log {
        requests: Vec<Duration>,
        retries: Vec<Duration>,
    }

    impl Log {
        /// Whether one more retry at `now` is within the budget, with a window of its own length for retries and for requests.
        fn allows(&self, now: Duration, retries_for: Duration, requests_for: Duration) -> bool {
            let within = |all: &[Duration], span| all.iter().filter(|at| now - **at < span).count();
            5 * (within(&self.retries, retries_for) + 1)
                <= within(&self.requests, requests_for) + 5 * RESERVE
        }
    }

    proptest! {
        /// Never a retry too many in any window, and none refused that is within the budget by more than one slot.
        #[test]
        fn is_exact_to_one_slot(steps in prop::collection::vec((0u64..1500, 0usize..20, 0usize..20), 1..60)) {
            let start = Instant::now();
            let budget = budget(start);
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
