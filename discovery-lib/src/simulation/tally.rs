//! How often something happened in a run.

use std::ops::AddAssign;

/// Counts of a run, or of all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) events: u64,
    pub(super) registrations: u64,
    pub(super) heartbeats: u64,
    pub(super) queries: u64,
    pub(super) crashes: u64,
    pub(super) shutdowns: u64,
    pub(super) losses: u64,
    pub(super) cuts: u64,
    pub(super) calls: u64,
    pub(super) retries: u64,
    pub(super) failed_calls: u64,
    pub(super) ejections: u64,
    pub(super) calls_to_reserves: u64,
    pub(super) unsafe_calls: u64,
    pub(super) unsafe_failures: u64,
    /// Differs between runs that differ in any event.
    pub(super) trace: u64,
}

impl Tally {
    fn counts(&mut self) -> [&mut u64; 15] {
        let Self {
            events,
            registrations,
            heartbeats,
            queries,
            crashes,
            shutdowns,
            losses,
            cuts,
            calls,
            retries,
            failed_calls,
            ejections,
            calls_to_reserves,
            unsafe_calls,
            unsafe_failures,
            trace: _,
        } = self;
        [
            events,
            registrations,
            heartbeats,
            queries,
            crashes,
            shutdowns,
            losses,
            cuts,
            calls,
            retries,
            failed_calls,
            ejections,
            calls_to_reserves,
            unsafe_calls,
            unsafe_failures,
        ]
    }

    pub(super) fn assert_all_happened(mut self) {
        let shown = format!("{self:?}");
        assert!(self.counts().iter().all(|count| **count > 0), "something never happened: {shown}");
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, mut other: Self) {
        for (sum, count) in self.counts().into_iter().zip(other.counts()) {
            *sum += *count;
        }
        self.trace ^= other.trace;
    }
}
