//! The body of a response: data, then perhaps trailers.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use h2::{Reason, RecvStream};
use http::{HeaderMap, header::CONTENT_LENGTH};
use http_body::{Body, Frame, SizeHint};

use super::super::incoming::BrokenOff;

#[derive(Debug)]
pub(crate) struct Incoming {
    stream: RecvStream,
    /// Bytes that are to come, if the head announced them. The h2 crate ends a stream that has more or less of them.
    left: Option<u64>,
    has_data_ended: bool,
}

impl Incoming {
    pub(super) fn new(stream: RecvStream, head: &HeaderMap) -> Self {
        let length = head.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
        // A response to HEAD announces a length and has no data.
        let left = if stream.is_end_stream() { Some(0) } else { length };
        Self { stream, left, has_data_ended: false }
    }

    fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        let data = match ready!(self.stream.poll_data(cx)) {
            None => return Poll::Ready(None),
            Some(Ok(data)) => data,
            // After a complete response the server may abandon the rest of the request (RFC 9113, 8.1).
            Some(Err(error)) if error.reason() == Some(Reason::NO_ERROR) && !self.is_short() => {
                return Poll::Ready(None);
            }
            Some(Err(error)) => return Poll::Ready(Some(Err(error.into()))),
        };
        if let Some(left) = &mut self.left {
            *left = left.saturating_sub(data.len() as u64);
        }
        // What its reader has taken no longer counts against the window.
        let released = self.stream.flow_control().release_capacity(data.len());
        Poll::Ready(Some(released.map(|()| Frame::data(data)).map_err(Into::into)))
    }

    fn is_short(&self) -> bool {
        self.left.is_some_and(|left| left > 0)
    }

    fn poll_trailers(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        let trailers = ready!(self.stream.poll_trailers(cx)).transpose();
        Poll::Ready(match trailers {
            Some(Err(error)) if error.reason() == Some(Reason::NO_ERROR) => None,
            trailers => trailers.map(|it| it.map(Frame::trailers).map_err(Into::into)),
        })
    }
}

impl Body for Incoming {
    type Data = Bytes;
    type Error = BrokenOff;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        if !self.has_data_ended {
            let frame = ready!(self.poll_data(cx));
            if frame.is_some() {
                return Poll::Ready(frame);
            }
            self.has_data_ended = true;
        }
        self.poll_trailers(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.stream.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.left.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}
