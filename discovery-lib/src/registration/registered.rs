//! The handle that owns a registration and its registrar.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{mpsc, watch},
    time::Instant,
};
use tokio_util::task::AbortOnDropHandle;

use super::{
    Details, Lifecycle, Registration,
    lifecycle::Stage,
    machine::{Leave, RegistrationState},
    subject::Subject,
    task::Registrar,
};
use crate::{ServiceId, agent::AgentClient, error::Error, random::Random};

/// The longest time that [`Registered::leave`] takes: one look and one deregistration, each with a deadline of 1 s.
const LEAVE_WITHIN: Duration = Duration::from_secs(2);

/// The orders to leave that wait for the registrar: one, and a second one to do it sooner.
const ORDERS_MAX: usize = 2;

/// An instance that is kept registered, returned by [`Discovery::register`](crate::Discovery::register).
///
/// When the agent restarts or loses its data, the instance is registered again; that never ends in an error. A refused registration shows
/// its reason ([`refusal`](Self::refusal)) and is retried every 30 s or so.
///
/// Nothing is registered before the program accepts connections: [`serve::Server`](crate::serve) signals that itself, any other server
/// with [`set_accepting`](Self::set_accepting) or [`Lifecycle::set_accepting`].
///
/// Dropping it ends the heartbeats and all calls, without deregistration: with a TTL check the agent marks the instance critical 15 s later
/// and deregisters it one minute after that. [`leave`](Self::leave) and [`serve_until`](Self::serve_until) deregister it.
#[derive(Debug)]
#[must_use = "dropping it ends the heartbeats, without deregistration"]
pub struct Registered {
    lifecycle: Lifecycle,
    pub(super) stage_tx: watch::Sender<Stage>,
    leave_tx: mpsc::Sender<Leave>,
    registrar: AbortOnDropHandle<()>,
}

impl Registered {
    /// Starts the registrar.
    ///
    /// # Errors
    /// A value of the registration is out of bounds.
    pub(crate) fn start(
        agent: AgentClient,
        registration: Registration,
        random: Random,
    ) -> Result<Self, Error> {
        registration.validate(agent.address())?;
        let subject = Arc::new(Subject::new(registration));
        let (leave_tx, leave_rx) = mpsc::channel(ORDERS_MAX);
        let (registrar, report_rx) = Registrar::new(agent, subject.clone(), random);
        let registrar = AbortOnDropHandle::new(tokio::spawn(registrar.run(leave_rx)));
        let (stage_tx, lifecycle) = Lifecycle::new(report_rx, subject);
        Ok(Self { lifecycle, stage_tx, leave_tx, registrar })
    }

    /// A clonable view of the registration and its shutdown, for other tasks. It does not keep the instance registered.
    pub fn lifecycle(&self) -> Lifecycle {
        self.lifecycle.clone()
    }

    /// The id under which the instance is registered.
    pub fn id(&self) -> &ServiceId {
        self.lifecycle.id()
    }

    /// The name of the service.
    pub fn service(&self) -> &str {
        self.lifecycle.service()
    }

    /// As [`Lifecycle::set_accepting`].
    pub fn set_accepting(&self) {
        self.lifecycle.set_accepting();
    }

    /// As [`Lifecycle::pass`].
    pub fn pass(&self, note: &str) {
        self.lifecycle.pass(note);
    }

    /// As [`Lifecycle::warn`].
    pub fn warn(&self, note: &str) {
        self.lifecycle.warn(note);
    }

    /// As [`Lifecycle::fail`].
    pub fn fail(&self, note: &str) {
        self.lifecycle.fail(note);
    }

    /// As [`Lifecycle::update`].
    ///
    /// # Errors
    /// A new value is out of bounds. Then nothing has changed.
    pub fn update(&self, change: impl FnOnce(&mut Details)) -> Result<(), Error> {
        self.lifecycle.update(change)
    }

    /// The current state of the registration.
    pub fn state(&self) -> RegistrationState {
        self.lifecycle.state()
    }

    /// The reason for [`RegistrationState::Refused`]; none in any other state.
    pub fn refusal(&self) -> Option<Error> {
        self.lifecycle.refusal()
    }

    /// As [`Lifecycle::is_ready`].
    pub fn is_ready(&self) -> bool {
        self.lifecycle.is_ready()
    }

    /// Waits until the instance is found in the catalog. Cancel-safe.
    ///
    /// # Errors
    /// As [`Lifecycle::ready`].
    pub async fn ready(&self) -> Result<(), Error> {
        self.lifecycle.ready().await
    }

    /// As [`Lifecycle::changed`]. Cancel-safe.
    pub async fn changed(&mut self) -> Option<RegistrationState> {
        self.lifecycle.changed().await
    }

    /// Ends the registration now: deregisters the instance if the registration is still of this run. Takes at most 2 s; a warning is logged
    /// if the agent did not confirm it by then. Dropping the future is dropping the handle.
    pub async fn leave(self) {
        let now = Instant::now();
        self.leave_until(now, now + LEAVE_WITHIN).await;
    }

    /// An order to end a leave in progress now.
    pub(super) fn leave_sooner(&self) -> impl Fn() + use<> {
        let leave_tx = self.leave_tx.clone();
        move || {
            let now = Instant::now();
            let order = Leave { deregister_at: now, give_up_at: now + LEAVE_WITHIN };
            // A registrar that has ended needs no order.
            leave_tx.try_send(order).ok();
        }
    }

    /// In maintenance until `deregister_at`, then deregistered, as far as the agent answers by `give_up_at`.
    pub(super) async fn leave_until(self, deregister_at: Instant, give_up_at: Instant) {
        let Self { lifecycle, leave_tx, registrar, .. } = self;
        // A registrar that has ended needs no order.
        leave_tx.try_send(Leave { deregister_at, give_up_at }).ok();
        if let Err(err) = registrar.await {
            let (service, id) = (lifecycle.service(), lifecycle.id());
            tracing::error!(%service, instance = %id, error = %err, "registrar panicked");
        }
    }
}
