//! What a server is told about its own end, and about who it is.

use std::sync::Arc;

use tokio::sync::watch;

use super::{RegistrationState, subject::Subject, task::Report};
use crate::{Error, ServiceId};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    Serving,
    Draining,
    Drained,
}

/// How far a program is on its way out, for the server within it. Cheap to clone: one for each connection.
///
/// A server says once that it [accepts](Self::set_accepting). It goes on serving while it [drains](Self::begun), only that it says so (`/ready` 503, `Connection: close` on every answer); it
/// stops accepting once it is [drained](Self::drained), finishes what is in flight, and ends.
#[derive(Debug, Clone)]
pub struct Lifecycle {
    stage_rx: watch::Receiver<Stage>,
    report_rx: watch::Receiver<Report>,
    subject: Arc<Subject>,
}

impl Lifecycle {
    pub(super) fn new(
        report_rx: watch::Receiver<Report>,
        subject: Arc<Subject>,
    ) -> (watch::Sender<Stage>, Self) {
        let (stage_tx, stage_rx) = watch::channel(Stage::Serving);
        (stage_tx, Self { stage_rx, report_rx, subject })
    }

    /// The service that is served.
    pub fn service(&self) -> &str {
        &self.subject.registration.name
    }

    /// The id under which it is registered.
    pub fn id(&self) -> &ServiceId {
        &self.subject.id
    }

    /// The node at whose agent it is registered; none before it was first found in the catalog.
    pub fn node(&self) -> Option<&str> {
        self.subject.node.get().map(String::as_str)
    }

    /// Says that the server accepts connections now: nothing is registered before. A server calls it once it is about to accept for the first
    /// time; [`serve::Server`](crate::serve::Server) does. More than once is as good as once.
    pub fn set_accepting(&self) {
        self.subject.gate.open();
    }

    /// How far the registration is.
    pub fn state(&self) -> RegistrationState {
        self.report_rx.borrow().state
    }

    /// Why it is [`RegistrationState::Refused`]; none while it is not.
    pub fn refusal(&self) -> Option<Error> {
        self.report_rx.borrow().refusal.as_deref().cloned()
    }

    /// What `/ready` says: others can find this instance, and it is not leaving.
    pub fn is_ready(&self) -> bool {
        !self.has_begun() && self.report_rx.borrow().is_ready()
    }

    /// Whether it leaves.
    pub fn has_begun(&self) -> bool {
        *self.stage_rx.borrow() >= Stage::Draining
    }

    /// Waits until it leaves. Cancel-safe.
    pub async fn begun(&self) {
        self.reached(Stage::Draining).await;
    }

    /// Waits until others had the time to learn that it leaves: now is the time to stop accepting. Cancel-safe.
    pub async fn drained(&self) {
        self.reached(Stage::Drained).await;
    }

    async fn reached(&self, stage: Stage) {
        let mut stage_rx = self.stage_rx.clone();
        // Nobody left to tell means that all is over.
        stage_rx.wait_for(|now| *now >= stage).await.ok();
    }
}
