//! The registrar's calls: to its own instance, and to the agent. Each results in exactly one event.

use consul_wire::check::CheckStatus;
use tokio::time::timeout;
use tracing::info;

use super::{
    checks::{Differences, LEAVING_REASON},
    machine::{Catalog, Event, Found, Heartbeat, Place, RegisterOutcome},
    probe,
    subject::Subject,
    sweep::sweep,
};
use crate::{
    Host,
    agent::{AgentClient, AtAgent, LOCAL_WITHIN, Maintenance},
    error::Error,
    instance::INCARNATION,
};

/// The result of a call: the event for the state machine, and the error for the log.
pub(super) struct Ended {
    pub(super) call: Call,
    pub(super) event: Event,
    pub(super) failure: Option<Error>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Call {
    Probe,
    Register,
    Heartbeat,
    Look,
    Sweep,
    Maintain,
    Deregister,
}

pub(super) async fn probe(agent: &AgentClient, subject: &Subject, current: Option<Place>) -> Ended {
    let (probed, failure) = probe::probe(agent, subject, current).await;
    Ended { call: Call::Probe, event: Event::Probed(probed), failure }
}

pub(super) async fn register(agent: &AgentClient, subject: &Subject, place: Place) -> Ended {
    let host = published(agent, subject, place).await;
    let registered = agent.renew(&subject.body(host.as_ref())).await;
    let event = Event::Registered(match &registered {
        Ok(()) => RegisterOutcome::Done,
        // An agent without a quorum answers too late or with an error, and still registers.
        Err(err) if err.is_timeout() => RegisterOutcome::Unknown,
        Err(err) if err.status().is_some_and(|s| s.is_server_error()) => RegisterOutcome::Unknown,
        Err(err) if err.is_refused() => RegisterOutcome::Refused,
        Err(_) => RegisterOutcome::Failed,
    });
    Ended { call: Call::Register, event, failure: registered.err() }
}

/// The host of the record. An instance that listens on loopback needs none if the address of its agent's node is the same.
pub(super) async fn published(
    agent: &AgentClient,
    subject: &Subject,
    place: Place,
) -> Option<Host> {
    match place {
        Place::Advertised => subject.registration.advertise.host.clone(),
        Place::Node => None,
        Place::At(ip) if ip.is_loopback() => {
            let own = Host::Ip(ip);
            (agent.node_address().await.as_ref() != Some(&own)).then_some(own)
        }
        Place::At(ip) => Some(Host::Ip(ip)),
    }
}

pub(super) async fn heartbeat(
    agent: &AgentClient,
    subject: &Subject,
    epoch: u32,
    status: CheckStatus,
) -> Ended {
    let passed = agent.report(&subject.ttl_id, status, &subject.health.note()).await;
    let heartbeat = match &passed {
        Ok(()) => Heartbeat::Passed,
        Err(err) if err.is_not_registered() => Heartbeat::NotRegistered,
        Err(err) if err.is_refused() => Heartbeat::Refused,
        Err(_) => Heartbeat::Unknown,
    };
    Ended {
        call: Call::Heartbeat,
        event: Event::HeartbeatEnded { epoch, heartbeat },
        failure: passed.err(),
    }
}

pub(super) async fn look(
    agent: &AgentClient,
    subject: &Subject,
    epoch: u32,
    catalog: bool,
    current: Option<Place>,
) -> Ended {
    let registration = &subject.registration;
    let place =
        registration.advertise.place(registration.local, agent.address(), &subject.names, current);
    // A look is part of the shutdown, which must not wait for a name to be resolved.
    let place = timeout(LOCAL_WITHIN, place);
    let (place, found) = tokio::join!(place, found(agent, subject, catalog, current));
    let (found, failure) = match found {
        Ok(found) => (found, None),
        Err((found, err)) => (found, Some(err)),
    };
    // A place that is not known now is not a change.
    let place = place.ok().and_then(Result::ok);
    Ended { call: Call::Look, event: Event::Looked { epoch, found, place }, failure }
}

async fn found(
    agent: &AgentClient,
    subject: &Subject,
    catalog: bool,
    published: Option<Place>,
) -> Result<Found, (Found, Error)> {
    let at_agent = agent.at_agent(&subject.id).await.map_err(|err| (Found::Unknown, err))?;
    let Some(at_agent) = at_agent else { return Ok(Found::Nothing) };
    let differences = subject.registration.checks.differences(&subject.id, &at_agent.checks);
    let service = &at_agent.service;
    match service.meta.get(INCARNATION) {
        None => return Ok(Found::Edited),
        Some(run) if *run != subject.incarnation => return Ok(Found::AnotherRun),
        // A registration that was executed late may have restored an old address, or old details.
        Some(_) if !published.is_some_and(|place| subject.is_published(service, place)) => {
            return Ok(Found::Outdated);
        }
        Some(_) if differences.is_incomplete => return Ok(Found::Outdated),
        Some(_) => {}
    }
    if !catalog {
        return Ok(Found::Ours { catalog: Catalog::Unknown });
    }
    let unread = Found::Ours { catalog: Catalog::Unknown };
    tidy(agent, subject, &differences).await.map_err(|err| (unread, err))?;
    let node = node_of(agent, subject, &at_agent).await.map_err(|err| (unread, err))?;
    let Some(node) = node else {
        return Ok(Found::Ours { catalog: Catalog::Lacks });
    };
    subject.node.get_or_init(|| node);
    Ok(Found::Ours { catalog: Catalog::Has })
}

/// Removes what earlier runs left at the agent: their other checks, and a maintenance that ended with them.
async fn tidy(
    agent: &AgentClient,
    subject: &Subject,
    differences: &Differences,
) -> Result<(), Error> {
    for check_id in &differences.surplus {
        agent.deregister_check(check_id).await?;
        info!(service = %subject.registration.name, instance = %subject.id, check = %check_id, "deregistered a check of an earlier run");
    }
    // The agent has the own one only after this run was marked as leaving.
    if differences.is_left_in_maintenance && !subject.is_leaving() {
        agent.maintain(&subject.id, Maintenance::Off).await?;
    }
    Ok(())
}

/// The node at which the catalog shows this run. The checks of the instance name its node; without a check, the agent names its own, which
/// needs the permission `agent:read`.
async fn node_of(
    agent: &AgentClient,
    subject: &Subject,
    at_agent: &AtAgent,
) -> Result<Option<String>, Error> {
    let node = match at_agent.node() {
        Some(node) => node.to_owned(),
        None => agent.agent_self().await?.config.node_name,
    };
    let Some(on_node) = agent.on_node(&node).await? else { return Ok(None) };
    Ok(on_node.iter().any(|entry| subject.is_run(entry)).then_some(node))
}

pub(super) async fn swept(agent: &AgentClient, subject: &Subject) -> Ended {
    let failure = sweep(agent, subject).await.err();
    Ended { call: Call::Sweep, event: Event::Swept, failure }
}

pub(super) async fn maintain(agent: &AgentClient, subject: &Subject) -> Ended {
    subject.set_leaving();
    let maintained = agent.maintain(&subject.id, Maintenance::On(LEAVING_REASON.to_owned())).await;
    Ended { call: Call::Maintain, event: Event::Maintained, failure: maintained.err() }
}

pub(super) async fn deregister(agent: &AgentClient, subject: &Subject) -> Ended {
    let deregistered = agent.deregister(&subject.id).await;
    let event = Event::Deregistered { done: deregistered.is_ok() };
    Ended { call: Call::Deregister, event, failure: deregistered.err() }
}
