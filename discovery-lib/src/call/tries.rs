//! One call as a machine: which try may follow which, and when to give up. It sends nothing and asks no clock.
//!
//! At most [`TRIES_MAX`] tries, of which at most [`SERVED_MAX`] may have been served, each on an instance that has not failed this call
//! yet, none that the outcome forbids, none after the call's deadline. Whether there is somebody else and the service's budget grants it is asked by who holds pool and budget.

use http::Method;
use tokio::time::Instant;

use super::{
    body::Reading,
    deadlines::{Deadline, Deadlines},
    outcome::{Retry, is_repeatable},
    tried::{Span, Tried, Why},
};
use crate::{Error, error::Kind, member::MemberId};

/// Tries of one call that may have been served, the first included: each is work for somebody.
pub(crate) const SERVED_MAX: usize = 3;
/// Tries of one call in all. A host that comes back from a crash shows all that ran on it as well, for the moment until somebody looks, and
/// more than three in a row may refuse. Ten that do not connect in time still leave half of the call's time for one that does.
pub(crate) const TRIES_MAX: usize = 10;

/// The tries of one call so far.
#[derive(Debug)]
pub(crate) struct Tries {
    method: Method,
    deadlines: Deadlines,
    until: Deadline,
    tried: Vec<Tried>,
    apart_from: Vec<MemberId>,
    /// How many of them may have been served.
    maybe_served: usize,
}

/// Why there is no further try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    /// It may have been served, and twice would be more than once.
    Unrepeatable,
    /// [`TRIES_MAX`] are enough, or [`SERVED_MAX`].
    Enough,
    /// The call's deadline has passed.
    Late,
    /// The service's retry budget is spent.
    Budget,
    /// There is nobody else to try.
    NobodyElse,
}

/// A try that failed.
#[derive(Debug)]
pub(crate) struct Failed {
    pub(crate) member: MemberId,
    pub(crate) tried: Tried,
    pub(crate) retry: Retry,
    /// Whether the connection had served before. Servers close those that are idle, so its end says nothing of a fresh one to the same
    /// instance.
    pub(crate) reused: bool,
}

impl Tries {
    pub(crate) fn new(method: Method, deadlines: Deadlines, now: Instant) -> Self {
        let until = Deadline::after(deadlines.call, now);
        Self {
            method,
            deadlines,
            until,
            tried: Vec::new(),
            apart_from: Vec::new(),
            maybe_served: 0,
        }
    }

    /// The end of the whole call.
    pub(crate) fn until(&self) -> Deadline {
        self.until
    }

    /// The end of a try that starts now.
    pub(crate) fn attempt(&self, now: Instant) -> Deadline {
        self.until.at_most(self.deadlines.attempt, now)
    }

    /// Who is not to be tried again.
    pub(crate) fn apart_from(&self) -> &[MemberId] {
        &self.apart_from
    }

    /// Whether a fresh connection is wanted: the second time that an instance is tried because a kept one ended.
    pub(crate) fn wants_fresh_connection(&self) -> bool {
        self.tried.len() > self.apart_from.len()
    }

    /// What the reading of an answer has to keep to.
    pub(crate) fn reading(&self) -> Reading {
        Reading {
            until: self.until,
            stall: self.deadlines.stall,
            is_repeatable: is_repeatable(&self.method),
        }
    }

    pub(crate) fn deadlines(&self) -> &Deadlines {
        &self.deadlines
    }

    /// Notes a failed try.
    ///
    /// # Errors
    ///
    /// Why no other may follow.
    pub(crate) fn failed(&mut self, failed: Failed, now: Instant) -> Result<(), Stop> {
        let may_have_been_idle = failed.reused && failed.tried.why == Why::Closed;
        if !may_have_been_idle {
            self.apart_from.push(failed.member);
        }
        self.tried.push(failed.tried);
        self.maybe_served += usize::from(failed.retry != Retry::Always);
        if !failed.retry.allows(&self.method) {
            Err(Stop::Unrepeatable)
        } else if self.tried.len() >= TRIES_MAX || self.maybe_served >= SERVED_MAX {
            Err(Stop::Enough)
        } else if now >= self.until.at {
            Err(Stop::Late)
        } else {
            Ok(())
        }
    }

