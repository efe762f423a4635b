//! The breaker, by rows and by any sequence of events.

use proptest::prelude::*;

use super::*;

const OPTIONS: BreakerOptions = BreakerOptions {
    failures_max: 5,
    ejected_min: Duration::from_secs(1),
    ejected_max: Duration::from_secs(60),
    good_min_percent: 50,
    samples_min: 20,
    window: Duration::from_secs(10),
    repeatable_only: Duration::from_secs(60),
};

const FAILURES_MAX: u8 = OPTIONS.failures_max;

const NEW: Breaker = Breaker::new(Moment::from_micros(0));

fn at(millis: u64) -> Moment {
    Moment::from_micros(millis * 1000)
}

/// Without jitter, and with a sufficient success rate.
fn on_event(breaker: Breaker, breaker_event: BreakerEvent, now: Moment) -> Breaker {
    breaker.on_event(breaker_event, &OPTIONS, |_| false, now, || 0.0)
}

fn failed_in_a_row(breaker: Breaker, times: u8, now: Moment) -> Breaker {
    (0..times).fold(breaker, |breaker, _| on_event(breaker, BreakerEvent::Failure, now))
}

fn until(breaker: Breaker) -> Moment {
    match breaker {
        Breaker::Ejected { until, .. } | Breaker::Probing { until, .. } => until,
        Breaker::Off | Breaker::Healthy { .. } => panic!("not out: {breaker:?}"),
    }
}

/// Ejected immediately, with this number of earlier ejections.
fn ejected(earlier: u8, now: Moment) -> Breaker {
    let back = Breaker::Healthy { failures: 0, ejections: earlier, since: now };
    failed_in_a_row(back, FAILURES_MAX, now)
}

#[test]
fn failures_in_a_row_eject_and_a_success_between_does_not() {
    assert!(failed_in_a_row(NEW, FAILURES_MAX, at(1)).is_out());
    let nearly = failed_in_a_row(NEW, FAILURES_MAX - 1, at(1));
    assert!(!nearly.is_out());
    for (between, out) in [
        (BreakerEvent::Success, false),
        (BreakerEvent::None, true),
        (BreakerEvent::ServerError, true),
        (BreakerEvent::Refused, true),
    ] {
        let after = failed_in_a_row(on_event(nearly, between, at(2)), 1, at(3));
        assert_eq!(after.is_out(), out, "{between:?}");
    }
}

#[test]
fn a_low_success_rate_ejects_and_is_checked_at_failures_only() {
    for (breaker_event, out) in [
        (BreakerEvent::ServerError, true),
        (BreakerEvent::Failure, true),
        (BreakerEvent::Success, false),
        (BreakerEvent::None, false),
    ] {
        let after = NEW.on_event(breaker_event, &OPTIONS, |_| true, at(1), || 0.0);
        assert_eq!(after.is_out(), out, "{breaker_event:?}");
    }
}

#[test]
fn ejections_grow_up_to_a_limit_and_are_discounted_gradually() {
    for (earlier, seconds) in [(0, 1), (1, 2), (2, 4), (5, 32), (6, 60), (200, 60), (255, 60)] {
        assert_eq!(until(ejected(earlier, at(0))), at(seconds * 1000), "{earlier} earlier");
    }
    let back = Breaker::Healthy { failures: 0, ejections: 3, since: at(0) };
    for (well_for, seconds) in [(0, 8), (29, 8), (30, 4), (60, 2), (90, 1), (9000, 1)] {
        let now = at(well_for * 1000);
        let out = failed_in_a_row(back, FAILURES_MAX, now);
        assert_eq!(until(out).since(now).as_secs(), seconds, "well for {well_for} s");
    }
}

#[test]
fn jitter_makes_an_ejection_up_to_a_half_longer() {
    for (draw, millis) in [(0.0, 1000), (0.5, 1250), (1.0, 1500)] {
        assert_eq!(until(Breaker::ejected(0, &OPTIONS, at(0), draw)), at(millis));
    }
}

#[test]
fn one_probe_decides() {
    let out = ejected(0, at(0));
    assert_eq!(out.probed(at(999)), None);
    let probing = out.probed(at(1000)).unwrap();
    assert_eq!(probing.admission(&OPTIONS, at(1000)), Admission::Out);
    assert_eq!(probing.probed(at(1001)), None, "a second probe at the same time");
    for (breaker_event, out_for) in [
        (BreakerEvent::Success, None),
        (BreakerEvent::Failure, Some(2)),
        (BreakerEvent::Refused, Some(2)),
        (BreakerEvent::ServerError, Some(2)),
        (BreakerEvent::None, Some(1)),
    ] {
        let after = probing.on_event_out(breaker_event, &OPTIONS, at(1001), || 0.0);
        let seconds = after.is_out().then(|| until(after).since(at(1001)).as_secs());
        assert_eq!(seconds, out_for, "{breaker_event:?}");
    }
}

