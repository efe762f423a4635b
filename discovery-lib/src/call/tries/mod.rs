//! One call as a state machine: whether another try may follow, and when. It does no IO and reads no clock.
//!
//! At most `tries_max` tries, of which at most `served_max` may have been served, each on an instance that has not failed this call
//! yet, none that the outcome forbids, none after the call's deadline. The caller, which has the pool and the budget, checks for another instance and for the budget.

pub(super) mod budget;
mod deadline;
pub(super) mod outcome;
mod timer;

use std::time::Duration;

use http::Method;
use tokio::time::Instant;

use super::{
    CallOptions,
    body::Reading,
    failed_try::{FailedTry, Span, TryError},
};
use crate::{Error, error::Kind, later::later, member::MemberId};

pub(super) use deadline::Deadline;
use outcome::{Retry, is_repeatable};
pub(super) use timer::{Late, Limits, TryTimer};

/// The tries of one call so far.
#[derive(Debug)]
pub(crate) struct Tries<'a> {
    method: Method,
    options: &'a CallOptions,
    until: Deadline,
    tried: Vec<FailedTry>,
    apart_from: Vec<MemberId>,
    /// How many of them may have been served.
    maybe_served: usize,
    wants_fresh_connection: bool,
}

/// Why there is no further try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    /// It may have been served, and twice would be more than once.
    Unrepeatable,
    /// The limit of tries is reached.
    Enough,
    /// The call's deadline has passed.
    Late,
    /// The service's retry budget is spent.
    Budget,
    /// Its body is a stream that was begun.
    BodyTaken,
    /// There is no other instance.
    NobodyElse,
}

/// A try that failed.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) member: MemberId,
    pub(crate) tried: FailedTry,
    pub(crate) retry: Retry,
    /// The wait before the next try that the response demands.
    pub(crate) wait: Duration,
    /// Whether the connection had served before. Servers close those that are idle, so its end is no evidence about a fresh one to the same
    /// instance.
    pub(crate) reused: bool,
}

impl<'a> Tries<'a> {
    pub(crate) fn new(method: Method, options: &'a CallOptions, now: Instant) -> Self {
        let until = Deadline::after(options.call_timeout, now);
        Self {
            method,
            options,
            until,
            tried: Vec::new(),
            apart_from: Vec::new(),
            maybe_served: 0,
            wants_fresh_connection: false,
        }
    }

    /// The end of the whole call.
    pub(crate) fn until(&self) -> Deadline {
        self.until
    }

    /// The limits of a try that starts now.
    pub(crate) fn limits(&self, now: Instant) -> Limits {
        let CallOptions { try_timeout: attempt, stall_timeout: stall, .. } = *self.options;
        Limits { answer: self.until.at_most(attempt, now), attempt, stall, until: self.until }
    }

    /// The deadline of the first list of instances.
    pub(crate) fn ready_by(&self, now: Instant) -> Deadline {
        self.until.at_most(self.options.ready_timeout, now)
    }

    /// Members that are not tried again.
    pub(crate) fn apart_from(&self) -> &[MemberId] {
        &self.apart_from
    }

    /// Whether a fresh connection is wanted: the second time that an instance is tried because a kept one ended.
    pub(crate) fn wants_fresh_connection(&self) -> bool {
        self.wants_fresh_connection
    }

    /// What the reading of an answer has to keep to.
    pub(crate) fn reading(&self) -> Reading {
        Reading {
            until: self.until,
            stall: self.options.stall_timeout,
            is_repeatable: is_repeatable(&self.method),
        }
    }

    /// Records a failed try, and returns when the next may follow.
    ///
    /// # Errors
    ///
    /// Why no other may follow.
    pub(crate) fn failed(&mut self, failed: Failure, now: Instant) -> Result<Instant, Stop> {
        let may_have_been_idle = failed.reused && failed.tried.why == TryError::Closed;
        self.wants_fresh_connection |= may_have_been_idle;
        // After its `Retry-After` the same instance may be tried.
        if !may_have_been_idle && failed.wait.is_zero() {
            self.apart_from.push(failed.member);
        }
        let next = later(now, failed.wait);
        self.tried.push(failed.tried);
        self.maybe_served += usize::from(failed.retry != Retry::Always);
        if !failed.retry.allows(&self.method) {
            Err(Stop::Unrepeatable)
        } else if self.tried.len() >= self.options.tries_max as usize
            || self.maybe_served >= self.options.served_max as usize
        {
            Err(Stop::Enough)
        } else if next >= self.until.at {
            Err(Stop::Late)
        } else {
            Ok(next)
        }
    }

