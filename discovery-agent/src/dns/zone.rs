//! The zone: the state as records.

use std::{collections::HashSet, net::IpAddr};

use consul_wire::{
    check::CheckStatus,
    service::{Node, Service},
};
use hickory_proto::rr::{
    Name, RData, Record, RecordType,
    rdata::{CNAME, NS, PTR, SRV, TXT},
};

use super::{
    name::{DOMAIN, Subject},
    record::{Entry, address, apex, fqdn, record},
};
use crate::state::{Instance, State};

/// The maximum length of a chain of aliases.
const ALIASES_MAX: usize = 3;

/// The zone of one state.
#[derive(Debug, Clone, Copy)]
pub(super) struct Zone<'a> {
    state: &'a State,
    /// The number of aliases that may still be followed.
    aliases: usize,
}

impl<'a> Zone<'a> {
    pub(super) const fn new(state: &'a State) -> Self {
        Self { state, aliases: ALIASES_MAX }
    }

    /// The records of a type that a name has; `None` when there is no such name.
    pub(super) fn look(
        &self,
        owner: &Name,
        kind: RecordType,
        subject: &Subject,
    ) -> Option<Vec<Entry>> {
        match subject {
            Subject::Service { name, tag, datacenter } if self.is_here(datacenter.as_deref()) => {
                let instances = self.usable(name, tag.as_deref());
                if instances.is_empty() {
                    return None;
                }
                Some(match kind {
                    RecordType::SRV => self.srv_records(owner, &instances),
                    _ => self.addresses(owner, kind, &instances),
                })
            }
            Subject::Node { name, datacenter }
                if self.is_here(datacenter.as_deref()) && self.state.is_node(name) =>
            {
                Some(self.node_records(owner, kind))
            }
            // Consul returns the address for any type.
            Subject::Address(ip) => Some(vec![address(owner, *ip).into()]),
            _ => None,
        }
    }

    /// The owner of an address: the node, or else the first service with it.
    pub(super) fn reverse(&self, owner: &Name, ip: Option<IpAddr>) -> Option<Record> {
        let node = self.node();
        let is_it = |address: &str| ip.is_some() && read_ip(address) == ip;
        let name = if is_it(&node.address) {
            self.node_name()?
        } else {
            let service = self.state.registered().find(|service| is_it(&service.address))?;
            fqdn(&format!("{}.service.{}.{DOMAIN}", service.service, node.datacenter))?
        };
        Some(record(owner, RData::PTR(PTR(name))))
    }

    /// The zone's name server: the node.
    pub(super) fn ns(&self) -> Option<Record> {
        Some(record(&apex(), RData::NS(NS(self.node_name()?))))
    }

    pub(super) fn node_address(&self) -> Option<Record> {
        Some(address(&self.node_name()?, read_ip(&self.node().address)?))
    }

