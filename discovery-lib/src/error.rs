//! The one error type of this library: opaque, with predicates named for what callers do about it.

use std::{fmt, sync::Arc};

use http::StatusCode;

use crate::FailedTry;

type Cause = Arc<dyn std::error::Error + Send + Sync>;

/// Why an operation failed. Its text never contains a token.
///
/// Four predicates show what to do about it: [`is_setting`](Error::is_setting) (correct the setting or URL),
/// [`is_agent`](Error::is_agent) (look at the Consul agent), [`is_no_instance`](Error::is_no_instance) (no instance took the call) and
/// [`is_call`](Error::is_call) (an instance was called, and the call failed). [`is_retryable`](Error::is_retryable) shows whether to try again.
#[derive(Clone)]
pub struct Error(Box<Inner>);

#[derive(Clone)]
struct Inner {
    kind: Kind,
    /// The failed action, its subject, and the remedy: a fragment without a full stop.
    text: String,
    source: Option<Cause>,
    tried: Vec<FailedTry>,
    /// Whether it is about the call of an instance.
    is_call: bool,
    /// Whether the same request has no further effect when it is executed twice.
    is_repeatable: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A setting or URL that can't be used.
    Setting,
    /// There is no instance to call: the request was surely not served.
    NoInstance,
    /// No answer: refused, unreachable, closed.
    Unreachable,
    /// No answer in time: whether the request was served is not known.
    Timeout,
    /// An answer that can't be used: it is not Consul's.
    Answer,
    /// An answer with an error status.
    Status(StatusCode),
    /// The object of the request has ended.
    Ended,
    /// A limit was reached: nothing was tried.
    Limit,
}

/// Consul's error for a filter expression that it can't parse, with status 500.
const BAD_FILTER: &str = "Failed to create boolean expression evaluator";

impl Error {
    pub(crate) fn new(kind: Kind, text: impl Into<String>) -> Self {
        let (text, tried) = (text.into(), Vec::new());
        let (is_call, is_repeatable) = (false, true);
        Self(Box::new(Inner { kind, text, source: None, tried, is_call, is_repeatable }))
    }

    pub(crate) fn because(
        mut self,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        self.0.source = Some(source.into().into());
        self
    }

    pub(crate) fn having_tried(mut self, tried: Vec<FailedTry>) -> Self {
        self.0.tried = tried;
        self.of_call()
    }

    /// It is about the call of an instance.
    pub(crate) fn of_call(mut self) -> Self {
        self.0.is_call = true;
        self
    }

    /// The request may have been served, and must not be served twice.
    pub(crate) fn not_to_be_repeated(mut self) -> Self {
        self.0.is_repeatable = false;
        self
    }

    pub(crate) fn kind(&self) -> Kind {
        self.0.kind
    }

    /// A setting or a URL can't be used: nothing was tried. Correct it.
    #[must_use]
    pub fn is_setting(&self) -> bool {
        self.0.kind == Kind::Setting
    }

    /// Consul's agent or DNS did not answer, refused, or answered with something that can't be used.
    #[must_use]
    pub fn is_agent(&self) -> bool {
        !self.0.is_call && self.is_exchange()
    }

    /// No instance took the call: none is known, or each that was tried refused it. It was surely not served. A server answers 503.
    #[must_use]
    pub fn is_no_instance(&self) -> bool {
        self.0.kind == Kind::NoInstance
    }

    /// An instance was called, and did not answer in full: the request may have been served.
    #[must_use]
    pub fn is_call(&self) -> bool {
        self.0.is_call && self.is_exchange()
    }

    fn is_exchange(&self) -> bool {
        match self.0.kind {
            Kind::Unreachable | Kind::Timeout | Kind::Answer | Kind::Status(_) => true,
            Kind::Setting | Kind::NoInstance | Kind::Ended | Kind::Limit => false,
        }
    }

    /// The instances that a failed call has tried, in order, each with the reason of its failure. Empty if there was none.
    #[must_use]
    pub fn tried(&self) -> &[FailedTry] {
        &self.0.tried
    }

    /// The request was surely not served: no instance was found or took it, or it was never sent. It can be sent again, whatever its method,
    /// without being served twice.
    #[must_use]
    pub fn is_unserved(&self) -> bool {
        matches!(self.0.kind, Kind::NoInstance | Kind::Setting | Kind::Limit)
    }

