//! The one error of this library: opaque, with predicates named for what callers do about it.

use std::fmt;

use http::StatusCode;

use crate::Tried;

type Cause = Box<dyn std::error::Error + Send + Sync>;

/// What went wrong, in words for the person who reads it at three in the morning. Never contains a token.
pub struct Error(Box<Inner>);

struct Inner {
    kind: Kind,
    /// What was being done to what, and what would be right: a fragment without a full stop.
    text: String,
    source: Option<Cause>,
    tried: Vec<Tried>,
    /// Whether doing twice what was asked does no more than doing it once.
    is_repeatable: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A setting that can't be understood.
    Setting,
    /// Nobody is there to be called: what was asked was surely not done.
    NoInstance,
    /// Nobody answered: refused, unreachable, closed.
    Unreachable,
    /// Nobody answered in time: whether it was done is not known.
    Timeout,
    /// An answer that is no answer: not what Consul says.
    Answer,
    /// Answered, and refused.
    Status(StatusCode),
    /// What was asked about is over.
    Ended,
    /// More of something than is allowed at a time: it was not tried.
    Limit,
}

impl Error {
    pub(crate) fn new(kind: Kind, text: impl Into<String>) -> Self {
        let (text, tried) = (text.into(), Vec::new());
        Self(Box::new(Inner { kind, text, source: None, tried, is_repeatable: true }))
    }

    pub(crate) fn because(mut self, source: impl Into<Cause>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    pub(crate) fn having_tried(mut self, tried: Vec<Tried>) -> Self {
        self.0.tried = tried;
        self
    }

    /// What was asked may have been done, and must not be done twice.
    pub(crate) fn not_to_be_repeated(mut self) -> Self {
        self.0.is_repeatable = false;
        self
    }

    /// Nobody was there to take the call: no instance is known, or each that was tried refused it. It was surely not served. A server
    /// answers 503.
    pub fn is_no_instance(&self) -> bool {
        self.0.kind == Kind::NoInstance
    }

    /// Whom a failed call has tried, in order, and why each failed. Empty where nobody was.
    pub fn tried(&self) -> &[Tried] {
        &self.0.tried
    }

    /// The request was surely not served: no instance was found or took it, or it was never sent. Whatever its method, sending it again
    /// can't have it done twice.
    pub fn is_unserved(&self) -> bool {
        matches!(self.0.kind, Kind::NoInstance | Kind::Setting | Kind::Limit)
    }

    /// The same request may be answered well later, and sending it again does no harm: nobody answered, not in time, or with a 5xx or 429.
    /// Never so for a request that may have been served and whose method is not idempotent, such as POST.
    pub fn is_retryable(&self) -> bool {
        self.0.is_repeatable
            && match self.0.kind {
                Kind::NoInstance | Kind::Unreachable | Kind::Timeout => true,
                Kind::Status(status) => {
                    status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS
                }
                Kind::Setting | Kind::Answer | Kind::Ended | Kind::Limit => false,
            }
    }

    /// A setting can't be understood: nothing was tried.
    pub fn is_setting(&self) -> bool {
        self.0.kind == Kind::Setting
    }

    /// A limit of this program was reached, as of the services that a client calls at a time: nothing was tried, and trying elsewhere does
    /// not help.
    pub fn is_limit(&self) -> bool {
        self.0.kind == Kind::Limit
    }

    /// A deadline passed. What was asked may still be done, or have been done.
    pub fn is_timeout(&self) -> bool {
        self.0.kind == Kind::Timeout
    }

    /// Consul answered that it does not know what was asked for.
    pub fn is_not_found(&self) -> bool {
        self.status() == Some(StatusCode::NOT_FOUND)
    }

    /// The status that Consul answered, where it answered one that is no success.
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

    /// The agent answered that it does not want this as it is: with a 4xx other than 408 and 429, which pass by themselves.
    pub fn is_refused(&self) -> bool {
        let passes = [StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_MANY_REQUESTS];
        self.status().is_some_and(|it| it.is_client_error() && !passes.contains(&it))
    }

    /// The same again, for another reader.
    pub(crate) fn again(&self) -> Self {
        let again = Self::new(self.0.kind, self.0.text.clone());
        match &self.0.source {
            Some(source) => again.because(source.to_string()),
            None => again,
        }
    }

    /// The agent answered that it doesn't have the check or service that it was told to keep: with a 404, or as Consul 1.8 does.
    pub fn is_forgotten(&self) -> bool {
        let says_so = || self.0.text.contains(consul_wire::error::NO_ASSOCIATED_TTL);
        self.is_not_found() || (self.status().is_some_and(|s| s.is_server_error()) && says_so())
    }
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
