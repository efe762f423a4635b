//! Rate limit of a log event that could occur with every connection.

use tokio::time::{Duration, Instant};

/// The minimum interval of the same log event.
const EVERY: Duration = Duration::from_secs(60);

/// Limits a log event to one per minute.
#[derive(Debug, Default)]
pub struct RateLimit(Option<Instant>);

impl RateLimit {
    /// True at most once a minute.
    pub fn is_due(&mut self, now: Instant) -> bool {
        let is_due = self.0.is_none_or(|last| now.duration_since(last) >= EVERY);
        if is_due {
            self.0 = Some(now);
        }
        is_due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frequent_event_is_due_once_per_minute() {
        let (start, mut rate_limit) = (Instant::now(), RateLimit::default());
        let is_due = |second: &u64| rate_limit.is_due(start + Duration::from_secs(*second));
        let due: Vec<_> = (0..=150).filter(is_due).collect();
        assert_eq!(due, [0, 60, 120]);
    }
}