    /// What the caller is told.
    pub(crate) fn into_error(self, service: &str, stop: Stop) -> Error {
        let tried: Vec<String> = self.tried.iter().map(ToString::to_string).collect();
        let reason = match stop {
            Stop::Enough => String::new(),
            Stop::Unrepeatable => format!("; {} is not sent twice", self.method),
            Stop::Late => format!("; the {} of the call are over", Span(self.until.span)),
            Stop::Budget => "; the retry budget is spent".into(),
            Stop::NobodyElse => "; there is no other instance".into(),
        };
        let kind = if self.maybe_served == 0 {
            Kind::NoInstance
        } else if self.tried.iter().any(|tried| matches!(tried.why, Why::Silent(_))) {
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
    use std::{sync::Arc, time::Duration};

    use http::StatusCode;
    use proptest::prelude::*;

    use super::*;
    use crate::{Pick, Pool};

    fn pool(size: u16) -> Pool {
        Pool::fixed("service2", (1..=size).map(|n| ([10, 0, 0, n as u8], 80).into()))
    }

    fn failed(pick: &Pick, why: Why, retry: Retry) -> Failed {
        let tried = Tried { instance: Arc::clone(pick.instance()), why };
        Failed { member: pick.member(), tried, retry, reused: false }
    }

    /// The error of a call whose tries failed like this, from the first address to the last.
    fn error(method: Method, tried: &[(Why, Retry)], stop: Stop) -> Error {
        let now = Instant::now();
        let (pool, mut tries) = (pool(1), Tries::new(method, Deadlines::default(), now));
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
    fn an_error_says_who_was_tried_and_why_each_failed() {
        use Retry::{Always, IfRepeatable};
        let ms = Duration::from_millis;
        let silent = || (Why::Silent(ms(1000)), IfRepeatable);
        let refused = || (Why::Refused, Always);
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
                &[refused(), (Why::NotConnected(ms(250)), Always), (Why::Leaving, Always)],
                Stop::Enough,
                Kind::NoInstance,
                "no answer from service2: 10.0.0.1:80 refused, 10.0.0.2:80 no connection in 250 ms, 10.0.0.3:80 is leaving",
            ),
            (
                Method::POST,
                &[(Why::OtherService, Always), (Why::Closed, IfRepeatable)],
                Stop::Unrepeatable,
                Kind::Unreachable,
                "no answer from service2: 10.0.0.1:80 is another service, 10.0.0.2:80 closed before it answered; POST is not sent twice",
            ),
            (
                Method::PUT,
                &[(Why::Answered(StatusCode::BAD_GATEWAY), IfRepeatable), refused()],
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
            let whys: Vec<Why> = error.tried().iter().map(|tried| tried.why.clone()).collect();
            assert_eq!(whys, tried.iter().map(|(why, _)| why.clone()).collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_kept_connection_that_ended_says_nothing_of_a_fresh_one() {
        let now = Instant::now();
        let (pool, mut tries) = (pool(1), Tries::new(Method::GET, Deadlines::default(), now));
        let pick = pool.pick().unwrap();
        let lost = Failed { reused: true, ..failed(&pick, Why::Closed, Retry::IfRepeatable) };
        assert_eq!(tries.failed(lost, now), Ok(()));
        assert!(tries.apart_from().is_empty() && tries.wants_fresh_connection());
        let silent = Failed {
            reused: true,
            ..failed(&pick, Why::Silent(Duration::ZERO), Retry::IfRepeatable)
        };
        assert_eq!(tries.failed(silent, now), Ok(()));
        assert_eq!(tries.apart_from(), [pick.member()]);
    }

    fn retries() -> impl Strategy<Value = Retry> {
        prop_oneof![Just(Retry::Always), Just(Retry::IfRepeatable)]
    }

    proptest! {
        /// However tries fail: no more than ten, no more than three that may have been served, none on an instance that failed before, none past the deadline, none that may be a
        /// second time of what must not be done twice, and no try is given longer than the call has left.
        #[test]
        fn tries_stay_within_their_limits(
            steps in prop::collection::vec((retries(), any::<bool>(), 0u64..1000), 1..14),
            post in any::<bool>(),
        ) {
            let (start, pool) = (Instant::now(), pool(12));
            let method = if post { Method::POST } else { Method::GET };
            let (mut now, mut tried, mut maybe_served) = (start, Vec::new(), 0);
            let mut tries = Tries::new(method, Deadlines::default(), start);
            for (retry, reused, took) in steps {
                let deadline = tries.attempt(now);
                prop_assert!(deadline.at <= now + Duration::from_secs(1) && deadline.at <= start + Duration::from_secs(5));
                let pick = pool.pick_apart_from(tries.apart_from()).unwrap();
                prop_assert!(!tried.contains(&pick.member()));
                maybe_served += usize::from(retry == Retry::IfRepeatable);
                now += Duration::from_millis(took);
                let why = if retry == Retry::Always { Why::Refused } else { Why::Silent(deadline.span) };
                tried.push(pick.member());
                let allowed = tries.failed(Failed { reused, ..failed(&pick, why, retry) }, now);
                let right = tried.len() < 10 && maybe_served < 3 && now < start + Duration::from_secs(5) && !(post && maybe_served > 0);
                prop_assert_eq!(allowed.is_ok(), right);
                if allowed.is_err() {
                    break;
                }
            }
        }
    }
}
