//! Connections to instances: how they are opened, used and kept.
//!
//! The rest of a call uses a connection through the trait [`Connection`] only; the version of HTTP, its driver and its waker are hidden behind
//! it. [`Wire`] is the type in use, in either version. Dispatch is static.

use std::task::{Context, Poll};

use bytes::Bytes;
use http::Response;
use http_body::Frame;
use tokio::runtime;

use super::{
    request::Outgoing,
    tries::{Deadline, Limits, TryOutcome},
};

mod alarm;
pub(super) mod dial;
mod how;
mod http1;
#[cfg(feature = "http2")]
mod http2;
pub(super) mod idle;
mod incoming;
mod socket;
mod transport;
mod upload;
mod waker;
mod wire;

pub(crate) use how::How;
pub(super) use incoming::{BrokenOff, Incoming};
#[cfg(feature = "tls")]
pub(super) use socket::Socket;
pub(super) use socket::Traffic;
pub(super) use upload::Upload;
pub(crate) use wire::Wire;

/// The maximum length of a response head; a body of HTTP/1.1 is read in pieces of at most this size.
pub(super) const HEAD_MAX: usize = 64 * 1024;
/// The maximum number of headers of a response. It is hyper's own limit; any other costs an allocation per response.
pub(super) const HEADERS_MAX: usize = 100;

/// One connection to one instance, or the part that a call has in it. Dropping it closes it.
pub(crate) trait Connection: Sized {
    /// Sends a request and waits for the head of the response. If the response is abandoned, drop the connection. Without a response,
    /// [`TryOutcome::IdleClosed`] and [`TryOutcome::NotConnected`] mean that the request was surely not served.
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
    ) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>>;

    /// Ready once the deadline has passed.
    fn poll_late(&mut self, deadline: Deadline, cx: &mut Context<'_>) -> Poll<()>;

    /// Whether it can take another request now. It wakes no task until it is used again.
    fn is_usable(&mut self) -> bool;

    /// The runtime on which it was opened, the only one on which it can be used.
    fn runtime(&self) -> runtime::Id;

    /// A part of it for another request, beside those under way.
    fn share(&self) -> Share<Self>;
}

/// Whether a connection takes a request beside those under way.
#[derive(Debug)]
#[cfg_attr(not(feature = "http2"), expect(dead_code, reason = "only HTTP/2 shares connections"))]
pub(crate) enum Share<C> {
    /// It takes one at a time.
    Alone,
    /// It does.
    With(C),
    /// Its limit is reached.
    Full,
    /// It takes no further request.
    Ended,
}
