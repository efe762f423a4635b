//! The report of a load.

use std::{fmt, time::Duration};

use tokio::time::Instant;

use super::LoadResult;

/// The number of failures that are kept with their reason; all are counted.
const SAMPLES_MAX: usize = 20;

/// The result of a load. Every scheduled request is in `ok` or in `failed`.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// Scheduled requests.
    pub sent: u64,
    /// Successful requests.
    pub ok: u64,
    /// Failed requests.
    pub failed: u64,
    /// The first 20 failures, in the order in which they ended.
    pub failures: Vec<Failure>,
    /// The longest time without a successful answer, from the start of the load to its end.
    pub longest_gap: Duration,
    /// The median latency of successful requests. All latencies count from the scheduled time, so that a stall of the server is charged to every
    /// request that was scheduled in it. Zero without a success.
    pub p50: Duration,
    /// The latency that 99 % of the successful requests do not exceed.
    pub p99: Duration,
    /// The maximum latency of the successful requests.
    pub max: Duration,
}

/// One failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The scheduled time, since the start of the load.
    pub at: Duration,
    /// The reason.
    pub why: String,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { sent, ok, failed, failures, longest_gap, p50, p99, max } = self;
        write!(f, "{sent} sent, {ok} ok, {failed} failed, longest gap {longest_gap:.1?}, ")?;
        write!(f, "p50 {p50:.1?}, p99 {p99:.1?}, max {max:.1?}")?;
        if let Some(first) = failures.first() {
            write!(f, "; first failure at {:.1?}: {}", first.at, first.why)?;
        }
        Ok(())
    }
}

/// A report under construction.
#[derive(Debug)]
pub(super) struct Tally {
    started_at: Instant,
    last_ok_at: Instant,
    longest_gap: Duration,
    latencies: Vec<Duration>,
    failed: u64,
    failures: Vec<Failure>,
}

impl Tally {
    pub(super) fn new(started_at: Instant) -> Self {
        Self {
            started_at,
            last_ok_at: started_at,
            longest_gap: Duration::ZERO,
            latencies: Vec::new(),
            failed: 0,
            failures: Vec::new(),
        }
    }

    pub(super) fn add(&mut self, outcome: LoadResult) {
        match outcome.answer {
            Ok(()) => {
                self.gap_until(outcome.done_at);
                self.last_ok_at = self.last_ok_at.max(outcome.done_at);
                self.latencies.push(outcome.done_at - outcome.due_at);
            }
            Err(why) => {
                self.failed += 1;
                if self.failures.len() < SAMPLES_MAX {
                    self.failures.push(Failure { at: outcome.due_at - self.started_at, why });
                }
            }
        }
    }

    pub(super) fn report(mut self, ended_at: Instant) -> Report {
        self.gap_until(ended_at);
        self.latencies.sort_unstable();
        let ok = self.latencies.len() as u64;
        Report {
            sent: ok + self.failed,
            ok,
            failed: self.failed,
            p50: quantile(&self.latencies, 50),
            p99: quantile(&self.latencies, 99),
            max: quantile(&self.latencies, 100),
            failures: self.failures,
            longest_gap: self.longest_gap,
        }
    }

    fn gap_until(&mut self, at: Instant) {
        self.longest_gap = self.longest_gap.max(at.saturating_duration_since(self.last_ok_at));
    }
}

/// The smallest of them that `percent` of 100 do not exceed (nearest rank).
fn quantile(sorted: &[Duration], percent: usize) -> Duration {
    let rank = (sorted.len() * percent).div_ceil(100);
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn gaps_count_from_the_start_to_the_end_and_failures_do_not_end_them() {
        let start = Instant::now();
        let mut tally = Tally::new(start);
        let outcome = |due: u32, done: u32, answer: Result<(), &str>| LoadResult {
            due_at: start + due * SECOND,
            done_at: start + done * SECOND,
            answer: answer.map_err(str::to_owned),
        };
        tally.add(outcome(0, 2, Ok(())));
        tally.add(outcome(1, 3, Err("wrong")));
        tally.add(outcome(2, 5, Ok(())));
        assert_eq!(tally.longest_gap, 3 * SECOND);
        let report = tally.report(start + 9 * SECOND);
        assert_eq!(report.longest_gap, 4 * SECOND);
        assert_eq!((report.sent, report.ok, report.failed), (3, 2, 1));
        assert_eq!((report.p50, report.max), (2 * SECOND, 3 * SECOND));
        assert_eq!(
            report.to_string(),
            "3 sent, 2 ok, 1 failed, longest gap 4.0s, p50 2.0s, p99 3.0s, max 3.0s; \
             first failure at 1.0s: wrong"
        );
    }

    #[test]
    fn quantiles_are_nearest_ranks() {
        let ranks: Vec<Duration> = (1..=200).map(|second| second * SECOND).collect();
        let cases = [(50, 100), (99, 198), (100, 200)];
        for (percent, expected) in cases {
            assert_eq!(quantile(&ranks, percent), expected * SECOND);
        }
        assert_eq!(quantile(&[], 50), Duration::ZERO);
    }
}
