//! The body of a response as its connection reads it, in either version of HTTP.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

#[cfg(feature = "http2")]
use super::http2;

/// Why a body broke off.
pub(crate) type BrokenOff = Box<dyn std::error::Error + Send + Sync>;

#[derive(Debug)]
pub(crate) enum Incoming {
    Http1(hyper::body::Incoming),
    #[cfg(feature = "http2")]
    Http2(http2::Incoming),
}

impl Body for Incoming {
    type Data = Bytes;
    type Error = BrokenOff;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        match self.get_mut() {
            Self::Http1(body) => {
                Pin::new(body).poll_frame(cx).map(|frame| frame.map(|it| it.map_err(Into::into)))
            }
            #[cfg(feature = "http2")]
            Self::Http2(body) => Pin::new(body).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Http1(body) => body.is_end_stream(),
            #[cfg(feature = "http2")]
            Self::Http2(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Http1(body) => body.size_hint(),
            #[cfg(feature = "http2")]
            Self::Http2(body) => body.size_hint(),
        }
    }
}
