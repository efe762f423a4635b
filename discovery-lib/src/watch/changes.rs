//! Changes as a stream.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use futures_core::Stream;
use tokio_util::sync::ReusableBoxFuture;

use super::snapshot::Watched;

/// The changes of a watch ([`Watch::changes`](crate::Watch::changes)) or of a pool ([`Pool::changes`](crate::Pool::changes)): a stream that
/// never ends.
///
/// Each item is what is known at that time: the instances with their age, and the failure since. Changes that arrive faster than they are read
/// are merged. To get each instance that was added, removed or changed, compare two items.
#[must_use = "a stream does nothing unless polled"]
pub struct Changes(Pin<Box<dyn Stream<Item = Watched> + Send + Sync>>);

/// A stream of the results of `next`, which passes its state on to the next call.
struct Unfold<S, F> {
    next: fn(S) -> F,
    running: ReusableBoxFuture<'static, (S, Watched)>,
}

impl Changes {
    pub(crate) fn new<S, F>(state: S, next: fn(S) -> F) -> Self
    where
        S: Send + 'static,
        F: Future<Output = (S, Watched)> + Send + 'static,
    {
        Self(Box::pin(Unfold { next, running: ReusableBoxFuture::new(next(state)) }))
    }
}

impl Stream for Changes {
    type Item = Watched;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Watched>> {
        self.0.as_mut().poll_next(cx)
    }
}

impl<S, F> Stream for Unfold<S, F>
where
    F: Future<Output = (S, Watched)> + Send + 'static,
{
    type Item = Watched;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Watched>> {
        let (state, watched) = ready!(self.running.poll(cx));
        let next = (self.next)(state);
        self.running.set(next);
        Poll::Ready(Some(watched))
    }
}

impl fmt::Debug for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Changes").finish_non_exhaustive()
    }
}
