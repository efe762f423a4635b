//! `/v1/agent/...`: reads and changes of the agent's own services and checks.

use consul_wire::{
    check::CheckStatus,
    header,
    query::{NOTE, REASON, REPLACE_EXISTING_CHECKS},
};
use http::{HeaderName, HeaderValue, StatusCode};
use serde_json::json;

use super::{
    decode,
    query::refuse_unknown,
    reply::{Body, Failure, Later, Reply, later},
    request::Request,
};
use crate::state::{Aggregate, Command, State, VERSION, member, wan_member};

pub(crate) fn show_self(request: &Request<'_>, state: &State) -> Result<Later, Failure> {
    let identity = request.identity;
    let leader = identity.server_address();
    let answer = json!({
        "Config": {
            "Datacenter": identity.datacenter,
            "NodeName": identity.node_name,
            "NodeID": identity.node_id,
            "Revision": "",
            "Server": true,
            "Version": VERSION,
        },
        "DebugConfig": {},
        "Coord": { "Vec": [0, 0, 0, 0, 0, 0, 0, 0], "Error": 1.5, "Adjustment": 0, "Height": 0.00001 },
        "Member": member(state.node()),
        "Stats": {
            "agent": {
                "checks": state.agent_checks().len().to_string(),
                "services": state.registered().count().to_string(),
            },
            "build": { "prerelease": "", "revision": "", "version": VERSION },
            "consul": {
                "acl": "disabled",
                "bootstrap": "true",
                "known_datacenters": "1",
                "leader": "true",
                "leader_addr": leader,
                "server": "true",
            },
            "raft": {
                "applied_index": state.index().to_string(),
                "commit_index": state.index().to_string(),
                "last_contact": "0",
                "num_peers": "0",
                "state": "Leader",
            },
            "runtime": { "arch": std::env::consts::ARCH, "os": std::env::consts::OS },
            "serf_lan": { "failed": "0", "left": "0", "members": "1" },
            "serf_wan": { "failed": "0", "left": "0", "members": "1" },
        },
        "Meta": state.node().meta,
    });
    Ok(later(answer, request.style))
}

pub(crate) fn members(request: &Request<'_>, state: &State) -> Result<Later, Failure> {
    let wan = request.query.first("wan").is_some_and(|wan| !wan.is_empty());
    let member = if wan { wan_member(state.node()) } else { member(state.node()) };
    Ok(later([member], request.style))
}

pub(crate) fn services(request: &Request<'_>, state: &State) -> Result<Later, Failure> {
    refuse_unknown(&request.query)?;
    Ok(later(state.agent_services(), request.style))
}

pub(crate) fn checks(request: &Request<'_>, state: &State) -> Result<Later, Failure> {
    refuse_unknown(&request.query)?;
    Ok(later(state.agent_checks(), request.style))
}

pub(crate) fn health_by_id(request: &Request<'_>, state: &State) -> Result<Later, Failure> {
    let id = &request.subject;
    if id.is_empty() {
        return Err(Failure::internal("Bad request: Missing serviceID"));
    }
    let text = wants_text(request);
    let style = request.style;
    let Some((aggregate, health)) = state.health_of_instance(id) else {
        let why = format!("ServiceId {id} not found");
        return Ok(Box::new(move || {
            let body = if text {
                Body::json(&why, style)
            } else {
                let missing =
                    json!({ "AggregatedStatus": "critical", "Checks": null, "Service": null });
                Body::json(&missing, style)
            };
            judged(Reply::json(body), StatusCode::NOT_FOUND, &why)
        }));
    };
    Ok(Box::new(move || {
        let reply = if text {
            Reply::plain(aggregate.as_str())
        } else {
            Reply::json(Body::json(&health, style))
        };
        judged(reply, status_of(aggregate), aggregate.as_str())
    }))
}

