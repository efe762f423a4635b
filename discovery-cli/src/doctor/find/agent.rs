//! The agent: whether it can be reached, has a leader, a free connection and the same time.

use crate::doctor::{
    Facts, Finding,
    facts::{Agent, Dial, Reply},
};

/// Clocks further apart than this are reported: leases, tokens and logs no longer match. The agent's time has whole seconds.
const CLOCK_APART_MAX: f64 = 5.0;

pub(super) fn find(facts: &Facts) -> Vec<Finding> {
    let Some(agent) = &facts.agent else { return Vec::new() };
    let connections = connections(facts.connections, agent);
    // Without a connection left the agent can't answer: one cause, one finding.
    let silent = if connections.is_some() { None } else { silent(agent) };
    let rest = [leader(agent), clock(agent)];
    unreachable(agent)
        .into_iter()
        .chain(connections)
        .chain(silent)
        .chain(rest.into_iter().flatten())
        .collect()
}

fn unreachable(agent: &Agent) -> Option<Finding> {
    let address = &agent.address;
    let start = "Start one with `discovery agent` or `consul agent`, or set --http-addr (CONSUL_HTTP_ADDR) to one that runs.";
    let (what, remedy) = match &agent.dial {
        Dial::Connected | Dial::NotTried => return None,
        Dial::Refused => {
            (format!("No agent listens at {address}: the connection is refused."), start.to_owned())
        }
        Dial::TimedOut => (
            format!("The agent at {address} can't be reached: no connection in time."),
            "Check the address, and that no firewall drops packets to it.".to_owned(),
        ),
        Dial::NameUnknown => (
            format!(
                "The host of the agent's address {address} is unknown: its name has no address."
            ),
            "Correct --http-addr (CONSUL_HTTP_ADDR), or add the name to DNS or /etc/hosts."
                .to_owned(),
        ),
        Dial::Failed(why) => {
            (format!("The agent at {address} can't be reached: {why}."), start.to_owned())
        }
    };
    Some(Finding::fault("agent", what, remedy))
}

/// It accepts connections and does not answer as an agent.
fn silent(agent: &Agent) -> Option<Finding> {
    let address = &agent.address;
    let remedy = "Check that it is Consul's HTTP port (8500), and its log.";
    match &agent.leader {
        Reply::Failed(why) => Some(
            Finding::fault(
                "agent",
                format!("{address} accepts connections and does not answer as an agent."),
                remedy,
            )
            .seen([why.clone()]),
        ),
        Reply::Answered { status: 200, body, text, .. } if !body.is_string() => Some(
            Finding::fault(
                "agent",
                format!("{address} answers, but is not a Consul agent."),
                remedy,
            )
            .seen([format!("it answered {text:?}")]),
        ),
        Reply::Answered { status: 200, .. } | Reply::NotAsked => None,
        Reply::Answered { status, text, .. } => Some(
            Finding::fault(
                "agent",
                format!("The agent at {address} answers with an error."),
                remedy,
            )
            .seen([format!("GET /v1/status/leader: {status} {text}")]),
        ),
    }
}

/// The agent resets each connection of a client beyond its limit.
fn connections(open: usize, agent: &Agent) -> Option<Finding> {
    let max = agent.connections_max();
    // Three quarters.
    if max == 0 || open * 4 < max * 3 {
        return None;
    }
    let what = if open >= max {
        format!(
            "This host has used up its connections to the agent at {}: it resets each further one.",
            agent.address
        )
    } else {
        format!("This host has nearly used up its connections to the agent at {}.", agent.address)
    };
    Some(
        Finding::fault(
            "connections",
            what,
            "Find the programs with `ss -tnp`: each blocking query holds one. Let one program per host ask, or raise limits.http_max_conns_per_client.",
        )
        .seen([format!("{open} of {max} connections are open")]),
    )
}

fn leader(agent: &Agent) -> Option<Finding> {
    let is_missing = agent.leader.body().is_some_and(|leader| leader == "");
    let is_unknown =
        matches!(agent.nodes, Reply::Answered { status: 200, has_leader: Some(false), .. });
    (is_missing || is_unknown).then(|| {
        Finding::fault(
            "leader",
            "The cluster has no leader: nothing can be registered, and answers are getting old.",
            "Start the servers that are down, so that more than half of them run; `consul operator raft list-peers -stale` lists them.",
        )
        .seen(is_unknown.then(|| "the agent's server does not know a leader".to_owned()))
    })
}

fn clock(agent: &Agent) -> Option<Finding> {
    let ahead = agent.ahead.filter(|ahead| ahead.abs() > CLOCK_APART_MAX)?;
    let direction = if ahead > 0.0 { "ahead of" } else { "behind" };
    Some(Finding::fault(
        "clock",
        format!("The clock of the agent is {:.0} s {direction} that of this machine.", ahead.abs()),
        "Synchronize both clocks (NTP, chrony, systemd-timesyncd): check times and logs do not match.",
    ))
}
