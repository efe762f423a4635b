//! The body of an answer: bytes as they come, or all of them within a limit.
//!
//! As long as it lives, its instance counts one more call in flight. At its end the connection goes back to those kept; left before, it is
//! closed.

use std::{
    fmt,
    future::{Future, poll_fn},
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll, Waker, ready},
};

use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use tokio::time::timeout_at;

use super::{deadlines::Deadline, kept::Line, tried::Span};
use crate::{Error, InFlight, Instance, error::Kind};

/// How much a body that is dropped unread may have left for its connection to be kept: so many pieces, and all of them already here.
const DRAINED_MAX: usize = 4;

/// The body of an answer.
///
/// As an [`http_body::Body`] it may take as long as it likes; what it is read for should have a deadline of its own.
pub struct Body {
    incoming: Incoming,
    instance: Arc<Instance>,
    until: Deadline,
    open: Option<Open>,
}

/// What is given back at the end.
struct Open {
    line: Line,
    _in_flight: InFlight,
}

impl Body {
    pub(crate) fn new(
        incoming: Incoming,
        instance: Arc<Instance>,
        until: Deadline,
        line: Line,
        in_flight: InFlight,
    ) -> Self {
        let open = Some(Open { line, _in_flight: in_flight });
        let mut body = Self { incoming, instance, until, open };
        body.close_at_end();
        body
    }

    /// All of it, at most `limit` bytes, within what is left of the call's deadline.
    ///
    /// # Errors
    ///
    /// It is longer, it broke off ([`Error::is_retryable`]), or the deadline passed ([`Error::is_timeout`]).
    pub async fn bytes(mut self, limit: usize) -> Result<Bytes, Error> {
        let until = self.until;
        let mut reading = pin!(Limited::new(&mut self, limit).collect());
        // Most answers are here with their heads, and need no timer.
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
                .because(error)
        })
    }

    fn error(&self, kind: Kind, what: fmt::Arguments<'_>) -> Error {
        Error::new(kind, format!("the answer of {} {what}", self.instance))
    }

    /// At the end of the body gives back what it held, without waiting for somebody to ask for more.
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

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let Self { incoming, open, .. } = &mut *self;
        let mut incoming = Pin::new(incoming);
        let polled = match open {
            Some(open) => open.line.connection.poll(cx, |_, cx| incoming.as_mut().poll_frame(cx)),
            None => incoming.poll_frame(cx),
        };
        let frame = ready!(polled).transpose().map_err(|error| {
            self.open = None;
            self.error(Kind::Unreachable, format_args!("broke off")).because(error)
        });
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
    /// Reads what has already arrived, so that a short answer that nobody reads costs no connection.
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
