//! A warning that is worth saying once, and not with every connection.

use tokio::time::{Duration, Instant};

/// The same warning comes at most so often.
const EVERY: Duration = Duration::from_secs(60);

/// Says whether a warning is due.
#[derive(Debug, Default)]
pub struct Seldom(Option<Instant>);

impl Seldom {
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
    fn what_happens_all_the_time_is_said_once_a_minute() {
        let (start, mut seldom) = (Instant::now(), Seldom::default());
        let said = |second: &u64| seldom.is_due(start + Duration::from_secs(*second));
        let said: Vec<_> = (0..=150).filter(said).collect();
        assert_eq!(said, [0, 60, 120]);
    }
}
