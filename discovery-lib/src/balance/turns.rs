//! A number that grows with each pick, for policies that take turns.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// The turns of one pool. They go on when its instances change. It has its own cache line, because other picks of the pool don't write.
#[derive(Debug)]
#[repr(align(64))]
pub(super) struct Turns(AtomicU64);

impl Turns {
    /// Begins anywhere, by this random number: callers that start together should not call the same instance first.
    pub(super) fn new(random: u64) -> Self {
        // Far from the end of the numbers.
        Self(AtomicU64::new(random >> 32))
    }

    pub(super) fn next(&self) -> u64 {
        self.0.fetch_add(1, Relaxed)
    }
}
