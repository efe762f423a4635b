//! The limits of the tries of one call, and the error that lists them.

use std::time::Duration;

use http::StatusCode;
use proptest::prelude::*;

use super::*;
use crate::TryError;

const SECOND: Duration = Duration::from_secs(1);

fn pool(size: u16) -> Pool {
    Pool::fixed("service2", (1..=size).map(|n| ([10, 0, 0, n as u8], 80).into()))
}

fn answer(status: u16, retry_after: Option<Duration>) -> TryOutcome {
    let seconds = retry_after.map(|wait| wait.as_secs().to_string());
    let find = |name: &http::HeaderName| {
        let value = seconds.as_ref().filter(|_| *name == http::header::RETRY_AFTER);
        value.map(|seconds| seconds.as_bytes())
    };
    TryOutcome::of_head(StatusCode::from_u16(status).unwrap(), find)
}

fn leaving() -> TryOutcome {
    TryOutcome::of_head(StatusCode::SERVICE_UNAVAILABLE, |name| {
        (*name == crate::headers::LEAVING).then_some(b"1")
    })
}

/// The error of a call whose tries failed like this, on 10.0.0.1, 10.0.0.2, and so on.
fn error(method: Method, tried: &[TryOutcome], stop: Stop) -> Error {
    let (now, options) = (Instant::now(), CallOptions::default());
    let mut tries = Tries::new(method, &options, now);
    for (nth, outcome) in (1..).zip(tried) {
        let pick = Pool::fixed("service2", [([10, 0, 0, nth], 80).into()]).pick().unwrap();
        tries.start(&pick, now);
        tries.ended(&pick, outcome, now).ok();
    }
    tries.into_error("service2", stop)
}

#[test]
fn an_error_lists_each_try_and_its_reason() {
    let ms = Duration::from_millis;
    let silent = TryOutcome::no_answer(TryError::Silent(ms(1000)));
    let closed = TryOutcome::no_answer(TryError::Closed);
    let refused = TryOutcome::NotConnected(TryError::Refused);
    for (method, tried, stop, kind, text) in [
        (
            Method::GET,
            &[refused, silent][..],
            Stop::NobodyElse,
            Kind::Timeout,
            "no answer from service2: 10.0.0.1:80 refused, 10.0.0.2:80 no answer in 1 s; there is no other instance",
        ),
        (
            Method::GET,
            &[refused, TryOutcome::NotConnected(TryError::NotConnected(ms(250))), leaving()],
            Stop::Enough,
            Kind::NoInstance,
            "no answer from service2: 10.0.0.1:80 refused, 10.0.0.2:80 no connection in 250 ms, 10.0.0.3:80 is shutting down",
        ),
        (
            Method::POST,
            &[answer(421, None), closed],
            Stop::Unrepeatable,
            Kind::Unreachable,
            "no answer from service2: 10.0.0.1:80 is another service, 10.0.0.2:80 closed the connection before its response; POST is not sent twice",
        ),
        (
            Method::PUT,
            &[answer(502, None), refused],
            Stop::Budget,
            Kind::Unreachable,
            "no answer from service2: 10.0.0.1:80 answered 502, 10.0.0.2:80 refused; the retry budget is spent",
        ),
        (
            Method::GET,
            &[silent, silent],
            Stop::Late,
            Kind::Timeout,
            "no answer from service2: 10.0.0.1:80 no answer in 1 s, 10.0.0.2:80 no answer in 1 s; the 5 s of the call are over",
        ),
        (
            Method::POST,
            &[TryOutcome::IdleClosed],
            Stop::BodyTaken,
            Kind::NoInstance,
            "no answer from service2: 10.0.0.1:80 closed the connection before its response; a streamed body is not sent twice",
        ),
    ] {
        let error = error(method, tried, stop);
        assert_eq!(error.to_string(), text);
        assert_eq!(error.is_no_instance(), kind == Kind::NoInstance, "{text}");
        assert_eq!(error.is_timeout(), kind == Kind::Timeout, "{text}");
        let whys: Vec<TryError> = error.tried().iter().map(|tried| tried.why).collect();
        assert_eq!(whys, tried.iter().map(TryOutcome::why).collect::<Vec<_>>());
    }
}

