//! When something that is used on and off ends. Pure: the time comes from outside.

use std::time::Duration;

use tokio::time::Instant;

/// How long a watch or pool lives on when nothing holds it any more. A handler that makes one for each request then makes one in all, and
/// what is learnt of the instances lasts from one request to the next.
pub(crate) const LINGER: Duration = Duration::from_secs(60);

/// The lease of something that runs: it lasts while there are holders, and until the time that the last uses asked for.
#[derive(Debug)]
pub(crate) struct Lease {
    holders: usize,
    lasts_until: Instant,
    /// Counts the runs.
    run: u64,
    is_running: bool,
}

/// What a use finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Found {
    Running,
    /// It has to be started, as this run.
    Ended(u64),
}

impl Lease {
    /// Of something that was never started.
    pub(crate) const fn new(now: Instant) -> Self {
        Self { holders: 0, lasts_until: now, run: 0, is_running: false }
    }

    /// One more holder.
    pub(crate) const fn hold(&mut self) -> Found {
        self.holders += 1;
        self.start()
    }

    /// One more holder beside another one, which starts it where that is needed.
    pub(crate) const fn hold_too(&mut self) {
        self.holders += 1;
    }

    /// A use without holding it: it lasts at least until then.
    pub(crate) fn touch(&mut self, until: Instant) -> Found {
        self.lasts_until = self.lasts_until.max(until);
        self.start()
    }

    /// One holder less; it lasts at least until then.
    pub(crate) fn release(&mut self, until: Instant) {
        self.holders = self.holders.saturating_sub(1);
        self.lasts_until = self.lasts_until.max(until);
    }

    /// When it ends unless it is used before; none while it is held.
    pub(crate) const fn ends_at(&self) -> Option<Instant> {
        if self.holders == 0 { Some(self.lasts_until) } else { None }
    }

    /// Ends this run if its time is over. Says whether it did.
    pub(crate) fn end_if_over(&mut self, run: u64, now: Instant) -> bool {
        let is_over = self.ends_at().is_some_and(|at| at <= now);
        if is_over {
            self.ended(run);
        }
        is_over
    }

    /// This run ended, whatever the lease says.
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
        /// Of so long.
        Release(u64),
        /// Looks whether it is over.
        Look,
        /// Its runtime ends.
        Die,
        /// The end of a run that was replaced long ago is noticed.
        DieLate,
    }

    fn steps() -> impl Strategy<Value = Vec<(u64, Step)>> {
        let step = prop_oneof![
            Just(Step::Hold),
            Just(Step::Touch),
            prop_oneof![Just(0), Just(60)].prop_map(Step::Release),
            Just(Step::Look),
            Just(Step::Die),
            Just(Step::DieLate),
        ];
        vec((0..90_u64, step), 0..40)
    }

    proptest! {
        /// It ends neither while it is held nor before the last use has lingered, it does end then, and every use after an end starts it
        /// once.
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
                    Step::Look => {
                        let is_over = holders == 0 && now >= until;
                        prop_assert_eq!(lease.end_if_over(runs, now), is_over);
                        running &= !is_over;
                        None
                    }
                    Step::Die => {
                        lease.ended(runs);
                        running = false;
                        None
                    }
                    Step::DieLate => {
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
