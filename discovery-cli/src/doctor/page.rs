//! The findings as a page and as JSON, and what was looked at: "nothing found" is worth only as much as that.

use std::collections::BTreeSet;

use program::printable;
use serde_json::{Value, json};

use super::{
    Facts, Finding,
    facts::{Agent, Dial, Lookup},
    find::needed_ports,
};
use crate::print::{Paint, Tone, json_line};

pub(crate) fn as_json(findings: &[Finding], facts: &Facts) -> String {
    json_line(&json!({ "findings": findings, "looked_at": looked_at(facts) }))
}

pub(crate) fn as_text(findings: &[Finding], facts: &Facts, paint: Paint) -> String {
    let mut page = String::new();
    let mut line = |tone, text: &str| page.push_str(&(paint.paint(tone, &printable(text)) + "\n"));
    for finding in findings {
        let (tone, label) =
            if finding.is_fault() { (Tone::Bad, "FAULT") } else { (Tone::Doubtful, "hint ") };
        line(tone, &format!("{label}  {}", finding.what));
        finding.evidence.iter().for_each(|seen| line(Tone::Plain, &format!("       {seen}")));
        line(Tone::Plain, &format!("       -> {}", finding.remedy));
        line(Tone::Plain, "");
    }
    if !findings.iter().any(Finding::is_fault) {
        line(Tone::Good, "Nothing wrong found.");
    }
    line(Tone::Heading, "Looked at:");
    looked_at(facts).iter().for_each(|it| line(Tone::Plain, &format!("  {it}")));
    page
}

fn looked_at(facts: &Facts) -> Vec<String> {
    let proxies = match facts.variables.proxies.len() {
        0 => "no proxy variables".to_owned(),
        count => format!("{count} proxy variables"),
    };
    let mut all = vec![format!("settings: CONSUL_* and flags; {proxies}")];
    let Some(agent) = &facts.agent else { return all };
    all.push(format!("agent: {}, {}", agent.address, answers(agent)));
    if !agent.answers() {
        return all;
    }
    all.push(match (agent.token.status(), facts.variables.has_token) {
        (Some(401), _) => "ACLs: off".to_owned(),
        (_, true) => "ACLs: with a token".to_owned(),
        (_, false) => "ACLs: without a token".to_owned(),
    });
    all.push(format!("connections: {} of {}", facts.connections, agent.connections_max()));
    all.push(match agent.ahead {
        Some(_) => "clock: compared with that of the agent".to_owned(),
        None => "clock: not seen, the agent sends no date".to_owned(),
    });
    all.push(dns(facts));
    all.push(ports(agent));
    all.push(records(facts));
    all
}

fn answers(agent: &Agent) -> String {
    match agent.leader.body().and_then(Value::as_str) {
        None => "no answer".to_owned(),
        Some("") => "no leader".to_owned(),
        Some(leader) => format!("leader {leader}"),
    }
}

fn dns(facts: &Facts) -> String {
    let dns = &facts.dns;
    let consul = match dns.consul {
        Lookup::Answered { .. } => "answers",
        Lookup::Failed(_) | Lookup::NotAsked => "does not answer",
    };
    let system = match &dns.system {
        Some((server, _)) => format!("that of this system at {server}"),
        None => "this system has no DNS server".to_owned(),
    };
    format!("DNS: Consul's at {} {consul}; {system}", dns.address)
}

fn ports(agent: &Agent) -> String {
    match needed_ports(agent).len() {
        0 if !agent.is_here => {
            "ports of the cluster: no, the agent is on another machine".to_owned()
        }
        0 => "ports of the cluster: no, there is no other member".to_owned(),
        count => format!("ports of the cluster: {count} of other members"),
    }
}

fn records(facts: &Facts) -> String {
    let services: BTreeSet<_> = facts.records.iter().map(|it| &it.service.service).collect();
    let connected = facts.dials.values().filter(|dial| **dial == Dial::Connected).count();
    let unanswered = match facts.unanswered.len() {
        0 => String::new(),
        count => format!("; services without an answer {count}"),
    };
    format!(
        "registrations: services {}, instances {}; {connected} of {} addresses accept connections{unanswered}",
        services.len(),
        facts.records.len(),
        facts.dials.len()
    )
}