    fn node(&self) -> &'a Node {
        self.state.node()
    }

    /// Whether a datacenter in the name, if any, is the agent's.
    fn is_here(&self, datacenter: Option<&str>) -> bool {
        datacenter.is_none_or(|named| named.eq_ignore_ascii_case(&self.node().datacenter))
    }

    /// The available instances: passing and warning.
    fn usable(&self, name: &str, tag: Option<&str>) -> Vec<Instance<'a>> {
        let usable = |instance: &Instance<'_>| instance.status != CheckStatus::Critical;
        self.state.instances(name, tag).filter(usable).collect()
    }

    /// The addresses of instances, each once. If there are only names, the first of them.
    fn addresses(&self, owner: &Name, kind: RecordType, instances: &[Instance<'_>]) -> Vec<Entry> {
        let hosts = || instances.iter().map(|instance| self.host(instance.service));
        let mut seen = HashSet::new();
        let ips: Vec<IpAddr> =
            hosts().filter_map(read_ip).filter(|ip| fits(*ip, kind) && seen.insert(*ip)).collect();
        if !ips.is_empty() {
            return ips.into_iter().map(|ip| address(owner, ip).into()).collect();
        }
        if !takes_addresses(kind) && kind != RecordType::CNAME {
            return Vec::new();
        }
        // A name has at most one CNAME.
        let alias = hosts().filter(|host| read_ip(host).is_none()).find_map(fqdn);
        alias.map_or_else(Vec::new, |target| self.alias(owner, kind, target))
    }

    /// A CNAME from `owner` to `target`; the records of the target are included if it is in the zone.
    fn alias(&self, owner: &Name, kind: RecordType, target: Name) -> Vec<Entry> {
        let known = if kind == RecordType::CNAME { Vec::new() } else { self.follow(&target, kind) };
        let alias = record(owner, RData::CNAME(CNAME(target)));
        [alias.into()].into_iter().chain(known).collect()
    }

    /// The records of the target of an alias, if it is in the zone and the chain is not too long.
    fn follow(&self, target: &Name, kind: RecordType) -> Vec<Entry> {
        let Some(aliases) = self.aliases.checked_sub(1) else { return Vec::new() };
        let subject = super::name::of(target, kind);
        Self { aliases, ..*self }.look(target, kind, &subject).unwrap_or_default()
    }

    fn srv_records(&self, owner: &Name, instances: &[Instance<'_>]) -> Vec<Entry> {
        // One record per address and port: an instance with two ids must not be called twice as often.
        let mut addresses = HashSet::new();
        let mut entries: Vec<_> = instances
            .iter()
            .filter(|it| addresses.insert((self.host(it.service), it.service.port)))
            .filter_map(|it| self.srv(owner, it))
            .collect();
        // An address that several instances share is included once: with the first record, which is truncated last.
        let mut included = HashSet::new();
        for entry in &mut entries {
            entry.additional.take_if(|record| !included.insert(record.name.clone()));
        }
        entries
    }

    /// `None` for an instance whose address is not a valid name: a target of "." would mean that the service is not available (RFC 2782).
    fn srv(&self, owner: &Name, instance: &Instance<'_>) -> Option<Entry> {
        let service = instance.service;
        let weight = match instance.status {
            CheckStatus::Passing => service.weights.passing,
            CheckStatus::Warning | CheckStatus::Critical => service.weights.warning,
        };
        let host = self.host(service);
        let ip = read_ip(host);
        let target = match ip {
            Some(_) if service.address.is_empty() => self.node_name(),
            Some(ip) => self.address_name(ip),
            None => fqdn(host),
        }?;
        let additional = match ip {
            Some(ip) => Some(address(&target, ip)),
            None => {
                let known = self.follow(&target, RecordType::ANY).into_iter();
                known.map(|entry| entry.record).find(|record| is_address(record.record_type()))
            }
        };
        let data = SRV::new(1, weight, service.port, target);
        Some(Entry { record: record(owner, RData::SRV(data)), additional })
    }

    fn node_records(&self, owner: &Name, kind: RecordType) -> Vec<Entry> {
        let mut entries = Vec::new();
        if let Some(ip) = read_ip(&self.node().address)
            && fits(ip, kind)
            && kind != RecordType::TXT
        {
            entries.push(address(owner, ip).into());
        }
        if matches!(kind, RecordType::TXT | RecordType::ANY) {
            let text = |(key, value)| TXT::new(vec![format!("{key}={value}")]);
            let texts = self.node().meta.iter().map(text);
            entries.extend(texts.map(|text| Entry::from(record(owner, RData::TXT(text)))));
        }
        entries
    }

    /// `None` if the name of the node is not valid in DNS.
    fn node_name(&self) -> Option<Name> {
        let node = self.node();
        fqdn(&format!("{}.node.{}.{DOMAIN}", node.node, node.datacenter))
    }

    /// A name for an address, which clients can look up.
    fn address_name(&self, ip: IpAddr) -> Option<Name> {
        let hex = match ip {
            IpAddr::V4(ip) => format!("{:08x}", ip.to_bits()),
            IpAddr::V6(ip) => format!("{:032x}", ip.to_bits()),
        };
        fqdn(&format!("{hex}.addr.{}.{DOMAIN}", self.node().datacenter))
    }

    /// The host of an instance: an IP address or a name.
    fn host<'b>(&self, service: &'b Service) -> &'b str
    where
        'a: 'b,
    {
        if service.address.is_empty() { &self.node().address } else { &service.address }
    }
}

/// An address that is an IP address; an IPv4 address written as IPv6 is IPv4, as for Consul.
fn read_ip(text: &str) -> Option<IpAddr> {
    text.parse().ok().map(|ip: IpAddr| ip.to_canonical())
}

const fn is_address(kind: RecordType) -> bool {
    matches!(kind, RecordType::A | RecordType::AAAA)
}

/// Consul returns addresses for TXT too.
const fn takes_addresses(kind: RecordType) -> bool {
    is_address(kind) || matches!(kind, RecordType::ANY | RecordType::TXT)
}

const fn fits(ip: IpAddr, kind: RecordType) -> bool {
    match kind {
        RecordType::A => ip.is_ipv4(),
        RecordType::AAAA => ip.is_ipv6(),
        kind => takes_addresses(kind),
    }
}
