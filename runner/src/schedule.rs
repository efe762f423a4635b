//! When a service of the program is probed, and what follows from a result: its state changes, or it is still not ready. Pure.

use std::time::Duration;

use tokio::time::Instant;

/// The interval of probes of a healthy service.
pub(crate) const PROBE_EVERY: Duration = Duration::from_secs(5);
/// The interval of probes of a service that is not healthy (any more), so that it is soon used again.
pub(crate) const FAILING_EVERY: Duration = Duration::from_secs(1);
/// The deadline of a probe. A service is critical at most this long after [`PROBE_EVERY`].
pub(crate) const PROBE_WITHIN: Duration = Duration::from_secs(4);
/// One probe at a time, on schedule.
const _: () = assert!(PROBE_WITHIN.as_nanos() < PROBE_EVERY.as_nanos());
/// The pause after the first probe, doubled with each one up to [`FAILING_EVERY`]: many programs are ready after some milliseconds.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// A program that is not ready after this time is reported, and then once in each such time. It may need minutes for its first start, so it is
/// never ended.
pub(crate) const UNREADY_EVERY: Duration = Duration::from_secs(30);

/// The schedule of one service.
#[derive(Debug)]
pub(crate) struct Schedule {
    phase: Phase,
    probe_at: Instant,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Waiting { pause: Duration, since: Instant, report_at: Instant },
    Healthy,
    Failing,
}

/// What a result led to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    /// The first success.
    Ready,
    /// Still no success after this time.
    Unready(Duration),
    /// The first failure after a success.
    Fails,
    /// The first success after a failure.
    Recovers,
}

impl Schedule {
    pub(crate) fn new(now: Instant) -> Self {
        let phase =
            Phase::Waiting { pause: FIRST_PAUSE, since: now, report_at: now + UNREADY_EVERY };
        Self { phase, probe_at: now }
    }

    /// The time of the next probe.
    pub(crate) fn probe_at(&self) -> Instant {
        self.probe_at
    }

    /// A probe that began at [`Self::probe_at`] ended.
    pub(crate) fn probed(&mut self, succeeded: bool, now: Instant) -> Option<Change> {
        let began = self.probe_at;
        let (phase, every, change) = match (self.phase, succeeded) {
            (Phase::Waiting { .. }, true) => (Phase::Healthy, PROBE_EVERY, Some(Change::Ready)),
            (Phase::Waiting { pause, since, report_at }, false) => {
                let is_due = now >= report_at;
                let report_at = if is_due { now + UNREADY_EVERY } else { report_at };
                let next = (pause * 2).min(FAILING_EVERY);
                let waiting = Phase::Waiting { pause: next, since, report_at };
                (waiting, pause, is_due.then_some(Change::Unready(now - since)))
            }
            (Phase::Healthy, false) => (Phase::Failing, FAILING_EVERY, Some(Change::Fails)),
            (Phase::Failing, true) => (Phase::Healthy, PROBE_EVERY, Some(Change::Recovers)),
            (Phase::Healthy, true) => (Phase::Healthy, PROBE_EVERY, None),
            (Phase::Failing, false) => (Phase::Failing, FAILING_EVERY, None),
        };
        self.phase = phase;
        self.probe_at = now.max(began + every);
        change
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn each_change_is_reported_once_and_in_turn(
            results in proptest::collection::vec((any::<bool>(), 0..4_000_u64), 1..200),
        ) {
            let mut now = Instant::now();
            let mut schedule = Schedule::new(now);
            let mut healthy = None;
            for (succeeded, millis) in results {
                prop_assert!(schedule.probe_at() <= now + PROBE_EVERY);
                now = schedule.probe_at().max(now) + Duration::from_millis(millis);
                let change = schedule.probed(succeeded, now);
                let expected = match (healthy, succeeded) {
                    (None, true) => Some(Change::Ready),
                    (Some(true), false) => Some(Change::Fails),
                    (Some(false), true) => Some(Change::Recovers),
                    _ => None,
                };
                let is_report = matches!(change, Some(Change::Unready(_)));
                prop_assert!(change == expected || (is_report && healthy.is_none()));
                if healthy.is_some() || succeeded {
                    healthy = Some(succeeded);
                }
            }
        }

        #[test]
        fn a_program_that_is_never_ready_is_reported_regularly(millis in 0..4_000_u64) {
            let start = Instant::now();
            let (mut now, mut last) = (start, start);
            let mut schedule = Schedule::new(start);
            while now < start + UNREADY_EVERY * 10 {
                now = schedule.probe_at().max(now) + Duration::from_millis(millis);
                if let Some(change) = schedule.probed(false, now) {
                    prop_assert_eq!(change, Change::Unready(now - start));
                    last = now;
                }
                prop_assert!(now - last < UNREADY_EVERY + FAILING_EVERY + PROBE_WITHIN);
            }
        }

        #[test]
        fn probes_are_never_a_busy_loop(
            results in proptest::collection::vec(any::<bool>(), 100),
        ) {
            let start = Instant::now();
            let mut schedule = Schedule::new(start);
            for succeeded in results {
                let now = schedule.probe_at();
                schedule.probed(succeeded, now);
                prop_assert!(schedule.probe_at() >= now + FIRST_PAUSE);
            }
        }
    }
}
