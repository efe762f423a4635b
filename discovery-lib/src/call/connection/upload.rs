//! The body of a request, sent in pieces: its progress is measured, and it is never copied as a whole.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::{super::shared_stream::SharedStream, socket::Traffic};

/// The maximum size of a piece: the write buffer of a connection.
const PIECE: usize = 64 * 1024;

pub(crate) struct Upload {
    rest: Bytes,
    stream: Option<SharedStream>,
    /// None for an empty body, which has no progress.
    traffic: Option<Arc<Traffic>>,
}

impl Upload {
    /// A body of these bytes, for the connection of this traffic.
    pub(crate) fn bytes(body: Bytes, traffic: &Arc<Traffic>) -> Self {
        traffic.begin(body.len());
        let traffic = (!body.is_empty()).then(|| Arc::clone(traffic));
        Self { rest: body, stream: None, traffic }
    }

    /// A body that is read from a stream, for the connection of this traffic.
    pub(crate) fn stream(stream: SharedStream, traffic: &Arc<Traffic>) -> Self {
        traffic.begin(usize::from(!stream.is_end_stream()));
        Self { rest: Bytes::new(), stream: Some(stream), traffic: Some(Arc::clone(traffic)) }
    }

    /// Makes the next data frame of the stream the rest; returns any other frame.
    fn poll_stream(&mut self, cx: &mut Context<'_>) -> Poll<Option<Item>> {
        while self.rest.is_empty()
            && let Some(stream) = &mut self.stream
        {
            let Poll::Ready(frame) = stream.poll_frame(cx) else {
                if let Some(traffic) = &self.traffic {
                    traffic.wait_for_body();
                }
                return Poll::Pending;
            };
            match frame.map(|frame| frame.map(Frame::into_data)) {
                Some(Ok(Ok(data))) => self.rest = data,
                Some(Ok(Err(other))) => {
                    self.begin(0);
                    return Poll::Ready(Some(Ok(other)));
                }
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => {
                    self.begin(0);
                    self.stream = None;
                }
            }
        }
        Poll::Ready(None)
    }

    fn begin(&self, unsent: usize) {
        if let Some(traffic) = &self.traffic {
            traffic.begin(unsent);
        }
    }
}

/// A frame of a body.
type Item = Result<Frame<Bytes>, Box<dyn std::error::Error + Send + Sync>>;

impl Body for Upload {
    type Data = Bytes;
    type Error = Box<dyn std::error::Error + Send + Sync>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if let Some(other) = ready!(self.poll_stream(cx)) {
            return Poll::Ready(Some(other));
        }
        if self.rest.is_empty() {
            return Poll::Ready(None);
        }
        let length = self.rest.len().min(PIECE);
        let piece = self.rest.split_to(length);
        self.begin(usize::from(!self.is_end_stream()));
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.stream.as_ref().is_none_or(SharedStream::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        match &self.stream {
            Some(stream) => stream.size_hint(),
            None => SizeHint::with_exact(self.rest.len() as u64),
        }
    }
}

impl Drop for Upload {
    /// hyper drops a stream of known length after its last byte, without a poll for its end.
    fn drop(&mut self) {
        if let (Some(_), Some(traffic)) = (&self.stream, &self.traffic) {
            traffic.end_body();
        }
    }
}
