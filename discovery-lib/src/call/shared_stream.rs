//! A body that is a stream, as all tries of a call see it. Its beginning is kept, so that another try can send it again.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::combinators::UnsyncBoxBody;

pub(super) type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// What is kept of a stream: its bytes, and the size of [`Bytes`] for each frame.
const KEPT_MAX: usize = 64 * 1024;

/// The stream of one try. A clone begins where this one is.
#[derive(Clone)]
pub(crate) struct SharedStream {
    stream: Arc<Mutex<Stream>>,
    /// How many of the kept frames were taken.
    position: usize,
}

struct Stream {
    body: UnsyncBoxBody<Bytes, BoxError>,
    /// At the start: a body with mapped frames has none.
    size: SizeHint,
    /// Whether a frame was taken.
    is_taken: bool,
    has_ended: bool,
    /// The frames so far. None once they can't be sent again.
    kept: Option<Kept>,
    error: Option<BoxError>,
}

#[derive(Default)]
struct Kept {
    frames: Vec<Bytes>,
    size: usize,
}

impl SharedStream {
    pub(super) fn new(body: UnsyncBoxBody<Bytes, BoxError>, size: SizeHint) -> Self {
        let kept = Some(Kept::default());
        let stream = Stream { body, size, is_taken: false, has_ended: false, kept, error: None };
        Self { stream: Arc::new(Mutex::new(stream)), position: 0 }
    }

    pub(crate) fn is_taken(&self) -> bool {
        self.lock().is_taken
    }

    /// Whether another try can send all of it.
    pub(crate) fn is_kept(&self) -> bool {
        self.lock().kept.is_some()
    }

    /// Why the stream ended early, once.
    pub(crate) fn take_error(&self) -> Option<BoxError> {
        self.lock().error.take()
    }

    /// As [`http_body::Body::poll_frame`]; an error is kept for [`SharedStream::take_error`].
    pub(crate) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let mut stream = self.stream.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(data) = stream.kept_at(self.position) {
            self.position += 1;
            return Poll::Ready(Some(Ok(Frame::data(data))));
        }
        if stream.has_ended {
            return Poll::Ready(None);
        }
        let frame = ready!(Pin::new(&mut stream.body).poll_frame(cx));
        stream.is_taken = true;
        let frame = frame.map(|frame| frame.map_err(|error| stream.fail(error)));
        match &frame {
            None => stream.has_ended = true,
            Some(Ok(frame)) => self.position += usize::from(stream.keep(frame.data_ref())),
            Some(Err(_)) => {}
        }
        Poll::Ready(frame)
    }

    pub(crate) fn is_end_stream(&self) -> bool {
        let stream = self.lock();
        stream.kept_at(self.position).is_none() && (stream.has_ended || stream.body.is_end_stream())
    }

    /// The size of the whole stream.
    pub(crate) fn size_hint(&self) -> SizeHint {
        self.lock().size
    }

    fn lock(&self) -> MutexGuard<'_, Stream> {
        self.stream.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Stream {
    fn kept_at(&self, position: usize) -> Option<Bytes> {
        self.kept.as_ref()?.frames.get(position).cloned()
    }

    /// Keeps a frame if it has data and all frames fit. Whether it did.
    fn keep(&mut self, data: Option<&Bytes>) -> bool {
        let Some(kept) = &mut self.kept else { return false };
        let size = data.map(|data| kept.size + data.len() + size_of::<Bytes>());
        match (data, size) {
            (Some(data), Some(size)) if size <= KEPT_MAX => {
                kept.frames.push(data.clone());
                kept.size = size;
                true
            }
            _ => {
                self.kept = None;
                false
            }
        }
    }

    fn fail(&mut self, error: BoxError) -> BoxError {
        (self.kept, self.error) = (None, Some(error));
        "the request body failed".into()
    }
}

#[cfg(test)]
mod tests {
    use std::{convert::Infallible, task::Waker};

    use http::HeaderMap;
    use http_body_util::{BodyExt as _, Full};

    use super::*;

    /// Frames that are there.
    struct Frames(std::vec::IntoIter<Frame<Bytes>>);

    impl http_body::Body for Frames {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            Poll::Ready(self.0.next().map(Ok))
        }
    }

    fn stream(frames: Vec<Frame<Bytes>>) -> SharedStream {
        let body = Frames(frames.into_iter()).map_err(Into::into).boxed_unsync();
        SharedStream::new(body, SizeHint::default())
    }

    fn data(length: usize) -> Frame<Bytes> {
        Frame::data(vec![b'x'; length].into())
    }

    /// The number of frames that a try takes until the end.
    fn take(mut stream: SharedStream) -> usize {
        let mut cx = Context::from_waker(Waker::noop());
        let mut taken = 0;
        while matches!(stream.poll_frame(&mut cx), Poll::Ready(Some(Ok(_)))) {
            taken += 1;
        }
        assert!(stream.is_end_stream());
        taken
    }

    #[test]
    fn a_short_stream_is_sent_again() {
        let trailers = || Frame::trailers(HeaderMap::new());
        for (frames, sent, is_kept) in [
            (vec![], 0, true),
            (vec![data(5)], 1, true),
            (vec![data(0), data(5), data(KEPT_MAX / 2)], 3, true),
            (vec![data(KEPT_MAX)], 1, false),
            (vec![data(KEPT_MAX / 2), data(KEPT_MAX / 2)], 2, false),
            ((0..KEPT_MAX).map(|_| data(0)).collect(), KEPT_MAX, false),
            (vec![data(5), trailers()], 2, false),
        ] {
            let stream = stream(frames);
            assert_eq!(take(stream.clone()), sent);
            assert_eq!(stream.is_kept(), is_kept, "{sent} frames");
            if is_kept {
                assert_eq!(take(stream.clone()), sent);
            }
        }
    }

    #[test]
    fn a_try_begins_with_what_the_last_one_took_and_continues_with_the_rest() {
        let stream = stream(vec![data(1), data(2), data(3)]);
        let mut cx = Context::from_waker(Waker::noop());
        let first = stream.clone().poll_frame(&mut cx);
        assert!(
            matches!(first, Poll::Ready(Some(Ok(frame))) if frame.data_ref().unwrap().len() == 1)
        );
        assert!(stream.is_taken() && !stream.is_end_stream());
        assert_eq!(take(stream), 3);
    }

    #[test]
    fn the_end_is_known_before_it_is_polled_if_the_body_knows_it() {
        let full = Full::new(Bytes::from_static(b"x")).map_err(Into::into).boxed_unsync();
        let stream = SharedStream::new(full, SizeHint::with_exact(1));
        let mut one = stream.clone();
        let mut cx = Context::from_waker(Waker::noop());
        assert!(!one.is_end_stream());
        assert!(matches!(one.poll_frame(&mut cx), Poll::Ready(Some(Ok(_)))));
        assert!(one.is_end_stream() && !stream.is_end_stream());
    }
}
