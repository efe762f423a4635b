//! What a try's outcome means: what its instance is charged, whether that counts towards ejection, and whether another may be tried.
//!
//! One pure function, the table of outcomes. Who may be tried, and whether there is time and budget left, is for `tries` to say.

use std::time::Duration;

use http::{Method, Response, StatusCode};

use super::super::headers;
use crate::member::{BreakerEvent, Charge, Verdict};

/// The longest `Retry-After` that is honored: an instance cannot exclude itself forever.
pub(crate) const RETRY_AFTER_MAX: Duration = Duration::from_secs(60);

/// What came of one try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TryOutcome {
    /// No connection: refused, unreachable, no such name, not in time. The request was surely not sent.
    NotConnected,
    /// Closed, reset or silent before the head of the response. The request may have been served.
    NoAnswer,
    /// The request was not sent in full, because its body failed or the call was over: not a failure of the instance.
    OutOfTime,
    /// The head of an answer.
    Answer {
        status: StatusCode,
        /// Whether the instance is shutting down (`Discovery-Leaving`).
        leaving: bool,
        retry_after: Option<Duration>,
    },
}

/// Whether a try may be repeated on another instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Retry {
    /// With any method: the request was not served.
    Always,
    /// With an idempotent method.
    IfRepeatable,
    /// It is the answer.
    No,
}

impl Retry {
    /// Whether a request of this method may be sent again.
    pub(crate) fn allows(self, method: &Method) -> bool {
        match self {
            Self::Always => true,
            Self::IfRepeatable => is_repeatable(method),
            Self::No => false,
        }
    }
}

/// The idempotent methods (RFC 9110, 9.2.2) that are supported.
pub(crate) fn is_repeatable(method: &Method) -> bool {
    [Method::GET, Method::HEAD, Method::OPTIONS, Method::PUT, Method::DELETE].contains(method)
}

impl TryOutcome {
    /// Of an answer's head.
    pub(crate) fn of<B>(head: &Response<B>) -> Self {
        let (status, headers) = (head.status(), head.headers());
        if status.is_success() {
            return Self::Answer { status, leaving: false, retry_after: None };
        }
        let leaving = headers.contains_key(headers::LEAVING);
        Self::Answer { status, leaving, retry_after: headers::retry_after(headers) }
    }

    /// The wait before the request is sent again to any instance: a 429 (RFC 6585, 4) applies to the caller,
    /// while a 503 applies to one instance.
    pub(crate) fn wait(self) -> Duration {
        match self {
            Self::Answer { status: StatusCode::TOO_MANY_REQUESTS, retry_after, .. } => {
                retry_after.unwrap_or_default()
            }
            Self::NotConnected | Self::NoAnswer | Self::OutOfTime | Self::Answer { .. } => {
                Duration::ZERO
            }
        }
    }

