//! The subject of a registration: one run of one instance, and the request body.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::{
        OnceLock,
        atomic::{
            AtomicBool,
            Ordering::{Acquire, Relaxed, Release},
        },
    },
    time::Duration,
};

use consul_wire::{
    agent::{AgentService, ServiceRegistration},
    service::{ServiceEntry, TaggedAddress, Weights},
};
use tracing::warn;

use super::{
    Details, Registration, checks, details::Current, health::Health, machine::Place, probe::Gate,
};
use crate::{Host, ServiceId, agent::run_of, instance::INCARNATION, names::Names};

/// The agent deregisters an instance that is critical for this time. Consul's minimum, since a program that was only suspended registers again.
const DEREGISTER_AFTER: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub(super) struct Subject {
    pub(super) registration: Registration,
    pub(super) id: ServiceId,
    /// The id of its TTL check, if it has one.
    pub(super) ttl_id: String,
    /// Identifies this run among those with the same id.
    pub(super) incarnation: String,
    /// The node of its agent, once it was found in the catalog.
    pub(super) node: OnceLock<String>,
    /// The addresses of host names that it connects to.
    pub(super) names: Names,
    /// Open once the program accepts connections.
    pub(super) gate: Gate,
    /// What the program reports.
    pub(super) health: Health,
    /// Those of the registration, as far as the program has not changed them.
    pub(super) details: Current,
    warned_unchecked: AtomicBool,
    is_leaving: AtomicBool,
}

impl Subject {
    pub(super) fn new(registration: Registration) -> Self {
        let id = registration.service_id();
        let ttl_id = checks::first_id(&id);
        let incarnation = format!("{:016x}", fastrand::u64(..));
        let details = Current::new(registration.details.clone());
        Self {
            registration,
            id,
            ttl_id,
            incarnation,
            node: OnceLock::new(),
            names: Names::default(),
            gate: Gate::default(),
            health: Health::default(),
            details,
            warned_unchecked: AtomicBool::new(false),
            is_leaving: AtomicBool::new(false),
        }
    }

    /// The address at which this machine reaches it.
    pub(super) fn near(&self) -> SocketAddr {
        near(self.registration.local)
    }

    /// Whether that is [`Self::near`].
    pub(super) fn is_near(&self, host: &Host, port: u16) -> bool {
        let near = self.near();
        (host, port) == (&Host::Ip(near.ip().to_canonical()), near.port())
    }

    /// Whether this is the record of this run.
    pub(super) fn is_run(&self, entry: &ServiceEntry) -> bool {
        run_of(entry) == Some(&*self.incarnation)
    }

    /// Whether the agent's record has this place, and the details of the last registration.
    pub(super) fn is_published(&self, record: &AgentService, place: Place) -> bool {
        let address = match place {
            Place::Advertised => self.registration.advertise.host.as_ref().map(written),
            Place::Node => None,
            // Omitted if it is the address of the agent's node.
            Place::At(ip) if ip.is_loopback() && record.address.is_empty() => None,
            Place::At(ip) => Some(ip.to_string()),
        };
        record.address == address.unwrap_or_default()
            && record.port == self.registration.port()
            && self.details.are_in(record)
    }

    /// Logs once that the published address can't be connected to from this machine.
    pub(super) fn warn_unchecked(&self, host: &Host, port: u16, err: &io::Error) {
        if !self.warned_unchecked.swap(true, Relaxed) {
            let (service, id) = (&self.registration.name, &self.id);
            warn!(%service, instance = %id, address = %format_args!("{host}:{port}"), error = %err, "published address can't be reached from this machine");
        }
    }

    /// Marks it as leaving: from now on a maintenance because of a shutdown may be its own.
    pub(super) fn set_leaving(&self) {
        self.is_leaving.store(true, Release);
    }

    pub(super) fn is_leaving(&self) -> bool {
        self.is_leaving.load(Acquire)
    }

    /// The time in critical after which its agent deregisters it.
    pub(super) fn deregister_after(&self) -> Duration {
        self.registration.deregister_after.unwrap_or(DEREGISTER_AFTER)
    }

    /// The body of a registration that nothing keeps: without an incarnation, and never deregistered by its agent unless that is set.
    pub(super) fn body_once(&self, host: Option<&Host>) -> ServiceRegistration {
        let mut body = self.describe(host, self.registration.deregister_after);
        body.meta.remove(INCARNATION);
        body
    }

