//! The handle of a watch.

use std::{sync::Arc, time::Duration};

use tokio::{sync::watch, task::yield_now};

use super::{changes::Changes, snapshot::Watched};
use crate::lifetime::{Background, Hold};

/// A watch of a query: what is known of its instances, and notice of changes.
///
/// Clones share the poller, and each sees every change. After the last one is dropped, the query is polled for another 60 s, so that the next
/// watch of it has an answer at once.
///
/// The poller uses the runtime that started it. When that runtime ends before the watch, the next use of the watch starts a new poller on its
/// own runtime, which has no snapshot at first, or that from disk.
#[derive(Debug, Clone)]
#[must_use]
pub struct Watch {
    poller: Arc<Poller>,
    watched_rx: watch::Receiver<Watched>,
    _hold: Hold,
}

/// The task that polls one query.
#[derive(Debug)]
pub(super) struct Poller {
    /// Its receiver is never marked as seen, so that to its clones everything that was published is a change.
    pub(super) task: Background<watch::Receiver<Watched>>,
}

impl Poller {
    fn watched(&self) -> watch::Receiver<Watched> {
        self.task.keep_running();
        let nothing = || watch::channel(Watched::default()).1;
        self.task.shown().unwrap_or_else(nothing)
    }
}

impl Watch {
    /// Starts the poller, unless it is running. When this is dropped, the poller lingers this long.
    ///
    /// # Panics
    /// Outside of a tokio runtime, when it has to start.
    pub(super) fn new(poller: Arc<Poller>, linger: Duration) -> Self {
        let hold = poller.task.hold(linger);
        Self { watched_rx: poller.watched(), poller, _hold: hold }
    }

    /// The current state: neither snapshot nor failure before the first query ended, or a snapshot from disk took its place.
    #[must_use]
    pub fn current(&self) -> Watched {
        self.poller.watched().borrow().clone()
    }

    /// Waits for a change since the last one that this handle returned, and returns what is known: the first answer, other instances, a
    /// failure, or the end of one. An answer equal to the one before is no change; it updates the age of the snapshot in [`Watch::current`].
    ///
    /// Cancel safe: a change that was not returned is returned next time.
    pub async fn changed(&mut self) -> Watched {
        loop {
            if self.watched_rx.changed().await.is_ok() {
                return self.watched_rx.borrow_and_update().clone();
            }
            // The runtime of the poller has ended.
            yield_now().await;
            self.watched_rx = self.poller.watched();
        }
    }

    /// The changes as a stream: what [`Watch::changed`] returns, again and again.
    pub fn changes(self) -> Changes {
        Changes::new(self, next)
    }

    /// The channel itself, for use with [`Pool::from_watch`](crate::Pool::from_watch) or `select!`; what is known already counts as a change.
    /// It does not keep the poller running, and closes when the poller or its runtime ends. The age of a snapshot is in its `borrow`: an equal
    /// answer updates it without notice.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<Watched> {
        self.poller.watched()
    }
}

async fn next(mut watch: Watch) -> (Watch, Watched) {
    let watched = watch.changed().await;
    (watch, watched)
}
