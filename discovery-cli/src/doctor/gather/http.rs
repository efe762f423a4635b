//! The agent's answers, and the registrations of services.

use std::{
    collections::BTreeSet,
    net::{IpAddr, UdpSocket},
    time::{Duration, SystemTime},
};

use discovery::agent::{
    AgentClient,
    wire::{header, service::ServiceEntry},
};
use program::chain;
use serde_json::Value;
use tokio::{task::JoinSet, time::timeout};

use super::{dial, host_and_port};
use crate::{
    doctor::facts::{Agent, Dial, Reply},
    look::Consul,
};

/// Deadline of one answer: an agent without a leader is slow at reads of the catalog, but these need none.
const ANSWER_WITHIN: Duration = Duration::from_millis(900);
/// Requests at the same time: few, since the agent's connections may be short.
const REQUESTS_MAX: usize = 8;
/// The start of a body that is shown, in characters.
const TEXT_MAX: usize = 80;

pub(super) async fn agent(consul: &Consul) -> Agent {
    let client = consul.discovery().agent();
    let host = host_and_port(consul).map(|(host, _)| host);
    let mut agent = Agent {
        address: client.address().to_string(),
        is_here: host.as_deref().is_none_or(is_here),
        host,
        dial: dial::agent(consul).await,
        ..Agent::default()
    };
    if agent.dial != Dial::Connected {
        return agent;
    }
    let (leader, itself, members, nodes, services, token) = tokio::join!(
        ask(client, "/v1/status/leader"),
        ask(client, "/v1/agent/self"),
        ask(client, "/v1/agent/members"),
        ask(client, "/v1/catalog/nodes?stale"),
        ask(client, "/v1/catalog/services?stale"),
        ask(client, "/v1/acl/token/self?stale"),
    );
    (agent.leader, agent.ahead) = leader;
    (agent.itself, agent.members) = (itself.0, members.0);
    (agent.nodes, agent.services, agent.token) = (nodes.0, services.0, token.0);
    agent
}

/// Whether an address is one of this machine: then a socket can be bound to it.
fn is_here(host: &str) -> bool {
    let is_own = |ip: IpAddr| UdpSocket::bind((ip, 0)).is_ok();
    host == "localhost" || host.parse().is_ok_and(is_own)
}

/// The answer, and by how many seconds the agent's clock is ahead.
async fn ask(client: &AgentClient, path: &str) -> (Reply, Option<f64>) {
    let sent = SystemTime::now();
    match client.get(path, ANSWER_WITHIN).await {
        Err(err) => (Reply::Failed(chain(&err)), None),
        Ok(response) => {
            let received = SystemTime::now();
            let text = |name: &str| response.headers().get(name)?.to_str().ok();
            let ahead = text("date").and_then(|date| ahead(date, sent, received));
            let body = response.body();
            let shown = String::from_utf8_lossy(body).trim().chars().take(TEXT_MAX).collect();
            let reply = Reply::Answered {
                status: response.status().as_u16(),
                is_filtered: text(header::FILTERED_BY_ACLS) == Some("true"),
                has_leader: text(header::KNOWN_LEADER).map(|known| known == "true"),
                body: serde_json::from_slice(body).unwrap_or(Value::Null),
                text: shown,
            };
            (reply, ahead)
        }
    }
}

/// The date has whole seconds, cut off: on average it is half a second late.
fn ahead(date: &str, sent: SystemTime, received: SystemTime) -> Option<f64> {
    let seconds =
        |at: SystemTime| at.duration_since(SystemTime::UNIX_EPOCH).ok().map(|it| it.as_secs_f64());
    let date = seconds(httpdate::parse_http_date(date).ok()?)? + 0.5;
    Some(date - f64::midpoint(seconds(sent)?, seconds(received)?))
}

/// The registrations of these services, and the services about which there was no answer. Records that can't be parsed are left out.
pub(super) async fn records(
    consul: &Consul,
    services: &[String],
) -> (Vec<ServiceEntry>, BTreeSet<String>) {
    let mut waiting: Vec<_> = services.to_vec();
    let mut unanswered: BTreeSet<_> = services.iter().cloned().collect();
    let (mut requests, mut records) = (JoinSet::new(), Vec::new());
    let all = async {
        loop {
            while requests.len() < REQUESTS_MAX
                && let Some(service) = waiting.pop()
            {
                let client = consul.discovery().agent().clone();
                requests.spawn(async move {
                    let answer = client.health(&discovery::Query::new(&*service), None).await;
                    (service, answer)
                });
            }
            match requests.join_next().await {
                Some(Ok((service, Ok(answer)))) => {
                    unanswered.remove(&service);
                    records.extend(answer.body);
                }
                Some(Ok((_, Err(_))) | Err(_)) => {}
                None => return,
            }
        }
    };
    timeout(ANSWER_WITHIN, all).await.ok();
    records.sort_by(|a: &ServiceEntry, b| {
        let key = |it: &ServiceEntry| {
            (it.service.service.clone(), it.node.node.clone(), it.service.id.clone())
        };
        key(a).cmp(&key(b))
    });
    (records, unanswered)
}