    /// The body of the registration.
    pub(super) fn body(&self, host: Option<&Host>) -> ServiceRegistration {
        self.describe(host, Some(self.deregister_after()))
    }

    fn describe(
        &self,
        host: Option<&Host>,
        deregister_after: Option<Duration>,
    ) -> ServiceRegistration {
        let Registration { name, checks, tagged_addresses, .. } = &self.registration;
        let Details { tags, mut meta, weights } = self.details.send();
        let checked = match host {
            Some(host) => format!("{host}:{}", self.registration.port()),
            // The agent's node is this machine.
            None => self.near().to_string(),
        };
        let tagged = tagged_addresses.iter().map(|(name, to)| {
            (name.clone(), TaggedAddress { address: written(&to.host), port: to.port })
        });
        meta.insert(INCARNATION.to_owned(), self.incarnation.clone());
        ServiceRegistration {
            id: self.id.to_string(),
            name: name.clone(),
            tags,
            address: host.map(written),
            port: self.registration.port(),
            tagged_addresses: tagged.collect(),
            meta,
            weights: Weights { passing: weights.passing, warning: weights.warning },
            checks: checks.registrations(&self.id, checked, deregister_after),
        }
    }
}

/// In the format of Consul: an IPv6 address without brackets.
fn written(host: &Host) -> String {
    match host {
        Host::Ip(ip) => ip.to_string(),
        Host::Name(name) => name.to_string(),
    }
}

/// The address at which this machine reaches a listener: the unspecified address becomes loopback.
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
    fn the_body_has_all_fields_of_an_instance() {
        let local = "0.0.0.0:8001".parse().unwrap();
        let registration = Registration::new("web", local).tag("v1").meta("zone", "a").id("web-1");
        let registration = registration.tagged_address("wan", "[2001:db8::1]", 443);
        let subject = Subject::new(registration);
        assert_eq!(subject.near().to_string(), "127.0.0.1:8001");
        let body = serde_json::to_value(subject.body(Some(&"fd00::1".into()))).unwrap();
        let expected = json!({
            "ID": "web-1",
            "Name": "web",
            "Tags": ["v1"],
            "Address": "fd00::1",
            "Port": 8001,
            "TaggedAddresses": { "wan": { "Address": "2001:db8::1", "Port": 443 } },
            "Meta": { "incarnation": subject.incarnation, "zone": "a" },
            "Weights": { "Passing": 1, "Warning": 1 },
            "Checks": [{
                "CheckID": "service:web-1",
                "Name": "TTL heartbeat, every 5 s",
                "TTL": "15s",
                "Status": "passing",
                "DeregisterCriticalServiceAfter": "60000ms",
            }],
        });
        assert_eq!(body, expected);
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
            expected["DeregisterCriticalServiceAfter"] = json!("60000ms");
            assert_eq!(body["Checks"], json!([expected]));
        }
    }

    #[test]
    fn a_kept_registration_is_deregistered_after_a_minute_or_the_given_time() {
        let web = || Registration::new("web", "[::]:8001".parse().unwrap());
        let hour = web().deregister_critical_after(Duration::from_secs(3600));
        for (registration, kept, once) in
            [(web(), Some("60000ms"), None), (hour, Some("3600000ms"), Some("3600000ms"))]
        {
            let subject = Subject::new(registration);
            let after = |body: ServiceRegistration| {
                body.checks.into_iter().next()?.deregister_critical_service_after
            };
            assert_eq!(after(subject.body(None)).as_deref(), kept);
            assert_eq!(after(subject.body_once(None)).as_deref(), once);
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
    fn the_default_id_has_service_host_and_published_port() {
        let new = || Registration::new("web", "[::]:8001".parse().unwrap());
        let of = |registration| Subject::new(registration).id.to_string();
        let (bound, advertised) = (of(new()), of(new().advertise(":80".parse().unwrap())));
        assert!(bound.starts_with("web-") && bound.ends_with("-8001"), "{bound}");
        assert_eq!(advertised, bound.replace("-8001", "-80"));
    }

    #[test]
    fn each_run_has_its_own_incarnation() {
        let new = || Subject::new(Registration::new("web", "[::]:8001".parse().unwrap()));
        assert_ne!(new().incarnation, new().incarnation);
    }
}
