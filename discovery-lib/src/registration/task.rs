//! Carries out what [`super::machine`] decides: calls to the agent, each in a task of its own so that none waits for another, and the log.

use std::{collections::HashSet, future::pending, panic::resume_unwind, sync::Arc, time::Duration};

use tokio::{
    net::TcpStream,
    select,
    sync::{oneshot, watch},
    task::JoinSet,
    time::{Instant, sleep_until, timeout},
};
use tracing::{debug, info, warn};

use super::{
    machine::{Effect, Event, Found, Leave, Machine, Outcome, State, Tell},
    subject::Subject,
    sweep::sweep,
};
use crate::{
    agent::{AgentClient, Maintenance},
    error::{Error, Kind},
    instance::INCARNATION,
};

/// Something that listens on this machine answers in this time.
const PROBE_WITHIN: Duration = Duration::from_secs(1);
/// What the agent shows as the output of the check.
const BEAT_NOTE: &str = "it runs";
/// Why an instance is in maintenance.
const LEAVING_REASON: &str = "it is leaving";

/// What others may know of the registrar.
#[derive(Debug, Clone, Copy)]
pub(super) struct Report {
    pub(super) state: State,
    /// It was [`State::Ready`] once.
    pub(super) was_ready: bool,
}

pub(super) struct Registrar {
    agent: AgentClient,
    subject: Arc<Subject>,
    machine: Machine,
    /// Dropping it ends all calls.
    calls: JoinSet<Ended>,
    failing: HashSet<Call>,
    report_tx: watch::Sender<Report>,
}

/// What became of a call: what it means to the machine, and what a person should read.
struct Ended {
    call: Call,
    event: Event,
    failure: Option<Error>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Call {
    Probe,
    Register,
    Beat,
    Look,
    Sweep,
    Maintain,
    Deregister,
}

impl Registrar {
    pub(super) fn new(
        agent: AgentClient,
        subject: Arc<Subject>,
    ) -> (Self, watch::Receiver<Report>) {
        let report = Report { state: State::Probing, was_ready: false };
        let (report_tx, report_rx) = watch::channel(report);
        let registrar = Self {
            agent,
            subject,
            machine: Machine::new(Instant::now()),
            calls: JoinSet::new(),
            failing: HashSet::new(),
            report_tx,
        };
        (registrar, report_rx)
    }

    /// Ends when it was told to leave and did, or gave up on it.
    pub(super) async fn run(mut self, mut leave_rx: oneshot::Receiver<Leave>) {
        let mut staying = true;
        while self.machine.state() != State::Left {
            let wakes_at = self.machine.wakes_at();
            let event = select! {
                Some(ended) = self.calls.join_next() => {
                    let outcome = ended.unwrap_or_else(|err| resume_unwind(err.into_panic()));
                    self.log(&outcome);
                    outcome.event
                }
                () = reached(wakes_at) => Event::Tick,
                order = &mut leave_rx, if staying => {
                    staying = false;
                    let Ok(order) = order else { return };
                    Event::Leave(order)
                }
            };
            for effect in self.machine.on(event, Instant::now(), fastrand::f64()) {
                self.perform(effect);
            }
            self.publish();
        }
    }

    fn perform(&mut self, effect: Effect) {
        let (agent, subject) = (self.agent.clone(), self.subject.clone());
        match effect {
            Effect::Probe => self.spawn(async move { probe(&subject).await }),
            Effect::Register => self.spawn(async move { register(&agent, &subject).await }),
            Effect::Beat { epoch } => {
                self.spawn(async move { beat(&agent, &subject, epoch).await })
            }
            Effect::Look { epoch, catalog } => {
                self.spawn(async move { look(&agent, &subject, epoch, catalog).await })
            }
            Effect::Sweep => self.spawn(async move { swept(&agent, &subject).await }),
            Effect::Maintain => self.spawn(async move { maintain(&agent, &subject).await }),
            Effect::Deregister => self.spawn(async move { deregister(&agent, &subject).await }),
            Effect::Tell(tell) => self.tell(tell),
        }
    }

    fn spawn(&mut self, call: impl Future<Output = Ended> + Send + 'static) {
        self.calls.spawn(call);
    }

    fn publish(&self) {
        let state = self.machine.state();
        let before = *self.report_tx.borrow();
        if state == before.state {
            return;
        }
        let was_ready = before.was_ready || state == State::Ready;
        self.report_tx.send_replace(Report { state, was_ready });
        let (service, id) = (&self.subject.registration.name, &self.subject.id);
        match state {
            State::Ready => info!(%service, %id, "registered, and found in the catalog"),
            State::Registering if before.state != State::Probing => {
                warn!(%service, %id, "the agent lost the registration; registering again");
            }
            State::Replaced => {
                warn!(%service, %id, "another run registered under this id; leaving it alone");
            }
            State::Left => info!(%service, %id, "left"),
            State::Probing
            | State::Registering
            | State::Registered
            | State::Leaving
            | State::Abandoned => {
                debug!(%service, %id, ?state, "registration moved on");
            }
        }
    }