    /// The error of the call.
    pub(crate) fn into_error(self, service: &str, stop: Stop) -> Error {
        let tried: Vec<String> = self.tried.iter().map(ToString::to_string).collect();
        let reason = match stop {
            Stop::Enough => String::new(),
            Stop::Unrepeatable => format!("; {} is not sent twice", self.method),
            Stop::Late => format!("; the {} of the call are over", Span(self.until.span)),
            Stop::Budget => "; the retry budget is spent".into(),
            Stop::BodyTaken => "; a streamed body is not sent twice".into(),
            Stop::NobodyElse => "; there is no other instance".into(),
        };
        let kind = if self.maybe_served == 0 {
            Kind::NoInstance
        } else if self.tried.iter().any(|tried| tried.why.is_late()) {
            Kind::Timeout
        } else {
            Kind::Unreachable
        };
        let text = format!("no answer from {service}: {}{reason}", tried.join(", "));
        let error = Error::new(kind, text).having_tried(self.tried);
        if self.maybe_served == 0 || is_repeatable(&self.method) {
            error
        } else {
            error.not_to_be_repeated()
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use http::StatusCode;
    use proptest::prelude::*;

    use super::*;
    use crate::{Pick, PickOptions, Pool};

    fn pool(size: u16) -> Pool {
        Pool::fixed("service2", (1..=size).map(|n| ([10, 0, 0, n as u8], 80).into()))
    }

    fn failed(pick: &Pick, why: TryError, retry: Retry) -> Failure {
        let tried = FailedTry { instance: Arc::clone(pick.instance()), why };
        Failure { member: pick.member(), tried, retry, wait: Duration::ZERO, reused: false }
    }

    /// The error of a call whose tries failed like this, from the first address to the last.
    fn error(method: Method, tried: &[(TryError, Retry)], stop: Stop) -> Error {
        let (now, options) = (Instant::now(), CallOptions::default());
        let (pool, mut tries) = (pool(1), Tries::new(method, &options, now));
        for (nth, (why, retry)) in tried.iter().enumerate() {
            let pick = pool.pick().unwrap();
            let mut failed = failed(&pick, why.clone(), *retry);
            failed.tried.instance = Arc::new(crate::Instance::at(
                "service2",
                format!("10.0.0.{}", nth + 1).as_str().into(),
                80,
            ));
            tries.failed(failed, now).ok();
        }
        tries.into_error("service2", stop)
    }

    #[test]
    fn an_error_lists_each_try_and_its_reason() {
        use Retry::{Always, IfRepeatable};
        let ms = Duration::from_millis;
        let silent = || (TryError::Silent(ms(1000)), IfRepeatable);
        let refused = || (TryError::Refused, Always);
        for (method, tried, stop, kind, text) in [
            (
                Method::GET,
                &[refused(), silent()][..],
                Stop::NobodyElse,
                Kind::Timeout,
                "no answer from service2: 10.0.0.1:80 refused, 10.0.0.2:80 no answer in 1 s; there is no other instance",
            ),
            (
                Method::GET,
                &[
                    refused(),
                    (TryError::NotConnected(ms(250)), Always),
                    (TryError::Leaving, Always),
                ],
                Stop::Enough,
                Kind::NoInstance,
                "no answer from service2: 10.0.0.1:80 refused, 10.0.0.2:80 no connection in 250 ms, 10.0.0.3:80 is shutting down",
            ),
            (
                Method::POST,
                &[(TryError::OtherService, Always), (TryError::Closed, IfRepeatable)],
                Stop::Unrepeatable,
                Kind::Unreachable,
                "no answer from service2: 10.0.0.1:80 is another service, 10.0.0.2:80 closed the connection before its response; POST is not sent twice",
            ),
            (
                Method::PUT,
                &[(TryError::Answered(StatusCode::BAD_GATEWAY), IfRepeatable), refused()],
                Stop::Budget,
                Kind::Unreachable,
                "no answer from service2: 10.0.0.1:80 answered 502, 10.0.0.2:80 refused; the retry budget is spent",
            ),
            (
                Method::GET,
                &[silent(), silent()],
                Stop::Late,
                Kind::Timeout,
                "no answer from service2: 10.0.0.1:80 no answer in 1 s, 10.0.0.2:80 no answer in 1 s; the 5 s of the call are over",
            ),
        ] {
            let error = error(method, tried, stop);
            assert_eq!(error.to_string(), text);
            assert_eq!(error.is_no_instance(), kind == Kind::NoInstance, "{text}");
            assert_eq!(error.is_timeout(), kind == Kind::Timeout, "{text}");
            let whys: Vec<TryError> = error.tried().iter().map(|tried| tried.why.clone()).collect();
            assert_eq!(whys, tried.iter().map(|(why, _)| why.clone()).collect::<Vec<_>>());
        }
    }

    #[test]
    fn an_idle_connection_that_was_closed_does_not_exclude_its_instance() {
        let (now, options) = (Instant::now(), CallOptions::default());
        let (pool, mut tries) = (pool(1), Tries::new(Method::GET, &options, now));
        let pick = pool.pick().unwrap();
        let lost = Failure { reused: true, ..failed(&pick, TryError::Closed, Retry::IfRepeatable) };
        assert_eq!(tries.failed(lost, now), Ok(now));
        assert!(tries.apart_from().is_empty() && tries.wants_fresh_connection());
        let silent = Failure {
            reused: true,
            ..failed(&pick, TryError::Silent(Duration::ZERO), Retry::IfRepeatable)
        };
        assert_eq!(tries.failed(silent, now), Ok(now));
        assert_eq!(tries.apart_from(), [pick.member()]);
    }

    #[test]
    fn after_the_demanded_wait_the_same_instance_may_be_tried() {
        let (now, options) = (Instant::now(), CallOptions::default());
        for (wait, next) in
            [(0, Ok(0)), (1, Ok(1)), (4, Ok(4)), (5, Err(Stop::Late)), (u64::MAX, Err(Stop::Late))]
        {
            let (pool, mut tries) = (pool(1), Tries::new(Method::GET, &options, now));
            let pick = pool.pick().unwrap();
            let why = TryError::Answered(StatusCode::TOO_MANY_REQUESTS);
            let wait = Duration::from_secs(wait);
            let asks = Failure { wait, ..failed(&pick, why, Retry::IfRepeatable) };
            let next = next.map(|secs| now + Duration::from_secs(secs));
            assert_eq!(tries.failed(asks, now), next, "{wait:?}");
            assert_eq!(tries.apart_from().is_empty(), !wait.is_zero(), "{wait:?}");
        }
    }

    /// Ways in which a try fails: why, what it allows, and whether it befell a kept connection.
    fn failures() -> impl Strategy<Value = (TryError, Retry, bool)> {
        let silent = TryError::Silent(Duration::from_secs(1));
        prop_oneof![
            Just((TryError::Refused, Retry::Always, false)),
            Just((silent, Retry::IfRepeatable, false)),
            (Just(TryError::Closed), Just(Retry::IfRepeatable), any::<bool>()),
            (Just(TryError::Garbled), Just(Retry::IfRepeatable), any::<bool>()),
        ]
    }

    proptest! {
        /// However tries fail: no more than ten, no more than three that may have been served, none on an instance that failed before unless
        /// a kept connection to it had been closed, and then on a fresh one, none past the deadline, none that may be a second time of what
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
            for ((why, retry, reused), took) in steps {
                let answer = tries.limits(now).answer;
                prop_assert!(answer.at <= now + Duration::from_secs(1) && answer.at <= start + Duration::from_secs(5));
                prop_assert_eq!(tries.wants_fresh_connection(), has_closed);
                let pick = pool.pick_with(PickOptions::new().apart_from(tries.apart_from())).unwrap();
                prop_assert!(!out.contains(&pick.member()));
                // Fresh connections are all that a try has from then on.
                let reused = reused && !has_closed;
                maybe_served += usize::from(retry == Retry::IfRepeatable);
                now += Duration::from_millis(took);
                tried += 1;
                if reused && why == TryError::Closed {
                    has_closed = true;
                } else {
                    out.push(pick.member());
                }
                let allowed = tries.failed(Failure { reused, ..failed(&pick, why, retry) }, now);
                prop_assert_eq!(tries.apart_from(), &out[..]);
                let right = tried < 10 && maybe_served < 3 && now < start + Duration::from_secs(5) && !(post && maybe_served > 0);
                prop_assert_eq!(allowed.is_ok(), right);
                prop_assert!(allowed.is_err() || allowed == Ok(now));
                if allowed.is_err() {
                    break;
                }
            }
        }
    }
}
