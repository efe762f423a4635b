//! Parses names: the subject of a question. It needs no state.
//!
//! The forms are Consul's (<https://developer.hashicorp.com/consul/docs/services/discovery/dns-static-lookups>): `[tag.]name.service[.dc]`,
//! `_name._tcp[.service][.dc]` (RFC 2782), `node.node[.dc]`, `hex.addr[.dc]`, and the reverse zones. Names are case-insensitive.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use hickory_proto::rr::{Name, RecordType};

/// The zone that the agent answers for.
pub(crate) const DOMAIN: &str = "consul";

/// The subject of a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Subject {
    /// The instances of a service; with a tag, only those that have it.
    Service {
        name: String,
        tag: Option<String>,
        datacenter: Option<String>,
    },
    Node {
        name: String,
        datacenter: Option<String>,
    },
    /// An address that is a name, as the targets of SRV records are.
    Address(IpAddr),
    /// A reverse lookup of an address.
    Reverse(Option<IpAddr>),
    /// A name in the zone that cannot exist.
    Unknown,
    /// A name outside the zone.
    Elsewhere,
}

/// The subject of a question for records of this type. A name that is not UTF-8 is never found.
pub(crate) fn of(name: &Name, kind: RecordType) -> Subject {
    let name = name.to_lowercase();
    let labels: Option<Vec<&str>> = name.iter().map(|label| str::from_utf8(label).ok()).collect();
    labels.map_or(Subject::Unknown, |labels| read(&labels, kind == RecordType::SRV))
}

/// Parses the labels of a name, leftmost first, in lower case. `srv`: whether SRV records are requested, for which the label `service` is
/// optional.
fn read(labels: &[&str], srv: bool) -> Subject {
    match labels {
        [rest @ .., DOMAIN] => within(rest, srv),
        [rest @ .., "in-addr", "arpa"] => Subject::Reverse(reverse_v4(rest)),
        [rest @ .., "ip6", "arpa"] => Subject::Reverse(reverse_v6(rest)),
        _ => Subject::Elsewhere,
    }
}

/// A name in the zone. The rightmost label that names a kind counts, so that a service may be called `node`.
fn within(labels: &[&str], srv: bool) -> Subject {
    for (at, label) in labels.iter().enumerate().rev() {
        let (before, after) = (&labels[..at], &labels[at + 1..]);
        match *label {
            "service" => return of_datacenter(after, |dc| service(before, dc)),
            "node" => return of_datacenter(after, |dc| node(before, dc)),
            "addr" => return address(before),
            label if srv && label.starts_with('_') => {
                return of_datacenter(after, |dc| service(&labels[..=at], dc));
            }
            _ => {}
        }
    }
    Subject::Unknown
}

/// The label after the kind: none, or a datacenter.
fn of_datacenter(labels: &[&str], of: impl FnOnce(Option<String>) -> Subject) -> Subject {
    match labels {
        [] => of(None),
        [datacenter] => of(Some((*datacenter).to_owned())),
        _ => Subject::Unknown,
    }
}

fn service(labels: &[&str], datacenter: Option<String>) -> Subject {
    let (name, tag) = match labels {
        [] => return Subject::Unknown,
        [name, protocol] if name.starts_with('_') && protocol.starts_with('_') => {
            (&name[1..], &protocol[1..])
        }
        [name] => (*name, ""),
        [tags @ .., name] => {
            let tag = Some(tags.join("."));
            return Subject::Service { name: (*name).to_owned(), tag, datacenter };
        }
    };
    // `_tcp` is at the position of a tag, and is not a tag.
    let tag = (!matches!(tag, "" | "tcp")).then(|| tag.to_owned());
    Subject::Service { name: name.to_owned(), tag, datacenter }
}

fn node(labels: &[&str], datacenter: Option<String>) -> Subject {
    if labels.is_empty() {
        return Subject::Unknown;
    }
    Subject::Node { name: labels.join("."), datacenter }
}

