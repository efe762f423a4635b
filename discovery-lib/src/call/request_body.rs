//! The body of a request: bytes that each try sends, or a stream that is sent once.

use std::{
    fmt,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes};
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::{BodyExt, combinators::UnsyncBoxBody};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The body of a request.
///
/// Bytes and strings convert into it. They are kept until the call ends and are sent again with each try.
///
/// [`RequestBody::new`] takes any [`http_body::Body`], which is sent once: a try that failed before the first frame was taken from it may be
/// followed by another; after that the call fails with the error of the try. It is polled no faster than the instance accepts data.
/// Trailers are sent if the request has a `Trailer` header that names them and the body has no exact size hint.
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

impl Content {
    /// Whether it surely has no bytes.
    pub(crate) fn is_empty(&self) -> bool {
        match self {
            Self::Bytes(bytes) => bytes.is_empty(),
            Self::Stream(stream) => stream.size_hint().exact() == Some(0),
        }
    }
}

impl RequestBody {
    /// A body that is sent once.
    pub fn new<B>(body: B) -> Self
    where
        B: http_body::Body + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let size = body.size_hint();
        let bytes =
            |frame: Frame<B::Data>| frame.map_data(|mut data| data.copy_to_bytes(data.remaining()));
        let body = body.map_frame(bytes).map_err(Into::into).boxed_unsync();
        let stream = Stream { body, size, is_taken: false, error: None };
        Self(Content::Stream(SharedStream(Arc::new(Mutex::new(stream)))))
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

impl fmt::Debug for RequestBody {
    /// No content: it may be secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Content::Bytes(_) => "RequestBody(bytes)",
            Content::Stream(_) => "RequestBody(stream)",
        })
    }
}

/// A stream as all tries of a call see it.
#[derive(Clone)]
pub(crate) struct SharedStream(Arc<Mutex<Stream>>);

struct Stream {
    body: UnsyncBoxBody<Bytes, BoxError>,
    /// At the start: a body with mapped frames has none.
    size: SizeHint,
    /// Whether a frame was taken.
    is_taken: bool,
    error: Option<BoxError>,
}

impl SharedStream {
    pub(crate) fn is_taken(&self) -> bool {
        self.lock().is_taken
    }

    /// Why the stream ended early, once.
    pub(crate) fn take_error(&self) -> Option<BoxError> {
        self.lock().error.take()
    }

    /// As [`http_body::Body::poll_frame`]; an error is kept for [`SharedStream::take_error`].
    pub(crate) fn poll_frame(
        &self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let mut stream = self.lock();
        let frame = ready!(Pin::new(&mut stream.body).poll_frame(cx));
        stream.is_taken = true;
        Poll::Ready(frame.map(|frame| {
            frame.map_err(|error| {
                stream.error = Some(error);
                "the request body failed".into()
            })
        }))
    }

    pub(crate) fn is_end_stream(&self) -> bool {
        self.lock().body.is_end_stream()
    }

    /// The size of the whole stream.
    pub(crate) fn size_hint(&self) -> SizeHint {
        self.lock().size
    }

    fn lock(&self) -> MutexGuard<'_, Stream> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
