//! ACLs that deny a request, or hide records without saying so.

use serde_json::Value;

use crate::doctor::{
    Facts, Finding,
    facts::{Agent, Reply},
};

/// Consul's text for a token that it does not have.
const NOT_FOUND: &str = "ACL not found";
/// The service of Consul's own servers.
const SERVERS: &str = "consul";

pub(super) fn find(facts: &Facts) -> Vec<Finding> {
    let Some(agent) = &facts.agent else { return Vec::new() };
    let has_token = facts.variables.has_token;
    if has_token && is_unknown(&agent.token) {
        return vec![Finding::fault(
            "acl-token",
            "The ACL token is unknown to the agent: it was deleted, or belongs to another cluster.",
            "Set CONSUL_HTTP_TOKEN or CONSUL_HTTP_TOKEN_FILE to a token of this cluster.",
        )];
    }
    // One cause, one finding: what hides records denies the agent's settings too.
    match (hidden(agent, has_token), denied(agent, has_token)) {
        (Some(hidden), Some(denied)) => vec![hidden.seen(denied.evidence)],
        (hidden, denied) => hidden.into_iter().chain(denied).collect(),
    }
}

fn is_unknown(reply: &Reply) -> bool {
    matches!(reply, Reply::Answered { status: 403, text, .. } if text.contains(NOT_FOUND))
}

fn remedy(has_token: bool) -> &'static str {
    if has_token {
        "Give the token a policy with service:read and node:read (and service:write to register)."
    } else {
        "Set CONSUL_HTTP_TOKEN or CONSUL_HTTP_TOKEN_FILE: requests without a token are anonymous here."
    }
}

fn denied(agent: &Agent, has_token: bool) -> Option<Finding> {
    let asked = [
        ("/v1/catalog/nodes", &agent.nodes),
        ("/v1/catalog/services", &agent.services),
        ("/v1/agent/members", &agent.members),
    ];
    let mut denied: Vec<_> = asked
        .into_iter()
        .filter(|(_, reply)| reply.status() == Some(403))
        .map(|(path, _)| format!("GET {path}: 403"))
        .collect();
    let is_seeing = denied.is_empty() && !is_empty(&agent.nodes);
    if agent.itself.status() == Some(403) {
        denied.push("GET /v1/agent/self: 403".to_owned());
    }
    if denied.is_empty() {
        return None;
    }
    Some(if is_seeing {
        // A service needs no more than the catalog.
        Finding::hint(
            "acl-denied",
            "ACLs deny the agent's own settings, so its limits are not known here.",
            "Give the token agent:read if this command should check them; services do not need it.",
        )
    } else {
        Finding::fault("acl-denied", "ACLs deny requests to the agent.", remedy(has_token))
    }
    .seen(denied))
}

/// Consul 1.8 hides records silently. But each catalog has the node of a server, and the service that each server registers.
fn hidden(agent: &Agent, has_token: bool) -> Option<Finding> {
    let is_filtered = [&agent.nodes, &agent.services, &agent.members]
        .iter()
        .any(|reply| matches!(reply, Reply::Answered { is_filtered: true, .. }));
    let evidence = if is_filtered {
        "the answers of the agent have X-Consul-Results-Filtered-By-ACLs"
    } else if is_empty(&agent.nodes) {
        "the catalog shows no node, not even that of a server"
    } else if is_without_servers(&agent.services) {
        "the catalog shows no service `consul`, which each server registers"
    } else {
        return None;
    };
    let what = "ACLs hide records: services look as if they had no instance.";
    Some(Finding::fault("acl-hidden", what, remedy(has_token)).seen([evidence.to_owned()]))
}

fn is_without_servers(services: &Reply) -> bool {
    let services = services.body().and_then(Value::as_object);
    services.is_some_and(|services| !services.contains_key(SERVERS))
}

fn is_empty(reply: &Reply) -> bool {
    reply.body().and_then(Value::as_array).is_some_and(Vec::is_empty)
}
