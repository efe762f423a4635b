//! Ports of the cluster that are closed to this machine.

use serde_json::Value;

use crate::doctor::{
    Facts, Finding,
    facts::{Agent, Dial},
};

/// Serf's number for a member that is alive.
const ALIVE: u64 = 1;

pub(super) fn find(facts: &Facts) -> Vec<Finding> {
    let Some(agent) = &facts.agent else { return Vec::new() };
    let closed: Vec<_> = needed(agent)
        .into_iter()
        .filter_map(|(member, host, port, role)| {
            let why = match facts.dials.get(&(host.clone(), port))? {
                Dial::Connected | Dial::NotTried => return None,
                Dial::Refused => "refused".to_owned(),
                Dial::TimedOut => "no answer".to_owned(),
                Dial::NameUnknown => "the name has no address".to_owned(),
                Dial::Failed(why) => why.clone(),
            };
            Some(format!("{member}, {host}:{port} ({role}): {why}"))
        })
        .collect();
    if closed.is_empty() {
        return Vec::new();
    }
    let finding = Finding::fault(
        "ports",
        "Ports of the cluster are closed to this machine: its agent is cut off, or loses its cluster later.",
        "Open these TCP ports between all hosts of the cluster (and 8301, 8302 also for UDP).",
    );
    vec![finding.seen(closed)]
}

/// The ports that the agent of this machine needs of other members: (member, host, port, what it is for).
pub(in crate::doctor) fn needed(agent: &Agent) -> Vec<(String, String, u16, &'static str)> {
    let members = agent.members.body().and_then(Value::as_array);
    let (Some(own), Some(members), true) = (agent.node(), members, agent.is_here) else {
        return Vec::new();
    };
    let is_server = |member: &Value| member["Tags"]["role"] == "consul";
    let own_is_server = members.iter().any(|it| it["Name"] == own && is_server(it));
    let others = members.iter().filter(|it| it["Name"] != own && it["Status"] == ALIVE);
    let of = |member: &Value| {
        let name = member["Name"].as_str().unwrap_or_default().to_owned();
        let host = member["Addr"].as_str().unwrap_or_default().to_owned();
        let tag = |tag: &str| member["Tags"][tag].as_str()?.parse::<u16>().ok();
        let gossip = member["Port"].as_u64().and_then(|port| u16::try_from(port).ok());
        let server = tag("port").filter(|_| is_server(member));
        let wan = tag("wan_join_port").filter(|_| is_server(member) && own_is_server);
        [(gossip, "gossip"), (server, "server RPC"), (wan, "WAN gossip")]
            .into_iter()
            .filter_map(move |(port, role)| Some((name.clone(), host.clone(), port?, role)))
    };
    others.flat_map(of).collect()
}
