//! The body of a request on its way: as much of it as the windows of the peer allow, and no more.

use std::{
    future::poll_fn,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use h2::{Reason, SendStream};
use http_body::Frame;
use tokio_util::task::AbortOnDropHandle;

use super::super::super::{request_body::Content, shared_stream::SharedStream};

/// The maximum size of a piece, and of what a stream has taken and not written yet. The number of bytes taken shows the progress of the
/// request, with an error of this size.
pub(super) const PIECE: usize = 64 * 1024;

/// The body of one request.
pub(super) struct Sending {
    stream: SendStream<Bytes>,
    rest: Bytes,
    /// Where more of it comes from.
    source: Option<Source>,
    written: u64,
    progress: Progress,
}

struct Source {
    body: SharedStream,
    /// Bytes that are to come, if their number was announced.
    left: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    /// The windows of the peer limit it.
    Sending,
    /// The body has nothing to send.
    Starved,
    /// All of it is sent, or the peer wants no more.
    Ended,
}

/// The body failed, or did not have the length that it announced.
#[derive(Debug)]
pub(super) struct BodyFailed;

impl Sending {
    pub(super) fn new(stream: SendStream<Bytes>, content: &Content) -> Self {
        let (rest, source) = match content {
            Content::Bytes(bytes) => (bytes.clone(), None),
            Content::Stream(body) => {
                let (body, left) = (body.clone(), body.size_hint().exact());
                (Bytes::new(), Some(Source { body, left }))
            }
        };
        Self { stream, rest, source, written: 0, progress: Progress::Sending }
    }

    /// Bytes taken from the body and accepted by the windows of the peer.
    pub(super) fn written(&self) -> u64 {
        self.written
    }

    pub(super) fn is_starved(&self) -> bool {
        self.progress == Progress::Starved
    }

    pub(super) fn has_ended(&self) -> bool {
        self.progress == Progress::Ended
    }

    /// Sends the rest in a task, beside the reading of the response that has already begun: its reader may wait for something else first.
    pub(super) fn spawn(mut self) -> AbortOnDropHandle<()> {
        let rest = async move {
            // The failure of the body ends the stream, so the reader of the response sees it.
            if poll_fn(|cx| self.poll(cx)).await.is_err() {
                tracing::debug!("the request body failed after the head of its response");
            }
        };
        AbortOnDropHandle::new(tokio::spawn(rest))
    }

    /// Sends what can be sent. Ready at the end of the body, or when the stream was ended: the response has the reason.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BodyFailed>> {
        while self.progress != Progress::Ended {
            if self.rest.is_empty() {
                ready!(self.poll_body(cx))?;
            } else {
                ready!(self.poll_piece(cx));
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Sends a piece of the rest.
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let length = self.rest.len().min(PIECE);
        self.stream.reserve_capacity(length);
        while self.stream.capacity() == 0 {
            if !matches!(ready!(self.stream.poll_capacity(cx)), Some(Ok(_))) {
                self.progress = Progress::Ended;
                return Poll::Ready(());
            }
        }
        let length = length.min(self.stream.capacity());
        let piece = self.rest.split_to(length);
        self.written += length as u64;
        let is_last = self.rest.is_empty() && self.source.as_ref().is_none_or(Source::has_ended);
        self.end_if(is_last, |stream| stream.send_data(piece, is_last));
        Poll::Ready(())
    }

    /// Makes the next frame of the body the rest, or sends its end.
    fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BodyFailed>> {
        let Some(source) = &mut self.source else {
            self.end_if(true, |stream| stream.send_data(Bytes::new(), true));
            return Poll::Ready(Ok(()));
        };
        let Poll::Ready(frame) = source.body.poll_frame(cx) else {
            self.progress = Progress::Starved;
            return Poll::Pending;
        };
        self.progress = Progress::Sending;
        match frame.map(|frame| frame.map(Frame::into_data)) {
            Some(Ok(Ok(data))) if source.expects(data.len()) => self.rest = data,
            Some(Ok(Err(frame))) if source.is_complete() => {
                if let Ok(trailers) = frame.into_trailers() {
                    self.end_if(true, |stream| stream.send_trailers(trailers));
                }
            }
            None if source.is_complete() => {
                self.end_if(true, |stream| stream.send_data(Bytes::new(), true));
            }
            _ => {
                self.progress = Progress::Ended;
                self.stream.send_reset(Reason::CANCEL);
                return Poll::Ready(Err(BodyFailed));
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Sends a frame. The body ends with its last one, and with a stream that takes no more.
    fn end_if(
        &mut self,
        is_last: bool,
        send: impl FnOnce(&mut SendStream<Bytes>) -> Result<(), h2::Error>,
    ) {
        if send(&mut self.stream).is_err() || is_last {
            self.progress = Progress::Ended;
        }
    }
}

impl Source {
    /// Counts bytes. Whether they were announced.
    fn expects(&mut self, length: usize) -> bool {
        let Some(left) = &mut self.left else { return true };
        let after = left.checked_sub(length as u64);
        *left = after.unwrap_or_default();
        after.is_some()
    }

    fn is_complete(&self) -> bool {
        self.left.is_none_or(|left| left == 0)
    }

    /// Whether the end is known without another poll.
    fn has_ended(&self) -> bool {
        self.is_complete() && self.body.is_end_stream()
    }
}
