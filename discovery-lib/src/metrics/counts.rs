//! The counters of one pool. A good call writes none of them; its result is counted by its member.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::TryError;

/// Why tries fail: the label of each reason, in the order of [`reason`].
pub(super) const REASONS: [&str; 8] =
    ["not connected", "tls", "closed", "late", "invalid", "request body", "misdirected", "status"];

/// The counters of one pool and of those derived from it.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(super) results: Count,
    pub(super) failures: Count,
    pub(super) ejections: Count,
    pub(super) failed_tries: [Count; REASONS.len()],
    pub(super) retries: Count,
    pub(super) hedges: Count,
    pub(super) over_budget: Count,
}

/// A number that only grows.
#[derive(Debug, Default)]
pub(super) struct Count(AtomicU64);

impl Counts {
    /// Results of calls, good and bad.
    pub(crate) fn results(&self, number: u64) {
        self.results.add(number);
    }

    /// One of the results is a failure.
    pub(crate) fn failure(&self) {
        self.failures.add(1);
    }

    pub(crate) fn ejection(&self) {
        self.ejections.add(1);
    }

    /// A try that is not the response of its call.
    pub(crate) fn failed_try(&self, why: TryError) {
        self.failed_tries[reason(why)].add(1);
    }

    /// A try beyond the first.
    pub(crate) fn retry(&self) {
        self.retries.add(1);
    }

    /// A second try beside the first one.
    pub(crate) fn hedge(&self) {
        self.hedges.add(1);
    }

    /// A try that the retry budget did not allow.
    pub(crate) fn over_budget(&self) {
        self.over_budget.add(1);
    }
}

impl Count {
    pub(super) fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }

    fn add(&self, number: u64) {
        self.0.fetch_add(number, Relaxed);
    }
}

/// The place of an error in [`REASONS`].
fn reason(why: TryError) -> usize {
    match why {
        TryError::Unresolved
        | TryError::Refused
        | TryError::Unreachable(_)
        | TryError::NotConnected(_) => 0,
        TryError::Tls(_) => 1,
        TryError::Closed | TryError::StreamRefused | TryError::Reset(_) => 2,
        TryError::Silent(_) | TryError::Stalled(_) | TryError::Unfinished(_) => 3,
        TryError::Garbled | TryError::HeadTooLong | TryError::NoHttp2 => 4,
        TryError::BodyUnfinished(_) | TryError::BodyFailed => 5,
        TryError::OtherService => 6,
        TryError::Leaving | TryError::Answered(_) => 7,
    }
}
