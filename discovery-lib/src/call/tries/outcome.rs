//! What the outcome of a try means: the verdict on its instance, and whether another try may follow.
//!
//! One pure table. Whether there is time and budget left, and on which instances, is decided in `tries`.

use std::time::Duration;

use http::{HeaderName, Method, Response, StatusCode, Version};

use super::super::{TryError, headers};
use crate::member::{BreakerEvent, Charge, Verdict};

/// The longest `Retry-After` that is honored: an instance cannot exclude itself forever.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(60);

/// The status of a gRPC response without a body, which gRPC calls "Trailers-Only".
const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
const GRPC_UNAVAILABLE: &str = "14";

/// The outcome of one try.
///
/// | what happened | latency charged | breaker | another try may follow |
/// |---|---|---|---|
/// | [`NotConnected`](Self::NotConnected) | at least 5 s | refused | always |
/// | [`IdleClosed`](Self::IdleClosed) | none | none | always |
/// | [`NoAnswer`](Self::NoAnswer) | at least 5 s | failure | idempotent methods |
/// | [`OutOfTime`](Self::OutOfTime) | if above the estimate | none | idempotent methods |
/// | 421 | measured | refused | always |
/// | 503 with `Discovery-Leaving` | measured | none | always |
/// | 502, 503, 504 | at least `Retry-After` (60 s at most), or 5 s | failure | idempotent methods |
/// | `UNAVAILABLE` of gRPC, in the head | at least 5 s | failure | idempotent methods, so no: gRPC has POST |
/// | 429 | at least `Retry-After` (60 s at most), or 5 s | none | idempotent methods, after `Retry-After` |
/// | another 5xx | measured | server error | no: it is the response |
/// | any other response | measured | success at the end of its body | no: it is the response |
///
/// ```
/// use discovery::tries::{Retry, TryOutcome};
/// use http::{StatusCode, header};
///
/// let headers = [("retry-after", "7")]; // from any parser
/// let find = |name: &http::HeaderName| headers.iter().find(|(key, _)| *key == name.as_str()).map(|(_, value)| value.as_bytes());
/// let outcome = TryOutcome::of_head(StatusCode::TOO_MANY_REQUESTS, find);
/// assert_eq!(outcome.retry(), Retry::IfRepeatable);
/// assert_eq!(outcome.wait().as_secs(), 7);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum TryOutcome {
    /// No connection: refused, unreachable, no such name, not in time; or a new one was closed before a byte was written. The request was
    /// surely not served.
    NotConnected(TryError),
    /// An idle connection turned out to be closed before a byte of the request was written: surely not served, and no evidence about the
    /// instance, since servers close idle connections. A request whose body can be sent goes to another connection without a new try.
    IdleClosed,
    /// Closed, reset, silent or garbled before the head of the response. The request may have been served.
    NoAnswer {
        /// What happened.
        why: TryError,
        /// Whether the connection had been used before. When it was closed, that is no evidence about a fresh one to the same instance.
        reused: bool,
    },
    /// The request was not sent in full, because its body failed or the call was over: not a failure of the instance.
    OutOfTime(TryError),
    /// The head of a response. Made by [`TryOutcome::of`] and [`TryOutcome::of_head`].
    #[non_exhaustive]
    Answer {
        /// Its status.
        status: StatusCode,
        /// Whether the instance is shutting down ([`LEAVING`](crate::headers::LEAVING)).
        leaving: bool,
        /// `Retry-After`, if it is in seconds.
        retry_after: Option<Duration>,
    },
}

/// Whether another try may follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// With any method: the request was not served.
    Always,
    /// With an idempotent method.
    IfRepeatable,
    /// No: it is the response of the call.
    No,
}

impl Retry {
    /// Whether a request of this method may be sent again.
    #[must_use]
    pub fn allows(self, method: &Method) -> bool {
        match self {
            Self::Always => true,
            Self::IfRepeatable => is_repeatable(method),
            Self::No => false,
        }
    }
}

/// Whether a method is idempotent (RFC 9110, 9.2.2), so that a request may be served twice: GET, HEAD, OPTIONS, PUT and DELETE.
#[must_use]
pub fn is_repeatable(method: &Method) -> bool {
    [Method::GET, Method::HEAD, Method::OPTIONS, Method::PUT, Method::DELETE].contains(method)
}

impl TryOutcome {
    /// Of the head of a response. In HTTP/2, the status `UNAVAILABLE` of gRPC in the head is the same as 503; one in the trailers is a part of
    /// the response, as are all others.
    #[must_use]
    pub fn of<B>(head: &Response<B>) -> Self {
        let headers = head.headers();
        if head.version() == Version::HTTP_2
            && headers.get(GRPC_STATUS).is_some_and(|it| it == GRPC_UNAVAILABLE)
        {
            let status = StatusCode::SERVICE_UNAVAILABLE;
            return Self::Answer { status, leaving: false, retry_after: None };
        }
        Self::of_head(head.status(), |name| headers.get(name).map(http::HeaderValue::as_bytes))
    }

