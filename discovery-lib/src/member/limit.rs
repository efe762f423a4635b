//! The limit of ejections of a pool: half of its members by default, so that a fault that all share never ejects all of them. And whether a
//! pick has to look at ejections at all.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

use super::moment::Moment;

/// The number of ejections of one pool, shared by its members. Which members are ejected is stored in their breakers.
#[derive(Debug, Default)]
pub(crate) struct EjectionLimit {
    ejected: AtomicU32,
    allowed: AtomicU32,
    /// The end of the last slow start, in microseconds.
    starting_until: AtomicU64,
}

impl EjectionLimit {
    /// Sets the limit for this number of members without the reserve. Returns how many ejections exceed it.
    pub(crate) fn allow(&self, percent: u8, members: usize) -> usize {
        let allowed = members.saturating_mul(percent.into()) / 100;
        let allowed = u32::try_from(allowed).unwrap_or(u32::MAX);
        self.allowed.store(allowed, Relaxed);
        self.ejected.load(Relaxed).saturating_sub(allowed) as usize
    }

    /// Counts one more ejection, if the limit allows it.
    pub(crate) fn take(&self) -> bool {
        let allowed = self.allowed.load(Relaxed);
        let take = |ejected| (ejected < allowed).then_some(ejected + 1);
        self.ejected.fetch_update(Relaxed, Relaxed, take).is_ok()
    }

    /// Notes that a slow start ends then.
    pub(crate) fn starting_until(&self, end: Moment) {
        self.starting_until.fetch_max(end.as_micros(), Relaxed);
    }

    /// Whether a slow start has not ended yet.
    #[inline]
    pub(crate) fn has_starting(&self, now: Moment) -> bool {
        now.as_micros() < self.starting_until.load(Relaxed)
    }

    /// Whether all members are picked alike: none is ejected or in its slow start.
    #[inline]
    pub(crate) fn is_calm(&self, now: Moment) -> bool {
        // An ejection is counted before it happens, and until it has ended.
        self.ejected.load(Relaxed) == 0 && !self.has_starting(now)
    }

    /// Counts one ejection less: a member was readmitted, or has left.
    pub(crate) fn give_back(&self) {
        self.ejected.fetch_sub(1, Relaxed);
    }
}
