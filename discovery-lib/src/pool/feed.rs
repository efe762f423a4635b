//! The task that publishes answers into a pool, and removes its reserves in time.

use std::{fmt, future::poll_fn, pin::Pin, sync::Arc};

use futures_core::Stream;
use tokio::{sync::watch, time::Instant};
use tokio_util::task::AbortOnDropHandle;
use tracing::info;

use super::state::PoolState;
use crate::{Snapshot, Watch, Watched, later::reached, lifetime::Background};

/// The source of the answers of a pool that does not belong to a `Discovery`.
pub(super) enum Source {
    Watch(watch::Receiver<Watched>),
    Stream(Pin<Box<dyn Stream<Item = Snapshot> + Send>>),
}

impl Source {
    /// The known state of the watch counts as a change.
    pub(super) fn watch(mut watched: watch::Receiver<Watched>) -> Self {
        watched.mark_changed();
        Self::Watch(watched)
    }

    /// The channel that also shows equal answers, which are not changes; none for a stream.
    fn latest(&self) -> Option<watch::Receiver<Watched>> {
        match self {
            Self::Watch(watched) => Some(watched.clone()),
            Self::Stream(_) => None,
        }
    }

    /// The next change; none at the end. Cancel safe.
    async fn next(&mut self) -> Option<Watched> {
        match self {
            Self::Watch(watched) => {
                watched.changed().await.ok()?;
                Some(watched.borrow_and_update().clone())
            }
            Self::Stream(snapshots) => {
                let snapshot = poll_fn(|cx| snapshots.as_mut().poll_next(cx)).await?;
                Some(snapshot.into())
            }
        }
    }
}

/// The feeding task. It ends when this is dropped.
pub(super) enum Feed {
    /// Ends with its source, or with its runtime.
    Once { _task: AbortOnDropHandle<()>, latest: Option<watch::Receiver<Watched>> },
    /// Holds a watch while the pool is used, and is restarted with a new one. Its value is the channel of the watch.
    Shared(Background<watch::Receiver<Watched>>),
}

impl Feed {
    pub(super) fn start(state: Arc<PoolState>, source: Source) -> Self {
        let latest = source.latest();
        let task = tokio::spawn(run(Ended(state), source));
        Self::Once { _task: AbortOnDropHandle::new(task), latest }
    }

    /// Starts nothing yet.
    pub(super) fn shared(
        state: &Arc<PoolState>,
        watch: impl Fn() -> Watch + Send + Sync + 'static,
    ) -> Self {
        let (fed, left) = (state.clone(), state.clone());
        let start = move || {
            // The state at the end of the previous task may be out of date.
            fed.clear();
            let watch = watch();
            let latest = watch.subscribe();
            (latest, Box::pin(follow(fed.clone(), watch)) as _)
        };
        Self::Shared(Background::new(start, move || left.clear()))
    }

    /// The current state with its age; none if only the task has it.
    pub(super) fn latest(&self) -> Option<Watched> {
        let latest = match self {
            Self::Once { latest, .. } => latest.clone(),
            Self::Shared(background) => {
                background.shown().filter(|latest| latest.has_changed().is_ok())
            }
        };
        latest.map(|latest| latest.borrow().clone())
    }

    pub(super) fn background(&self) -> Option<&Background<watch::Receiver<Watched>>> {
        match self {
            Self::Once { .. } => None,
            Self::Shared(background) => Some(background),
        }
    }
}

impl fmt::Debug for Feed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_shared = self.background().is_some();
        f.debug_struct("Feed").field("is_shared", &is_shared).finish_non_exhaustive()
    }
}

/// Ends the wait for a first answer when the task ends, also with its runtime.
struct Ended(Arc<PoolState>);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// Follows a watch until it is dropped.
async fn follow(state: Arc<PoolState>, mut watch: Watch) {
    let mut last = Watched::default();
    let mut deadline = None;
    loop {
        tokio::select! {
            watched = watch.changed() => last = watched,
            () = reached(deadline) => {}
        }
        deadline = state.publish(last.clone(), Instant::now());
    }
}

async fn run(ended: Ended, mut source: Source) {
    let state = &ended.0;
    let mut last = Watched::default();
    let mut deadline = None;
    loop {
        tokio::select! {
            watched = source.next() => match watched {
                Some(watched) => last = watched,
                None => break,
            },
            () = reached(deadline) => {}
        }
        deadline = state.publish(last.clone(), Instant::now());
    }
    info!(service = %state.service(), "source of the pool ended; its last instances are kept");
    state.end();
    while deadline.is_some() {
        reached(deadline).await;
        deadline = state.publish(last.clone(), Instant::now());
    }
}
