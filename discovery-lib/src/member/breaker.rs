//! When a member is kept out because it failed its callers, and how it comes back: a pure machine in one word.
//!
//! ```text
//! Well --failures in a row, or a low success rate--> Ejected --its time is over, a pick takes it--> Probing
//! Well <-------------- the probe succeeds ------------------------------------------------------- Probing
//!                      the probe fails: ejected for longer; it is abandoned: for a moment ------> Ejected
//! ```
//!
//! Not here: how many may be out at once (`allowance`), nor what counts as a failure (whoever judges).

use std::time::Duration;

use super::{Signal, moment::Moment};

/// So many failures in a row eject. At 200 requests a second on two members a hung one has as many after its first deadline.
pub(crate) const FAILURES_MAX: u8 = 5;

/// The first ejection; each further one is twice as long. At least a second, so that what was counted before is not counted again after.
const EJECTED_MIN: Duration = Duration::from_secs(1);

/// The longest ejection, before jitter of up to a half more.
const EJECTED_MAX: Duration = Duration::from_secs(60);

/// One earlier ejection is forgotten for so much time in rotation: who fails again soon after it came back stays out longer.
const FORGIVEN_AFTER: Duration = Duration::from_secs(30);

/// A probe without an answer holds its place so long; then another may try.
const PROBE_MAX: Duration = Duration::from_secs(10);

/// After a probe that said nothing (its caller left, or was told to slow down).
const PROBE_AGAIN: Duration = Duration::from_secs(1);

/// Where a member stands with its callers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Breaker {
    /// Not judged: a reserve, whose first refusal drops it, or one that has left the pool.
    Off,
    /// In rotation since then, with so many failures in a row and so many ejections before.
    Well { failures: u8, ejections: u8, since: Moment },
    /// Kept out.
    Ejected { ejections: u8, until: Moment },
    /// Kept out but for one pick, which has so long to tell.
    Probing { ejections: u8, until: Moment },
}

/// What a pick may do with a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Take it.
    In,
    /// Leave it, while there is anyone else.
    Out,
    /// As `Out`, but one pick may probe it.
    Due,
}

impl Breaker {
    pub(crate) const fn new(since: Moment) -> Self {
        Self::Well { failures: 0, ejections: 0, since }
    }

    pub(crate) const fn is_out(self) -> bool {
        matches!(self, Self::Ejected { .. } | Self::Probing { .. })
    }

    pub(crate) fn standing(self, now: Moment) -> Standing {
        match self {
            Self::Off | Self::Well { .. } => Standing::In,
            Self::Ejected { until, .. } | Self::Probing { until, .. } if until <= now => {
                Standing::Due
            }
            Self::Ejected { .. } | Self::Probing { .. } => Standing::Out,
        }
    }

    /// Taken by the one pick that may probe it; None if another was quicker, or it is too early.
    pub(crate) fn probed(self, now: Moment) -> Option<Self> {
        match self {
            Self::Ejected { ejections, until } | Self::Probing { ejections, until }
                if until <= now =>
            {
                Some(Self::Probing { ejections, until: now.after(PROBE_MAX) })
            }
            _ => None,
        }
    }

    /// After the outcome of a pick that was made while it was in. `is_low`: whether its success rate since then is too low. `draw`: 0 to 1.
    pub(crate) fn heard(
        self,
        signal: Signal,
        is_low: impl FnOnce(Moment) -> bool,
        now: Moment,
        draw: impl FnOnce() -> f32,
    ) -> Self {
        // Those called before it was ejected are late: what they found has been acted upon.
        let Self::Well { failures, ejections, since } = self else { return self };
        let failures = match signal {
            Signal::None => return self,
            Signal::Success => return Self::Well { failures: 0, ejections, since },
            Signal::ServerError => failures,
            Signal::Failure | Signal::Refused => failures.saturating_add(1),
        };
        if failures < FAILURES_MAX && !is_low(since) {
            return Self::Well { failures, ejections, since };
        }
        let forgiven = now.since(since).as_secs() / FORGIVEN_AFTER.as_secs();
        let earlier = ejections.saturating_sub(u8::try_from(forgiven).unwrap_or(u8::MAX));
        Self::ejected(earlier, now, draw())
    }

    /// After the outcome of a pick that was made while it was out: of the probe, or of one that found nobody else.
    pub(crate) fn heard_out(self, signal: Signal, now: Moment, draw: impl FnOnce() -> f32) -> Self {
        match (self, signal) {
            (Self::Off | Self::Well { .. }, _) => self,
            (
                Self::Ejected { ejections, .. } | Self::Probing { ejections, .. },
                Signal::Success,
            ) => Self::Well { failures: 0, ejections, since: now },
            // Only the probe makes it longer, however many found nobody else.
            (Self::Ejected { .. }, _) => self,
            (Self::Probing { ejections, .. }, Signal::None) => {
                Self::Ejected { ejections, until: now.after(PROBE_AGAIN) }
            }
            (Self::Probing { ejections, .. }, _) => Self::ejected(ejections, now, draw()),
        }
    }

