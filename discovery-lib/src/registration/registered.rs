//! The handle of a registration. Whoever holds it keeps the registrar running.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{oneshot, watch},
    time::Instant,
};
use tokio_util::task::AbortOnDropHandle;

use super::{
    Registration,
    machine::{Leave, RegistrationState},
    subject::Subject,
    task::{Registrar, Report},
};
use crate::{
    ServiceId,
    agent::AgentClient,
    error::{Error, Kind},
};

/// How long [`Registered::leave`] takes at most: a look and a deregistration, each within its second.
const LEAVE_WITHIN: Duration = Duration::from_secs(2);

/// A registration that is kept up, from [`Discovery::register`](crate::Discovery::register) on. Whatever happens to the agent, it is
/// registered again and goes on beating; that never ends in an error. One that the agent refuses says so ([`refusal`](Self::refusal)) and
/// is tried again slowly.
///
/// Nothing is registered before the program accepts connections: [`serve::Server`](crate::serve::Server) says so by itself, any other server by
/// [`set_accepting`](Self::set_accepting) or [`Lifecycle::set_accepting`](crate::Lifecycle::set_accepting).
///
/// Dropping it ends the beats and all calls, without deregistration: the agent takes the instance for dead 15 s later, and drops it a
/// minute after that. [`leave`](Self::leave) and [`serve_until`](Self::serve_until) end in order.
#[derive(Debug)]
pub struct Registered {
    subject: Arc<Subject>,
    report_rx: watch::Receiver<Report>,
    leave_tx: oneshot::Sender<Leave>,
    registrar: AbortOnDropHandle<()>,
}

impl Registered {
    /// Starts the registrar.
    ///
    /// # Errors
    /// The registration can't be one.
    pub(crate) fn start(agent: AgentClient, registration: Registration) -> Result<Self, Error> {
        registration.check(agent.address())?;
        let subject = Arc::new(Subject::new(registration));
        let (leave_tx, leave_rx) = oneshot::channel();
        let (registrar, report_rx) = Registrar::new(agent, subject.clone());
        let registrar = AbortOnDropHandle::new(tokio::spawn(registrar.run(leave_rx)));
        Ok(Self { subject, report_rx, leave_tx, registrar })
    }

    /// The id under which it is registered.
    pub fn id(&self) -> &ServiceId {
        &self.subject.id
    }

    /// The name of its service.
    pub fn service(&self) -> &str {
        &self.subject.registration.name
    }

    /// Says that the program accepts connections now, so that it can be registered. More than once is as good as once.
    pub fn set_accepting(&self) {
        self.subject.gate.open();
    }

    /// How far the registration is now.
    pub fn state(&self) -> RegistrationState {
        self.report_rx.borrow().state
    }

    /// Why it is [`RegistrationState::Refused`]; none while it is not.
    pub fn refusal(&self) -> Option<Error> {
        self.report_rx.borrow().refusal.as_deref().cloned()
    }

    /// Whether it was found in the catalog, and nothing has ended that since: neither its leaving nor another run under its id. An agent
    /// that can't be reached or lost its data doesn't change it, since nothing is wrong with the instance.
    pub fn is_ready(&self) -> bool {
        self.report_rx.borrow().is_ready()
    }

    /// Waits until it was found in the catalog. Cancel-safe.
    ///
    /// # Errors
    /// Another run took its id, or it is refused: by the agent, which answered 400 or 403, or because nobody could reach it as it listens. A
    /// refused one is tried again slowly, so that this may be called again too.
    pub async fn ready(&self) -> Result<(), Error> {
        let mut report_rx = self.report_rx.clone();
        let settled = |report: &Report| {
            report.was_ready
                || report.state == RegistrationState::Replaced
                || report.refusal.is_some()
        };
        let ended = |text| Err(Error::new(Kind::Ended, text));
        match report_rx.wait_for(settled).await.map(|report| report.clone()) {
            Ok(report) if report.is_ready() => Ok(()),
            Ok(Report { refusal: Some(refusal), .. }) => Err(Error::clone(&refusal)),
            Ok(report) if report.state == RegistrationState::Replaced => {
                ended(format!("another run took the id {}", self.id()))
            }
            Ok(_) | Err(_) => ended(format!("{} is no longer kept registered", self.id())),
        }
    }

    /// Waits for the next change of [`state`](Self::state) or [`refusal`](Self::refusal), and returns the state; none once it is
    /// [`RegistrationState::Replaced`] or over, for then there are no more changes. Cancel-safe.
    pub async fn changed(&mut self) -> Option<RegistrationState> {
        let is_over = matches!(
            self.state(),
            RegistrationState::Replaced | RegistrationState::Left | RegistrationState::Abandoned
        );
        if is_over && !self.report_rx.has_changed().ok()? {
            return None;
        }
        self.report_rx.changed().await.ok()?;
        Some(self.report_rx.borrow_and_update().state)
    }

    /// Ends the registration now: deregisters what is still its own. Takes at most 2 s; if the agent did not confirm it by then, that is
    /// logged. Dropping the future is dropping the handle.
    pub async fn leave(self) {
        let now = Instant::now();
        self.leave_until(now, now + LEAVE_WITHIN).await;
    }

    /// In maintenance until `deregister_at`, then deregistered, as far as the agent answers by `give_up_at`.
    pub(super) async fn leave_until(self, deregister_at: Instant, give_up_at: Instant) {
        // A registrar that has ended needs no order.
        self.leave_tx.send(Leave { deregister_at, give_up_at }).ok();
        if let Err(err) = self.registrar.await {
            tracing::error!(%err, "the registrar broke off");
        }
    }

    pub(super) fn subject(&self) -> Arc<Subject> {
        self.subject.clone()
    }

    pub(super) fn reports(&self) -> watch::Receiver<Report> {
        self.report_rx.clone()
    }
}

impl Report {
    pub(super) fn is_ready(&self) -> bool {
        let ended = matches!(
            self.state,
            RegistrationState::Replaced
                | RegistrationState::Leaving
                | RegistrationState::Left
                | RegistrationState::Abandoned
        );
        self.was_ready && !ended
    }
}