    fn tell(&self, tell: Tell) {
        let (service, id) = (&self.subject.registration.name, &self.subject.id);
        match tell {
            Tell::Unseen => warn!(
                %service, %id,
                "registered, but not in the catalog: is there a leader, and may the token read the service and its node?"
            ),
            Tell::GaveUp => warn!(
                %service, %id,
                "ended before the agent confirmed the deregistration; it drops the service once its check runs out"
            ),
        }
    }

    /// A call that begins to fail is worth a warning, one that goes on failing is not; a registration always is.
    fn log(&mut self, Ended { call, failure, .. }: &Ended) {
        let (service, id) = (&self.subject.registration.name, &self.subject.id);
        let Some(err) = failure else {
            if self.failing.remove(call) {
                info!(%service, %id, ?call, "works again");
            }
            return;
        };
        let cause = std::error::Error::source(err).map(tracing::field::display);
        let begins = self.failing.insert(*call);
        if begins || *call == Call::Register {
            warn!(%service, %id, ?call, %err, cause, "failed; the registrar goes on");
        } else {
            debug!(%service, %id, ?call, %err, cause, "failed again");
        }
    }
}

/// Whatever ended it, its runtime above all: who holds the handle is told.
impl Drop for Registrar {
    fn drop(&mut self) {
        let state = self.machine.state();
        if state == State::Left {
            return;
        }
        self.report_tx.send_modify(|report| report.state = State::Abandoned);
        if state != State::Replaced {
            let (service, id) = (&self.subject.registration.name, &self.subject.id);
            warn!(%service, %id, "the registrar ended without having left; nothing keeps it registered any more");
        }
    }
}

async fn reached(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => pending().await,
    }
}

async fn probe(subject: &Subject) -> Ended {
    let near = subject.near();
    let connected = match timeout(PROBE_WITHIN, TcpStream::connect(near)).await {
        Ok(connected) => connected.map(drop),
        Err(_) => Err(std::io::ErrorKind::TimedOut.into()),
    };
    let event = Event::Probed { answered: connected.is_ok() };
    let failure = connected.err().map(|err| {
        Error::new(Kind::Unreachable, format!("nothing answers at {near} yet")).because(err)
    });
    Ended { call: Call::Probe, event, failure }
}

async fn register(agent: &AgentClient, subject: &Subject) -> Ended {
    let Subject { registration, .. } = subject;
    let registered = match registration.advertise.host(registration.local, agent.address()).await {
        Ok(host) => agent.register(&subject.body(host)).await,
        Err(err) => Err(err),
    };
    let event = Event::Registered(match &registered {
        Ok(()) => Outcome::Done,
        // An agent without a quorum answers too late or with an error, and still does it.
        Err(err) if err.is_timeout() => Outcome::Unknown,
        Err(err) if err.status().is_some_and(|s| s.is_server_error()) => Outcome::Unknown,
        Err(_) => Outcome::Failed,
    });
    Ended { call: Call::Register, event, failure: registered.err() }
}

async fn beat(agent: &AgentClient, subject: &Subject, epoch: u32) -> Ended {
    let passed = agent.pass(&subject.check_id, BEAT_NOTE).await;
    let forgotten = passed.as_ref().is_err_and(Error::is_forgotten);
    Ended { call: Call::Beat, event: Event::Beaten { epoch, forgotten }, failure: passed.err() }
}

async fn look(agent: &AgentClient, subject: &Subject, epoch: u32, catalog: bool) -> Ended {
    let (found, failure) = match found(agent, subject, catalog).await {
        Ok(found) => (found, None),
        Err((found, err)) => (found, Some(err)),
    };
    Ended { call: Call::Look, event: Event::Looked { epoch, found }, failure }
}

async fn found(
    agent: &AgentClient,
    subject: &Subject,
    catalog: bool,
) -> Result<Found, (Found, Error)> {
    let service = agent.service(&subject.id).await.map_err(|err| (Found::Unknown, err))?;
    let Some(service) = service else { return Ok(Found::Nothing) };
    if service.meta.get(INCARNATION) != Some(&subject.incarnation) {
        return Ok(Found::AnotherRun);
    }
    if !catalog {
        return Ok(Found::Ours { in_catalog: false });
    }
    let node = agent
        .node_of_run(&subject.registration.name, &subject.incarnation)
        .await
        .map_err(|err| (Found::Ours { in_catalog: false }, err))?;
    let in_catalog = node.is_some();
    if let Some(node) = node {
        subject.node.get_or_init(|| node);
    }
    Ok(Found::Ours { in_catalog })
}

async fn swept(agent: &AgentClient, subject: &Subject) -> Ended {
    let failure = sweep(agent, subject).await.err();
    Ended { call: Call::Sweep, event: Event::Swept, failure }
}

async fn maintain(agent: &AgentClient, subject: &Subject) -> Ended {
    let maintained = agent.maintain(&subject.id, Maintenance::On(LEAVING_REASON.to_owned())).await;
    Ended { call: Call::Maintain, event: Event::Maintained, failure: maintained.err() }
}

async fn deregister(agent: &AgentClient, subject: &Subject) -> Ended {
    let deregistered = agent.deregister(&subject.id).await;
    let event = Event::Deregistered { done: deregistered.is_ok() };
    Ended { call: Call::Deregister, event, failure: deregistered.err() }
}