#[test]
fn an_error_before_the_first_try_names_the_reason() {
    let (now, nobody) = (Instant::now(), Pool::fixed("service2", []));
    let error = Tries::new(Method::GET, &CallOptions::default(), now).first(&nobody).unwrap_err();
    assert!(error.is_no_instance());
    assert_eq!(error.to_string(), "no call to service2: it has no instances");
}

#[test]
fn an_idle_connection_that_was_closed_does_not_exclude_its_instance() {
    let (now, options) = (Instant::now(), CallOptions::default());
    let closed = TryOutcome::NoAnswer { why: TryError::Closed, reused: true };
    let silent = TryOutcome::NoAnswer { why: TryError::Silent(Duration::ZERO), reused: true };
    for (outcome, may_return) in [(closed, true), (TryOutcome::IdleClosed, true), (silent, false)] {
        let (pool, mut tries) = (pool(1), Tries::new(Method::GET, &options, now));
        let pick = tries.first(&pool).unwrap();
        tries.start(&pick, now);
        assert_eq!(tries.ended(&pick, &outcome, now), Ok(now));
        assert_eq!(pool.pick_with(tries.picking()).is_ok(), may_return, "{outcome:?}");
        assert_eq!(tries.wants_fresh_connection(), may_return, "{outcome:?}");
    }
}

#[test]
fn after_the_demanded_wait_the_same_instance_may_be_tried() {
    let (now, options) = (Instant::now(), CallOptions::default());
    for (wait, next) in
        [(0, Ok(0)), (1, Ok(1)), (4, Ok(4)), (5, Err(Stop::Late)), (u64::MAX, Err(Stop::Late))]
    {
        let (pool, mut tries) = (pool(1), Tries::new(Method::GET, &options, now));
        let pick = tries.first(&pool).unwrap();
        tries.start(&pick, now);
        let next = next.map(|secs| now + Duration::from_secs(secs));
        let asks = answer(429, Some(Duration::from_secs(wait)));
        assert_eq!(tries.ended(&pick, &asks, now), next, "{wait:?}");
        assert_eq!(pool.pick_with(tries.picking()).is_ok(), wait > 0, "{wait:?}");
    }
}

#[test]
fn a_response_and_a_body_that_was_taken_end_the_tries() {
    let (now, options) = (Instant::now(), CallOptions::default());
    for (outcome, is_taken, stop) in [
        (answer(200, None), false, Stop::Answered),
        (answer(500, None), false, Stop::Answered),
        (TryOutcome::NotConnected(TryError::Refused), true, Stop::BodyTaken),
        (TryOutcome::IdleClosed, true, Stop::BodyTaken),
    ] {
        let (pool, mut tries) = (pool(2), Tries::new(Method::PUT, &options, now));
        let pick = tries.first(&pool).unwrap();
        tries.start(&pick, now);
        if is_taken {
            tries.body_taken();
        }
        assert_eq!(tries.ended(&pick, &outcome, now), Err(stop), "{outcome:?}");
    }
}

#[test]
fn after_a_429_no_try_starts_before_its_time_also_when_another_fails() {
    let (now, options) = (Instant::now(), CallOptions::default().hedge(Hedge::After(SECOND)));
    let (pool, mut tries) = (pool(2), Tries::new(Method::GET, &options, now));
    let first = tries.first(&pool).unwrap();
    tries.start(&first, now);
    let second = pool.pick_with(tries.picking()).unwrap();
    tries.start(&second, now);
    assert_eq!(tries.ended(&second, &answer(429, Some(SECOND)), now), Ok(now + SECOND));
    let refused = TryOutcome::NotConnected(TryError::Refused);
    assert_eq!(tries.ended(&first, &refused, now), Ok(now + SECOND));
}