    /// Let in again by the pool, because too many are out.
    pub(crate) fn readmitted(self, now: Moment) -> Self {
        match self {
            Self::Ejected { ejections, .. } | Self::Probing { ejections, .. } => {
                Self::Well { failures: 0, ejections, since: now }
            }
            Self::Off | Self::Well { .. } => self,
        }
    }

    fn ejected(earlier: u8, now: Moment, draw: f32) -> Self {
        let full = EJECTED_MIN.saturating_mul(1 << earlier.min(16)).min(EJECTED_MAX);
        let until = now.after(full.mul_f32(1.0 + draw.clamp(0.0, 1.0) / 2.0));
        Self::Ejected { ejections: earlier.saturating_add(1), until }
    }
}

/// Two bits of kind, 6 of failures, 8 of ejections, 48 of milliseconds (9000 years).
impl Breaker {
    pub(crate) fn pack(self) -> u64 {
        let (kind, failures, ejections, at) = match self {
            Self::Off => (0, 0, 0, Moment::default()),
            Self::Well { failures, ejections, since } => (1, failures, ejections, since),
            Self::Ejected { ejections, until } => (2, 0, ejections, until),
            Self::Probing { ejections, until } => (3, 0, ejections, until),
        };
        let counts = (u64::from(failures.min(63)) << 8) | u64::from(ejections);
        (kind << 62) | (counts << 48) | (at.as_micros() / 1000)
    }