#[test]
fn a_probe_without_a_result_is_replaced_by_another() {
    let probing = ejected(0, at(0)).probed(at(1000)).unwrap();
    let over = at(1000).after(PROBE_MAX);
    assert_eq!(probing.admission(&OPTIONS, over), Admission::Due);
    assert!(probing.probed(over).is_some());
}

#[test]
fn results_of_earlier_calls_are_ignored_and_calls_without_an_alternative_only_readmit() {
    let out = ejected(0, at(0));
    for breaker_event in [
        BreakerEvent::Success,
        BreakerEvent::Failure,
        BreakerEvent::ServerError,
        BreakerEvent::None,
    ] {
        assert_eq!(on_event(out, breaker_event, at(10)), out);
    }
    for breaker_event in [BreakerEvent::Failure, BreakerEvent::ServerError, BreakerEvent::None] {
        assert_eq!(out.on_event_out(breaker_event, &OPTIONS, at(10), || 0.0), out);
    }
    assert!(!out.on_event_out(BreakerEvent::Success, &OPTIONS, at(10), || 0.0).is_out());
}

#[test]
fn off_is_final_for_results() {
    let off = failed_in_a_row(Breaker::Off, 50, at(0));
    assert_eq!((off, off.readmitted(at(1))), (Breaker::Off, Breaker::Off));
}

fn breaker_event() -> impl Strategy<Value = BreakerEvent> {
    prop_oneof![
        Just(BreakerEvent::Success),
        Just(BreakerEvent::Failure),
        Just(BreakerEvent::Refused),
        Just(BreakerEvent::ServerError),
        Just(BreakerEvent::None),
    ]
}

/// An event of a breaker: the result of a pick that was made while it was in (with a low rate or not) or out, or a probe.
#[derive(Debug, Clone, Copy)]
enum Event {
    WhileIn(BreakerEvent, bool),
    WhileOut(BreakerEvent),
    Probe,
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        6 => (breaker_event(), prop::bool::weighted(0.1)).prop_map(|(breaker_event, low)| Event::WhileIn(breaker_event, low)),
        2 => breaker_event().prop_map(Event::WhileOut),
        2 => Just(Event::Probe),
    ]
}

proptest! {
    #[test]
    fn a_breaker_fits_its_word(failures in 0_u8..64, ejections: u8, millis in 0_u64..1 << 48, kind in 0..4) {
        let at = Moment::from_micros(millis * 1000);
        let breaker = match kind {
            0 => Breaker::Off,
            1 => Breaker::Healthy { failures, ejections, since: at },
            2 => Breaker::Ejected { ejections, until: at },
            _ => Breaker::Probing { ejections, until: at },
        };
        prop_assert_eq!(Breaker::unpack(breaker.pack()), breaker);
        let after = on_event(breaker, BreakerEvent::Success, at);
        let is_spotless = matches!(breaker, Breaker::Healthy { .. }) && after == breaker;
        prop_assert_eq!(Breaker::is_spotless(breaker.pack()), is_spotless);
    }

    #[test]
    fn only_a_success_or_the_pool_brings_one_back(events in prop::collection::vec((event(), 0_u64..3000, 0.0_f32..1.0), 0..200)) {
        let mut breaker = NEW;
        let mut now = at(0);
        for (event, wait, draw) in events {
            now = now.after(Duration::from_millis(wait));
            let after = match event {
                Event::WhileIn(breaker_event, low) => breaker.on_event(breaker_event, &OPTIONS, |_| low, now, || draw),
                Event::WhileOut(breaker_event) => breaker.on_event_out(breaker_event, &OPTIONS, now, || draw),
                Event::Probe => breaker.probed(now).unwrap_or(breaker),
            };
            if breaker.is_out() && !after.is_out() {
                prop_assert!(matches!(event, Event::WhileOut(BreakerEvent::Success)));
            }
            if !breaker.is_out() && after.is_out() {
                prop_assert!(matches!(event, Event::WhileIn(BreakerEvent::Failure | BreakerEvent::Refused | BreakerEvent::ServerError, _)));
                let wait = until(after).since(now);
                prop_assert!(wait >= OPTIONS.ejected_min && wait <= OPTIONS.ejected_max.mul_f32(1.5));
            }
            if let Breaker::Healthy { failures, .. } = after {
                prop_assert!(failures < FAILURES_MAX);
            }
            breaker = Breaker::unpack(after.pack());
            prop_assert_eq!(breaker.is_out(), after.is_out());
        }
    }
}
