//! The rate limit of the queries of a watch: a token bucket, and a limit on the backoff after failures. Pure: the time is an argument.

use std::time::Duration;

use tokio::time::Instant;

/// Queries that may follow each other at once: one for the state, one that waits for the next change.
pub(crate) const BURST: u32 = 2;
/// After a burst, the interval of queries, whatever the answers. Less makes a busy loop of a broken agent, or of churn; more delays changes
/// under churn, by at most this.
pub(crate) const REFILL: Duration = Duration::from_millis(100);

/// The longest pause after many failures, and so the longest delay until a watch detects that its agent is back.
pub(crate) const BACKOFF_MAX: Duration = Duration::from_secs(5);

/// A token bucket of [`BURST`] tokens that gains one per [`REFILL`], stored as the time at which it is full again.
#[derive(Debug, Clone)]
pub(super) struct Bucket {
    full_at: Option<Instant>,
}

impl Bucket {
    pub(crate) const fn full() -> Self {
        Self { full_at: None }
    }

    /// When the next token can be taken: `now` if there is one.
    pub(super) fn ready_at(&self, now: Instant) -> Instant {
        let missing = self.full_at.map_or(Duration::ZERO, |at| at.saturating_duration_since(now));
        now + missing.saturating_sub(REFILL * (BURST - 1))
    }

    /// Takes a token. There must be one.
    pub(super) fn take(&mut self, now: Instant) {
        let full_at = self.full_at.map_or(now, |at| at.max(now));
        self.full_at = Some(full_at + REFILL);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_gives_its_burst_then_one_token_per_refill() {
        let start = Instant::now();
        let (mut bucket, mut now, mut taken_at) = (Bucket::full(), start, Vec::new());
        for _ in 0..4 {
            now = bucket.ready_at(now);
            bucket.take(now);
            taken_at.push(now - start);
        }
        assert_eq!(taken_at, [Duration::ZERO, Duration::ZERO, REFILL, REFILL * 2]);
    }

    #[test]
    fn a_bucket_never_holds_more_than_its_burst() {
        let start = Instant::now();
        let mut bucket = Bucket::full();
        bucket.take(start);
        let later = start + REFILL * 100;
        bucket.take(later);
        bucket.take(later);
        assert_eq!(bucket.ready_at(later), later + REFILL);
    }
}
