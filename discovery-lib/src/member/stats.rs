//! The statistics of one running copy, shared by all callers: the state words of the pure machines, and their updates.

use std::{
    any::Any,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{
            AtomicBool, AtomicU64,
            Ordering::{Acquire, Relaxed, Release},
        },
    },
    time::Duration,
};

use tokio::{sync::Notify, time::Instant};

use crate::{PoolOptions, metrics::Counts};

use super::{
    Admission, BreakerEvent, Charge, Ejection, EjectionCause, EjectionLimit, MemberId, Moment,
    Verdict,
    breaker::Breaker,
    latency::Latency,
    slow_start,
    traffic::{Sample, Traffic},
};

/// The statistics of one member. It has its own cache lines, so that calls to one member don't slow down those to another.
///
/// The order of the fields is fixed: the first cache line has all that a good call reads and writes.
#[derive(Debug)]
#[repr(C, align(64))]
pub(crate) struct MemberStats {
    epoch: Instant,
    id: MemberId,
    options: Arc<PoolOptions>,
    latency: Latency,
    breaker: AtomicU64,
    traffic: Traffic,
    limit: Arc<EjectionLimit>,
    counts: Arc<Counts>,
    /// When its slow start began, in microseconds; 0: it has none.
    starting_at: AtomicU64,
    refused: AtomicBool,
    gone: AtomicBool,
    /// Wakes the tasks that wait for `gone`.
    gone_notify: Notify,
    /// When and why it was last ejected. Written once per ejection, and read only to explain it.
    ejected: Mutex<Option<(Moment, EjectionCause)>>,
    /// Values that callers store with this copy (connections): created at the first use, dropped with this.
    attached: OnceLock<Arc<dyn Any + Send + Sync>>,
}

/// A pick, as its member records it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Call {
    pub(crate) picked: Moment,
    /// The member was ejected when it was picked: as its probe, or because there was no other.
    pub(crate) is_out: bool,
}

/// The change that the result of a call made for all callers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Transition {
    None,
    Ejected,
    Readmitted,
}

impl Transition {
    /// That between the states before and after.
    fn of(stepped: Option<(Breaker, Breaker)>) -> Self {
        match stepped.map(|(before, after)| (before.is_out(), after.is_out())) {
            Some((false, true)) => Self::Ejected,
            Some((true, false)) => Self::Readmitted,
            Some(_) | None => Self::None,
        }
    }
}

impl MemberStats {
    pub(crate) fn new(
        epoch: Instant,
        limit: Arc<EjectionLimit>,
        counts: Arc<Counts>,
        options: Arc<PoolOptions>,
        now: Instant,
    ) -> Self {
        Self {
            epoch,
            id: MemberId::next(),
            options,
            latency: Latency::default(),
            breaker: AtomicU64::new(Breaker::new(Moment::new(now, epoch)).pack()),
            traffic: Traffic::default(),
            limit,
            counts,
            starting_at: AtomicU64::new(0),
            refused: AtomicBool::new(false),
            gone: AtomicBool::new(false),
            gone_notify: Notify::new(),
            ejected: Mutex::default(),
            attached: OnceLock::new(),
        }
    }

    #[inline]
    pub(crate) fn moment(&self, now: Instant) -> Moment {
        Moment::new(now, self.epoch)
    }

    #[inline]
    pub(crate) fn id(&self) -> MemberId {
        self.id
    }

    /// The value that callers store with this copy: one value of one type.
    pub(crate) fn attached<T: Any + Default + Send + Sync>(&self) -> Arc<T> {
        let attached = self.attached.get_or_init(|| Arc::new(T::default()));
        Arc::clone(attached).downcast().unwrap_or_default()
    }

    #[inline]
    pub(crate) fn latency(&self) -> &Latency {
        &self.latency
    }

    #[inline]
    pub(crate) fn in_flight(&self) -> u32 {
        self.traffic.in_flight()
    }

    /// Whether a call was refused; for a reserve, since it became one.
    pub(crate) fn was_refused(&self) -> bool {
        self.refused.load(Relaxed)
    }

    pub(crate) fn admission(&self, now: Moment) -> Admission {
        Breaker::unpack(self.breaker.load(Relaxed)).admission(&self.options.breaker, now)
    }

    /// Begins its slow start, if the pool has one: it is new to the pool, or comes back.
    pub(crate) fn start_slowly(&self, now: Moment) {
        let span = self.options.slow_start;
        if !span.is_zero() {
            self.starting_at.store(now.as_micros().max(1), Relaxed);
            self.limit.starting_until(now.after(span));
        }
    }

