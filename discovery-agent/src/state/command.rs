//! Commands to the state, and its refusals.

use std::{collections::BTreeMap, fmt, time::Duration};

use consul_wire::{
    check::CheckStatus,
    service::{TaggedAddress, Weights},
};
use serde::{Deserialize, Serialize};

/// A change of the state.
#[derive(Debug, Clone)]
pub(crate) enum Command {
    /// Adds or updates an instance with its checks. `replace`: its other checks are removed.
    RegisterService { service: ServiceDefinition, checks: Vec<CheckDefinition>, replace: bool },
    /// Removes an instance with its checks. An unknown id changes nothing, as in Consul 1.8.
    DeregisterService(String),
    /// Adds or updates a check of the node or of an instance.
    RegisterCheck(CheckDefinition),
    /// Removes a check. An unknown id changes nothing, as in Consul 1.8.
    DeregisterCheck(String),
    /// A heartbeat of a TTL check: its TTL starts over.
    Heartbeat { check: String, status: CheckStatus, output: String },
    /// The result of a check run. It is ignored if the definition has changed since.
    Observe { check: String, target: CheckTarget, status: CheckStatus, output: String },
    /// Puts an instance into maintenance (with a reason, which may be empty), or ends that (`None`).
    ServiceMaintenance { service: String, reason: Option<String> },
    /// Puts the node into maintenance (with a reason, which may be empty), or ends that (`None`).
    NodeMaintenance { reason: Option<String> },
}

/// The subject of a registration, by id.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Subject {
    Service(String),
    Check(String),
}

impl Subject {
    /// The command that removes it.
    pub(crate) fn removal(self) -> Command {
        match self {
            Self::Service(id) => Command::DeregisterService(id),
            Self::Check(id) => Command::DeregisterCheck(id),
        }
    }
}

impl Command {
    /// The subject of this command, if it is a registration.
    pub(crate) fn registers(&self) -> Option<Subject> {
        match self {
            Self::RegisterService { service, .. } => Some(Subject::Service(service.id.clone())),
            Self::RegisterCheck(check) => Some(Subject::Check(check.id_or_name().to_owned())),
            _ => None,
        }
    }
}

/// The registration of an instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ServiceDefinition {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) tags: Vec<String>,
    pub(crate) address: String,
    pub(crate) tagged_addresses: BTreeMap<String, TaggedAddress>,
    pub(crate) meta: BTreeMap<String, String>,
    pub(crate) port: u16,
    pub(crate) weights: Weights,
    pub(crate) enable_tag_override: bool,
}

/// The default and maximum length of the output of a check, in bytes, as in Consul. It is kept, shown and saved. A check may lower it.
pub(crate) const OUTPUT_BYTES_MAX: usize = 4096;

/// Files of earlier versions do not contain it.
const fn output_bytes_max() -> usize {
    OUTPUT_BYTES_MAX
}

/// The registration of a check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CheckDefinition {
    /// If it is empty, it is made of the id of the service and the position of the check.
    pub(crate) id: String,
    /// If it is empty, it is made of the name of the service.
    pub(crate) name: String,
    pub(crate) notes: String,
    /// The status until the first result; `None` is critical.
    pub(crate) status: Option<CheckStatus>,
    /// The instance of the check; `None` for a check of the node.
    pub(crate) service_id: Option<String>,
    pub(crate) kind: CheckKind,
    /// The service is removed after this time in critical.
    pub(crate) deregister_after: Option<Duration>,
    /// For the results of probes; a heartbeat always counts. Files of earlier versions do not contain it.
    #[serde(default)]
    pub(crate) thresholds: Thresholds,
    /// The maximum length of the output, in bytes. More is truncated.
    #[serde(default = "output_bytes_max")]
    pub(crate) output_bytes_max: usize,
}

impl CheckDefinition {
    /// The id of a check that is registered separately: its name, if it has no id.
    pub(crate) fn id_or_name(&self) -> &str {
        if self.id.is_empty() { &self.name } else { &self.id }
    }
}

/// The number of results in a row of which the last one changes the check. 0 is the same as 1.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Thresholds {
    /// Passing or warning ones.
    pub(crate) successes: u64,
    /// Critical ones.
    pub(crate) failures: u64,
}

impl Thresholds {
    /// Each result changes the check.
    pub(crate) const NONE: Self = Self { successes: 0, failures: 0 };
}

/// How the status of a check is found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum CheckKind {
    /// By heartbeats. Without one for this long it is critical.
    Ttl(Duration),
    /// By probes of the agent.
    Active(CheckTarget),
    /// Critical for as long as it exists.
    Maintenance,
    /// Whether the agent of the node is reachable, which is always so here.
    Serf,
}

impl CheckKind {
    /// Consul's name of the type.
    pub(crate) const fn as_str(&self) -> &'static str {
        match self {
            Self::Ttl(_) => "ttl",
            Self::Active(CheckTarget::Http(_)) => "http",
            Self::Active(CheckTarget::Tcp(_)) => "tcp",
            Self::Maintenance => "maintenance",
            Self::Serf => "",
        }
    }
}

/// The target of an active check, and the interval.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum CheckTarget {
    Http(HttpCheck),
    Tcp(TcpCheck),
}

impl CheckTarget {
    pub(crate) const fn interval(&self) -> Duration {
        match self {
            Self::Http(http) => http.interval,
            Self::Tcp(tcp) => tcp.interval,
        }
    }
}

/// An HTTP request; the status of its answer decides.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct HttpCheck {
    pub(crate) url: String,
    pub(crate) method: String,
    pub(crate) headers: BTreeMap<String, Vec<String>>,
    pub(crate) body: String,
    /// The maximum length of the answer's body in the output, in bytes.
    pub(crate) output_bytes_max: usize,
    pub(crate) interval: Duration,
    pub(crate) timeout: Duration,
}

/// Without what may be secret: headers, body, and the credentials in the URL.
impl fmt::Debug for HttpCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpCheck").field("interval", &self.interval).finish_non_exhaustive()
    }
}

/// A TCP connection; it passes if it can be made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TcpCheck {
    /// `host:port`.
    pub(crate) address: String,
    pub(crate) interval: Duration,
    pub(crate) timeout: Duration,
}

/// The reason for which the state refuses a command. The texts are Consul's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// A heartbeat for an unknown check, or for one without a TTL.
    NoTtl(String),
    /// A check for an unknown instance.
    UnknownService(String),
    /// Maintenance of an unknown instance.
    NothingToMaintain(String),
    /// Deregistration of an instance without an id.
    NoServiceId,
    /// Deregistration of a check without an id.
    NoCheckId,
    /// The id is reserved for the agent.
    Reserved(String),
    /// The limit of the agent is reached.
    Full { what: &'static str, limit: usize },
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoTtl(check) => write!(f, "CheckID {check:?} does not have associated TTL"),
            Self::UnknownService(id) => write!(f, "ServiceID {id:?} does not exist"),
            Self::NothingToMaintain(id) => write!(f, "No service registered with ID {id:?}"),
            Self::NoServiceId => f.write_str("ServiceID missing"),
            Self::NoCheckId => f.write_str("CheckID missing"),
            Self::Reserved(id) => write!(f, "{id:?} is reserved for the agent"),
            Self::Full { what, limit } => write!(f, "this agent holds at most {limit} {what}"),
        }
    }
}
