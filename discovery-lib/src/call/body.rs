//! The body of a response: a stream of frames, or all bytes within a limit.
//!
//! Until it is dropped, it counts as one call in flight of its instance. A complete body is a success of the call, a lost connection or a
//! stall is a failure. After a complete body the connection becomes idle; otherwise it is closed, or in HTTP/2 the stream.

use std::{
    fmt,
    future::{Future, poll_fn},
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll, Waker, ready},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::{BodyExt, Limited};
use serde::de::DeserializeOwned;
use tokio::time::{Instant, timeout_at};

use super::{
    connection::{BrokenOff, Connection, Incoming, idle::Lease},
    failed_try::Span,
    tries::Deadline,
};
use crate::{Error, InFlight, Instance, Verdict, error::Kind};

/// Frames that are read from a body when it is dropped. If it ends within them, its connection is kept.
const DRAINED_MAX: usize = 4;

/// The body of a response.
///
/// As an [`http_body::Body`] it has no deadline, only a timeout for the next byte ([`Deadlines::stall`](crate::CallOptions::stall_timeout));
/// its reader should have a deadline of its own. Time between two reads does not count as a stall.
pub struct Body {
    incoming: Incoming,
    instance: Arc<Instance>,
    reading: Reading,
    open: Option<Open>,
}

/// The deadlines of reading a body.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reading {
    /// The end of the call.
    pub(crate) until: Deadline,
    /// For the next byte.
    pub(crate) stall: Duration,
    /// Whether the request may be sent again when the body is incomplete.
    pub(crate) is_repeatable: bool,
}

/// Released at the end.
struct Open {
    line: Lease,
    in_flight: InFlight,
    /// Since when its reader has been waiting for the next byte.
    quiet_since: Option<Instant>,
}

impl Body {
    pub(crate) fn new(
        incoming: Incoming,
        instance: Arc<Instance>,
        reading: Reading,
        line: Lease,
        in_flight: InFlight,
    ) -> Self {
        let open = Some(Open { line, in_flight, quiet_since: None });
        let mut body = Self { incoming, instance, reading, open };
        body.close_at_end();
        body
    }

    /// All of it, at most `limit` bytes, within what is left of the call's deadline.
    ///
    /// # Errors
    ///
    /// It is longer, the connection was lost, it stalled or the deadline passed (both [`Error::is_timeout`]).
    pub async fn bytes(mut self, limit: usize) -> Result<Bytes, Error> {
        let until = self.reading.until;
        let mut reading = pin!(Limited::new(&mut self, limit).collect());
        // Most bodies arrive with their heads, and need no timer.
        let read = match poll_fn(|cx| Poll::Ready(reading.as_mut().poll(cx))).await {
            Poll::Ready(read) => Ok(read),
            Poll::Pending => timeout_at(until.at, reading).await,
        };
        match read {
            Ok(Ok(all)) => Ok(all.to_bytes()),
            Ok(Err(error)) => Err(error.downcast::<Error>().map_or_else(
                |_| self.error(Kind::Answer, format_args!("is longer than {limit} bytes")),
                |error| *error,
            )),
            Err(_) => {
                self.blame_if_quiet_for(until.silence(self.reading.stall));
                let span = Span(until.span);
                Err(self
                    .error(Kind::Timeout, format_args!("did not end in the {span} of the call")))
            }
        }
    }

    /// The same as text.
    ///
    /// # Errors
    ///
    /// As [`Body::bytes`], and it is not UTF-8.
    pub async fn text(self, limit: usize) -> Result<String, Error> {
        let instance = self.instance.clone();
        String::from_utf8(self.bytes(limit).await?.into()).map_err(|error| {
            Error::new(Kind::Answer, format!("the answer of {instance} is not UTF-8"))
                .of_call()
                .because(error)
        })
    }

    /// The same as a value in JSON. [`Response::status`](http::Response::status) tells whether it is the expected answer or an error.
    ///
    /// # Errors
    ///
    /// As [`Body::bytes`], and it is not JSON of this type.
    pub async fn json<T: DeserializeOwned>(self, limit: usize) -> Result<T, Error> {
        let instance = self.instance.clone();
        serde_json::from_slice(&self.bytes(limit).await?).map_err(|error| {
            Error::new(Kind::Answer, format!("the answer of {instance} is not the expected JSON"))
                .of_call()
                .because(error)
        })
    }

    fn error(&self, kind: Kind, what: fmt::Arguments<'_>) -> Error {
        let error = Error::new(kind, format!("the answer of {} {what}", self.instance));
        let error = error.of_call();
        if self.reading.is_repeatable { error } else { error.not_to_be_repeated() }
    }

    /// Closes the connection and records a failure of its instance.
    fn fail(&mut self) {
        if let Some(mut open) = self.open.take() {
            open.in_flight.judge(Verdict::FAILURE);
        }
    }

    fn blame_if_quiet_for(&mut self, limit: Duration) {
        let quiet_since = self.open.as_ref().and_then(|open| open.quiet_since);
        if quiet_since.is_some_and(|since| since.elapsed() >= limit) {
            self.fail();
        }
    }

    /// Closes at the end of the body, without another poll.
    fn close_at_end(&mut self) {
        if self.incoming.is_end_stream() {
            self.close();
        }
    }

    fn close(&mut self) {
        if let Some(open) = self.open.take() {
            open.line.keep();
        }
    }
}

enum Polled {
    Came(Option<Result<Frame<Bytes>, BrokenOff>>),
    Stalled,
}

impl Open {
    /// Polls for the next frame, for at most `stall`.
    fn poll(
        &mut self,
        incoming: &mut Incoming,
        cx: &mut Context<'_>,
        stall: Duration,
    ) -> Poll<Polled> {
        let connection = &mut self.line.connection;
        if let Poll::Ready(came) = connection.poll_frame(incoming, cx) {
            self.quiet_since = None;
            return Poll::Ready(Polled::Came(came));
        }
        let since = *self.quiet_since.get_or_insert_with(|| {
            let now = Instant::now();
            self.in_flight.still_arriving(stall, now);
            now
        });
        connection.poll_late(Deadline::after(stall, since), cx).map(|()| Polled::Stalled)
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let stall = self.reading.stall;
        let Self { incoming, open, .. } = &mut *self;
        let polled = match open {
            Some(open) => open.poll(incoming, cx, stall),
            None => Pin::new(incoming).poll_frame(cx).map(Polled::Came),
        };
        let frame = match ready!(polled) {
            Polled::Came(frame) => frame.transpose().map_err(|error| {
                self.fail();
                self.error(Kind::Unreachable, format_args!("broke off")).because(error)
            }),
            Polled::Stalled => {
                self.fail();
                let span = Span(stall);
                Err(self.error(Kind::Timeout, format_args!("stalled: nothing came for {span}")))
            }
        };
        match &frame {
            Ok(None) => self.close(),
            Ok(Some(_)) => self.close_at_end(),
            Err(_) => {}
        }
        Poll::Ready(frame.transpose())
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}

impl Drop for Body {
    /// Reads what has already arrived, so that the connection of a short, unread response is kept.
    fn drop(&mut self) {
        let mut cx = Context::from_waker(Waker::noop());
        for _ in 0..DRAINED_MAX {
            if self.open.is_none()
                || !matches!(Pin::new(&mut *self).poll_frame(&mut cx), Poll::Ready(Some(Ok(_))))
            {
                return;
            }
        }
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Body").field("of", &self.instance).field("size", &self.size_hint()).finish()
    }
}
