//! Collects the facts: everything side by side, in two steps, each with a deadline. It changes nothing.

mod connections;
mod dial;
mod dns;
mod environment;
mod http;

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
};

use discovery::agent::{
    Address,
    wire::{check::CheckStatus, service::ServiceEntry},
};
use serde_json::Value;

use super::{
    Facts,
    facts::{Agent, Dns},
    find::needed_ports,
};
use crate::look::{Ask, Consul};

/// Services that are looked at, if none are named.
const SERVICES_MAX: usize = 64;
/// The id of Consul's own servers: their ports are those of the cluster.
const SERVERS: &str = "consul";
/// Addresses of instances that are connected to.
const ADDRESSES_MAX: usize = 256;

/// Gathers all facts. `names` are the services to look at; `resolver` replaces the system's DNS server.
pub(crate) async fn gather(ask: Ask, names: Vec<String>, resolver: Option<SocketAddr>) -> Facts {
    let mut facts = Facts { variables: environment::read(ask.token_file()), ..Facts::default() };
    let consul = match ask.consul() {
        Ok(consul) => consul,
        Err(err) => {
            facts.variables.unusable = Some(program::chain(&err));
            return facts;
        }
    };
    let resolver = resolver.or_else(environment::resolver);
    // Before the requests below, which have connections of their own.
    facts.connections = connections::count(&consul).await;
    let (agent, dns) = tokio::join!(http::agent(&consul), dns::servers(&consul, resolver));
    facts.dns = dns;
    let services = if names.is_empty() { listed(&agent) } else { names.clone() };
    if agent.answers() {
        (facts.records, facts.unanswered) = http::records(&consul, &services).await;
        let is_known = |name: &String| facts.records.iter().any(|it| it.service.service == *name);
        let is_unknown = |name: &&String| !is_known(name) && !facts.unanswered.contains(*name);
        facts.unknown = names.iter().filter(is_unknown).cloned().collect();
        second_step(&consul, &agent, &services, &mut facts).await;
    }
    facts.agent = Some(agent);
    facts
}

/// What follows from the registrations and the members.
async fn second_step(consul: &Consul, agent: &Agent, services: &[String], facts: &mut Facts) {
    let ports = needed_ports(agent).into_iter().map(|(_, host, port, _)| (host, port));
    let addresses = addresses(agent, &facts.records).into_iter().chain(ports);
    let Dns { services: answers, .. } = &mut facts.dns;
    let (dials, lookups) =
        tokio::join!(dial::all(addresses.collect()), dns::services(consul, services));
    facts.dials = dials;
    *answers = lookups;
}

/// The services of the catalog, in order.
fn listed(agent: &Agent) -> Vec<String> {
    let all = agent.services.body().and_then(Value::as_object);
    all.into_iter().flat_map(|all| all.keys().cloned()).take(SERVICES_MAX).collect()
}

/// The addresses of instances that are healthy in Consul, without those at loopback of another machine: they are others here.
fn addresses(agent: &Agent, records: &[ServiceEntry]) -> Vec<(String, u16)> {
    let is_healthy = |it: &&ServiceEntry| {
        it.service.port != 0
            && it.service.id != SERVERS
            && it.checks.iter().all(|check| check.status != CheckStatus::Critical)
    };
    let is_ours = |it: &&ServiceEntry| {
        let is_loopback = it.address().parse().is_ok_and(|ip: IpAddr| ip.is_loopback());
        agent.is_here || !is_loopback
    };
    let healthy = records.iter().filter(is_healthy).filter(is_ours);
    healthy.map(|it| (it.address().to_owned(), it.service.port)).take(ADDRESSES_MAX).collect()
}

/// The host and port of the agent; none for a unix socket.
fn host_and_port(consul: &Consul) -> Option<(String, u16)> {
    match consul.discovery().agent().address() {
        Address::Tcp { host, port, .. } => {
            Some((host.to_string().trim_matches(['[', ']']).to_owned(), *port))
        }
        _ => None,
    }
}

type Dials = BTreeMap<(String, u16), super::facts::Dial>;
