//! How often something happened in a run.

use std::ops::AddAssign;

/// The counts, and access to all of them.
macro_rules! tally {
    ($($count:ident),* $(,)?) => {
        /// Counts of a run, or of all.
        #[derive(Debug, Clone, Default, PartialEq, Eq)]
        pub(super) struct Tally {
            $(pub(super) $count: u64,)*
            /// Differs between runs that differ in any event.
            pub(super) trace: u64,
        }

        impl Tally {
            fn counts(&mut self) -> impl Iterator<Item = &mut u64> {
                [$(&mut self.$count),*].into_iter()
            }
        }
    };
}

tally!(
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
);

impl Tally {
    pub(super) fn assert_all_happened(mut self) {
        let shown = format!("{self:?}");
        assert!(self.counts().all(|count| *count > 0), "something never happened: {shown}");
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, mut other: Self) {
        for (sum, count) in self.counts().zip(other.counts()) {
            *sum += *count;
        }
        self.trace ^= other.trace;
    }
}
