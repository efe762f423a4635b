//! Consul's SRV answers as instances. Pure: `dns` receives the messages.
//!
//! Each record is an instance: instances on one host share a target, so a target is never a key. The address of a target is in the
//! additional section, or in its name (`0a000001.addr.dc1.consul.`); otherwise it needs a DNS query of its own.
//! Source: <https://developer.hashicorp.com/consul/docs/services/discovery/dns-static-lookups>.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::Arc,
    time::Duration,
};

use hickory_resolver::proto::{
    op::Message,
    rr::{Name, RData, Record, rdata::SRV},
};

use super::endpoint::{self, NO_PORT};
use crate::{Host, Instance, Query, Weights, agent::LeftOut};

/// Consul's top domain, by default.
const DOMAIN: &str = "consul";
/// The label before the domain of a target that is an address.
const ADDRESS_LABEL: &[u8] = b"addr";

/// The name whose SRV records are the instances of a query (`[TAG.]NAME.service[.DATACENTER].consul.`, or `query` for a prepared query);
/// none if a part of it can't be a DNS label.
pub(super) fn name(query: &Query) -> Option<Name> {
    let kind = if query.is_prepared { "query" } else { "service" };
    let labels = query.tags.iter().map(|tag| &**tag).chain([&*query.service, kind]);
    let labels = labels.chain(query.datacenter.as_deref()).chain([DOMAIN]);
    let is_label = |text: &str| !text.is_empty() && !text.contains(['.', '\\']);
    let labels: Vec<&[u8]> =
        labels.map(|text| is_label(text).then_some(text.as_bytes())).collect::<Option<_>>()?;
    let mut name = Name::from_labels(labels).ok()?;
    name.set_fqdn(true);
    Some(name)
}

/// One SRV record with the addresses of its target in the answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) name: Name,
    pub(super) port: u16,
    pub(super) weight: u16,
    /// None: it needs a DNS query of its own.
    pub(super) host: Option<Host>,
}

/// The targets of an answer, and the records that can't be used. An invalid port can't be detected: Consul truncates 70000 to 4464 before it
/// answers.
pub(super) fn targets(answer: &Message) -> (Vec<Target>, Vec<LeftOut>) {
    let known = addresses(&answer.additionals);
    let srv = answer.answers.iter().filter_map(|record| match &record.data {
        // RFC 2782: a target of "." means that there is no such service.
        RData::SRV(srv) if !srv.target.is_root() => Some(srv),
        _ => None,
    });
    let (mut targets, mut left_out) = (Vec::new(), Vec::new());
    for srv in srv {
        let ip = known.get(&srv.target).copied().or_else(|| decoded(&srv.target));
        let host = match ip.map(Host::Ip) {
            None => foreign(&srv.target),
            host => Ok(host),
        };
        match host {
            Ok(host) if srv.port > 0 => {
                let (port, weight) = (srv.port, srv.weight);
                targets.push(Target { name: srv.target.clone(), port, weight, host });
            }
            Ok(_) => left_out.push(unusable(srv, NO_PORT.to_owned())),
            Err(why) => left_out.push(unusable(srv, why)),
        }
    }
    (targets, left_out)
}

fn unusable(srv: &SRV, why: String) -> LeftOut {
    LeftOut::new("", format!("{}:{}", srv.target, srv.port), why)
}

/// How long the answer may be cached: the shortest TTL of its records.
pub(super) fn ttl(answer: &Message) -> Duration {
    Duration::from_secs(answer.answers.iter().map(|record| record.ttl).min().unwrap_or(0).into())
}

/// The targets whose host is known, as instances: sorted, each once. DNS has no ids, so the address is the id.
pub(super) fn instances(service: &Arc<str>, targets: Vec<Target>) -> Vec<Instance> {
    let mut instances: Vec<_> = targets
        .into_iter()
        .filter_map(|target| {
            // Consul answers with the weight of the present status, and without the status.
            let weights = Weights { passing: target.weight, warning: target.weight };
            Some(Instance { weights, ..Instance::at(service.clone(), target.host?, target.port) })
        })
        .collect();
    // Of several with one address, which differ only in weight, the heaviest stays, whatever their order.
    instances.sort_by(|a, b| a.id.cmp(&b.id).then(b.weights.passing.cmp(&a.weights.passing)));
    instances.dedup_by(|a, b| a.id == b.id);
    instances
}

