//! A stream that never ends, from an async function.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use futures_core::Stream;
use tokio_util::sync::ReusableBoxFuture;

/// A stream of the results of `next`, which passes its state on to the next call.
pub(crate) struct Unfold<S, T, F> {
    next: fn(S) -> F,
    running: ReusableBoxFuture<'static, (S, T)>,
}

impl<S, T, F> Unfold<S, T, F>
where
    F: Future<Output = (S, T)> + Send + 'static,
{
    pub(crate) fn new(state: S, next: fn(S) -> F) -> Self {
        Self { next, running: ReusableBoxFuture::new(next(state)) }
    }
}

impl<S, T, F> Stream for Unfold<S, T, F>
where
    F: Future<Output = (S, T)> + Send + 'static,
{
    type Item = T;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        let (state, item) = ready!(self.running.poll(cx));
        let next = (self.next)(state);
        self.running.set(next);
        Poll::Ready(Some(item))
    }
}
