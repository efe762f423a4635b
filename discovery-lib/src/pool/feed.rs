//! The task that carries answers into a pool, and time to its reserves.

use std::{future::poll_fn, pin::Pin, sync::Arc};

use futures_core::Stream;
use tokio::{
    sync::watch,
    task::JoinHandle,
    time::{Instant, sleep_until},
};
use tracing::info;

use super::state::State;
use crate::{Snapshot, Watch, Watched};

/// Where the answers come from.
pub(super) enum Source {
    Watch(watch::Receiver<Watched>),
    /// Held, so that the question stands as long as the pool.
    Standing(Watch),
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
            Self::Standing(watch) => Some(watch.subscribe()),
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
            Self::Standing(watch) => watch.changed().await,
            Self::Stream(snapshots) => {
                let snapshot = poll_fn(|cx| snapshots.as_mut().poll_next(cx)).await?;
                Some(Watched { snapshot: Some(Arc::new(snapshot)), failure: None })
            }
        }
    }
}

/// The running task; dropped, it ends.
#[derive(Debug)]
pub(super) struct Feed {
    task: JoinHandle<()>,
    latest: Option<watch::Receiver<Watched>>,
}

impl Feed {
    pub(super) fn start(state: Arc<State>, source: Source) -> Self {
        let latest = source.latest();
        Self { task: tokio::spawn(run(state, source)), latest }
    }

    /// What is known at this moment, as fresh as it is; None if only the task knows.
    pub(super) fn latest(&self) -> Option<Watched> {
        self.latest.as_ref().map(|latest| latest.borrow().clone())
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn run(state: Arc<State>, mut source: Source) {
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
