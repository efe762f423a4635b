//! Hedging: a second try beside the first one, on another instance, when the first one takes unusually long.
//!
//! Source: Dean, Barroso, "The Tail at Scale" (Communications of the ACM 56(2), 2013). A hedge after the 95th percentile of the expected
//! latency limits the additional load to about 5 % and shortens the tail considerably; here the retry budget limits it too.

use std::time::Duration;

use tokio::time::Instant;

use super::{Latencies, Tries};

/// When a request that has no answer yet is sent to a second instance ([`CallOptions::hedge`](crate::CallOptions::hedge)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Hedge {
    /// After the 95th percentile of the service's latencies in the last 10 to 20 s, over all its requests with hedging. Not before 20 of
    /// them were measured.
    P95,
    /// After this time, at least 1 ms. For services whose requests differ so much that one percentile says little.
    After(Duration),
}

impl Tries {
    /// When a second try may start beside the one under way, if that has no answer by then. To be called after [`Tries::start`]; the second
    /// try is picked with [`Tries::another`] and can fail there, which changes nothing for the first.
    ///
    /// None without [`CallOptions::hedge`](crate::CallOptions::hedge), for a request that must not be served twice, whose body is a stream,
    /// or that has a second try already; and where the limits of tries or the end of the call come first. A call is hedged once.
    #[must_use]
    pub fn hedge_at(&self, latencies: &Latencies, now: Instant) -> Option<Instant> {
        let hedge = self.options.hedge?;
        let mut under_way = self.outstanding_since();
        let (Some(since), None) = (under_way.next(), under_way.next()) else { return None };
        if self.has_hedged || !self.is_repeatable || self.is_stream || self.limit().is_some() {
            return None;
        }
        let delay = match hedge {
            Hedge::P95 => latencies.p95(now)?,
            Hedge::After(delay) => delay,
        };
        since.checked_add(delay).filter(|at| *at < self.until.at)
    }
}
