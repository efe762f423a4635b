//! An instance and what callers have learnt about it: how quickly it answers, how many wait for it, whether it is kept out.
//!
//! What is learnt belongs to the running copy: it stays when Consul says something new of the same copy (weights, tags, status), and ends with
//! it. All of it is atomic words, so that a pick and its outcome take no lock and allocate nothing.

mod breaker;
mod latency;
mod limit;
mod moment;
mod rank;
mod stats;
mod verdict;
mod window;

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use tokio::time::Instant;

use crate::Instance;

pub(crate) use breaker::{Admission, BreakerOptions, FAILURES_LIMIT};
pub(crate) use limit::EjectionLimit;
pub(crate) use moment::Moment;
pub use rank::Rank;
pub(crate) use stats::{Call, MemberStats, Transition};
pub use verdict::{BreakerEvent, Charge, Verdict};
pub(crate) use window::WINDOW_MAX;

/// Which running copy is meant, for as long as this process lives: never that of another one, not even of another pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MemberId(u64);

impl MemberId {
    fn next() -> Self {
        static LAST: AtomicU64 = AtomicU64::new(0);
        Self(LAST.fetch_add(1, Relaxed))
    }
}

/// An instance as Consul says it is now, with what callers have learnt about this copy of it. A cache line of its own, as its count of
/// references is written at each pick.
#[derive(Debug)]
#[repr(align(64))]
pub(crate) struct Member {
    pub(crate) instance: Arc<Instance>,
    pub(crate) stats: Arc<MemberStats>,
    /// Set for a reserve: when it ends.
    pub(crate) reserve_until: Option<Instant>,
}

impl Member {
    /// A reserve that refused a caller: never called again.
    pub(crate) fn is_dropped(&self) -> bool {
        self.reserve_until.is_some() && self.stats.was_refused()
    }

    /// How good it is, as far as Consul knows.
    pub(crate) fn rank_in_consul(&self) -> Rank {
        if self.reserve_until.is_some() {
            Rank::Reserve
        } else {
            // The pool lets nobody in who has none; if it did, this is where it does least harm.
            Rank::of(&self.instance).unwrap_or(Rank::Reserve)
        }
    }

    /// How good it is at this moment.
    pub(crate) fn rank(&self, now: Moment) -> Rank {
        match self.stats.admission(now) {
            Admission::In => self.rank_in_consul(),
            Admission::Out | Admission::Due | Admission::Overdue => Rank::Ejected,
        }
    }
}
