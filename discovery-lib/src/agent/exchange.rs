//! The HTTP client below [`Transport`](super::transport::Transport): one request, one response. Tests replace it with a simulated agent.

use std::{fmt, future::Future, pin::Pin};

use bytes::Bytes;
use http::{Request, Response};

use crate::Error;

/// The response to a request, boxed.
pub(crate) type Exchanging<'a> =
    Pin<Box<dyn Future<Output = Result<Response<Bytes>, Failure>> + Send + 'a>>;

/// Sends requests to an agent.
pub(crate) trait Http: fmt::Debug + Send + Sync {
    /// Sends a request, and reads the body of the response: up to `limit` bytes for its status. Dropping the future closes the connection.
    fn exchange(&self, request: Request<Bytes>, limit: Limit) -> Exchanging<'_>;

    /// Stops using the connections that are open now. Requests in flight continue.
    fn reconnect(&self);
}

/// The maximum length of a body that is read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limit {
    /// Of a success: a longer body is a failure.
    pub(crate) success: usize,
    /// Of any other status: a longer body is truncated.
    pub(crate) other: usize,
}

/// The reason for which there is no response, with its cause.
#[derive(Debug, Clone)]
pub(crate) enum Failure {
    /// No request can be sent with these settings.
    Setting(Error),
    /// No connection.
    Unreachable(String),
    /// No TLS: the reason and the remedy.
    NoTls(String),
    /// The response is not HTTP.
    NotHttp(String),
    /// The connection was closed before the request was sent.
    Unsent,
    /// The connection was closed before the head of the response.
    Closed(String),
    /// The body ended early.
    Incomplete(String),
    /// The body is longer than its limit.
    TooLong,
}
