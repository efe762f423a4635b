//! The end of a resource that is used from time to time. Pure: the time is an argument.

use std::time::Duration;

use tokio::time::Instant;

/// How long a watch or pool stays after its last holder. A handler that creates one per request then creates one in all, and the statistics
/// of the instances last from one request to the next.
pub(crate) const LINGER: Duration = Duration::from_secs(60);

/// The lease of a task: it lasts while there are holders, and until the time that the last uses set.
#[derive(Debug)]
pub(crate) struct Lease {
    holders: usize,
    lasts_until: Instant,
    /// Counts the runs.
    run: u64,
    is_running: bool,
}

/// The state that a use finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Found {
    Running,
    /// It has to be started, as this run.
    Ended(u64),
}

impl Lease {
    /// The lease of a task that was never started.
    pub(crate) const fn new(now: Instant) -> Self {
        Self { holders: 0, lasts_until: now, run: 0, is_running: false }
    }

    /// One more holder.
    pub(crate) const fn hold(&mut self) -> Found {
        self.holders += 1;
        self.start()
    }

    /// One more holder beside another one. Does not start the task.
    pub(crate) const fn hold_too(&mut self) {
        self.holders += 1;
    }

    /// A use without a holder: it lasts at least until this time.
    pub(crate) fn touch(&mut self, until: Instant) -> Found {
        self.lasts_until = self.lasts_until.max(until);
        self.start()
    }

    /// One holder less; it lasts at least until this time.
    pub(crate) fn release(&mut self, until: Instant) {
        self.holders = self.holders.saturating_sub(1);
        self.lasts_until = self.lasts_until.max(until);
    }

    /// When it ends unless it is used before; none while it is held.
    pub(crate) const fn ends_at(&self) -> Option<Instant> {
        if self.holders == 0 { Some(self.lasts_until) } else { None }
    }

    /// Ends this run if its time is over; returns whether it did.
    pub(crate) fn end_if_over(&mut self, run: u64, now: Instant) -> bool {
        let is_over = self.ends_at().is_some_and(|at| at <= now);
        if is_over {
            self.ended(run);
        }
        is_over
    }

    /// This run ended, even if the lease lasts.
    pub(crate) const fn ended(&mut self, run: u64) {
        if self.run == run {
            self.is_running = false;
        }
    }

    pub(crate) const fn is_running(&self) -> bool {
        self.is_running
    }

    const fn start(&mut self) -> Found {
        if self.is_running {
            return Found::Running;
        }
        self.is_running = true;
        self.run += 1;
        Found::Ended(self.run)
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    #[derive(Debug, Clone, Copy)]
    enum Step {
        Hold,
        Touch,
        /// With a linger time in seconds.
        Release(u64),
        /// Checks whether it is over.
        Check,
        /// Its runtime ends.
        End,
        /// The end of a run that was replaced before is noticed.
        EndLate,
    }

    fn steps() -> impl Strategy<Value = Vec<(u64, Step)>> {
        let step = prop_oneof![
            Just(Step::Hold),
            Just(Step::Touch),
            prop_oneof![Just(0), Just(60)].prop_map(Step::Release),
            Just(Step::Check),
            Just(Step::End),
            Just(Step::EndLate),
        ];
        vec((0..90_u64, step), 0..40)
    }

    proptest! {
        /// It does not end while it is held or before the linger time of the last use, it does end after that, and each use after an end starts
        /// it once.
        #[test]
        fn it_lasts_as_long_as_it_is_used_and_no_longer(steps in steps()) {
            let mut now = Instant::now();
            let mut lease = Lease::new(now);
            let (mut holders, mut until, mut running, mut runs) = (0_usize, now, false, 0);
            for (pause, step) in steps {
                now += Duration::from_secs(pause);
                let found = match step {
                    Step::Hold => {
                        holders += 1;
                        Some(lease.hold())
                    }
                    Step::Touch => {
                        until = until.max(now + LINGER);
                        Some(lease.touch(now + LINGER))
                    }
                    Step::Release(linger) if holders > 0 => {
                        holders -= 1;
                        let lasts = now + Duration::from_secs(linger);
                        until = until.max(lasts);
                        lease.release(lasts);
                        None
                    }
                    Step::Release(_) => None,
                    Step::Check => {
                        let is_over = holders == 0 && now >= until;
                        prop_assert_eq!(lease.end_if_over(runs, now), is_over);
                        running &= !is_over;
                        None
                    }
                    Step::End => {
                        lease.ended(runs);
                        running = false;
                        None
                    }
                    Step::EndLate => {
                        lease.ended(runs.wrapping_sub(1));
                        None
                    }
                };
                if let Some(found) = found {
                    runs += u64::from(!running);
                    let expected = if running { Found::Running } else { Found::Ended(runs) };
                    prop_assert_eq!(found, expected);
                    running = true;
                }
                prop_assert_eq!(lease.is_running(), running);
                prop_assert_eq!(lease.ends_at(), (holders == 0).then_some(until));
            }
        }
    }
}
