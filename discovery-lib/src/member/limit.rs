//! How many members of a pool may be ejected at once: at most half, so that a fault that all share never takes out everybody.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// The ejections of one pool, shared by its members. It counts; who is out stands in the members' breakers.
#[derive(Debug, Default)]
pub(crate) struct EjectionLimit {
    ejected: AtomicU32,
    allowed: AtomicU32,
}

impl EjectionLimit {
    /// Sets it for a pool of so many members that are no reserves; says how many too many are ejected already.
    pub(crate) fn allow_half_of(&self, members: usize) -> usize {
        let half = u32::try_from(members / 2).unwrap_or(u32::MAX);
        self.allowed.store(half, Relaxed);
        self.ejected.load(Relaxed).saturating_sub(half) as usize
    }

    /// Takes one ejection, if one is left.
    pub(crate) fn take(&self) -> bool {
        let allowed = self.allowed.load(Relaxed);
        let take = |ejected| (ejected < allowed).then_some(ejected + 1);
        self.ejected.fetch_update(Relaxed, Relaxed, take).is_ok()
    }

    /// Gives one back: a member is in again, or has left.
    pub(crate) fn give_back(&self) {
        self.ejected.fetch_sub(1, Relaxed);
    }
}