fn address(labels: &[&str]) -> Subject {
    let [hex] = labels else { return Subject::Unknown };
    let address = match hex.len() {
        8 => u32::from_str_radix(hex, 16).map(|bits| IpAddr::V4(Ipv4Addr::from_bits(bits))),
        32 => u128::from_str_radix(hex, 16).map(|bits| IpAddr::V6(Ipv6Addr::from_bits(bits))),
        _ => return Subject::Unknown,
    };
    address.map_or(Subject::Unknown, Subject::Address)
}

fn reverse_v4(labels: &[&str]) -> Option<IpAddr> {
    let mut bytes = [0; 4];
    if labels.len() != bytes.len() {
        return None;
    }
    for (byte, label) in bytes.iter_mut().zip(labels.iter().rev()) {
        *byte = label.parse().ok()?;
    }
    Some(IpAddr::from(bytes))
}

fn reverse_v6(labels: &[&str]) -> Option<IpAddr> {
    if labels.len() != 32 || labels.iter().any(|label| label.len() != 1) {
        return None;
    }
    let digits: String = labels.iter().rev().copied().collect();
    u128::from_str_radix(&digits, 16).ok().map(|bits| IpAddr::V6(Ipv6Addr::from_bits(bits)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service(name: &str, tag: Option<&str>, datacenter: Option<&str>) -> Subject {
        Subject::Service {
            name: name.to_owned(),
            tag: tag.map(str::to_owned),
            datacenter: datacenter.map(str::to_owned),
        }
    }

    fn node(name: &str, datacenter: Option<&str>) -> Subject {
        Subject::Node { name: name.to_owned(), datacenter: datacenter.map(str::to_owned) }
    }

    #[test]
    fn names_are_parsed_as_in_consul() {
        let ip = |ip: &str| ip.parse::<IpAddr>().unwrap();
        let v6 = "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa";
        let cases = [
            ("db.service.consul", service("db", None, None)),
            ("db.service.dc1.consul", service("db", None, Some("dc1"))),
            ("t2.db.service.consul", service("db", Some("t2"), None)),
            ("a.b.db.service.consul", service("db", Some("a.b"), None)),
            ("_db._tcp.service.consul", service("db", None, None)),
            ("_db._t3.service.dc1.consul", service("db", Some("t3"), Some("dc1"))),
            ("node.service.consul", service("node", None, None)),
            ("db.service.a.b.consul", Subject::Unknown),
            ("service.consul", Subject::Unknown),
            ("node.consul", Subject::Unknown),
            ("consul", Subject::Unknown),
            ("bogus.consul", Subject::Unknown),
            ("q1.query.consul", Subject::Unknown),
            ("_db._tcp.consul", Subject::Unknown),
            ("larry.node.consul", node("larry", None)),
            ("larry.node.dc1.consul", node("larry", Some("dc1"))),
            ("a.larry.node.consul", node("a.larry", None)),
            ("0a000001.addr.dc1.consul", Subject::Address(ip("10.0.0.1"))),
            ("20010db8000000000000000000000001.addr.consul", Subject::Address(ip("2001:db8::1"))),
            ("zz.addr.consul", Subject::Unknown),
            ("zzzzzzzz.addr.consul", Subject::Unknown),
            ("x.0a000001.addr.consul", Subject::Unknown),
            ("1.0.0.10.in-addr.arpa", Subject::Reverse(Some(ip("10.0.0.1")))),
            ("1.10.in-addr.arpa", Subject::Reverse(None)),
            (v6, Subject::Reverse(Some(ip("2001:db8::1")))),
            ("foo.ip6.arpa", Subject::Reverse(None)),
            ("example.com", Subject::Elsewhere),
            ("", Subject::Elsewhere),
        ];
        for (name, subject) in cases {
            let labels: Vec<&str> = name.split('.').collect();
            assert_eq!(read(&labels, false), subject, "{name}");
        }
    }

    #[test]
    fn the_service_label_is_optional_for_srv() {
        let read = |name: &str| read(&name.split('.').collect::<Vec<_>>(), true);
        assert_eq!(read("_db._tcp.consul"), service("db", None, None));
        assert_eq!(read("_db._tcp.dc1.consul"), service("db", None, Some("dc1")));
        assert_eq!(read("_db._t1.consul"), service("db", Some("t1"), None));
        assert_eq!(read("db.consul"), Subject::Unknown);
    }
}