    /// Of the head of a response that is not an [`http::Response`]. `header` finds the first value of a header; names are lower case.
    #[must_use]
    pub fn of_head<'a>(
        status: StatusCode,
        header: impl Fn(&HeaderName) -> Option<&'a [u8]>,
    ) -> Self {
        if status.is_success() {
            return Self::Answer { status, leaving: false, retry_after: None };
        }
        let leaving = header(&headers::LEAVING).is_some();
        let retry_after = header(&http::header::RETRY_AFTER).and_then(headers::retry_after);
        Self::Answer { status, leaving, retry_after }
    }

    /// No answer, on a connection that was not used before.
    pub(crate) fn no_answer(why: TryError) -> Self {
        Self::NoAnswer { why, reused: false }
    }

    /// The verdict on the instance ([`Pick::judge`](crate::Pick::judge)).
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        let (status, leaving, retry_after) = match *self {
            Self::NotConnected(_) => return Verdict::REFUSED,
            Self::IdleClosed => return Verdict::NOTHING,
            Self::NoAnswer { .. } => return Verdict::FAILURE,
            Self::OutOfTime(_) => return Verdict::ABANDONED,
            Self::Answer { status, leaving, retry_after } => (status, leaving, retry_after),
        };
        let away = retry_after.map_or(Verdict::FAILURE_CHARGE, |wait| wait.min(RETRY_AFTER_MAX));
        let (latency, breaker) = match status.as_u16() {
            421 => (Charge::Measured, BreakerEvent::Refused),
            503 if leaving => (Charge::Measured, BreakerEvent::None),
            502..=504 => (Charge::AtLeast(away), BreakerEvent::Failure),
            429 => (Charge::AtLeast(away), BreakerEvent::None),
            500.. => (Charge::Measured, BreakerEvent::ServerError),
            _ => return Verdict::ANSWERED,
        };
        Verdict { latency, breaker }
    }

    /// Whether another try may follow.
    #[must_use]
    pub fn retry(&self) -> Retry {
        match *self {
            Self::NotConnected(_) | Self::IdleClosed => Retry::Always,
            Self::NoAnswer { .. } | Self::OutOfTime(_) => Retry::IfRepeatable,
            Self::Answer { status, leaving, .. } => match status.as_u16() {
                421 => Retry::Always,
                503 if leaving => Retry::Always,
                429 | 502..=504 => Retry::IfRepeatable,
                _ => Retry::No,
            },
        }
    }

    /// The wait before the request is sent again to any instance: a 429 (RFC 6585, 4) applies to the caller,
    /// while a 503 applies to one instance.
    #[must_use]
    pub fn wait(&self) -> Duration {
        match self {
            Self::Answer { status: StatusCode::TOO_MANY_REQUESTS, retry_after, .. } => {
                retry_after.unwrap_or_default()
            }
            Self::NotConnected(_)
            | Self::IdleClosed
            | Self::NoAnswer { .. }
            | Self::OutOfTime(_)
            | Self::Answer { .. } => Duration::ZERO,
        }
    }

    /// The reason, for the error of the call.
    #[must_use]
    pub fn why(&self) -> TryError {
        match *self {
            Self::NotConnected(why) | Self::NoAnswer { why, .. } | Self::OutOfTime(why) => why,
            Self::IdleClosed => TryError::Closed,
            Self::Answer { status: StatusCode::MISDIRECTED_REQUEST, .. } => TryError::OtherService,
            Self::Answer { leaving: true, .. } if self.retry() == Retry::Always => {
                TryError::Leaving
            }
            Self::Answer { status, .. } => TryError::Answered(status),
        }
    }

    /// Whether an idle connection was closed by its server, which says nothing about a fresh one to the same instance.
    pub(crate) fn is_idle_closed(&self) -> bool {
        matches!(self, Self::IdleClosed | Self::NoAnswer { why: TryError::Closed, reused: true })
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
        use BreakerEvent::{Failure, None, Pending, Refused, ServerError};
        use Charge::{IfAboveEstimate, Measured, Nothing};
        let at_least = |secs| Charge::AtLeast(Duration::from_secs(secs));
        for (outcome, latency, breaker, methods) in [
            (TryOutcome::NotConnected(TryError::Refused), at_least(5), Refused, ALL),
            (TryOutcome::IdleClosed, Nothing, None, ALL),
            (TryOutcome::no_answer(TryError::Closed), at_least(5), Failure, REPEATABLE),
            (TryOutcome::OutOfTime(TryError::BodyFailed), IfAboveEstimate, None, REPEATABLE),
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
            (leaving(200), Measured, Pending, NONE),
            (answer(200), Measured, Pending, NONE),
            (answer(204), Measured, Pending, NONE),
            (answer(301), Measured, Pending, NONE),
            (answer(404), Measured, Pending, NONE),
            (answer(499), Measured, Pending, NONE),
        ] {
            let retry = outcome.retry();
            assert_eq!(outcome.verdict(), Verdict { latency, breaker }, "{outcome:?}");
            for (nth, method) in METHODS.iter().enumerate() {
                assert_eq!(retry.allows(method), nth < methods, "{method} after {outcome:?}");
            }
        }
    }

    #[test]
    fn unavailable_of_grpc_in_the_head_is_a_failure_of_the_instance() {
        for (version, grpc_status, breaker) in [
            (Version::HTTP_2, Some("14"), BreakerEvent::Failure),
            (Version::HTTP_2, Some("13"), BreakerEvent::Pending),
            (Version::HTTP_2, Some("0"), BreakerEvent::Pending),
            (Version::HTTP_2, None, BreakerEvent::Pending),
            (Version::HTTP_11, Some("14"), BreakerEvent::Pending),
        ] {
            let mut head = Response::new(());
            *head.version_mut() = version;
            let grpc_status = grpc_status.map(|status| status.parse().unwrap());
            head.headers_mut().extend(grpc_status.map(|status| (GRPC_STATUS, status)));
            let outcome = TryOutcome::of(&head);
            assert_eq!(outcome.verdict().breaker, breaker, "{head:?}");
            assert!(!outcome.retry().allows(&Method::POST), "{head:?}");
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
            (TryOutcome::no_answer(TryError::Closed), 0),
        ] {
            assert_eq!(outcome.wait(), Duration::from_secs(secs), "{outcome:?}");
        }
    }
}
