//! Exponential backoff with jitter. Pure: the random number is an argument.

use std::time::Duration;

/// The longest pause after a first failure: an agent that restarts drops its connections and is back within a second.
const FIRST: Duration = Duration::from_millis(100);

/// The pause after this number of failures in a row (1 for the first): doubled each time up to `max`, with jitter (`draw`, 0..1) over the upper
/// half, so that a thousand clients that failed together do not retry together.
pub(crate) fn backoff(failures: u32, max: Duration, draw: f64) -> Duration {
    let doublings = failures.saturating_sub(1).min(16);
    spread((FIRST * (1 << doublings)).min(max), draw)
}

/// A duration between half of it and all of it.
pub(crate) fn spread(duration: Duration, draw: f64) -> Duration {
    duration.mul_f64(0.5 + draw / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_start_small_double_and_are_capped() {
        for (failures, draw, millis) in [
            (1, 0.0, 50),
            (1, 1.0, 100),
            (2, 1.0, 200),
            (7, 1.0, 6400),
            (8, 1.0, 10_000),
            (u32::MAX, 1.0, 10_000),
            (u32::MAX, 0.0, 5000),
        ] {
            let pause = backoff(failures, Duration::from_secs(10), draw);
            assert_eq!(pause, Duration::from_millis(millis), "{failures} failures, draw {draw}");
        }
    }
}