#[test]
fn a_request_is_hedged_after_its_delay_if_that_is_safe() {
    let start = Instant::now();
    let latencies = Latencies::new(start);
    let after = |ms| CallOptions::default().hedge(Hedge::After(Duration::from_millis(ms)));
    let default = CallOptions::default;
    for (options, method, is_stream, delay) in [
        (after(30), Method::GET, false, Some(30)),
        (after(30), Method::PUT, false, Some(30)),
        (after(30), Method::PUT, true, None),
        (after(30), Method::POST, false, None),
        (after(5000), Method::GET, false, None),
        (after(30).tries_max(1), Method::GET, false, None),
        (after(30).served_max(1), Method::GET, false, None),
        (default(), Method::GET, false, None),
        (default().hedge(Hedge::P95), Method::GET, false, None),
    ] {
        let (pool, mut tries) = (pool(2), Tries::new(method, &options, start));
        if is_stream {
            tries.stream_body();
        }
        let first = tries.first(&pool).unwrap();
        tries.start(&first, start);
        let due = delay.map(|ms| start + Duration::from_millis(ms));
        assert_eq!(tries.hedge_at(&latencies, start), due, "{options:?}");
        let second = pool.pick_with(tries.picking()).unwrap();
        tries.start(&second, start);
        assert_eq!(tries.hedge_at(&latencies, start), None, "two are under way");
        tries.ended(&second, &leaving(), start).ok();
        assert_eq!(tries.hedge_at(&latencies, start), None, "a call is hedged once");
    }
}

#[test]
fn the_percentile_counts_answered_and_cancelled_tries() {
    let start = Instant::now();
    let options = CallOptions::default().hedge(Hedge::P95);
    let latencies = Latencies::new(start);
    let at = |ms| start + Duration::from_millis(ms);
    for _ in 0..18 {
        let (pool, mut tries) = (pool(1), Tries::new(Method::GET, &options, start));
        let pick = tries.first(&pool).unwrap();
        tries.start(&pick, start);
        latencies.record(&tries, at(8));
    }
    let (pool, mut tries) = (pool(2), Tries::new(Method::GET, &options, start));
    let first = tries.first(&pool).unwrap();
    tries.start(&first, start);
    assert_eq!(tries.hedge_at(&latencies, start), None, "18 say too little");
    let second = pool.pick_with(tries.picking()).unwrap();
    tries.start(&second, at(90));
    latencies.record(&tries, at(100));
    // Of 20, one is above: 100 ms of the cancelled one. The next is 10 ms.
    let p95 = latencies.p95(at(100)).unwrap().as_micros();
    assert!((10_000..=11_250).contains(&p95), "{p95}");
}

/// Outcomes of tries that failed.
fn failures() -> impl Strategy<Value = TryOutcome> {
    prop_oneof![
        Just(TryOutcome::NotConnected(TryError::Refused)),
        Just(TryOutcome::no_answer(TryError::Silent(Duration::from_secs(1)))),
        any::<bool>().prop_map(|reused| TryOutcome::NoAnswer { why: TryError::Closed, reused }),
        any::<bool>().prop_map(|reused| TryOutcome::NoAnswer { why: TryError::Garbled, reused }),
        Just(answer(503, None)),
        Just(leaving()),
    ]
}