    /// The share of its usual calls that it gets: less than 1 in its slow start.
    pub(crate) fn share(&self, now: Moment) -> f32 {
        match self.starting_at.load(Relaxed) {
            0 => 1.0,
            at => slow_start::share(now.since(Moment::from_micros(at)), self.options.slow_start),
        }
    }

    /// When its ejection ends; None while it is in.
    pub(crate) fn ejected_until(&self) -> Option<Instant> {
        match Breaker::unpack(self.breaker.load(Relaxed)) {
            Breaker::Ejected { until, .. } | Breaker::Probing { until, .. } => {
                Some(self.instant(until))
            }
            Breaker::Off | Breaker::Healthy { .. } => None,
        }
    }

    /// Its ejection; None while it is in.
    pub(crate) fn ejection(&self) -> Option<Ejection> {
        let until = self.ejected_until()?;
        let (since, cause) = (*self.ejected.lock().unwrap_or_else(PoisonError::into_inner))?;
        Some(Ejection { since: self.instant(since), until, cause })
    }

    fn instant(&self, moment: Moment) -> Instant {
        self.epoch + moment.since(Moment::default())
    }

    /// A number from 0 to 1, for the jitter of an ejection.
    pub(crate) fn draw(&self) -> f32 {
        self.options.fraction()
    }

    /// Marks it as removed from the pool, also as a reserve. Final.
    pub(crate) fn set_gone(&self) {
        self.gone.store(true, Release);
        self.gone_notify.notify_waiters();
    }

    pub(crate) fn is_gone(&self) -> bool {
        self.gone.load(Acquire)
    }

    /// Waits until it is gone. Cancel safe.
    pub(crate) async fn gone(&self) {
        // Created before the flag is read, so that a notification between the two is not missed.
        let notified = self.gone_notify.notified();
        if !self.is_gone() {
            notified.await;
        }
    }

    #[inline]
    pub(crate) fn enter(&self) {
        self.traffic.enter();
    }

    #[inline]
    pub(crate) fn leave(&self) {
        self.traffic.leave();
    }

    /// Starts a probe, unless there is one.
    pub(crate) fn take_probe(&self, now: Moment) -> bool {
        let step = |word| Breaker::unpack(word).probed(now).map(Breaker::pack);
        self.breaker.fetch_update(Relaxed, Relaxed, step).is_ok()
    }

    /// The counters of its pool.
    pub(crate) fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Adds the results since the last call of this to the counters of its pool.
    pub(crate) fn count_results(&self) {
        self.counts.results(self.traffic.take_results());
    }

    /// Records the result of a pick. `draw` gives numbers from 0 to 1.
    pub(crate) fn judge(
        &self,
        verdict: Verdict,
        call: Call,
        now: Moment,
        draw: impl Fn() -> f32 + Copy,
    ) -> Transition {
        let elapsed = now.since(call.picked);
        let transition = self.learn(verdict.breaker, call, elapsed, now, draw);
        if transition != Transition::Readmitted {
            self.charge(verdict.latency, elapsed, now);
        }
        transition
    }

    /// Records a success that ends its call. As [`MemberStats::learn`] and [`MemberStats::leave`], in fewer steps if it changes no state.
    /// False if it does; then nothing is recorded.
    #[inline]
    pub(crate) fn succeed_and_leave(&self, call: Call, now: Moment) -> bool {
        let is_plain = !call.is_out && Breaker::is_spotless(self.breaker.load(Relaxed));
        if is_plain {
            self.traffic.record_and_leave(Sample::Good, now);
        }
        is_plain
    }

    /// Records whether a pick succeeded whose response head arrived after `elapsed`.
    pub(crate) fn learn(
        &self,
        signal: BreakerEvent,
        call: Call,
        elapsed: Duration,
        now: Moment,
        draw: impl Fn() -> f32 + Copy,
    ) -> Transition {
        let transition = if call.is_out {
            self.counts_out(signal);
            let options = &self.options.breaker;
            Transition::of(self.step(|breaker| breaker.on_event_out(signal, options, now, draw)))
        } else {
            self.hear(signal, now, draw)
        };
        if transition == Transition::Readmitted {
            self.latency.restart(elapsed, now);
            self.start_slowly(now);
        }
        transition
    }

    /// Counts the result of an ejected member, which is not part of its success rate.
    fn counts_out(&self, signal: BreakerEvent) {
        if let Some(sample) = Sample::of(signal) {
            self.counts.results(1);
            self.count_bad(sample);
        }
    }

    fn count_bad(&self, sample: Sample) {
        if sample == Sample::Bad {
            self.counts.failure();
        }
    }

    /// Records the latency of a pick.
    pub(crate) fn charge(&self, charge: Charge, elapsed: Duration, now: Moment) {
        self.latency.charge(charge, elapsed, now);
    }

