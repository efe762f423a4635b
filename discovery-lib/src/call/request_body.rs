//! The body of a request: bytes that each try sends, or a stream, of which only the beginning can be sent again.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::{Buf, Bytes};
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt;

use super::shared_stream::{BoxError, SharedStream};

/// The body of a request.
///
/// Bytes and strings convert into it. They are kept until the call ends and are sent again with each try.
///
/// [`RequestBody::new`] takes any [`http_body::Body`]. Up to 64 KiB of it are kept, and sent again with another try; once a try has taken more, or
/// trailers, no other follows it, and the call fails with the error of the try. It is polled no faster than the instance accepts data.
/// In HTTP/1.1, trailers are sent if the request has a `Trailer` header that names them and the body has no exact size hint; in HTTP/2 always.
///
/// ```
/// use discovery::RequestBody;
/// use http::Request;
///
/// let replayed = Request::post("http://service2/").body("text").unwrap();
/// let sent_once = Request::post("http://service2/").body(RequestBody::new(String::from("any http_body::Body"))).unwrap();
/// ```
pub struct RequestBody(pub(crate) Content);

pub(crate) enum Content {
    Bytes(Bytes),
    Stream(SharedStream),
}

#[cfg(feature = "http2")]
impl Content {
    /// Its bytes, if their number is known.
    pub(crate) fn length(&self) -> Option<u64> {
        match self {
            Self::Bytes(bytes) => Some(bytes.len() as u64),
            Self::Stream(stream) => stream.size_hint().exact(),
        }
    }
}

impl RequestBody {
    /// A body from a stream.
    pub fn new<B>(body: B) -> Self
    where
        B: http_body::Body + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let size = body.size_hint();
        let bytes =
            |frame: Frame<B::Data>| frame.map_data(|mut data| data.copy_to_bytes(data.remaining()));
        let body = body.map_frame(bytes).map_err(Into::into).boxed_unsync();
        Self(Content::Stream(SharedStream::new(body, size)))
    }
}

macro_rules! from_bytes {
    ($($type:ty),*) => {
        $(impl From<$type> for RequestBody {
            fn from(bytes: $type) -> Self {
                Self(Content::Bytes(Bytes::from(bytes)))
            }
        })*
    };
}

from_bytes!(Bytes, Vec<u8>, String, &'static [u8], &'static str);

impl From<()> for RequestBody {
    fn from((): ()) -> Self {
        Self(Content::Bytes(Bytes::new()))
    }
}

/// The frames that a try sends, for layers of tower that need a body. The client itself sends bytes again with each try.
impl http_body::Body for RequestBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match &mut self.0 {
            Content::Bytes(bytes) if bytes.is_empty() => Poll::Ready(None),
            Content::Bytes(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            Content::Stream(stream) => stream.poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Content::Bytes(bytes) => bytes.is_empty(),
            Content::Stream(stream) => stream.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Content::Bytes(bytes) => SizeHint::with_exact(bytes.len() as u64),
            // What is left of it is not known.
            Content::Stream(stream) if stream.is_taken() => SizeHint::default(),
            Content::Stream(stream) => stream.size_hint(),
        }
    }
}

impl fmt::Debug for RequestBody {
    /// No content: it may be secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Content::Bytes(_) => "RequestBody(bytes)",
            Content::Stream(_) => "RequestBody(stream)",
        })
    }
}

#[cfg(test)]
mod tests {
    use http_body::Body as _;

    use super::*;

    #[tokio::test]
    async fn it_is_a_body_of_the_frames_that_are_sent() {
        for (body, size) in [
            (RequestBody::from("text"), Some(4)),
            (RequestBody::new(String::from("text")), Some(4)),
            (RequestBody::new(RequestBody::from("text")), Some(4)),
            (RequestBody::from(()), Some(0)),
            (RequestBody::new(String::new()), Some(0)),
        ] {
            let mut body = body;
            assert_eq!(body.size_hint().exact(), size, "{body:?}");
            assert_eq!(body.is_end_stream(), size == Some(0), "{body:?}");
            let mut sent = Vec::new();
            while let Some(frame) = body.frame().await {
                sent.extend(frame.unwrap().into_data().unwrap());
                assert!(body.size_hint().lower() == 0, "{body:?}");
            }
            assert_eq!(sent.len() as u64, size.unwrap(), "{body:?}");
        }
    }
}
