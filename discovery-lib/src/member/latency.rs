//! How quickly a member answers: a peak-sensitive moving average and its time, in one atomic word.
//!
//! A slower answer raises the estimate at once, quicker ones lower it gradually (Finagle's Peak EWMA). Failures are charged as slow answers, so a
//! fast failure never counts as a quick answer.
//!
//! The estimate of an unused member decays, but only down to that of the member that it is compared with. So a slow member is picked again after
//! some time, and then as an equal: its calls in flight still limit its share.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use super::{Charge, moment::Moment};

/// The time in which an estimate loses 63 % of its distance to newer answers. Longer is calmer, and keeps one that failed once away longer:
/// 5 s charged to a member whose peers take 5 ms is forgotten after seven times this.
const FADING: Duration = Duration::from_secs(5);

/// Two members are equally quick unless one is this many times slower. Without it the noise of single answers would decide
/// between two idle members, instead of their weights.
const EQUAL: f32 = 2.0;

/// A member without an estimate counts as equally quick as the one it is compared with, but never slower than this: 1 s, the longest that a
/// successful try takes. So a new member is preferred to a failing one.
const UNKNOWN_AT_MOST: f32 = 1_000_000.0;

/// An estimate is stamped in ticks of 1.024 ms.
const TICK_BITS: u32 = 10;
/// Bits of the stamp: 35 years, after which it stays at its maximum. It never wraps: an old estimate must not count as fresh again.
const STAMP_BITS: u32 = 40;
const STAMP_MAX: u64 = (1 << STAMP_BITS) - 1;

/// The bits of 1.0, the smallest number of microseconds, and the number of low bits that are dropped: 19 bits of the mantissa remain, a
/// precision of one in a million.
const ONE: u32 = 1.0_f32.to_bits();
const DROPPED_BITS: u32 = 4;
/// The longest latency: 35 minutes. Up to here an exponent takes 5 bits.
const MICROS_MAX: f32 = 2_147_481_600.0;

/// Microseconds, from 1 to [`MICROS_MAX`], and the tick at which they were recorded.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Estimate {
    micros: f32,
    at: u64,
}

impl Estimate {
    /// The bits of positive floats sort like the numbers, so the difference to the bits of 1 is a small number. One is added to it, and 0
    /// means that the member was never measured.
    #[inline]
    fn pack(self) -> u64 {
        let above_one = self.micros.clamp(1.0, MICROS_MAX).to_bits() - ONE;
        let rounded = (above_one + (1 << (DROPPED_BITS - 1))) >> DROPPED_BITS;
        (u64::from(rounded + 1) << STAMP_BITS) | self.at
    }

    #[inline]
    fn unpack(word: u64) -> Option<Self> {
        let rounded = u32::try_from(word >> STAMP_BITS).ok()?.checked_sub(1)?;
        let micros = f32::from_bits((rounded << DROPPED_BITS) + ONE);
        Some(Self { micros, at: word & STAMP_MAX })
    }

    fn new(latency: Duration, now: Moment) -> Self {
        Self::of_micros(latency.as_secs_f32() * 1e6, now)
    }

    #[inline]
    fn of_micros(micros: f32, now: Moment) -> Self {
        Self { micros: micros.clamp(1.0, MICROS_MAX), at: tick(now) }
    }

    /// After one more answer.
    #[inline]
    fn after(self, answer: Self, now: Moment) -> Self {
        if answer.micros >= self.micros {
            return answer;
        }
        let micros = answer.micros + (self.micros - answer.micros) * self.remaining(now);
        Self { micros, at: answer.at }
    }

    /// The part of it that is left now, from 1 down to 0.
    fn remaining(self, now: Moment) -> f32 {
        // Answers are recorded in any order: one from the future has no age.
        let ticks = tick(now).saturating_sub(self.at);
        if ticks == 0 {
            return 1.0;
        }
        let age = ticks as f32 * ((1 << TICK_BITS) as f32 / 1e6);
        (-age / FADING.as_secs_f32()).exp()
    }

