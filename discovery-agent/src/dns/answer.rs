//! Answers, assembled: from what a question is about to records. What fits into a message is decided elsewhere.

use std::{
    collections::HashSet,
    net::IpAddr,
    time::{SystemTime, UNIX_EPOCH},
};

use consul_wire::{check::CheckStatus, service::Service};
use hickory_proto::{
    op::ResponseCode,
    rr::{
        Name, RData, Record, RecordType,
        rdata::{A, AAAA, CNAME, NS, PTR, SOA, SRV, TXT},
    },
};

use super::name::{DOMAIN, Subject};
use crate::state::{Instance, State};

/// Nobody may keep an answer: the next one may be another. Consul's default.
const TTL: u32 = 0;
/// Names that stand for names of the zone are followed so far.
const ALIASES_MAX: usize = 3;

/// An answer: a code and its records.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    pub(crate) code: ResponseCode,
    /// Whether the question was about the agent's zone.
    pub(crate) authoritative: bool,
    pub(crate) entries: Vec<Entry>,
    pub(crate) authority: Vec<Record>,
    pub(crate) additional: Vec<Record>,
}

/// A record of the answer, and what makes it useful. They come and go together.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) record: Record,
    pub(crate) additional: Option<Record>,
}

impl From<Record> for Entry {
    fn from(record: Record) -> Self {
        Self { record, additional: None }
    }
}

/// Answers a question of type `kind` for `owner`, which is about `subject`.
pub(crate) fn answer(state: &State, owner: &Name, kind: RecordType, subject: &Subject) -> Answer {
    if matches!(subject, Subject::Elsewhere) {
        return Answer { code: ResponseCode::Refused, ..Answer::default() };
    }
    let zone = Zone { state };
    if let Subject::Reverse(ip) = subject {
        return zone.reverse(owner, *ip);
    }
    match kind {
        RecordType::SOA => return zone.apex(vec![soa()], vec![zone.ns()]),
        RecordType::NS => return zone.apex(vec![zone.ns()], Vec::new()),
        _ => {}
    }
    match subject {
        Subject::Service { name, tag, datacenter } if zone.is_here(datacenter.as_deref()) => {
            zone.service(owner, kind, name, tag.as_deref())
        }
        Subject::Node { name, datacenter }
            if zone.is_here(datacenter.as_deref()) && state.is_node(name) =>
        {
            found(zone.node_records(owner, kind))
        }
        // Consul gives the address whatever type is asked for.
        Subject::Address(ip) => found(vec![address(owner, *ip).into()]),
        _ => missing(),
    }
}

/// What the answer is about exists; without a record of the type that was asked for the SOA says so.
fn found(entries: Vec<Entry>) -> Answer {
    let authority = if entries.is_empty() { vec![soa()] } else { Vec::new() };
    Answer { authoritative: true, entries, authority, ..Answer::default() }
}

/// There is no such name.
fn missing() -> Answer {
    Answer {
        code: ResponseCode::NXDomain,
        authoritative: true,
        authority: vec![soa()],
        ..Answer::default()
    }
}

struct Zone<'a> {
    state: &'a State,
}

