//! The zone: what the state knows, as records.

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
    answer::Entry,
    name::{DOMAIN, Subject},
    record::{address, apex, fqdn, record},
};
use crate::state::{Instance, State};

/// Names that stand for names of the zone are followed so far.
const ALIASES_MAX: usize = 3;

/// The zone of one state.
#[derive(Debug, Clone, Copy)]
pub(super) struct Zone<'a> {
    state: &'a State,
    /// How many more aliases are followed.
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
            // Consul gives the address whatever type is asked for.
            Subject::Address(ip) => Some(vec![address(owner, *ip).into()]),
            _ => None,
        }
    }

    /// Whose address is it? The node's, or else the first service's.
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

    /// Whether a datacenter that was named, if one was, is the agent's.
    fn is_here(&self, datacenter: Option<&str>) -> bool {
        datacenter.is_none_or(|named| named.eq_ignore_ascii_case(&self.node().datacenter))
    }

    /// The instances that may be called: passing and warning.
    fn usable(&self, name: &str, tag: Option<&str>) -> Vec<Instance<'a>> {
        let usable = |instance: &Instance<'_>| instance.status != CheckStatus::Critical;
        self.state.instances(name, tag).filter(usable).collect()
    }

    /// The addresses of instances, each once. Where there are names only, the first of them.
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
        // A name may stand for one other name only.
        let alias = hosts().filter(|host| read_ip(host).is_none()).find_map(fqdn);
        alias.map_or_else(Vec::new, |target| self.alias(owner, kind, target))
    }

    /// `owner` stands for `target`; what that stands for is told along if it is of the zone.
    fn alias(&self, owner: &Name, kind: RecordType, target: Name) -> Vec<Entry> {
        let known = if kind == RecordType::CNAME { Vec::new() } else { self.follow(&target, kind) };
        let alias = record(owner, RData::CNAME(CNAME(target)));
        [alias.into()].into_iter().chain(known).collect()
    }

    /// The records of a name that another name stands for, if it is of the zone and not too far.
    fn follow(&self, target: &Name, kind: RecordType) -> Vec<Entry> {
        let Some(aliases) = self.aliases.checked_sub(1) else { return Vec::new() };
        let subject = super::name::of(target, kind);
        Self { aliases, ..*self }.look(target, kind, &subject).unwrap_or_default()
    }

    fn srv_records(&self, owner: &Name, instances: &[Instance<'_>]) -> Vec<Entry> {
        // One record for each place: who is registered twice under two ids must not be called twice as often.
        let mut places = HashSet::new();
        let mut entries: Vec<_> = instances
            .iter()
            .filter(|it| places.insert((self.host(it.service), it.service.port)))
            .filter_map(|it| self.srv(owner, it))
            .collect();
        // Several instances behind one address need it told once: by the first, which is cut last.
        let mut told = HashSet::new();
        for entry in &mut entries {
            entry.additional.take_if(|record| !told.insert(record.name.clone()));
        }
        entries
    }

    /// `None` for an instance whose address no name can stand for: a target of "." would say that there is no service (RFC 2782).
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

    /// `None` when the node is called what DNS cannot carry.
    fn node_name(&self) -> Option<Name> {
        let node = self.node();
        fqdn(&format!("{}.node.{}.{DOMAIN}", node.node, node.datacenter))
    }

    /// The name that stands for an address, so that a client can ask for it like for any other.
    fn address_name(&self, ip: IpAddr) -> Option<Name> {
        let hex = match ip {
            IpAddr::V4(ip) => format!("{:08x}", ip.to_bits()),
            IpAddr::V6(ip) => format!("{:032x}", ip.to_bits()),
        };
        fqdn(&format!("{hex}.addr.{}.{DOMAIN}", self.node().datacenter))
    }

    /// Where an instance is: an IP address or a name.
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

/// Consul gives addresses also to who asks for TXT.
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
