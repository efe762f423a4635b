//! Whom a failed call has tried, and why each of them failed: what its error says.

use std::{fmt, sync::Arc, time::Duration};

use http::StatusCode;

use super::connection::{HEAD_MAX, HEADERS_MAX};
use crate::Instance;

/// One try of a call that failed.
#[derive(Debug, Clone)]
pub struct FailedTry {
    /// Who was tried.
    pub instance: Arc<Instance>,
    /// Why that was not the answer.
    pub why: TryError,
}

/// Why a try failed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum TryError {
    /// Its host name has no address.
    Unresolved,
    /// Nobody listens there.
    Refused,
    /// No way there: what the system says.
    Unreachable(std::io::ErrorKind),
    /// No connection within this time.
    NotConnected(Duration),
    /// The connection ended before the answer's head.
    Closed,
    /// Something that is not HTTP/1.1 came back.
    Garbled,
    /// The head of its answer has too many headers or too many bytes.
    HeadTooLong,
    /// No answer's head within this time.
    Silent(Duration),
    /// It took no more of the request for this time.
    Stalled(Duration),
    /// It was still taking the request when this time of the call was over.
    Unfinished(Duration),
    /// The body of the request was not complete after this time of the call.
    BodyUnfinished(Duration),
    /// The body of the request failed, or did not have the length that it announced.
    BodyFailed,
    /// It is another service (421): its address has been given to somebody new.
    OtherService,
    /// It is on its way out.
    Leaving,
    /// An answer that only says that it can't serve now.
    Answered(StatusCode),
}

impl fmt::Display for FailedTry {
    /// `<host>:<port> <why>`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.instance, self.why)
    }
}

impl TryError {
    /// Whether it was a deadline that ended it, after the request had begun.
    pub(crate) fn is_late(&self) -> bool {
        matches!(
            self,
            Self::Silent(_) | Self::Stalled(_) | Self::Unfinished(_) | Self::BodyUnfinished(_)
        )
    }
}

impl fmt::Display for TryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unresolved => f.write_str("has no address"),
            Self::Refused => f.write_str("refused"),
            Self::Unreachable(kind) => write!(f, "unreachable ({kind})"),
            Self::NotConnected(after) => write!(f, "no connection in {}", Span(*after)),
            Self::Closed => f.write_str("closed before it answered"),
            Self::Garbled => f.write_str("answered something that is not HTTP"),
            Self::HeadTooLong => write!(
                f,
                "answered with more than {HEADERS_MAX} headers or {} KiB of them",
                HEAD_MAX / 1024
            ),
            Self::Stalled(after) => write!(f, "took no more of the request for {}", Span(*after)),
            Self::Unfinished(after) => {
                write!(f, "had not taken all of the request in {}", Span(*after))
            }
            Self::Silent(after) => write!(f, "no answer in {}", Span(*after)),
            Self::BodyUnfinished(after) => {
                write!(f, "the request body was not complete after {}", Span(*after))
            }
            Self::BodyFailed => f.write_str("the request body failed"),
            Self::OtherService => f.write_str("is another service"),
            Self::Leaving => f.write_str("is leaving"),
            Self::Answered(status) => write!(f, "answered {}", status.as_u16()),
        }
    }
}

/// A duration as one says it: `1 s`, `250 ms`.
pub(crate) struct Span(pub(crate) Duration);

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.subsec_millis() {
            0 => write!(f, "{} s", self.0.as_secs()),
            _ => write!(f, "{} ms", self.0.as_millis()),
        }
    }
}
