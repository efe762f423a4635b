//! Who is registered: one run of one instance, and how the agent is told of it.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::{
        OnceLock,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use consul_wire::{
    agent::{AgentService, CheckRegistration, ServiceRegistration},
    check::CheckStatus,
    service::{ServiceEntry, Weights},
};
use tracing::warn;

use super::{Registration, machine::Place, probe::Gate};
use crate::{Host, ServiceId, agent::run_of, instance::INCARNATION};

/// Critical for so long, the agent removes it; Consul's shortest, since a run that only slept registers again.
const DEREGISTER_CRITICAL_AFTER: &str = "1m";

#[derive(Debug)]
pub(super) struct Subject {
    pub(super) registration: Registration,
    pub(super) id: ServiceId,
    pub(super) check_id: String,
    /// Tells this run from others of its id.
    pub(super) incarnation: String,
    /// Its agent's node, once it was found in the catalog.
    pub(super) node: OnceLock<String>,
    /// Open once the program accepts connections.
    pub(super) gate: Gate,
    told_unchecked: AtomicBool,
}

impl Subject {
    pub(super) fn new(registration: Registration) -> Self {
        let id = registration.service_id();
        let check_id = format!("service:{id}");
        let incarnation = format!("{:016x}", fastrand::u64(..));
        Self {
            registration,
            id,
            check_id,
            incarnation,
            node: OnceLock::new(),
            gate: Gate::default(),
            told_unchecked: AtomicBool::new(false),
        }
    }

    /// Where this machine reaches it.
    pub(super) fn near(&self) -> SocketAddr {
        near(self.registration.local)
    }

    /// Whether that is where it is reached at this place.
    pub(super) fn is_near(&self, host: &Host, port: u16) -> bool {
        let near = self.near();
        (host, port) == (&Host::Ip(near.ip().to_canonical()), near.port())
    }

    /// Whether this is the record of this run.
    pub(super) fn is_run(&self, entry: &ServiceEntry) -> bool {
        run_of(entry) == Some(&*self.incarnation)
    }

    /// Whether the agent's record leads to this place.
    pub(super) fn is_published(&self, record: &AgentService, place: Place) -> bool {
        let address = match place {
            Place::Advertised => self.registration.advertise.host.as_ref().map(written),
            Place::Node => None,
            // One that the agent's node has too is left out.
            Place::At(ip) if ip.is_loopback() && record.address.is_empty() => None,
            Place::At(ip) => Some(ip.to_string()),
        };
        record.address == address.unwrap_or_default() && record.port == self.registration.port()
    }

    /// Warns once that it is not known whether the published address can be reached.
    pub(super) fn tell_unchecked(&self, host: &Host, port: u16, err: &io::Error) {
        if !self.told_unchecked.swap(true, Relaxed) {
            let (service, id) = (&self.registration.name, &self.id);
            warn!(%service, %id, published = %format_args!("{host}:{port}"), %err, "the published address can't be checked from this machine");
        }
    }

    /// What the agent is told. Passing from the start: it was probed, and a check that begins as critical hides it until the first beat.
    pub(super) fn body(&self, host: Option<&Host>) -> ServiceRegistration {
        let Registration { name, tags, meta, weights, check, .. } = &self.registration;
        let checked = match host {
            Some(host) => format!("{host}:{}", self.registration.port()),
            // The agent's node is this machine.
            None => self.near().to_string(),
        };
        let checks = check.definition(checked).map(|definition| CheckRegistration {
            check_id: self.check_id.clone(),
            name: check.to_string(),
            definition,
            status: CheckStatus::Passing,
            deregister_critical_service_after: DEREGISTER_CRITICAL_AFTER.to_owned(),
        });
        let mut meta = meta.clone();
        meta.insert(INCARNATION.to_owned(), self.incarnation.clone());
        ServiceRegistration {
            id: self.id.to_string(),
            name: name.clone(),
            tags: tags.clone(),
            address: host.map(written),
            port: self.registration.port(),
            meta,
            weights: Weights { passing: weights.passing, warning: weights.warning },
            checks: checks.into_iter().collect(),
        }
    }
}

/// As Consul writes it: an IPv6 address without brackets.
fn written(host: &Host) -> String {
    match host {
        Host::Ip(ip) => ip.to_string(),
        Host::Name(name) => name.to_string(),
    }
}

