//! Executes the effects of [`super::machine`]: calls to the agent, each in its own task so that none delays another, and log events.

use std::{collections::HashSet, panic::resume_unwind, sync::Arc};

use tokio::{
    select,
    sync::{mpsc, watch},
    task::JoinSet,
    time::Instant,
};
use tracing::{debug, info, warn};

use super::{
    calls::{self, Call, Ended},
    machine::{
        Effect, Event, Heartbeat, Leave, Machine, Notice, Probed, RegisterOutcome,
        RegistrationState,
    },
    subject::Subject,
};
use crate::{agent::AgentClient, error::Error, later::reached, random::Random};

/// The published state of the registrar.
#[derive(Debug, Clone)]
pub(super) struct Report {
    pub(super) state: RegistrationState,
    /// Whether it was [`RegistrationState::Ready`] before.
    pub(super) was_ready: bool,
    /// The reason for [`RegistrationState::Refused`]; none in other states.
    pub(super) refusal: Option<Arc<Error>>,
}

impl Report {
    /// Whether it was in the catalog and has not ended.
    pub(super) fn is_ready(&self) -> bool {
        self.was_ready && !self.state.is_final() && self.state != RegistrationState::Leaving
    }

    /// Whether waiting for [`Self::is_ready`] is over, with or without success.
    pub(super) fn is_settled(&self) -> bool {
        self.was_ready || self.state.is_final() || self.refusal.is_some()
    }
}

pub(super) struct Registrar {
    agent: AgentClient,
    subject: Arc<Subject>,
    machine: Machine,
    /// Dropping it cancels all calls.
    calls: JoinSet<Ended>,
    failing: HashSet<Call>,
    /// The last refusal.
    refusal: Option<Arc<Error>>,
    report_tx: watch::Sender<Report>,
    random: Random,
}

impl Registrar {
    pub(super) fn new(
        agent: AgentClient,
        subject: Arc<Subject>,
        random: Random,
    ) -> (Self, watch::Receiver<Report>) {
        let report = Report { state: RegistrationState::Probing, was_ready: false, refusal: None };
        let (report_tx, report_rx) = watch::channel(report);
        let heartbeat_every = subject.registration.checks.heartbeat_every();
        let registrar = Self {
            agent,
            subject,
            machine: Machine::new(Instant::now(), heartbeat_every),
            calls: JoinSet::new(),
            failing: HashSet::new(),
            refusal: None,
            report_tx,
            random,
        };
        (registrar, report_rx)
    }

    /// Ends when the registration ended as `leave_rx` ordered, or when that is closed without an order.
    pub(super) async fn run(mut self, mut leave_rx: mpsc::Receiver<Leave>) {
        let (mut staying, mut open) = (true, true);
        let mut health_rx = self.subject.health.subscribe();
        while self.machine.state() != RegistrationState::Left {
            let wakes_at = self.machine.wakes_at();
            let event = select! {
                Some(ended) = self.calls.join_next() => {
                    let outcome = ended.unwrap_or_else(|err| resume_unwind(err.into_panic()));
                    self.log(&outcome);
                    let Ended { event, failure, .. } = outcome;
                    if is_refusal(event) {
                        self.refusal = failure.map(Arc::new);
                    }
                    event
                }
                () = reached(wakes_at) => Event::Tick,
                status = health_rx.changed() => Event::Reported(status),
                () = self.subject.details.changed() => Event::Updated,
                order = leave_rx.recv(), if open => match order {
                    Some(order) => {
                        staying = false;
                        Event::Leave(order)
                    }
                    None if staying => return,
                    None => {
                        open = false;
                        continue;
                    }
                },
            };
            for effect in self.machine.on(event, Instant::now(), self.random.f64()) {
                self.perform(effect);
            }
            self.publish();
        }
    }

    fn perform(&mut self, effect: Effect) {
        let (agent, subject) = (self.agent.clone(), self.subject.clone());
        let place = self.machine.place();
        match effect {
            Effect::Probe => {
                self.spawn(async move { calls::probe(&agent, &subject, place).await });
            }
            Effect::Register { place } => {
                self.spawn(async move { calls::register(&agent, &subject, place).await });
            }
            Effect::Heartbeat { epoch, status } => {
                self.spawn(async move { calls::heartbeat(&agent, &subject, epoch, status).await });
            }
            Effect::Look { epoch, catalog } => self
                .spawn(async move { calls::look(&agent, &subject, epoch, catalog, place).await }),
            Effect::Sweep => self.spawn(async move { calls::swept(&agent, &subject).await }),
            Effect::Maintain => self.spawn(async move { calls::maintain(&agent, &subject).await }),
            Effect::Deregister => {
                self.spawn(async move { calls::deregister(&agent, &subject).await });
            }
            Effect::Notice(notice) => self.notify(notice),
        }
    }