    pub(crate) fn unpack(word: u64) -> Self {
        let at = Moment::from_micros((word & ((1 << 48) - 1)) * 1000);
        let (failures, ejections) = ((word >> 56) as u8 & 63, (word >> 48) as u8);
        match word >> 62 {
            0 => Self::Off,
            1 => Self::Well { failures, ejections, since: at },
            2 => Self::Ejected { ejections, until: at },
            _ => Self::Probing { ejections, until: at },
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NEW: Breaker = Breaker::new(Moment::from_micros(0));

    fn at(millis: u64) -> Moment {
        Moment::from_micros(millis * 1000)
    }

    /// Without jitter, and with a success rate that is fine.
    fn heard(breaker: Breaker, signal: Signal, now: Moment) -> Breaker {
        breaker.heard(signal, |_| false, now, || 0.0)
    }

    fn failed_in_a_row(breaker: Breaker, times: u8, now: Moment) -> Breaker {
        (0..times).fold(breaker, |breaker, _| heard(breaker, Signal::Failure, now))
    }

    fn until(breaker: Breaker) -> Moment {
        match breaker {
            Breaker::Ejected { until, .. } | Breaker::Probing { until, .. } => until,
            Breaker::Off | Breaker::Well { .. } => panic!("not out: {breaker:?}"),
        }
    }

    /// Ejected at once, and so often before.
    fn ejected(earlier: u8, now: Moment) -> Breaker {
        let back = Breaker::Well { failures: 0, ejections: earlier, since: now };
        failed_in_a_row(back, FAILURES_MAX, now)
    }

    #[test]
    fn failures_in_a_row_eject_and_a_success_between_does_not() {
        assert!(failed_in_a_row(NEW, FAILURES_MAX, at(1)).is_out());
        let nearly = failed_in_a_row(NEW, FAILURES_MAX - 1, at(1));
        assert!(!nearly.is_out());
        for (between, out) in [
            (Signal::Success, false),
            (Signal::None, true),
            (Signal::ServerError, true),
            (Signal::Refused, true),
        ] {
            let after = failed_in_a_row(heard(nearly, between, at(2)), 1, at(3));
            assert_eq!(after.is_out(), out, "{between:?}");
        }
    }

    #[test]
    fn a_low_success_rate_ejects_and_only_failures_look_at_it() {
        for (signal, out) in [
            (Signal::ServerError, true),
            (Signal::Failure, true),
            (Signal::Success, false),
            (Signal::None, false),
        ] {
            let after = NEW.heard(signal, |_| true, at(1), || 0.0);
            assert_eq!(after.is_out(), out, "{signal:?}");
        }
    }

    #[test]
    fn ejections_grow_up_to_a_limit_and_are_forgiven_by_and_by() {
        for (earlier, seconds) in [(0, 1), (1, 2), (2, 4), (5, 32), (6, 60), (200, 60), (255, 60)] {
            assert_eq!(until(ejected(earlier, at(0))), at(seconds * 1000), "{earlier} earlier");
        }
        let back = Breaker::Well { failures: 0, ejections: 3, since: at(0) };
        for (well_for, seconds) in [(0, 8), (29, 8), (30, 4), (60, 2), (90, 1), (9000, 1)] {
            let now = at(well_for * 1000);
            let out = failed_in_a_row(back, FAILURES_MAX, now);
            assert_eq!(until(out).since(now).as_secs(), seconds, "well for {well_for} s");
        }
    }

    #[test]
    fn jitter_makes_an_ejection_up_to_a_half_longer() {
        for (draw, millis) in [(0.0, 1000), (0.5, 1250), (1.0, 1500)] {
            assert_eq!(until(Breaker::ejected(0, at(0), draw)), at(millis));
        }
    }

    #[test]
    fn one_probe_decides() {
        let out = ejected(0, at(0));
        assert_eq!(out.probed(at(999)), None);
        let probing = out.probed(at(1000)).unwrap();
        assert_eq!(probing.standing(at(1000)), Standing::Out);
        assert_eq!(probing.probed(at(1001)), None, "a second probe at the same time");
        for (signal, out_for) in [
            (Signal::Success, None),
            (Signal::Failure, Some(2)),
            (Signal::Refused, Some(2)),
            (Signal::ServerError, Some(2)),
            (Signal::None, Some(1)),
        ] {
            let after = probing.heard_out(signal, at(1001), || 0.0);
            let seconds = after.is_out().then(|| until(after).since(at(1001)).as_secs());
            assert_eq!(seconds, out_for, "{signal:?}");
        }
    }

    #[test]
    fn a_probe_that_never_tells_gives_way_to_another() {
        let probing = ejected(0, at(0)).probed(at(1000)).unwrap();
        let over = at(1000).after(PROBE_MAX);
        assert_eq!(probing.standing(over), Standing::Due);
        assert!(probing.probed(over).is_some());
    }

    #[test]
    fn those_called_before_the_ejection_are_late_and_those_who_found_nobody_else_can_only_help() {
        let out = ejected(0, at(0));
        for signal in [Signal::Success, Signal::Failure, Signal::ServerError, Signal::None] {
            assert_eq!(heard(out, signal, at(10)), out);
        }
        for signal in [Signal::Failure, Signal::ServerError, Signal::None] {
            assert_eq!(out.heard_out(signal, at(10), || 0.0), out);
        }
        assert!(!out.heard_out(Signal::Success, at(10), || 0.0).is_out());
    }

    #[test]
    fn what_is_off_stays_off() {
        let off = failed_in_a_row(Breaker::Off, 50, at(0));
        assert_eq!((off, off.readmitted(at(1))), (Breaker::Off, Breaker::Off));
    }

    fn signal() -> impl Strategy<Value = Signal> {
        prop_oneof![
            Just(Signal::Success),
            Just(Signal::Failure),
            Just(Signal::Refused),
            Just(Signal::ServerError),
            Just(Signal::None),
        ]
    }

    /// What may happen to a breaker: an outcome of a pick made while it was in (with the rate low or not) or out, or a probe.
    #[derive(Debug, Clone, Copy)]
    enum Event {
        Heard(Signal, bool),
        HeardOut(Signal),
        Probe,
    }

    fn event() -> impl Strategy<Value = Event> {
        prop_oneof![
            6 => (signal(), prop::bool::weighted(0.1)).prop_map(|(signal, low)| Event::Heard(signal, low)),
            2 => signal().prop_map(Event::HeardOut),
            2 => Just(Event::Probe),
        ]
    }

    proptest! {
        #[test]
        fn a_breaker_fits_its_word(failures in 0_u8..64, ejections: u8, millis in 0_u64..1 << 48, kind in 0..4) {
            let at = Moment::from_micros(millis * 1000);
            let breaker = match kind {
                0 => Breaker::Off,
                1 => Breaker::Well { failures, ejections, since: at },
                2 => Breaker::Ejected { ejections, until: at },
                _ => Breaker::Probing { ejections, until: at },
            };
            prop_assert_eq!(Breaker::unpack(breaker.pack()), breaker);
        }

        #[test]
        fn only_a_success_or_the_pool_brings_one_back(events in prop::collection::vec((event(), 0_u64..3000, 0.0_f32..1.0), 0..200)) {
            let mut breaker = NEW;
            let mut now = at(0);
            for (event, wait, draw) in events {
                now = now.after(Duration::from_millis(wait));
                let after = match event {
                    Event::Heard(signal, low) => breaker.heard(signal, |_| low, now, || draw),
                    Event::HeardOut(signal) => breaker.heard_out(signal, now, || draw),
                    Event::Probe => breaker.probed(now).unwrap_or(breaker),
                };
                if breaker.is_out() && !after.is_out() {
                    prop_assert!(matches!(event, Event::HeardOut(Signal::Success)));
                }
                if !breaker.is_out() && after.is_out() {
                    prop_assert!(matches!(event, Event::Heard(Signal::Failure | Signal::Refused | Signal::ServerError, _)));
                    let wait = until(after).since(now);
                    prop_assert!(wait >= EJECTED_MIN && wait <= EJECTED_MAX.mul_f32(1.5));
                }
                if let Breaker::Well { failures, .. } = after {
                    prop_assert!(failures < FAILURES_MAX);
                }
                breaker = Breaker::unpack(after.pack());
                prop_assert_eq!(breaker.is_out(), after.is_out());
            }
        }
    }
}