    /// What the instance is to be charged with, and where the request may go from here.
    pub(crate) fn judge(self) -> (Verdict, Retry) {
        let (status, leaving, retry_after) = match self {
            Self::NotConnected => return (Verdict::REFUSED, Retry::Always),
            Self::NoAnswer => return (Verdict::FAILURE, Retry::IfRepeatable),
            Self::OutOfTime => return (Verdict::ABANDONED, Retry::IfRepeatable),
            Self::Answer { status, leaving, retry_after } => (status, leaving, retry_after),
        };
        let away = retry_after.map_or(Verdict::FAILURE_CHARGE, |wait| wait.min(RETRY_AFTER_MAX));
        let (latency, breaker, retry) = match status.as_u16() {
            421 => (Charge::Measured, BreakerEvent::Refused, Retry::Always),
            503 if leaving => (Charge::Measured, BreakerEvent::None, Retry::Always),
            502..=504 => (Charge::AtLeast(away), BreakerEvent::Failure, Retry::IfRepeatable),
            429 => (Charge::AtLeast(away), BreakerEvent::None, Retry::IfRepeatable),
            500.. => (Charge::Measured, BreakerEvent::ServerError, Retry::No),
            _ => (Charge::Measured, BreakerEvent::Success, Retry::No),
        };
        (Verdict { latency, breaker }, retry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const METHODS: [Method; 9] = [
        Method::GET,
        Method::HEAD,
        Method::OPTIONS,
        Method::PUT,
        Method::DELETE,
        Method::POST,
        Method::PATCH,
        Method::CONNECT,
        Method::TRACE,
    ];

    /// The methods of the table, by how many of `METHODS` they are.
    const ALL: usize = 9;
    const REPEATABLE: usize = 5;
    const NONE: usize = 0;

    fn answer(status: u16) -> TryOutcome {
        let status = StatusCode::from_u16(status).unwrap();
        TryOutcome::Answer { status, leaving: false, retry_after: None }
    }

    fn asking_to_wait(status: u16, secs: u64) -> TryOutcome {
        let (status, wait) = (StatusCode::from_u16(status).unwrap(), Duration::from_secs(secs));
        TryOutcome::Answer { status, leaving: false, retry_after: Some(wait) }
    }

    fn leaving(status: u16) -> TryOutcome {
        let status = StatusCode::from_u16(status).unwrap();
        TryOutcome::Answer { status, leaving: true, retry_after: Some(Duration::from_secs(9)) }
    }

    #[test]
    fn the_table_of_outcomes() {
        use BreakerEvent::{Failure, None, Refused, ServerError, Success};
        use Charge::Measured;
        let at_least = |secs| Charge::AtLeast(Duration::from_secs(secs));
        for (outcome, latency, breaker, methods) in [
            (TryOutcome::NotConnected, at_least(5), Refused, ALL),
            (TryOutcome::NoAnswer, at_least(5), Failure, REPEATABLE),
            (TryOutcome::OutOfTime, Charge::IfAboveEstimate, None, REPEATABLE),
            (answer(421), Measured, Refused, ALL),
            (leaving(503), Measured, None, ALL),
            (answer(502), at_least(5), Failure, REPEATABLE),
            (answer(503), at_least(5), Failure, REPEATABLE),
            (answer(504), at_least(5), Failure, REPEATABLE),
            (answer(429), at_least(5), None, REPEATABLE),
            (asking_to_wait(502, 7), at_least(7), Failure, REPEATABLE),
            (asking_to_wait(503, 1), at_least(1), Failure, REPEATABLE),
            (asking_to_wait(504, 60), at_least(60), Failure, REPEATABLE),
            (asking_to_wait(429, 86_400), at_least(60), None, REPEATABLE),
            (leaving(502), at_least(9), Failure, REPEATABLE),
            (answer(500), Measured, ServerError, NONE),
            (answer(501), Measured, ServerError, NONE),
            (answer(505), Measured, ServerError, NONE),
            (answer(599), Measured, ServerError, NONE),
            (asking_to_wait(500, 7), Measured, ServerError, NONE),
            (leaving(200), Measured, Success, NONE),
            (answer(200), Measured, Success, NONE),
            (answer(204), Measured, Success, NONE),
            (answer(301), Measured, Success, NONE),
            (answer(404), Measured, Success, NONE),
            (answer(499), Measured, Success, NONE),
        ] {
            let (verdict, retry) = outcome.judge();
            assert_eq!(verdict, Verdict { latency, breaker }, "{outcome:?}");
            for (nth, method) in METHODS.iter().enumerate() {
                assert_eq!(retry.allows(method), nth < methods, "{method} after {outcome:?}");
            }
        }
    }

    #[test]
    fn only_a_429_makes_callers_wait() {
        for (outcome, secs) in [
            (asking_to_wait(429, 7), 7),
            (asking_to_wait(429, 86_400), 86_400),
            (answer(429), 0),
            (asking_to_wait(503, 7), 0),
            (leaving(503), 0),
            (TryOutcome::NoAnswer, 0),
        ] {
            assert_eq!(outcome.wait(), Duration::from_secs(secs), "{outcome:?}");
        }
    }
}