/// How this machine itself reaches what listens there: any address is loopback.
pub fn near(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::{Value, json};

    use super::*;
    use crate::registration::{Check, CheckSchedule};

    #[test]
    fn an_instance_is_told_as_it_is() {
        let local = "0.0.0.0:8001".parse().unwrap();
        let registration = Registration::new("web", local).tag("v1").meta("zone", "a").id("web-1");
        let subject = Subject::new(registration);
        assert_eq!(subject.near().to_string(), "127.0.0.1:8001");
        let body = serde_json::to_value(subject.body(Some(&"fd00::1".into()))).unwrap();
        let told = json!({
            "ID": "web-1",
            "Name": "web",
            "Tags": ["v1"],
            "Address": "fd00::1",
            "Port": 8001,
            "Meta": { "incarnation": subject.incarnation, "zone": "a" },
            "Weights": { "Passing": 1, "Warning": 1 },
            "Checks": [{
                "CheckID": "service:web-1",
                "Name": "TTL heartbeat, every 5 s",
                "TTL": "15s",
                "Status": "passing",
                "DeregisterCriticalServiceAfter": "1m",
            }],
        });
        assert_eq!(body, told);
        assert_eq!(subject.body(None).address, None);
    }

    #[test]
    fn each_check_has_its_own_fields() {
        let schedule = CheckSchedule::new().interval(Duration::from_secs(10));
        let times = |mut fields: Value| {
            fields["Interval"] = json!("10000ms");
            fields["Timeout"] = json!("1000ms");
            fields
        };
        for (check, name, fields) in [
            (Check::Ttl, "TTL heartbeat, every 5 s", json!({ "TTL": "15s" })),
            (
                Check::http("/health", schedule),
                "HTTP check, every 10s",
                times(json!({ "HTTP": "http://[fd00::1]:8001/health" })),
            ),
            (
                Check::http("https://web:81/", schedule),
                "HTTP check, every 10s",
                times(json!({ "HTTP": "https://web:81/" })),
            ),
            (
                Check::tcp(schedule),
                "TCP check, every 10s",
                times(json!({ "TCP": "[fd00::1]:8001" })),
            ),
            (
                Check::grpc("", schedule),
                "gRPC check, every 10s",
                times(json!({ "GRPC": "[fd00::1]:8001" })),
            ),
            (
                Check::grpc("pkg.Web", schedule),
                "gRPC check, every 10s",
                times(json!({ "GRPC": "[fd00::1]:8001/pkg.Web" })),
            ),
            (Check::alias("db-1"), "alias of the instance db-1", json!({ "AliasService": "db-1" })),
            (Check::alias_node("n1"), "alias of the node n1", json!({ "AliasNode": "n1" })),
        ] {
            let registration = Registration::new("web", "[::]:8001".parse().unwrap()).id("web-1");
            let subject = Subject::new(registration.check(check));
            let body = serde_json::to_value(subject.body(Some(&"fd00::1".into()))).unwrap();
            let mut expected = fields;
            expected["CheckID"] = json!("service:web-1");
            expected["Name"] = json!(name);
            expected["Status"] = json!("passing");
            expected["DeregisterCriticalServiceAfter"] = json!("1m");
            assert_eq!(body["Checks"], json!([expected]));
        }
    }

    #[test]
    fn an_instance_at_its_node_is_checked_at_its_local_address() {
        let local = "0.0.0.0:8001".parse().unwrap();
        let registration = Registration::new("web", local).advertise(":80".parse().unwrap());
        let subject = Subject::new(registration.check(Check::tcp(CheckSchedule::new())));
        let body = serde_json::to_value(subject.body(None)).unwrap();
        assert_eq!(body["Checks"][0]["TCP"], "127.0.0.1:8001");
    }

    #[test]
    fn without_a_check_none_is_registered() {
        let local = "[::]:8001".parse().unwrap();
        let subject = Subject::new(Registration::new("web", local).check(Check::None));
        assert_eq!(subject.body(None).checks, []);
    }

    #[test]
    fn the_id_names_service_host_and_the_port_that_others_use() {
        let new = || Registration::new("web", "[::]:8001".parse().unwrap());
        let of = |registration| Subject::new(registration).id.to_string();
        let (bound, said) = (of(new()), of(new().advertise(":80".parse().unwrap())));
        assert!(bound.starts_with("web-") && bound.ends_with("-8001"), "{bound}");
        assert_eq!(said, bound.replace("-8001", "-80"));
    }

    #[test]
    fn no_two_runs_are_the_same() {
        let new = || Subject::new(Registration::new("web", "[::]:8001".parse().unwrap()));
        assert_ne!(new().incarnation, new().incarnation);
    }
}
