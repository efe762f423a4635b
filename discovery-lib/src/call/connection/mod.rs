//! Connections to instances: how they are opened, used and kept.
//!
//! The rest of a call uses a connection through the trait [`Connection`] only; the version of HTTP, its driver and its waker are hidden behind
//! it. [`Wire`] is the type in use. Dispatch is static: a second version of HTTP becomes an enum that implements the same trait.

use std::task::{Context, Poll};

use bytes::Bytes;
use http::Response;
use http_body::Frame;
use hyper::body::Incoming;
use tokio::{net::TcpStream, runtime};

use super::{
    failed_try::TryError,
    request::Outgoing,
    tries::{Deadline, Limits, TryOutcome},
};

pub(super) mod dial;
mod http1;
pub(super) mod idle;
mod socket;
mod upload;
mod waker;

pub(super) use http1::{HEAD_MAX, HEADERS_MAX};
pub(super) use socket::Traffic;
pub(super) use upload::Upload;

/// The connections of all calls.
pub(super) type Wire = http1::Http1;

/// One connection to one instance. Dropping it closes it.
pub(crate) trait Connection: Sized {
    /// Opens an HTTP connection on a TCP stream. The deadline is that of the first response.
    fn open(
        stream: TcpStream,
        deadline: Deadline,
    ) -> impl Future<Output = Result<Self, TryError>> + Send;

    /// Sends a request and waits for the head of the response. If the response is abandoned, drop the connection. Without a response,
    /// [`TryOutcome::IdleClosed`] means that no byte of the request was written.
    fn send(
        &mut self,
        request: &Outgoing<'_>,
        limits: Limits,
    ) -> impl Future<Output = Result<Response<Incoming>, TryOutcome>> + Send;

    /// Polls for the next frame of the body of the last response.
    fn poll_frame(
        &mut self,
        body: &mut Incoming,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>>;

    /// Ready once the deadline has passed.
    fn poll_late(&mut self, deadline: Deadline, cx: &mut Context<'_>) -> Poll<()>;

    /// Whether it can take another request now. It wakes no task until it is used again.
    fn is_usable(&mut self) -> bool;

    /// The runtime on which it was opened, the only one on which it can be used.
    fn runtime(&self) -> runtime::Id;
}
