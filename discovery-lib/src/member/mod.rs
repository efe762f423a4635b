//! An instance and its statistics: latency, calls in flight, ejection.
//!
//! Statistics belong to a running copy: they are kept when its weights, tags or status change in Consul, and end with it. All of them are atomic
//! words, so a pick and its result take no lock and do not allocate.

mod breaker;
mod ejection;
mod latency;
mod limit;
mod moment;
mod rank;
mod slow_start;
mod stats;
mod traffic;
mod verdict;

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use tokio::time::Instant;

use crate::Instance;

pub(crate) use breaker::{Admission, BreakerOptions, FAILURES_LIMIT};
pub use ejection::{Ejection, EjectionCause};
pub(crate) use limit::EjectionLimit;
pub(crate) use moment::Moment;
pub use rank::Rank;
pub(crate) use stats::{Call, MemberStats, Transition};
pub(crate) use traffic::WINDOW_MAX;
pub use verdict::{BreakerEvent, Charge, Verdict};

/// The identity of a running copy. Unique in this process, across pools.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MemberId(u64);

impl MemberId {
    fn next() -> Self {
        static LAST: AtomicU64 = AtomicU64::new(0);
        Self(LAST.fetch_add(1, Relaxed))
    }
}

/// An instance as it is in Consul now, with the statistics of this copy. Aligned to a cache line, because each pick writes its reference count.
#[derive(Debug)]
#[repr(align(64))]
pub(crate) struct Member {
    pub(crate) instance: Arc<Instance>,
    pub(crate) stats: Arc<MemberStats>,
    /// Set for a reserve: when it ends.
    pub(crate) reserve_until: Option<Instant>,
}

impl Member {
    /// A reserve that refused a call: never picked again.
    pub(crate) fn is_dropped(&self) -> bool {
        self.reserve_until.is_some() && self.stats.was_refused()
    }

    /// Its rank by its status in Consul, without ejection.
    pub(crate) fn rank_in_consul(&self) -> Rank {
        if self.reserve_until.is_some() {
            Rank::Reserve
        } else {
            // Members of a pool have a rank; this one is a harmless default.
            Rank::of(&self.instance).unwrap_or(Rank::Reserve)
        }
    }

    /// Its rank at this moment.
    pub(crate) fn rank(&self, now: Moment) -> Rank {
        match self.stats.admission(now) {
            Admission::In => self.rank_in_consul(),
            Admission::Out | Admission::Due | Admission::Overdue => Rank::Ejected,
        }
    }
}
