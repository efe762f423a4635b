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
    /// Never read from, so that to its clones all that was ever published is news.
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
        Self { watched_rx: question.watched_rx.clone(), question }
    }

    /// What is known now: nothing at all before the first answer or failure.
    pub fn current(&self) -> Watched {
        self.watched_rx.borrow().clone()
    }

    /// What is known, as soon as there is news since this handle was last asked: the first answer, other instances, a failure, or the end of
    /// one. An answer that says the same as the one before is no news; it makes the snapshot that [`Watch::current`] tells fresher.
    ///
    /// None when the runtime in which the question was asked has ended.
    ///
    /// Cancel safe: a change that was not returned is returned next time.
    pub async fn changed(&mut self) -> Option<Watched> {
        self.watched_rx.changed().await.ok()?;
        Some(self.watched_rx.borrow_and_update().clone())
    }

    /// The channel itself, for those who want to poll it; what is known already is news to it. It does not keep the question: it closes when
    /// the last `Watch` is dropped. How fresh a snapshot is, its `borrow` tells, not the clone that news came with.
    pub fn subscribe(&self) -> watch::Receiver<Watched> {
        self.question.watched_rx.clone()
    }
}
