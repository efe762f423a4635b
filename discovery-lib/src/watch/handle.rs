//! What those who watch a service hold.

use std::{sync::Arc, time::Duration};

use tokio::{sync::watch, task::yield_now};

use super::snapshot::Watched;
use crate::lifetime::{Background, Hold};

/// A watch of a service: what is known of its instances, and word when that changes.
///
/// Clones share the question and look at its answers each for themselves. When the last one is dropped, the question is asked for another
/// 60 s, so that the next watch of the service finds it answered.
///
/// The question is asked on the runtime where it was started. When that ends before the watch, the watch starts it again on the runtime
/// where it is used next, and begins as a new one does: knowing nothing.
#[derive(Debug, Clone)]
pub struct Watch {
    question: Arc<Question>,
    watched_rx: watch::Receiver<Watched>,
    _hold: Hold,
}

/// One standing question.
#[derive(Debug)]
pub(super) struct Question {
    /// Shows what no one has read from, so that to its clones all that was ever published is news.
    pub(super) asking: Background<watch::Receiver<Watched>>,
}

impl Question {
    fn watched(&self) -> watch::Receiver<Watched> {
        self.asking.keep_running();
        let nothing = || watch::channel(Watched::default()).1;
        self.asking.shown().unwrap_or_else(nothing)
    }
}

impl Watch {
    /// Starts the question, if it is not asked already. Dropped, it lingers so long.
    ///
    /// # Panics
    /// Outside of a tokio runtime, when it has to start.
    pub(super) fn of(question: Arc<Question>, linger: Duration) -> Self {
        let hold = question.asking.hold(linger);
        Self { watched_rx: question.watched(), question, _hold: hold }
    }

    /// What is known now: nothing at all before the first answer or failure.
    pub fn current(&self) -> Watched {
        self.question.watched().borrow().clone()
    }

    /// What is known, as soon as there is news since this handle was last asked: the first answer, other instances, a failure, or the end of
    /// one. An answer that says the same as the one before is no news; it makes the snapshot that [`Watch::current`] tells fresher.
    ///
    /// Cancel safe: a change that was not returned is returned next time.
    pub async fn changed(&mut self) -> Watched {
        loop {
            if self.watched_rx.changed().await.is_ok() {
                return self.watched_rx.borrow_and_update().clone();
            }
            // The runtime where it was asked has ended.
            yield_now().await;
            self.watched_rx = self.question.watched();
        }
    }

    /// The channel itself, for those who want to poll it; what is known already is news to it. It does not keep the question: it closes when
    /// the question ends, or the runtime where that is asked. How fresh a snapshot is, its `borrow` tells, not the clone that news came with.
    pub fn subscribe(&self) -> watch::Receiver<Watched> {
        self.question.watched()
    }
}
