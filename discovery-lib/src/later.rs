//! Times to come: additions to an `Instant` that do not overflow, for durations that a user sets, and the wait for a time if there is one.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// Thirty years, as long as tokio's own "never". A longer duration would overflow an `Instant`, whose `+` panics.
pub(crate) const FOREVER: Duration = Duration::from_secs(30 * 365 * 24 * 60 * 60);

/// The time `span` after `now`, at most [`FOREVER`] after it. Never panics.
pub(crate) fn later(now: Instant, span: Duration) -> Instant {
    now.checked_add(span.min(FOREVER)).unwrap_or(now)
}

/// Waits until this time; without one, for ever. Cancel safe.
pub(crate) async fn reached(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_duration_can_be_added() {
        let now = Instant::now();
        for (span, later_by) in [
            (Duration::ZERO, Duration::ZERO),
            (Duration::from_secs(5), Duration::from_secs(5)),
            (FOREVER, FOREVER),
            (FOREVER + Duration::from_nanos(1), FOREVER),
            (Duration::MAX, FOREVER),
        ] {
            assert_eq!(later(now, span) - now, later_by, "{span:?}");
        }
    }
}
