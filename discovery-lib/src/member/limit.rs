//! The limit of ejections of a pool: half of its members by default, so that a fault that all share never ejects all of them.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// The number of ejections of one pool, shared by its members. Which members are ejected is stored in their breakers.
#[derive(Debug, Default)]
pub(crate) struct EjectionLimit {
    ejected: AtomicU32,
    allowed: AtomicU32,
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

    /// Counts one ejection less: a member was readmitted, or has left.
    pub(crate) fn give_back(&self) {
        self.ejected.fetch_sub(1, Relaxed);
    }
}
