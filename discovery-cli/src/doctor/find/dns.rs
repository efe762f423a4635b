//! Consul's DNS, and the system's DNS that should forward to it.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use discovery::agent::wire::check::CheckStatus;
use serde_json::Value;

use crate::doctor::{Facts, Finding, facts::Lookup};

pub(super) fn find(facts: &Facts) -> Vec<Finding> {
    let Some(agent) = &facts.agent else { return Vec::new() };
    let is_off = agent.config("DNSPort").and_then(Value::as_i64) == Some(-1);
    // Without an agent there is no DNS either.
    if is_off || !agent.answers() {
        return Vec::new();
    }
    silent(facts).into_iter().chain(forwarded(facts)).chain(truncated(facts)).collect()
}

fn silent(facts: &Facts) -> Option<Finding> {
    let Lookup::Failed(why) = &facts.dns.consul else { return None };
    Some(
        Finding::fault(
            "dns",
            format!("Consul's DNS does not answer at {}.", facts.dns.address),
            "Set --dns-addr (CONSUL_DNS_ADDR) to it, or open the port (8600, UDP and TCP) to this machine.",
        )
        .seen([why.clone()]),
    )
}

fn forwarded(facts: &Facts) -> Option<Finding> {
    let name = &facts.dns.name;
    let Lookup::Answered { addresses: right, .. } = &facts.dns.consul else { return None };
    let (server, answer) = facts.dns.system.as_ref()?;
    let seen = match answer {
        // Consul answers with some of many addresses.
        Lookup::Answered { addresses, .. } if !addresses.is_disjoint(right) => return None,
        Lookup::Answered { addresses, .. } if !addresses.is_empty() => {
            let list = |all: &BTreeSet<IpAddr>| {
                all.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
            };
            return Some(
                Finding::fault(
                    "dns-other",
                    format!("The system's DNS server {server} answers for {name} with other addresses than Consul."),
                    "Forward the domain consul from it to this Consul's DNS; perhaps it forwards to another cluster, or answers every name.",
                )
                .seen([
                    format!("{server}: {}", list(addresses)),
                    format!("{}: {}", facts.dns.address, list(right)),
                ]),
            );
        }
        // Consul hides it too.
        Lookup::Answered { .. } if right.is_empty() => return None,
        Lookup::Answered { code, .. } => code.clone(),
        Lookup::Failed(why) => why.clone(),
        Lookup::NotAsked => return None,
    };
    Some(
        Finding::hint(
            "dns-not-forwarded",
            format!("The system's DNS server {server} does not forward the domain consul to Consul."),
            format!(
                "Only programs that use names such as web.service.consul need that: forward the domain to {} (dnsmasq: server=/consul/ADDRESS#PORT).",
                facts.dns.address
            ),
        )
        .seen([format!("{name}: {seen}")]),
    )
}

/// Services of which clients over UDP see only some instances, without knowing it.
fn truncated(facts: &Facts) -> Option<Finding> {
    let mut healthy: BTreeMap<&str, usize> = BTreeMap::new();
    for record in &facts.records {
        if record.checks.iter().all(|check| check.status != CheckStatus::Critical) {
            *healthy.entry(&record.service.service).or_default() += 1;
        }
    }
    let short: Vec<_> = facts
        .dns
        .services
        .iter()
        .filter_map(|(service, answer)| {
            let Lookup::Answered { count, is_truncated: false, .. } = answer else { return None };
            let all = *healthy.get(service.as_str())?;
            (0 < *count && *count < all).then(|| format!("{service}: {count} of {all} instances"))
        })
        .collect();
    (!short.is_empty()).then(|| {
        Finding::fault(
            "dns-truncated",
            "Consul's DNS leaves instances out of its UDP answers without marking them as truncated.",
            "Set dns_config.enable_truncate = true in Consul, so that clients ask again over TCP; or ask over TCP.",
        )
        .seen(short)
    })
}
