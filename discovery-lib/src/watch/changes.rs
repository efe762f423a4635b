//! Changes as a stream.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

use futures_core::Stream;

use super::snapshot::Watched;
use crate::unfold::Unfold;

/// The changes of a watch ([`Watch::changes`](crate::Watch::changes)) or of a pool ([`Pool::changes`](crate::Pool::changes)): a stream that
/// never ends.
///
/// Each item is what is known at that time: the instances with their age, and the failure since. Changes that arrive faster than they are read
/// are merged. To get each instance that was added, removed or changed, compare two items.
#[must_use = "a stream does nothing unless polled"]
pub struct Changes(Pin<Box<dyn Stream<Item = Watched> + Send + Sync>>);

impl Changes {
    pub(crate) fn new<S, F>(state: S, next: fn(S) -> F) -> Self
    where
        S: Send + 'static,
        F: Future<Output = (S, Watched)> + Send + 'static,
    {
        Self(Box::pin(Unfold::new(state, next)))
    }
}

impl Stream for Changes {
    type Item = Watched;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Watched>> {
        self.0.as_mut().poll_next(cx)
    }
}

impl fmt::Debug for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Changes").finish_non_exhaustive()
    }
}
