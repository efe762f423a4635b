//! The task that carries answers into a pool, and time to its reserves.

use std::{fmt, future::poll_fn, pin::Pin, sync::Arc};

use futures_core::Stream;
use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};
use tokio_util::task::AbortOnDropHandle;
use tracing::info;

use super::state::State;
use crate::{Snapshot, Watch, Watched, lifetime::Background};

/// Where the answers of a pool come from that was made by hand.
pub(super) enum Source {
    Watch(watch::Receiver<Watched>),
    Stream(Pin<Box<dyn Stream<Item = Snapshot> + Send>>),
}

impl Source {
    /// What the watch knows already counts as news.
    pub(super) fn watch(mut watched: watch::Receiver<Watched>) -> Self {
        watched.mark_changed();
        Self::Watch(watched)
    }

    /// Where an answer that says the same as the last is to be seen, since it is no news; None where there is no such place.
    fn latest(&self) -> Option<watch::Receiver<Watched>> {
        match self {
            Self::Watch(watched) => Some(watched.clone()),
            Self::Stream(_) => None,
        }
    }

    /// The next news; None at the end. Cancel-safe.
    async fn next(&mut self) -> Option<Watched> {
        match self {
            Self::Watch(watched) => {
                watched.changed().await.ok()?;
                Some(watched.borrow_and_update().clone())
            }
            Self::Stream(snapshots) => {
                let snapshot = poll_fn(|cx| snapshots.as_mut().poll_next(cx)).await?;
                Some(Watched { snapshot: Some(Arc::new(snapshot)), failure: None })
            }
        }
    }
}

/// The task; dropped, it ends.
pub(super) enum Feed {
    /// Ends with its source, or with the runtime where it was started.
    Once { _task: AbortOnDropHandle<()>, latest: Option<watch::Receiver<Watched>> },
    /// Holds a watch for as long as the pool is used, and is started again with a new one. Shows where that is to be seen.
    Standing(Background<watch::Receiver<Watched>>),
}

impl Feed {
    pub(super) fn start(state: Arc<State>, source: Source) -> Self {
        let latest = source.latest();
        let task = tokio::spawn(run(Ended(state), source));
        Self::Once { _task: AbortOnDropHandle::new(task), latest }
    }

    /// Starts nothing yet.
    pub(super) fn standing(
        state: &Arc<State>,
        watch: impl Fn() -> Watch + Send + Sync + 'static,
    ) -> Self {
        let (fed, left) = (state.clone(), state.clone());
        let start = move || {
            // What was known when it ended may be long over.
            fed.forget();
            let watch = watch();
            let latest = watch.subscribe();
            (latest, Box::pin(follow(fed.clone(), watch)) as _)
        };
        Self::Standing(Background::new(start, move || left.forget()))
    }

    /// What is known at this moment, as fresh as it is; None if only the task knows.
    pub(super) fn latest(&self) -> Option<Watched> {
        let latest = match self {
            Self::Once { latest, .. } => latest.clone(),
            Self::Standing(following) => {
                following.shown().filter(|latest| latest.has_changed().is_ok())
            }
        };
        latest.map(|latest| latest.borrow().clone())
    }

    pub(super) fn background(&self) -> Option<&Background<watch::Receiver<Watched>>> {
        match self {
            Self::Once { .. } => None,
            Self::Standing(following) => Some(following),
        }
    }
}

impl fmt::Debug for Feed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_standing = self.background().is_some();
        f.debug_struct("Feed").field("is_standing", &is_standing).finish_non_exhaustive()
    }
}

/// Tells those who wait for the first answer that none will come, also when the runtime ended.
struct Ended(Arc<State>);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// Follows a watch until it is dropped.
async fn follow(state: Arc<State>, mut watch: Watch) {
    let mut last = Watched::default();
    let mut deadline = None;
    loop {
        tokio::select! {
            news = watch.changed() => last = news,
            () = until(deadline) => {}
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
            news = source.next() => match news {
                Some(news) => last = news,
                None => break,
            },
            () = until(deadline) => {}
        }
        deadline = state.publish(last.clone(), Instant::now());
    }
    info!(service = %state.service(), "the watch of a pool ended; its last instances stay");
    state.end();
    while deadline.is_some() {
        until(deadline).await;
        deadline = state.publish(last.clone(), Instant::now());
    }
}

/// Waits until then; for ever if there is no then.
async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
