//! Responses by status: one counter per status code.

use std::{
    fmt,
    sync::atomic::{AtomicU64, Ordering},
};

use http::StatusCode;

/// Status codes are 100 to 999.
const LOWEST: usize = 100;
const COUNTERS: usize = 900;

/// One counter per status code.
pub(super) struct Statuses(Box<[AtomicU64]>);

impl Statuses {
    pub(super) fn count(&self, status: StatusCode) {
        self.0[usize::from(status.as_u16()) - LOWEST].fetch_add(1, Ordering::Relaxed);
    }

    /// The statuses with at least one response, in order, and the number of responses of each.
    pub(super) fn counted(&self) -> impl Iterator<Item = (u16, u64)> {
        (100..).zip(&self.0).filter_map(|(status, count)| {
            let count = count.load(Ordering::Relaxed);
            (count > 0).then_some((status, count))
        })
    }
}

impl Default for Statuses {
    fn default() -> Self {
        Self((0..COUNTERS).map(|_| AtomicU64::new(0)).collect())
    }
}

impl fmt::Debug for Statuses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.counted()).finish()
    }
}