    /// The factor by which this is slower than `quicker` now: 1 if both are equally quick.
    fn times_slower_than(self, quicker: f32, now: Moment) -> f32 {
        if self.micros <= quicker * EQUAL {
            return 1.0;
        }
        let times = self.micros * self.remaining(now) / quicker;
        if times <= EQUAL { 1.0 } else { times }
    }
}

fn tick(now: Moment) -> u64 {
    (now.as_micros() >> TICK_BITS).min(STAMP_MAX)
}

/// The factors by which each is slower than the other: at least one of them is 1.
#[inline]
fn handicaps(one: Option<Estimate>, other: Option<Estimate>, now: Moment) -> (f32, f32) {
    match (one, other) {
        (None, None) => (1.0, 1.0),
        (Some(one), None) => (one.times_slower_than(UNKNOWN_AT_MOST, now), 1.0),
        (None, Some(other)) => (1.0, other.times_slower_than(UNKNOWN_AT_MOST, now)),
        (Some(one), Some(other)) if one.micros > other.micros => {
            (one.times_slower_than(other.micros, now), 1.0)
        }
        (Some(one), Some(other)) => (1.0, other.times_slower_than(one.micros, now)),
    }
}

/// The estimate of one member, shared by all callers.
#[derive(Debug, Default)]
pub(crate) struct Latency(AtomicU64);

impl Latency {
    /// The factors by which each of two members is slower than the other: at least one of them is 1.
    pub(crate) fn handicaps(&self, other: &Self, now: Moment) -> (f32, f32) {
        handicaps(self.load(), other.load(), now)
    }

    /// The estimate as it was recorded, in whole microseconds; None before the first answer.
    pub(crate) fn estimate(&self) -> Option<Duration> {
        self.load().map(|estimate| Duration::from_micros(estimate.micros.round() as u64))
    }

    /// Records one answer, or the lack of one.
    pub(crate) fn charge(&self, charge: Charge, elapsed: Duration, now: Moment) {
        let learn = |before: Option<Estimate>| match charge {
            Charge::Measured => Some(elapsed),
            Charge::AtLeast(least) => Some(elapsed.max(least)),
            Charge::IfAboveEstimate => {
                let expected = before.map_or(UNKNOWN_AT_MOST, |it| it.micros);
                (Estimate::new(elapsed, now).micros > expected).then_some(elapsed)
            }
            Charge::Nothing => None,
        };
        let step = |word| {
            let before = Estimate::unpack(word);
            let answer = Estimate::new(learn(before)?, now);
            let after = before.map_or(answer, |it| it.after(answer, now));
            Some(after.pack()).filter(|after| *after != word)
        };
        // An error is a step that changes nothing.
        self.0.fetch_update(Relaxed, Relaxed, step).ok();
    }

    /// As [`Charge::Measured`], for the usual case: without a conversion of durations, and without a write if nothing changes.
    #[inline]
    pub(crate) fn measured(&self, picked: Moment, now: Moment) {
        let micros = now.as_micros().saturating_sub(picked.as_micros());
        let answer = Estimate::of_micros(micros as f32, now);
        let mut word = self.0.load(Relaxed);
        loop {
            let before = Estimate::unpack(word);
            let after = before.map_or(answer, |it| it.after(answer, now)).pack();
            if after == word {
                return;
            }
            match self.0.compare_exchange_weak(word, after, Relaxed, Relaxed) {
                Ok(_) => return,
                Err(newer) => word = newer,
            }
        }
    }

    /// Restarts the estimate with this answer: after a readmission, the charges for its failures no longer apply.
    pub(crate) fn restart(&self, latency: Duration, now: Moment) {
        self.0.store(Estimate::new(latency, now).pack(), Relaxed);
    }