/// The lowest address of each name, so that it does not depend on their order.
pub(super) fn addresses(records: &[Record]) -> BTreeMap<&Name, IpAddr> {
    let mut addresses = BTreeMap::new();
    for record in records {
        let ip: IpAddr = match &record.data {
            RData::A(a) => a.0.into(),
            RData::AAAA(aaaa) => aaaa.0.into(),
            _ => continue,
        };
        addresses.entry(&record.name).and_modify(|lowest| *lowest = ip.min(*lowest)).or_insert(ip);
    }
    addresses
}

/// The address that a name of the form `<hex>.addr.<datacenter>.consul.` encodes.
fn decoded(target: &Name) -> Option<IpAddr> {
    let mut labels = target.iter();
    let (hex, kind) = (labels.next()?, labels.next()?);
    if !kind.eq_ignore_ascii_case(ADDRESS_LABEL) {
        return None;
    }
    let hex = std::str::from_utf8(hex).ok()?;
    if !hex.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    match hex.len() {
        8 => Some(Ipv4Addr::from_bits(u32::from_str_radix(hex, 16).ok()?).into()),
        32 => Some(Ipv6Addr::from_bits(u128::from_str_radix(hex, 16).ok()?).into()),
        _ => None,
    }
}

/// A name outside of Consul's domain is resolved by the system, at each new connection.
fn foreign(target: &Name) -> Result<Option<Host>, String> {
    let is_ours =
        target.iter().next_back().is_none_or(|top| top.eq_ignore_ascii_case(DOMAIN.as_bytes()));
    if is_ours {
        Ok(None)
    } else {
        endpoint::host(target.to_ascii().trim_end_matches('.')).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use hickory_resolver::proto::{
        op::OpCode,
        rr::rdata::{A, AAAA},
    };

    use super::*;

    fn dns(text: &str) -> Name {
        Name::from_ascii(text).unwrap()
    }

    fn record(at: &str, data: RData) -> Record {
        Record::from_rdata(dns(at), 5, data)
    }

    /// An answer with these SRV records (weight, port, target) and these addresses.
    fn answer(srv: &[(u16, u16, &str)], addresses: &[(&str, &str)]) -> Message {
        let mut message = Message::response(1, OpCode::Query);
        message.add_answers(srv.iter().map(|&(weight, port, target)| {
            record("web.service.consul.", RData::SRV(SRV::new(1, weight, port, dns(target))))
        }));
        message.add_additionals(addresses.iter().map(|&(at, ip)| match ip.parse().unwrap() {
            IpAddr::V4(ip) => record(at, RData::A(A(ip))),
            IpAddr::V6(ip) => record(at, RData::AAAA(AAAA(ip))),
        }));
        message
    }

    #[track_caller]
    fn check(srv: &[(u16, u16, &str)], addresses: &[(&str, &str)], expected: &[&str]) {
        let (targets, _) = targets(&answer(srv, addresses));
        let instances = instances(&"web".into(), targets);
        let ids: Vec<_> = instances.iter().map(|instance| instance.id.as_str()).collect();
        assert_eq!(ids, expected);
    }

    #[test]
    fn instances_on_one_host_are_all_kept() {
        let host = "0a000001.addr.dc1.consul.";
        check(
            &[(1, 81, host), (1, 80, host), (1, 80, host)],
            &[(host, "10.0.0.1")],
            &["10.0.0.1:80", "10.0.0.1:81"],
        );
    }

    #[test]
    fn the_address_of_a_target_is_in_the_answer_or_in_its_name() {
        check(
            &[(1, 80, "larry.node.dc1.consul.")],
            &[("LARRY.node.dc1.consul.", "10.0.0.7")],
            &["10.0.0.7:80"],
        );
        check(&[(1, 80, "0A00000b.ADDR.dc1.consul.")], &[], &["10.0.0.11:80"]);
        check(
            &[(1, 80, "20010db8000000000000000000000001.addr.dc1.consul.")],
            &[],
            &["[2001:db8::1]:80"],
        );
        check(&[(1, 80, "db.example.")], &[], &["db.example:80"]);
    }

    #[test]
    fn of_several_addresses_the_lowest_is_used() {
        let host = "moe.node.dc1.consul.";
        let (low, high) = ((host, "10.0.0.1"), (host, "10.0.0.2"));
        for addresses in [[low, high], [high, low]] {
            check(&[(1, 80, host)], &addresses, &["10.0.0.1:80"]);
        }
    }

    #[test]
    fn a_target_without_an_address_has_no_host() {
        for target in
            ["larry.node.dc1.consul.", "zz000001.addr.dc1.consul.", "0a0000.addr.dc1.consul."]
        {
            assert_eq!(targets(&answer(&[(1, 80, target)], &[])).0[0].host, None, "{target}");
        }
    }

    #[test]
    fn a_target_of_the_root_is_no_instance() {
        check(&[(1, 80, ".")], &[], &[]);
    }

    #[test]
    fn a_record_that_can_not_be_called_is_left_out_and_the_others_stay() {
        let good = "0a000001.addr.dc1.consul.";
        for (target, port, id, why) in [
            (good, 0, "0a000001.addr.dc1.consul.:0", NO_PORT),
            ("8500.", 80, "8500.:80", "\"8500\" is neither an IP address nor a host name"),
        ] {
            let (targets, left_out) = targets(&answer(&[(1, port, target), (1, 81, good)], &[]));
            assert_eq!(targets.iter().map(|target| target.port).collect::<Vec<_>>(), [81]);
            assert_eq!(left_out, [LeftOut::new("", id, why)]);
        }
    }

    #[test]
    fn weights_are_those_of_the_records() {
        let (targets, _) = targets(&answer(&[(7, 80, "0a000001.addr.dc1.consul.")], &[]));
        assert_eq!(instances(&"web".into(), targets)[0].weight(), 7);
    }

    #[test]
    fn of_several_with_one_address_the_heaviest_stays() {
        let host = "0a000001.addr.dc1.consul.";
        for srv in [[(1, 80, host), (7, 80, host)], [(7, 80, host), (1, 80, host)]] {
            let instances = instances(&"web".into(), targets(&answer(&srv, &[])).0);
            assert_eq!(instances.iter().map(Instance::weight).collect::<Vec<_>>(), [7]);
        }
    }

    #[test]
    fn the_ttl_of_an_answer_is_its_shortest() {
        let mut message = answer(&[(1, 80, "a."), (1, 80, "b.")], &[]);
        assert_eq!(ttl(&message), Duration::from_secs(5));
        message.answers[1].ttl = 0;
        assert_eq!(ttl(&message), Duration::ZERO);
    }

    #[test]
    fn a_query_has_a_name_in_dns_unless_a_part_is_no_label() {
        let long = "x".repeat(64);
        for (query, expected) in [
            (Query::new("web"), Some("web.service.consul.")),
            (Query::new("my_web-1").datacenter("dc2"), Some("my_web-1.service.dc2.consul.")),
            (Query::new("web").tag("v1").datacenter("dc2"), Some("v1.web.service.dc2.consul.")),
            (Query::prepared("near-web"), Some("near-web.query.consul.")),
            (Query::new("v1.web"), None),
            (Query::new("web").tag("a.b"), None),
            (Query::new(""), None),
            (Query::new("web").datacenter(""), None),
            (Query::new(long.as_str()), None),
        ] {
            assert_eq!(name(&query).map(|name| name.to_ascii()).as_deref(), expected, "{query:?}");
        }
    }
}
