//! The failed tries of a call: the instance and the reason of each, for the error of the call.

use std::{fmt, sync::Arc, time::Duration};

use http::StatusCode;

use super::{
    TlsError,
    connection::{HEAD_MAX, HEADERS_MAX},
};
use crate::Instance;

/// One try of a call that failed.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct FailedTry {
    /// The instance.
    pub instance: Arc<Instance>,
    /// The reason.
    pub why: TryError,
}

/// Why a try failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum TryError {
    /// Its host name has no address.
    Unresolved,
    /// The connection was refused: nothing listens at the address.
    Refused,
    /// The host cannot be reached: the error of the system.
    Unreachable(std::io::ErrorKind),
    /// No connection within this time.
    NotConnected(Duration),
    /// There is no TLS with it.
    Tls(TlsError),
    /// It did not answer a new connection with HTTP/2: perhaps it has HTTP/1.1 only ([`CallOptions::protocol`](crate::CallOptions)).
    NoHttp2,
    /// The connection was closed before the head of the response.
    Closed,
    /// It refused the request before any processing: `REFUSED_STREAM` of HTTP/2.
    StreamRefused,
    /// It ended the request of HTTP/2 with this error code (RFC 9113, 7).
    Reset(u32),
    /// The response is not HTTP.
    Garbled,
    /// The head of its response has too many headers or too many bytes.
    HeadTooLong,
    /// No head of a response within this time.
    Silent(Duration),
    /// It accepted no more of the request for this time.
    Stalled(Duration),
    /// It was still accepting the request at the end of the call, after this time.
    Unfinished(Duration),
    /// The body of the request was not complete after this time of the call.
    BodyUnfinished(Duration),
    /// The body of the request failed, or did not have the length that it announced.
    BodyFailed,
    /// It is another service (421): its address was reused.
    OtherService,
    /// It is shutting down.
    Leaving,
    /// A status that means that it cannot serve now.
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
    pub(crate) fn is_late(self) -> bool {
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
            Self::Tls(error) => error.fmt(f),
            Self::NoHttp2 => f.write_str("did not answer with HTTP/2: it may have HTTP/1.1 only"),
            Self::Closed => f.write_str("closed the connection before its response"),
            Self::StreamRefused => f.write_str("refused the request (REFUSED_STREAM)"),
            Self::Reset(code) => write!(f, "reset the request ({})", Code(*code)),
            Self::Garbled => f.write_str("sent a response that is not HTTP"),
            Self::HeadTooLong => write!(
                f,
                "answered with more than {HEADERS_MAX} headers or {} KiB of them",
                HEAD_MAX / 1024
            ),
            Self::Stalled(after) => {
                write!(f, "accepted no more of the request for {}", Span(*after))
            }
            Self::Unfinished(after) => {
                write!(f, "had not accepted all of the request after {}", Span(*after))
            }
            Self::Silent(after) => write!(f, "no answer in {}", Span(*after)),
            Self::BodyUnfinished(after) => {
                write!(f, "the request body was not complete after {}", Span(*after))
            }
            Self::BodyFailed => f.write_str("the request body failed"),
            Self::OtherService => f.write_str("is another service"),
            Self::Leaving => f.write_str("is shutting down"),
            Self::Answered(status) => write!(f, "answered {}", status.as_u16()),
        }
    }
}

/// An error code of HTTP/2 as text: its name in RFC 9113, 7, or its number.
struct Code(u32);

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const NAMES: [&str; 14] = [
            "NO_ERROR",
            "PROTOCOL_ERROR",
            "INTERNAL_ERROR",
            "FLOW_CONTROL_ERROR",
            "SETTINGS_TIMEOUT",
            "STREAM_CLOSED",
            "FRAME_SIZE_ERROR",
            "REFUSED_STREAM",
            "CANCEL",
            "COMPRESSION_ERROR",
            "CONNECT_ERROR",
            "ENHANCE_YOUR_CALM",
            "INADEQUATE_SECURITY",
            "HTTP_1_1_REQUIRED",
        ];
        match NAMES.get(self.0 as usize) {
            Some(name) => f.write_str(name),
            None => write!(f, "error {}", self.0),
        }
    }
}

/// A duration as text: `1 s`, `250 ms`.
pub(crate) struct Span(pub(crate) Duration);

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.subsec_millis() {
            0 => write!(f, "{} s", self.0.as_secs()),
            _ => write!(f, "{} ms", self.0.as_millis()),
        }
    }
}
