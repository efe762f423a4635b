//! A moment by which something has to be done.

use std::time::Duration;

use tokio::time::Instant;

use crate::later::later;

/// A moment by which something has to be done, and the time to it at the start, for errors.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Deadline {
    pub(crate) at: Instant,
    pub(crate) span: Duration,
}

impl Deadline {
    pub(crate) fn after(span: Duration, now: Instant) -> Self {
        Self { at: later(now, span), span }
    }

    /// The silence after which an instance has failed when this deadline passes: `stall`, or half of the whole time if that is less.
    pub(crate) fn silence(self, stall: Duration) -> Duration {
        stall.min(self.span / 2)
    }

    /// `span` from now, but not beyond this deadline.
    pub(crate) fn at_most(self, span: Duration, now: Instant) -> Self {
        Self::after(span.min(self.at.saturating_duration_since(now)), now)
    }
}
