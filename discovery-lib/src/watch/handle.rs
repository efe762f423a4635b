//! What those who watch a service hold.

use std::sync::Arc;

use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

use super::{publish::Publisher, snapshot::Watched};

/// A watch of a service: what is known of its instances, and word when that changes.
///
/// Clones share the question and look at its answers each for themselves. The last one that is dropped ends it.
#[derive(Debug, Clone)]
pub struct Watch {
    question: Arc<Question>,
    watched_rx: watch::Receiver<Watched>,
}

/// One standing question, alive as long as anybody holds it.
#[derive(Debug)]
pub(super) struct Question {
    watched_rx: watch::Receiver<Watched>,
    _asker: Asker,
}

/// Who publishes; that ends when this is dropped.
#[derive(Debug)]
pub(super) enum Asker {
    /// A task that asks.
    Task(#[expect(dead_code, reason = "held to be dropped")] AbortOnDropHandle<()>),
    /// Nobody: what there is to say was said.
    Nobody(#[expect(dead_code, reason = "held to be dropped")] Publisher),
}

impl Question {
    pub(super) const fn new(watched_rx: watch::Receiver<Watched>, asker: Asker) -> Self {
        Self { watched_rx, _asker: asker }
    }
}

impl Watch {
    pub(super) fn of(question: Arc<Question>) -> Self {
        let mut watched_rx = question.watched_rx.clone();
        let is_known = {
            let watched = watched_rx.borrow();
            watched.snapshot.is_some() || watched.failure.is_some()
        };
        if is_known {
            watched_rx.mark_changed();
        }
        Self { question, watched_rx }
    }

    /// What is known now: nothing at all before the first answer or failure.
    pub fn current(&self) -> Watched {
        self.watched_rx.borrow().clone()
    }

    /// What is known, as soon as it differs from what this handle has told before: other instances, a failure, or the end of one. An answer
    /// that says the same as the one before makes the snapshot that [`Watch::current`] tells fresher, and is no change.
    ///
    /// None when the runtime in which the question was asked has ended.
    ///
    /// Cancel safe: a change that was not returned is returned next time.
    pub async fn changed(&mut self) -> Option<Watched> {
        self.watched_rx.changed().await.ok()?;
        Some(self.watched_rx.borrow_and_update().clone())
    }

    /// The channel itself, for those who want to poll it. It does not keep the question: it closes when the last `Watch` is dropped.
    pub fn subscribe(&self) -> watch::Receiver<Watched> {
        self.question.watched_rx.clone()
    }
}