impl Zone<'_> {
    /// Whether a datacenter that was named, if one was, is the agent's.
    fn is_here(&self, datacenter: Option<&str>) -> bool {
        datacenter.is_none_or(|named| named.eq_ignore_ascii_case(&self.state.node().datacenter))
    }

    fn service(&self, owner: &Name, kind: RecordType, name: &str, tag: Option<&str>) -> Answer {
        let usable = |instance: &Instance<'_>| instance.status != CheckStatus::Critical;
        let instances: Vec<_> = self.state.instances(name, tag).filter(usable).collect();
        if instances.is_empty() {
            return missing();
        }
        match kind {
            RecordType::SRV => found(self.srv_records(owner, &instances)),
            _ => found(self.service_addresses(owner, kind, &instances)),
        }
    }

    fn service_addresses(
        &self,
        owner: &Name,
        kind: RecordType,
        instances: &[Instance<'_>],
    ) -> Vec<Entry> {
        let hosts: Vec<&str> = instances.iter().map(|it| self.host(it.service)).collect();
        let mut ips: Vec<IpAddr> = hosts.iter().filter_map(|host| host.parse().ok()).collect();
        let mut seen = HashSet::new();
        ips.retain(|ip| seen.insert(*ip) && fits(*ip, kind));
        if !ips.is_empty() {
            return ips.into_iter().map(|ip| address(owner, ip).into()).collect();
        }
        if !takes_addresses(kind) && kind != RecordType::CNAME {
            return Vec::new();
        }
        // A name may stand for one other name only, so the first counts.
        let alias = hosts.iter().find(|host| host.parse::<IpAddr>().is_err());
        alias.map_or_else(Vec::new, |host| self.alias(owner, kind, host))
    }

    /// `owner` stands for `host`; what that stands for is told along if it is of the zone.
    fn alias(&self, owner: &Name, kind: RecordType, host: &str) -> Vec<Entry> {
        let Some(target) = fqdn(host) else { return Vec::new() };
        let mut entries: Vec<Entry> = vec![cname(owner, target.clone()).into()];
        if kind != RecordType::CNAME {
            let known = self.resolve(&target, kind, ALIASES_MAX);
            entries.extend(known.into_iter().map(Entry::from));
        }
        entries
    }

    /// The addresses of a name of the zone.
    fn resolve(&self, owner: &Name, kind: RecordType, aliases: usize) -> Vec<Record> {
        let name = owner.to_lowercase().to_ascii();
        let labels: Vec<&str> = name.trim_end_matches('.').split('.').collect();
        if aliases == 0 {
            return Vec::new();
        }
        match super::name::read(&labels, false) {
            Subject::Elsewhere | Subject::Reverse(_) => Vec::new(),
            Subject::Service { name, tag, datacenter } if self.is_here(datacenter.as_deref()) => {
                let usable = |it: &Instance<'_>| it.status != CheckStatus::Critical;
                let instances: Vec<_> =
                    self.state.instances(&name, tag.as_deref()).filter(usable).collect();
                let hosts: Vec<&str> = instances.iter().map(|it| self.host(it.service)).collect();
                let ips = hosts.iter().filter_map(|host| host.parse().ok());
                let records: Vec<_> =
                    ips.filter(|ip| fits(*ip, kind)).map(|ip| address(owner, ip)).collect();
                match hosts.first().and_then(|host| fqdn(host)) {
                    Some(target) if records.is_empty() => {
                        let next = self.resolve(&target, kind, aliases - 1);
                        [cname(owner, target)].into_iter().chain(next).collect()
                    }
                    _ => records,
                }
            }
            subject => {
                let answer = answer(self.state, owner, kind, &subject);
                answer.entries.into_iter().map(|entry| entry.record).collect()
            }
        }
    }

    fn srv_records(&self, owner: &Name, instances: &[Instance<'_>]) -> Vec<Entry> {
        let mut entries: Vec<_> = instances.iter().map(|it| self.srv(owner, it)).collect();
        // Several instances behind one address need it told once: by the first, which is cut last.
        let mut told = HashSet::new();
        for entry in &mut entries {
            entry.additional.take_if(|record| !told.insert(record.name.clone()));
        }
        entries
    }

    fn srv(&self, owner: &Name, instance: &Instance<'_>) -> Entry {
        let service = instance.service;
        let weight = match instance.status {
            CheckStatus::Passing => service.weights.passing,
            CheckStatus::Warning | CheckStatus::Critical => service.weights.warning,
        };
        let host = self.host(service);
        let target = match host.parse::<IpAddr>() {
            Ok(_) if service.address.is_empty() => self.node_name(),
            Ok(ip) => self.address_name(ip),
            Err(_) => fqdn(host).unwrap_or_default(),
        };
        let additional = match host.parse() {
            Ok(ip) => Some(address(&target, ip)),
            Err(_) => self.resolve(&target, RecordType::ANY, ALIASES_MAX).into_iter().next(),
        };
        let data = SRV::new(1, weight, service.port, target);
        Entry { record: record(owner, RData::SRV(data)), additional }
    }

    fn node_records(&self, owner: &Name, kind: RecordType) -> Vec<Entry> {
        let node = self.state.node();
        let mut entries = Vec::new();
        if let Ok(ip) = node.address.parse()
            && fits(ip, kind)
            && kind != RecordType::TXT
        {
            entries.push(address(owner, ip).into());
        }
        if matches!(kind, RecordType::TXT | RecordType::ANY) {
            let texts = node.meta.iter().map(|(key, value)| format!("{key}={value}"));
            entries
                .extend(texts.map(|text| record(owner, RData::TXT(TXT::new(vec![text]))).into()));
        }
        entries
    }

    /// Whose address is it? The node's, or else the first service's.
    fn reverse(&self, owner: &Name, ip: Option<IpAddr>) -> Answer {
        let node = self.state.node();
        let is_it = |address: &str| ip.is_some_and(|ip| address.parse() == Ok(ip));
        let name = if is_it(&node.address) {
            Some(self.node_name())
        } else {
            let service = self.state.registered().find(|service| is_it(&service.address));
            service.and_then(|it| {
                fqdn(&format!("{}.service.{}.{DOMAIN}", it.service, node.datacenter))
            })
        };
        match name {
            Some(name) => found(vec![record(owner, RData::PTR(PTR(name))).into()]),
            // Somebody else may know; Consul would ask, had it anybody to ask.
            None => Answer { code: ResponseCode::ServFail, ..Answer::default() },
        }
    }

    fn apex(&self, records: Vec<Record>, authority: Vec<Record>) -> Answer {
        let node = self.state.node().address.parse().ok();
        let additional = node.map(|ip| address(&self.node_name(), ip));
        Answer {
            authoritative: true,
            entries: records.into_iter().map(Entry::from).collect(),
            authority,
            additional: additional.into_iter().collect(),
            ..Answer::default()
        }
    }

    fn ns(&self) -> Record {
        record(&apex(), RData::NS(NS(self.node_name())))
    }

    fn node_name(&self) -> Name {
        let node = self.state.node();
        fqdn(&format!("{}.node.{}.{DOMAIN}", node.node, node.datacenter)).unwrap_or_default()
    }

    /// The name that stands for an address, so that a client can ask for it like for any other.
    fn address_name(&self, ip: IpAddr) -> Name {
        let hex = match ip {
            IpAddr::V4(ip) => format!("{:08x}", ip.to_bits()),
            IpAddr::V6(ip) => format!("{:032x}", ip.to_bits()),
        };
        let datacenter = &self.state.node().datacenter;
        fqdn(&format!("{hex}.addr.{datacenter}.{DOMAIN}")).unwrap_or_default()
    }

    /// Where an instance is: an IP address or a name.
    fn host<'b>(&'b self, service: &'b Service) -> &'b str {
        if service.address.is_empty() { &self.state.node().address } else { &service.address }
    }
}

/// Consul gives addresses also to who asks for TXT.
const fn takes_addresses(kind: RecordType) -> bool {
    matches!(kind, RecordType::A | RecordType::AAAA | RecordType::ANY | RecordType::TXT)
}

const fn fits(ip: IpAddr, kind: RecordType) -> bool {
    match kind {
        RecordType::A => ip.is_ipv4(),
        RecordType::AAAA => ip.is_ipv6(),
        kind => takes_addresses(kind),
    }
}

fn record(owner: &Name, data: RData) -> Record {
    Record::from_rdata(owner.clone(), TTL, data)
}

fn address(owner: &Name, ip: IpAddr) -> Record {
    let data = match ip {
        IpAddr::V4(ip) => RData::A(A(ip)),
        IpAddr::V6(ip) => RData::AAAA(AAAA(ip)),
    };
    record(owner, data)
}

fn cname(owner: &Name, target: Name) -> Record {
    record(owner, RData::CNAME(CNAME(target)))
}

/// The zone's SOA. Its serial is the time, as Consul's is.
fn soa() -> Record {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let of_zone = |host: &str| fqdn(&format!("{host}.{DOMAIN}")).unwrap_or_default();
    let serial = (now.as_secs() & u64::from(u32::MAX)) as u32;
    let data = SOA::new(of_zone("ns"), of_zone("hostmaster"), serial, 3600, 600, 86400, 0);
    record(&apex(), RData::SOA(data))
}

fn apex() -> Name {
    fqdn(DOMAIN).unwrap_or_default()
}

/// A whole name; `None` for what can be none. What is not meant for DNS (`_`, spaces) is let through, as Consul does.
fn fqdn(text: &str) -> Option<Name> {
    let labels = text.trim_end_matches('.').split('.').map(str::as_bytes);
    let mut name = Name::from_labels(labels).ok()?;
    name.set_fqdn(true);
    Some(name)
}