    fn hear(&self, signal: BreakerEvent, now: Moment, draw: impl Fn() -> f32 + Copy) -> Transition {
        let Some(sample) = Sample::of(signal) else { return Transition::None };
        self.traffic.record(sample, now);
        self.count_bad(sample);
        if signal == BreakerEvent::Refused {
            self.refused.store(true, Relaxed);
        }
        let options = &self.options.breaker;
        let is_low = |since| self.traffic.is_low(options, since, now);
        let stepped = self.step(|breaker| breaker.on_event(signal, options, is_low, now, draw));
        if let Some((before, after)) = stepped
            && !before.is_out()
            && after.is_out()
        {
            self.counts.ejection();
            let ejected = Some((now, before.cause(signal, options)));
            *self.ejected.lock().unwrap_or_else(PoisonError::into_inner) = ejected;
        }
        Transition::of(stepped)
    }

    /// Stops judging it: it is a reserve from now on, or has left.
    pub(crate) fn switch_off(&self) {
        if self.step(|_| Breaker::Off).is_some() {
            self.refused.store(false, Relaxed);
        }
    }

    /// Judges it again: it is no longer a reserve.
    pub(crate) fn switch_on(&self, now: Moment) {
        let on = |breaker| if breaker == Breaker::Off { Breaker::new(now) } else { breaker };
        if self.step(on).is_some() {
            self.start_slowly(now);
        }
    }

    /// Ends its ejection early, because too many are ejected.
    pub(crate) fn readmit(&self, now: Moment) {
        self.step(|breaker| breaker.readmitted(now));
    }

    /// Updates the breaker and the count of ejections. Returns its states before and after, or None if nothing changed. An ejection
    /// above the limit changes nothing, so that the next failure tries again.
    fn step(&self, next: impl Fn(Breaker) -> Breaker) -> Option<(Breaker, Breaker)> {
        let mut word = self.breaker.load(Relaxed);
        loop {
            let before = Breaker::unpack(word);
            let after = next(before);
            if after == before {
                return None;
            }
            let is_out = (before.is_out(), after.is_out());
            if is_out == (false, true) && !self.limit.take() {
                return None;
            }
            let moved = self.breaker.compare_exchange_weak(word, after.pack(), Relaxed, Relaxed);
            match (is_out, moved) {
                ((true, false), Ok(_)) | ((false, true), Err(_)) => self.limit.give_back(),
                _ => {}
            }
            match moved {
                Ok(_) => return Some((before, after)),
                Err(newer) => word = newer,
            }
        }
    }
}

impl Drop for MemberStats {
    fn drop(&mut self) {
        self.count_results();
    }
}

#[cfg(test)]
mod tests {
    use std::{mem, thread};

    use super::*;

    const IN: Call = Call { picked: Moment::from_micros(0), is_out: false };
    const OUT: Call = Call { picked: Moment::from_micros(0), is_out: true };

    fn pool(members: usize) -> (Arc<EjectionLimit>, Vec<MemberStats>) {
        let (epoch, limit) = (Instant::now(), Arc::<EjectionLimit>::default());
        limit.allow(50, members);
        let stats = (0..members).map(|_| {
            MemberStats::new(epoch, Arc::clone(&limit), Arc::default(), Arc::default(), epoch)
        });
        (Arc::clone(&limit), stats.collect())
    }

    fn at(second: u64) -> Moment {
        Moment::from_micros(second * 1_000_000)
    }

    fn is_out(stats: &MemberStats) -> bool {
        stats.ejected_until().is_some()
    }

    fn fail(stats: &MemberStats) -> Transition {
        (0..5).map(|_| stats.judge(Verdict::FAILURE, IN, at(0), || 0.0)).last().unwrap()
    }

    #[test]
    fn a_good_call_touches_one_cache_line() {
        assert_eq!(mem::offset_of!(MemberStats, epoch), 0);
        // The first two words of the traffic.
        assert!(mem::offset_of!(MemberStats, traffic) + 2 * size_of::<u64>() <= 64);
    }

    #[test]
    fn a_success_that_ends_its_call_counts_as_one_that_does_not() {
        let (_, stats) = pool(2);
        let both = || (stats[0].enter(), stats[0].succeed_and_leave(IN, at(0))).1;
        assert!(both());
        assert_eq!(stats[0].in_flight(), 0);
        stats[0].judge(Verdict::FAILURE, IN, at(0), || 0.0);
        assert!(!both(), "it ends a row of failures");
        assert_eq!(stats[0].in_flight(), 1, "nothing is recorded");
        stats[0].judge(Verdict::SUCCESS, IN, at(0), || 0.0);
        assert!(both());
        assert!(!stats[0].succeed_and_leave(OUT, at(0)), "it may readmit");
    }

