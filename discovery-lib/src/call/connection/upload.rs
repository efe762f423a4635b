//! The body of a request, handed to its connection in pieces, so that it is known how far it has come and it is never copied as a whole.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::socket::Traffic;

/// One piece: what a connection buffers.
const PIECE: usize = 64 * 1024;

#[derive(Debug)]
pub(crate) struct Upload {
    rest: Bytes,
    /// None for an empty body, of which nothing is to be told.
    traffic: Option<Arc<Traffic>>,
}

impl Upload {
    /// A body for the connection of this traffic.
    pub(crate) fn new(body: Bytes, traffic: &Arc<Traffic>) -> Self {
        traffic.begin(body.len());
        let traffic = (!body.is_empty()).then(|| Arc::clone(traffic));
        Self { rest: body, traffic }
    }
}

impl Body for Upload {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.rest.is_empty() {
            return Poll::Ready(None);
        }
        let length = self.rest.len().min(PIECE);
        let piece = self.rest.split_to(length);
        if let Some(traffic) = &self.traffic {
            traffic.begin(self.rest.len());
        }
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.rest.len() as u64)
    }
}