    #[inline]
    fn load(&self) -> Option<Estimate> {
        Estimate::unpack(self.0.load(Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(millis: u64) -> Moment {
        Moment::from_micros(millis * 1000)
    }

    fn millis(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    fn known(latency: u64, now: u64) -> Option<Estimate> {
        Some(Estimate::new(millis(latency), at(now)))
    }

    #[test]
    fn a_slower_answer_counts_at_once_and_a_quicker_one_gradually() {
        let latency = Latency::default();
        let learn = |answer, now| {
            latency.charge(Charge::Measured, millis(answer), at(now));
            latency.estimate().unwrap().as_secs_f32() * 1000.0
        };
        assert_eq!(learn(100, 0), 100.0);
        assert_eq!(learn(900, 1), 900.0);
        let after_one_fading = learn(100, 5001);
        assert!(
            (after_one_fading - (100.0 + 800.0 / 1f32.exp())).abs() < 1.0,
            "{after_one_fading}"
        );
    }

    #[test]
    fn an_answer_that_is_recorded_late_lowers_nothing() {
        let newest = Estimate::new(millis(100), at(60_000));
        let late = Estimate::new(millis(10), at(1000));
        assert_eq!(newest.after(late, at(1000)).micros, newest.micros);
        assert_eq!(newest.remaining(at(1000)), 1.0);
    }

    #[test]
    fn charges_have_the_documented_latency() {
        for (charge, elapsed, before, after) in [
            (Charge::Measured, 20, 10, 20),
            (Charge::AtLeast(millis(5000)), 20, 10, 5000),
            (Charge::AtLeast(millis(5000)), 7000, 10, 7000),
            (Charge::IfAboveEstimate, 20, 10, 20),
            (Charge::IfAboveEstimate, 5, 10, 10),
        ] {
            let latency = Latency::default();
            latency.charge(Charge::Measured, millis(before), at(0));
            latency.charge(charge, millis(elapsed), at(10_000));
            assert_eq!(latency.estimate(), Some(millis(after)), "{charge:?}");
        }
    }

    /// A call that is abandoned immediately has no information, and does not make its member quick.
    #[test]
    fn an_early_abandoned_call_makes_no_estimate() {
        let latency = Latency::default();
        latency.charge(Charge::IfAboveEstimate, millis(900), at(0));
        assert_eq!(latency.estimate(), None);
        latency.charge(Charge::IfAboveEstimate, millis(1100), at(0));
        assert_eq!(latency.estimate(), Some(millis(1100)));
    }

    #[test]
    fn the_usual_charge_is_the_measured_one() {
        let (one, other) = (Latency::default(), Latency::default());
        for (picked, now) in [(0, 20), (30, 31), (40, 540), (5000, 5001), (5001, 5001)] {
            one.charge(Charge::Measured, at(now).since(at(picked)), at(now));
            other.measured(at(picked), at(now));
            let (one, other) = (one.load().unwrap(), other.load().unwrap());
            assert!((one.micros / other.micros - 1.0).abs() < 1e-5, "{one:?}, {other:?}");
            assert_eq!(one.at, other.at);
        }
    }

    #[test]
    fn the_speed_of_the_average_does_not_depend_on_the_rate_of_answers() {
        for gap_micros in [10, 100, 10_000] {
            let latency = Latency::default();
            latency.charge(Charge::Measured, millis(100), at(0));
            for step in 0..(10_000_000 / gap_micros) {
                let now = Moment::from_micros(step * gap_micros);
                latency.charge(Charge::Measured, millis(10), now);
            }
            let estimate = latency.load().unwrap();
            let expected = 10_000.0 + 90_000.0 * (-2.0_f32).exp();
            let off = (estimate.micros / expected - 1.0).abs();
            assert!(off < 0.02, "every {gap_micros} µs: {} instead of {expected}", estimate.micros);
        }
    }

    #[test]
    fn an_unknown_member_is_as_quick_as_its_peer_but_better_than_a_failure() {
        for (other, now, expected) in [
            (None, 0, 1.0),
            (known(20, 0), 0, 1.0),
            (known(2000, 0), 0, 1.0),
            (known(5000, 0), 0, 5.0),
        ] {
            assert_eq!(handicaps(None, other, at(now)), (1.0, expected), "{other:?}");
            assert_eq!(handicaps(other, None, at(now)), (expected, 1.0), "{other:?}");
        }
    }

    #[test]
    fn a_failed_member_is_an_equal_again_after_some_time() {
        let (failed, good) = (known(5000, 0), known(5, 0));
        assert_eq!(handicaps(failed, good, at(0)), (1000.0, 1.0));
        assert!(handicaps(failed, good, at(20_000)).0 > 10.0);
        assert_eq!(handicaps(failed, good, at(40_000)), (1.0, 1.0));
    }

    fn estimate() -> impl Strategy<Value = Estimate> {
        (1.0_f32..MICROS_MAX, 0..=STAMP_MAX).prop_map(|(micros, at)| Estimate { micros, at })
    }

    /// From a moment to decades, as many of each length.
    fn idle() -> impl Strategy<Value = u64> {
        (0_u32..50, any::<u64>()).prop_map(|(bits, random)| random & ((1 << bits) - 1))
    }

    #[test]
    fn latencies_of_any_length_are_kept_within_limits() {
        let latency = Latency::default();
        for (elapsed, kept) in
            [(Duration::ZERO, 1.0), (Duration::from_secs(1), 1e6), (Duration::MAX, MICROS_MAX)]
        {
            latency.charge(Charge::Measured, elapsed, at(0));
            assert_eq!(latency.load().map(|it| it.micros), Some(kept), "{elapsed:?}");
        }
    }

    proptest! {
        #[test]
        fn a_word_holds_an_estimate(estimate in estimate()) {
            let read = Estimate::unpack(estimate.pack()).unwrap();
            prop_assert_eq!(read.at, estimate.at);
            prop_assert!((read.micros / estimate.micros - 1.0).abs() < 1e-6);
            prop_assert_eq!(read.pack(), estimate.pack());
        }

        #[test]
        fn a_member_that_failed_once_is_an_equal_after_any_idle_time(
            idle in idle(), moment in 0_u64..100_000_000, failed_first: bool,
        ) {
            let (bad, good) = (Latency::default(), Latency::default());
            let learn = |latency: &Latency, elapsed, now| {
                latency.charge(Charge::Measured, millis(elapsed), Moment::from_micros(now));
            };
            learn(&bad, if failed_first { 5000 } else { 5 }, moment);
            learn(&good, 5, moment);
            let now = moment + idle;
            if !failed_first {
                learn(&bad, 5000, now);
            }
            let later = Moment::from_micros(now.max(moment) + 40_000_000);
            prop_assert_eq!(bad.handicaps(&good, later), (1.0, 1.0));
            learn(&good, 5, later.as_micros());
            prop_assert_eq!(bad.handicaps(&good, later), (1.0, 1.0));
        }

        #[test]
        fn an_estimate_stays_within_the_recorded_latencies(answers in prop::collection::vec((0_u64..10_000, 0_u64..100_000), 1..50)) {
            let latency = Latency::default();
            for &(answer, now) in &answers {
                latency.charge(Charge::Measured, millis(answer), at(now));
            }
            let seen = || answers.iter().map(|&(answer, _)| answer as f32 / 1000.0);
            let estimate = latency.estimate().unwrap().as_secs_f32();
            prop_assert!(estimate >= seen().fold(f32::MAX, f32::min) * 0.999);
            prop_assert!(estimate <= seen().fold(1e-6, f32::max) * 1.001);
        }

        #[test]
        fn time_makes_the_slower_an_equal_and_never_better(
            one in 1_u64..100_000, other in 1_u64..100_000, first in 0_u64..100_000, later in 0_u64..1_000_000,
        ) {
            let (one, other) = (known(one, 0), known(other, 0));
            let before = handicaps(one, other, at(first));
            let after = handicaps(one, other, at(first + later));
            prop_assert!(after.0 >= 1.0 && after.1 >= 1.0 && after.0.min(after.1) == 1.0);
            prop_assert!(after.0 <= before.0 && after.1 <= before.1);
            let swapped = handicaps(other, one, at(first));
            prop_assert_eq!((swapped.1, swapped.0), before);
        }
    }
}