    fn spawn(&mut self, call: impl Future<Output = Ended> + Send + 'static) {
        self.calls.spawn(call);
    }

    fn publish(&self) {
        let state = self.machine.state();
        let before = self.report_tx.borrow().clone();
        let refusal = self.refusal.clone().filter(|_| state == RegistrationState::Refused);
        let is_new = |refusal| before.refusal.as_ref().is_none_or(|it| !Arc::ptr_eq(it, refusal));
        if state == before.state && !refusal.as_ref().is_some_and(is_new) {
            return;
        }
        let was_ready = before.was_ready || state == RegistrationState::Ready;
        self.report_tx.send_replace(Report { state, was_ready, refusal });
        if state != before.state {
            self.log_state(state);
        }
    }

    fn log_state(&self, state: RegistrationState) {
        let (service, id) = (&self.subject.registration.name, &self.subject.id);
        match state {
            RegistrationState::Ready => {
                info!(%service, instance = %id, "registered and in the catalog")
            }
            RegistrationState::Replaced => {
                warn!(%service, instance = %id, "another run registered with this id; this one no longer registers");
            }
            RegistrationState::Left if self.machine.place().is_some() => {
                info!(%service, instance = %id, "registration ended");
            }
            RegistrationState::Refused => {
                warn!(%service, instance = %id, "registration refused; retrying every 30 s: check the settings and the token");
            }
            RegistrationState::Probing
            | RegistrationState::Registering
            | RegistrationState::Registered
            | RegistrationState::Leaving
            | RegistrationState::Left
            | RegistrationState::Abandoned => {
                debug!(%service, instance = %id, ?state, "registration state changed");
            }
        }
    }

    fn notify(&self, notice: Notice) {
        let (service, id) = (&self.subject.registration.name, &self.subject.id);
        match notice {
            Notice::Unseen => warn!(
                %service, instance = %id,
                "registered, but not in the catalog: check that there is a leader and that the token may read the service and its node"
            ),
            Notice::Lost => {
                warn!(%service, instance = %id, "registration lost or changed; registering again");
            }
            Notice::Moved => warn!(
                %service, instance = %id,
                "address of this machine changed; registering again"
            ),
            Notice::GaveUp => warn!(
                %service, instance = %id, after = ?self.subject.deregister_after(),
                "deregistration not confirmed; the agent deregisters the service when its check has been critical for this time"
            ),
        }
    }

    /// The first failure of a call is a warning, later ones are not; each failed registration is a warning.
    fn log(&mut self, Ended { call, failure, .. }: &Ended) {
        let (service, id) = (&self.subject.registration.name, &self.subject.id);
        let Some(err) = failure else {
            if self.failing.remove(call) {
                info!(%service, instance = %id, ?call, "call to the agent succeeds again");
            }
            return;
        };
        let cause = std::error::Error::source(err).map(tracing::field::display);
        let begins = self.failing.insert(*call);
        if begins || *call == Call::Register {
            warn!(%service, instance = %id, ?call, error = %err, cause, "call failed; retrying");
        } else {
            debug!(%service, instance = %id, ?call, error = %err, cause, "call failed again");
        }
    }
}

/// Publishes the end also when the runtime is dropped.
impl Drop for Registrar {
    fn drop(&mut self) {
        let state = self.machine.state();
        if state == RegistrationState::Left {
            return;
        }
        self.report_tx.send_modify(|report| report.state = RegistrationState::Abandoned);
        if state != RegistrationState::Replaced && self.machine.place().is_some() {
            let (service, id) = (&self.subject.registration.name, &self.subject.id);
            warn!(%service, instance = %id, "registrar dropped without deregistration");
        }
    }
}

fn is_refusal(event: Event) -> bool {
    matches!(
        event,
        Event::Probed(Probed::Refused)
            | Event::Registered(RegisterOutcome::Refused)
            | Event::HeartbeatEnded { heartbeat: Heartbeat::Refused, .. }
    )
}