    #[test]
    fn an_ejection_has_its_time_and_its_cause() {
        let refused = Verdict::REFUSED;
        let server_error =
            Verdict { latency: Charge::Measured, breaker: BreakerEvent::ServerError };
        let in_a_row = |is_unreached| EjectionCause::FailuresInARow { count: 5, is_unreached };
        for (verdict, calls, cause) in [
            (Verdict::FAILURE, 5, in_a_row(false)),
            (refused, 5, in_a_row(true)),
            (server_error, 20, EjectionCause::LowSuccessRate { min_percent: 50 }),
        ] {
            let (_, stats) = pool(2);
            assert_eq!(stats[0].ejection(), None);
            (0..calls).for_each(|_| _ = stats[0].judge(verdict, IN, at(7), || 0.0));
            let ejection = stats[0].ejection().unwrap();
            let seconds = |at: Instant| at.duration_since(stats[0].epoch).as_secs();
            let times = (seconds(ejection.since), seconds(ejection.until));
            assert_eq!((times, ejection.cause), ((7, 8), cause));
            stats[0].readmit(at(8));
            assert_eq!(stats[0].ejection(), None);
        }
    }

    #[test]
    fn a_successful_probe_removes_the_charges_of_failures() {
        let (_, stats) = pool(2);
        assert_eq!(fail(&stats[0]), Transition::Ejected);
        assert!(stats[0].take_probe(at(1)));
        let probe = Call { picked: at(1), is_out: true };
        assert_eq!(stats[0].judge(Verdict::SUCCESS, probe, at(2), || 0.0), Transition::Readmitted);
        assert_eq!(stats[0].latency().estimate(), Some(at(2).since(at(1))));
    }

    #[test]
    fn an_ejection_above_the_limit_waits_for_a_readmission() {
        let (_, stats) = pool(2);
        assert_eq!((fail(&stats[0]), fail(&stats[1])), (Transition::Ejected, Transition::None));
        assert_eq!(stats[0].judge(Verdict::SUCCESS, OUT, at(0), || 0.0), Transition::Readmitted);
        assert_eq!(stats[1].judge(Verdict::FAILURE, IN, at(0), || 0.0), Transition::Ejected);
    }

    #[test]
    fn a_removed_member_releases_its_ejection_and_is_not_ejected_again() {
        let (_, stats) = pool(2);
        fail(&stats[0]);
        stats[0].switch_off();
        assert_eq!((fail(&stats[0]), fail(&stats[1])), (Transition::None, Transition::Ejected));
    }

    #[test]
    fn a_refusal_counts_from_when_it_became_a_reserve() {
        let (_, stats) = pool(1);
        let refuse = || stats[0].judge(Verdict::REFUSED, IN, at(0), || 0.0);
        refuse();
        stats[0].switch_off();
        assert!(!stats[0].was_refused());
        refuse();
        stats[0].switch_off();
        assert!(stats[0].was_refused());
    }

    #[test]
    fn answers_of_500_eject_by_their_rate() {
        let (_, stats) = pool(2);
        let errors = Verdict { breaker: BreakerEvent::ServerError, ..Verdict::SUCCESS };
        let transitions = (0..20).map(|_| stats[0].judge(errors, IN, at(3), || 0.0));
        assert_eq!(transitions.filter(|transition| *transition == Transition::Ejected).count(), 1);
        assert!(is_out(&stats[0]));
    }

    #[test]
    fn at_most_half_are_ejected_by_concurrent_results() {
        let (_, stats) = pool(6);
        let storm = |seed| {
            let mut draws = fastrand::Rng::with_seed(seed);
            for now in 0..200_000 {
                let one = &stats[draws.usize(..stats.len())];
                match draws.u8(..10) {
                    0 => {
                        one.take_probe(at(now));
                        one.judge(Verdict::SUCCESS, OUT, at(now), || 0.0);
                    }
                    1 => one.readmit(at(now)),
                    _ => {
                        one.judge(Verdict::FAILURE, IN, at(now), || 0.0);
                    }
                }
            }
        };
        thread::scope(|scope| {
            (0..4).for_each(|seed| drop(scope.spawn(move || storm(seed))));
        });
        let out = || stats.iter().filter(|stats| is_out(stats)).count();
        assert!(out() <= 3, "{} of 6", out());
        // The counts match only if no ejection was counted twice or lost.
        stats.iter().for_each(|stats| stats.readmit(at(200_000)));
        stats.iter().for_each(|stats| _ = fail(stats));
        assert_eq!(out(), 3);
    }
}