    /// The same request may succeed later, and sending it again does no harm: there was no answer, none in time, or a 5xx or 429. Never true
    /// for what fails again until a setting, a permission or an operator changes something, nor for a request that may have been served and
    /// whose method is not idempotent, such as POST.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        let passes = match self.0.kind {
            Kind::NoInstance => self.cause().is_none_or(Self::is_retryable),
            Kind::Unreachable | Kind::Timeout => true,
            Kind::Status(StatusCode::NOT_IMPLEMENTED | StatusCode::HTTP_VERSION_NOT_SUPPORTED) => {
                false
            }
            Kind::Status(status) if status.is_server_error() => !self.0.text.contains(BAD_FILTER),
            Kind::Status(status) => status_passes(status),
            Kind::Setting | Kind::Answer | Kind::Ended | Kind::Limit => false,
        };
        self.0.is_repeatable && passes
    }

    /// The error of this library that caused it: why no instance is known.
    fn cause(&self) -> Option<&Self> {
        let source = self.0.source.as_deref()?;
        source.downcast_ref::<Arc<Self>>().map(|cause| &**cause).or(source.downcast_ref::<Self>())
    }

    /// A limit of this program was reached, such as the number of services per client: nothing was tried, and another instance does not help.
    #[must_use]
    pub fn is_limit(&self) -> bool {
        self.0.kind == Kind::Limit
    }

    /// A deadline passed. The request may still be served, or have been served.
    #[must_use]
    pub fn is_timeout(&self) -> bool {
        self.0.kind == Kind::Timeout
    }

    /// Consul answered 404.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        self.status() == Some(StatusCode::NOT_FOUND)
    }

    /// The error status that Consul answered, if it did.
    #[must_use]
    pub fn status(&self) -> Option<StatusCode> {
        match self.0.kind {
            Kind::Status(status) => Some(status),
            Kind::Setting
            | Kind::NoInstance
            | Kind::Unreachable
            | Kind::Timeout
            | Kind::Answer
            | Kind::Ended
            | Kind::Limit => None,
        }
    }

    /// The agent rejects the request as it is: with a 4xx other than 408 and 429, which are temporary.
    #[must_use]
    pub fn is_refused(&self) -> bool {
        self.status().is_some_and(|status| status.is_client_error() && !status_passes(status))
    }

    /// The agent does not have the check or service of the request: it answered 404, or the text of Consul 1.8 for that.
    #[must_use]
    pub fn is_not_registered(&self) -> bool {
        let has_text = || self.0.text.contains(consul_wire::error::NO_ASSOCIATED_TTL);
        self.is_not_found() || (self.status().is_some_and(|s| s.is_server_error()) && has_text())
    }
}

/// Whether a client error is temporary.
fn status_passes(status: StatusCode) -> bool {
    matches!(status, StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS)
}

/// An error with its causes, in one line.
pub(crate) fn with_causes(error: &Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(err) = cause {
        text = format!("{text}: {err}");
        cause = err.source();
    }
    text
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.text)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("kind", &self.0.kind)
            .field("text", &self.0.text)
            .field("source", &self.0.source)
            .finish()
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_deref().map(|cause| cause as _)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_will_fail_again_is_not_retryable() {
        let status = |code| Kind::Status(StatusCode::from_u16(code).unwrap());
        let bad_filter =
            "GET /v1/x: the agent answered 500: Failed to create boolean expression evaluator: 1:3";
        for (kind, text, is_retryable) in [
            (Kind::Unreachable, "", true),
            (Kind::Timeout, "", true),
            (status(500), "No cluster leader", true),
            (status(503), "", true),
            (status(429), "", true),
            (status(408), "", true),
            (status(500), bad_filter, false),
            (status(501), "", false),
            (status(505), "", false),
            (status(403), "", false),
            (status(404), "", false),
            (Kind::Answer, "", false),
            (Kind::Setting, "", false),
            (Kind::Limit, "", false),
            (Kind::Ended, "", false),
        ] {
            let error = Error::new(kind, text);
            assert_eq!(error.is_retryable(), is_retryable, "{error:?}");
            assert!(!error.clone().not_to_be_repeated().is_retryable());
            let no_instance = Error::new(Kind::NoInstance, "").because(Arc::new(error));
            assert_eq!(no_instance.is_retryable(), is_retryable, "{no_instance:?}");
        }
        assert!(Error::new(Kind::NoInstance, "").is_retryable());
    }

    #[test]
    fn an_error_is_about_a_setting_the_agent_the_instances_or_a_call() {
        let predicates = |error: &Error| {
            [error.is_setting(), error.is_agent(), error.is_no_instance(), error.is_call()]
        };
        for (kind, agent, call) in [
            (Kind::Setting, [true, false, false, false], [true, false, false, false]),
            (Kind::Timeout, [false, true, false, false], [false, false, false, true]),
            (Kind::Unreachable, [false, true, false, false], [false, false, false, true]),
            (Kind::NoInstance, [false, false, true, false], [false, false, true, false]),
            (Kind::Limit, [false; 4], [false; 4]),
        ] {
            let error = Error::new(kind, "");
            assert_eq!(predicates(&error), agent, "{kind:?}");
            assert_eq!(predicates(&error.of_call()), call, "{kind:?}");
        }
    }
}
