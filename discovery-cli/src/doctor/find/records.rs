//! Registrations that mislead callers: addresses, ids, checks.

use std::{collections::BTreeMap, net::IpAddr};

use discovery::agent::wire::{
    check::{CheckStatus, HealthCheck, NODE_MAINTENANCE, SERVICE_MAINTENANCE_PREFIX},
    service::ServiceEntry,
};

use crate::doctor::{Facts, Finding, facts::Dial};

pub(super) fn find(facts: &Facts) -> Vec<Finding> {
    let records = &facts.records;
    [
        unknown(&facts.unknown),
        loopback(facts),
        unreachable(facts),
        same_id(records),
        same_address(records),
        never_ran(records),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// As `web-1@larry at 10.0.0.1:80`.
fn named(record: &ServiceEntry) -> String {
    let ServiceEntry { node, service, .. } = record;
    format!("{}@{} at {}:{}", service.id, node.node, record.address(), service.port)
}

/// A finding with evidence; none without.
fn with(evidence: Vec<String>, finding: impl FnOnce() -> Finding) -> Option<Finding> {
    (!evidence.is_empty()).then(|| finding().seen(evidence))
}

fn unknown(names: &[String]) -> Option<Finding> {
    with(names.to_vec(), || {
        Finding::fault(
            "no-instance",
            "Consul has no instance of a service that was named.",
            "Check the name (`discovery services` lists them), and that the service has registered itself.",
        )
    })
}

fn is_loopback(address: &str) -> bool {
    address == "localhost" || address.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
}

/// Published at loopback by another machine. A node that is itself at loopback is on this one.
fn is_elsewhere_at_loopback(facts: &Facts, record: &ServiceEntry) -> bool {
    let Some(agent) = &facts.agent else { return false };
    let is_agents = agent.node() == Some(&record.node.node);
    is_loopback(record.address())
        && !is_loopback(&record.node.address)
        && !(is_agents && agent.is_here)
}

fn loopback(facts: &Facts) -> Option<Finding> {
    let found = facts.records.iter().filter(|it| is_elsewhere_at_loopback(facts, it));
    with(found.map(named).collect(), || {
        Finding::fault(
            "loopback",
            "An instance of another machine is published at a loopback address: callers connect to themselves.",
            "Publish an address that others can reach: ADVERTISE, or Address in its registration.",
        )
    })
}

fn unreachable(facts: &Facts) -> Option<Finding> {
    let found = facts.records.iter().filter(|it| !is_elsewhere_at_loopback(facts, it));
    let found = found.filter_map(|record| {
        let key = (record.address().to_owned(), record.service.port);
        let why = match facts.dials.get(&key)? {
            Dial::Connected | Dial::NotTried => return None,
            Dial::Refused => "refused",
            Dial::TimedOut => "no answer",
            Dial::NameUnknown => "the name has no address",
            Dial::Failed(why) => why,
        };
        Some(format!("{}: {why}", named(record)))
    });
    with(found.collect(), || {
        Finding::fault(
            "unreachable",
            "Consul has an instance as healthy that accepts no TCP connection from here.",
            "Check its published address (ADVERTISE) and the firewall; give it a TCP or HTTP check. A service that uses only UDP can be ignored.",
        )
    })
}

/// Consul keeps ids per node. An id that is the service's name is Consul's default, and usual.
fn same_id(records: &[ServiceEntry]) -> Option<Finding> {
    let mut by_id: BTreeMap<_, Vec<&ServiceEntry>> = BTreeMap::new();
    for record in records.iter().filter(|it| it.service.id != it.service.service) {
        by_id.entry((&record.service.service, &record.service.id)).or_default().push(record);
    }
    let found = by_id.values().filter(|same| same.len() > 1);
    with(found.flatten().map(|it| named(it)).collect(), || {
        Finding::fault(
            "same-id",
            "Two instances of a service have one id on different nodes.",
            "Give each its own id (SERVICE_ID). If one has moved, deregister the old record at its node: `consul services deregister -id=ID`.",
        )
    })
}

/// The same service twice at one address is a stale record; two services may be one program.
fn same_address(records: &[ServiceEntry]) -> Option<Finding> {
    let mut by_address: BTreeMap<_, Vec<&ServiceEntry>> = BTreeMap::new();
    for record in records.iter().filter(|it| it.service.port != 0) {
        by_address.entry((record.address(), record.service.port)).or_default().push(record);
    }
    // Loopback addresses of different machines are different.
    let is_one = |same: &&Vec<&ServiceEntry>| {
        let nodes = same.iter().map(|it| &it.node.address);
        same.len() > 1
            && (!is_loopback(same[0].address())
                || nodes.clone().all(|it| *it == same[0].node.address))
    };
    let found: Vec<_> = by_address.values().filter(is_one).collect();
    let is_stale = found.iter().any(|same| {
        same.iter().any(|one| {
            let equal = same.iter().filter(|it| it.service.service == one.service.service);
            equal.count() > 1
        })
    });
    let evidence =
        found.into_iter().flatten().map(|it| format!("{}: {}", it.service.service, named(it)));
    with(evidence.collect(), || {
        if is_stale {
            Finding::fault(
                "same-address",
                "Two instances of a service have one address and port: one record is old.",
                "Deregister the old record at its node: `consul services deregister -id=ID`.",
            )
        } else {
            Finding::hint(
                "same-address",
                "Two services have one address and port.",
                "If one program is both, all is well; else one record is old: deregister it at its node.",
            )
        }
    })
}

/// Instances whose own checks have all never run.
fn never_ran(records: &[ServiceEntry]) -> Option<Finding> {
    let found = records.iter().filter(|record| {
        let mut own = record.checks.iter().filter(|check| is_own(check)).peekable();
        own.peek().is_some() && own.all(has_never_run)
    });
    with(found.map(named).collect(), || {
        Finding::fault(
            "never-checked",
            "An instance is critical because its checks have never run.",
            "A TTL check needs its program to pass it (`/v1/agent/check/pass/CHECK_ID`); others run after their interval: if it was registered a moment ago, look again.",
        )
    })
}

fn is_own(check: &HealthCheck) -> bool {
    !check.service_id.is_empty()
        && check.check_id != NODE_MAINTENANCE
        && !check.check_id.starts_with(SERVICE_MAINTENANCE_PREFIX)
}

/// A TTL check that expired after it passed has its last output in the text.
fn has_never_run(check: &HealthCheck) -> bool {
    check.status == CheckStatus::Critical && matches!(check.output.as_str(), "" | "TTL expired")
}