proptest! {
    /// However tries fail: no more than ten, no more than three that may have been served, none on an instance that failed before unless
    /// an idle connection to it had been closed, and then on a fresh one, none past the deadline, none that may be a second time of what
    /// must not be done twice, and no try is given longer than the call has left.
    #[test]
    fn tries_stay_within_their_limits(
        steps in prop::collection::vec((failures(), 0u64..1000), 1..14),
        post in any::<bool>(),
    ) {
        let (start, pool, options) = (Instant::now(), pool(12), CallOptions::default());
        let method = if post { Method::POST } else { Method::GET };
        let (mut now, mut tried, mut out, mut maybe_served) = (start, 0, Vec::new(), 0);
        let mut has_closed = false;
        let mut tries = Tries::new(method, &options, start);
        for (outcome, took) in steps {
            let pick = pool.pick_with(tries.picking()).unwrap();
            prop_assert!(!out.contains(&pick.member()));
            prop_assert_eq!(tries.wants_fresh_connection(), has_closed);
            let answer = tries.start(&pick, now).answer();
            prop_assert!(answer.at() <= now + Duration::from_secs(1) && answer.at() <= start + Duration::from_secs(5));
            // Fresh connections are all that a try has from then on.
            let outcome = match outcome {
                TryOutcome::NoAnswer { why, reused } => TryOutcome::NoAnswer { why, reused: reused && !has_closed },
                other => other,
            };
            maybe_served += usize::from(outcome.retry() == Retry::IfRepeatable);
            now += Duration::from_millis(took);
            tried += 1;
            if (outcome == TryOutcome::NoAnswer { why: TryError::Closed, reused: true }) {
                has_closed = true;
            } else {
                out.push(pick.member());
            }
            let allowed = tries.ended(&pick, &outcome, now);
            let right = tried < 10 && maybe_served < 3 && now < start + Duration::from_secs(5) && !(post && maybe_served > 0);
            prop_assert_eq!(allowed.is_ok(), right);
            prop_assert!(allowed.is_err() || allowed == Ok(now));
            if allowed.is_err() {
                break;
            }
        }
    }

    /// However two tries overlap: they are on two instances, only for what may be served twice and can be sent again; no more than ten
    /// start, no more than three of those that failed or are under way may be served, each beyond the first is in the budget, and none
    /// starts at the end of the call.
    #[test]
    fn hedged_tries_stay_within_the_same_limits(
        steps in prop::collection::vec((hedge_steps(), 0u64..900), 1..40),
        post in any::<bool>(),
        stream in any::<bool>(),
        granted in 0u32..12,
    ) {
        let (start, pool) = (Instant::now(), pool(12));
        let options = CallOptions::default().hedge(Hedge::After(Duration::from_millis(1)));
        let options = options.retry_percent(0).retries_per_second(granted).retry_window(SECOND);
        let (budget, latencies) = (Budget::of_checked(&options, start), Latencies::new(start));
        let mut tries = Tries::new(if post { Method::POST } else { Method::GET }, &options, start);
        if stream {
            tries.stream_body();
        }
        let (mut now, mut started, mut maybe_served, mut hedges) = (start, 1, 0, 0);
        let mut under_way = vec![tries.first(&pool).unwrap()];
        tries.start(&under_way[0], start);
        let mut next: Option<Instant> = None;
        for (step, took) in steps {
            now += Duration::from_millis(took);
            let due = match step {
                HedgeStep::Hedge => tries.hedge_at(&latencies, now).filter(|at| *at <= now),
                HedgeStep::Retry => next.take().filter(|at| *at <= now),
                HedgeStep::End(which, outcome) => {
                    if !under_way.is_empty() {
                        let pick = under_way.remove(which % under_way.len());
                        maybe_served += usize::from(outcome.retry() == Retry::IfRepeatable);
                        next = tries.ended(&pick, &outcome, now).ok();
                    }
                    None
                }
            };
            if due.is_none() || now >= start + options.call_timeout {
                continue;
            }
            let Ok(pick) = tries.another(&pool, &budget, now) else { continue };
            prop_assert!(under_way.iter().all(|it| it.member() != pick.member()));
            hedges += usize::from(!under_way.is_empty());
            tries.start(&pick, now);
            under_way.push(pick);
            started += 1;
            next = None;
            prop_assert!(under_way.len() == 1 || !(post || stream));
            prop_assert!(under_way.len() <= 2 && started <= 10 && maybe_served + under_way.len() <= 3);
            prop_assert!(hedges <= 1 || under_way.len() == 1 || matches!(step, HedgeStep::Retry));
            prop_assert!(!post || maybe_served == 0);
        }
        // The window is one second and the call five: each second grants so many.
        prop_assert!(started - 1 <= 6 * granted as usize);
    }
}

#[derive(Debug, Clone, Copy)]
enum HedgeStep {
    /// The second try, if it is due.
    Hedge,
    /// The try after a failed one, if it is due.
    Retry,
    /// One of those under way ends.
    End(usize, TryOutcome),
}

fn hedge_steps() -> impl Strategy<Value = HedgeStep> {
    prop_oneof![
        3 => Just(HedgeStep::Hedge),
        3 => Just(HedgeStep::Retry),
        2 => (0usize..2, failures()).prop_map(|(which, outcome)| HedgeStep::End(which, outcome)),
    ]
}