pub(crate) fn health_by_name(request: &Request<'_>, state: &State) -> Result<Later, Failure> {
    let name = &request.subject;
    if name.is_empty() {
        return Err(Failure::internal("Bad request: Missing service Name"));
    }
    let found = state.health_of_name(name);
    let worst = found.iter().map(|(aggregate, _)| *aggregate).max();
    let (status, why) = match worst {
        Some(worst) => (status_of(worst), worst.as_str().to_owned()),
        None => (StatusCode::NOT_FOUND, format!("ServiceName {name} Not Found")),
    };
    let (text, style) = (wants_text(request), request.style);
    Ok(Box::new(move || {
        let reply = if text {
            Reply::plain(why.clone())
        } else {
            let health: Vec<_> = found.into_iter().map(|(_, health)| health).collect();
            Reply::json(Body::json(&health, style))
        };
        judged(reply, status, &why)
    }))
}

fn wants_text(request: &Request<'_>) -> bool {
    request.query.first("format") == Some("text")
}

fn judged(reply: Reply, status: StatusCode, why: &str) -> Reply {
    const REASON: HeaderName = HeaderName::from_static(header::REASON);
    let mut reply = reply.with_status(status);
    // A name that is not valid in a header is left out: the client knows it.
    if let Ok(why) = HeaderValue::from_str(why) {
        reply.set(REASON, why);
    }
    reply
}

const fn status_of(aggregate: Aggregate) -> StatusCode {
    match aggregate {
        Aggregate::Passing => StatusCode::OK,
        Aggregate::Warning => StatusCode::TOO_MANY_REQUESTS,
        Aggregate::Critical | Aggregate::Maintenance => StatusCode::SERVICE_UNAVAILABLE,
    }
}

pub(crate) fn register_service(request: &Request<'_>) -> Result<Command, Failure> {
    let (service, checks) = decode::service(&request.body)?;
    let replace = request.query.first(REPLACE_EXISTING_CHECKS);
    let replace = replace.is_some_and(|value| matches!(value, "" | "true"));
    Ok(Command::RegisterService { service, checks, replace })
}

pub(crate) fn deregister_service(request: &Request<'_>) -> Result<Command, Failure> {
    Ok(Command::DeregisterService(request.subject.clone()))
}

pub(crate) fn register_check(request: &Request<'_>) -> Result<Command, Failure> {
    decode::check(&request.body).map(Command::RegisterCheck)
}

pub(crate) fn deregister_check(request: &Request<'_>) -> Result<Command, Failure> {
    Ok(Command::DeregisterCheck(request.subject.clone()))
}

pub(crate) fn pass(request: &Request<'_>) -> Result<Command, Failure> {
    Ok(noted(request, CheckStatus::Passing))
}

pub(crate) fn warn(request: &Request<'_>) -> Result<Command, Failure> {
    Ok(noted(request, CheckStatus::Warning))
}

pub(crate) fn fail(request: &Request<'_>) -> Result<Command, Failure> {
    Ok(noted(request, CheckStatus::Critical))
}

fn noted(request: &Request<'_>, status: CheckStatus) -> Command {
    heartbeat(request, status, request.query.first(NOTE).unwrap_or_default())
}

pub(crate) fn update(request: &Request<'_>) -> Result<Command, Failure> {
    let (status, output) = decode::update(&request.body)?;
    Ok(heartbeat(request, status, &output))
}

fn heartbeat(request: &Request<'_>, status: CheckStatus, output: &str) -> Command {
    Command::Heartbeat { check: request.subject.clone(), status, output: output.to_owned() }
}

pub(crate) fn service_maintenance(request: &Request<'_>) -> Result<Command, Failure> {
    let service = request.subject.clone();
    if service.is_empty() {
        return Err(Failure::bad("Missing service ID"));
    }
    Ok(Command::ServiceMaintenance { service, reason: reason(request)? })
}

pub(crate) fn node_maintenance(request: &Request<'_>) -> Result<Command, Failure> {
    Ok(Command::NodeMaintenance { reason: reason(request)? })
}

fn reason(request: &Request<'_>) -> Result<Option<String>, Failure> {
    let enable = request.query.enable()?;
    Ok(enable.then(|| request.query.first(REASON).unwrap_or_default().to_owned()))
}
