//! The changes of a pool as a stream.

use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use futures_core::Stream;
use tokio::sync::watch;

use super::{Pool, state::Start};
use crate::Watched;

type Next = Pin<Box<dyn Future<Output = watch::Receiver<Start>> + Send>>;

/// The changes of a pool: the current state, then each change of the instances or of the failure. See [`Pool::changes`].
#[must_use = "a stream does nothing unless polled"]
pub struct PoolChanges {
    pool: Pool,
    next: Next,
    last: Option<Watched>,
}

impl Pool {
    /// The changes of its instances, with their age and the failure since the last answer: the current state, then each change. Changes that
    /// arrive faster than they are read are merged. The stream never ends, and keeps the pool fed.
    pub fn changes(&self) -> PoolChanges {
        let mut changed = self.state.changed();
        changed.mark_changed();
        PoolChanges { pool: self.clone(), next: Box::pin(next(changed)), last: None }
    }

    /// The current state.
    pub(super) fn watched(&self) -> Watched {
        let published = || self.state.published().watched.clone();
        let latest = self.feed.as_ref().and_then(|feed| feed.latest());
        match (latest, &self.state.keep) {
            (Some(latest), Some(keep)) => keep.watched(latest),
            (Some(latest), None) => latest,
            (None, _) => published(),
        }
    }
}

async fn next(mut changed: watch::Receiver<Start>) -> watch::Receiver<Start> {
    if changed.changed().await.is_err() {
        std::future::pending().await
    }
    changed
}

impl Stream for PoolChanges {
    type Item = Watched;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Watched>> {
        loop {
            let changed = ready!(self.next.as_mut().poll(cx));
            self.next = Box::pin(next(changed));
            let watched = self.pool.watched();
            if self.last.as_ref().is_none_or(|last| !is_same(last, &watched)) {
                self.last = Some(watched.clone());
                return Poll::Ready(Some(watched));
            }
        }
    }
}

/// Whether both are equal except for their age.
fn is_same(one: &Watched, other: &Watched) -> bool {
    let instances = |it: &Watched| it.snapshot.as_ref().map(|it| Arc::clone(&it.instances));
    one.failure.is_some() == other.failure.is_some() && instances(one) == instances(other)
}

impl fmt::Debug for PoolChanges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PoolChanges").field("service", self.pool.service()).finish_non_exhaustive()
    }
}
