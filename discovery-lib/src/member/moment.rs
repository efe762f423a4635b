//! Time stamps of statistics: microseconds since the creation of the pool, small enough to share a word with other values.
//!
//! Not a clock: the pool reads the clock once for a pick and once for its result, and passes moments to the pure parts.

use std::time::Duration;

use tokio::time::Instant;

/// Microseconds since the epoch of a pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) struct Moment(u64);

impl Moment {
    #[inline]
    pub(crate) fn new(now: Instant, epoch: Instant) -> Self {
        Self(micros(now.saturating_duration_since(epoch)))
    }

    pub(crate) const fn from_micros(micros: u64) -> Self {
        Self(micros)
    }

    #[inline]
    pub(crate) const fn as_micros(self) -> u64 {
        self.0
    }

    #[inline]
    pub(crate) const fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }

    pub(crate) fn after(self, wait: Duration) -> Self {
        Self(self.0.saturating_add(micros(wait)))
    }
}

/// Whole microseconds, without the 128-bit arithmetic of `Duration::as_micros`; saturates after half a million years.
#[inline]
fn micros(span: Duration) -> u64 {
    span.as_secs().saturating_mul(1_000_000).saturating_add(u64::from(span.subsec_micros()))
}
