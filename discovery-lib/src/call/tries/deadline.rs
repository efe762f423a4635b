//! A deadline, and the time that it allowed.

use std::time::Duration;

use tokio::time::Instant;

use crate::later::later;

/// A moment by which something has to be done, and the time to it at the start, which errors name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadline {
    pub(crate) at: Instant,
    pub(crate) span: Duration,
}

impl Deadline {
    /// The moment.
    #[must_use]
    pub fn at(self) -> Instant {
        self.at
    }

    /// The time from the start to the moment.
    #[must_use]
    pub fn span(self) -> Duration {
        self.span
    }

    /// `span` from now. Any span is accepted; beyond 30 years it is the same as never.
    #[must_use]
    pub fn after(span: Duration, now: Instant) -> Self {
        Self { at: later(now, span), span }
    }

    /// `span` from now, but not beyond this deadline.
    #[must_use]
    pub fn at_most(self, span: Duration, now: Instant) -> Self {
        Self::after(span.min(self.at.saturating_duration_since(now)), now)
    }

    /// The silence after which an instance has failed when this deadline passes: `stall`, or half of the whole time if that is less.
    pub(crate) fn silence(self, stall: Duration) -> Duration {
        stall.min(self.span / 2)
    }
}
