//! What can be asked of the state, and how it refuses.

use std::{collections::BTreeMap, fmt, time::Duration};

use consul_wire::{
    check::CheckStatus,
    service::{TaggedAddress, Weights},
};
use serde::{Deserialize, Serialize};

/// A change that somebody asks for.
#[derive(Debug, Clone)]
pub(crate) enum Command {
    /// Adds an instance with its checks, or changes what it is. `replace`: checks that it had and does not name any more go.
    RegisterService { service: ServiceDefinition, checks: Vec<CheckDefinition>, replace: bool },
    /// Removes an instance with its checks. Unknown: nothing to do, as in Consul 1.8.
    DeregisterService(String),
    /// Adds a check to the node or to an instance, or changes what it is.
    RegisterCheck(CheckDefinition),
    /// Removes a check. Unknown: nothing to do, as in Consul 1.8.
    DeregisterCheck(String),
    /// A service says how it is: its TTL starts anew.
    Beat { check: String, status: CheckStatus, output: String },
    /// A check ran. What came of it counts only if the check is still the one that ran.
    Observe { check: String, target: CheckTarget, status: CheckStatus, output: String },
    /// Takes an instance out (with a reason, maybe an empty one), or in again (`None`).
    ServiceMaintenance { service: String, reason: Option<String> },
    /// Takes the whole node out (with a reason, maybe an empty one), or in again (`None`).
    NodeMaintenance { reason: Option<String> },
}

/// What can be registered and removed again, by its id.
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
    /// What it registers, if it is a registration.
    pub(crate) fn registers(&self) -> Option<Subject> {
        match self {
            Self::RegisterService { service, .. } => Some(Subject::Service(service.id.clone())),
            Self::RegisterCheck(check) => Some(Subject::Check(check.id_or_name().to_owned())),
            _ => None,
        }
    }
}

/// An instance, as it registers itself.
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

/// What a check says is kept, shown to all who ask, and saved: at most so much of it, as Consul has it. A check may ask for less.
pub(crate) const OUTPUT_BYTES_MAX: usize = 4096;

/// Files of earlier versions do not say it.
const fn output_bytes_max() -> usize {
    OUTPUT_BYTES_MAX
}

/// A check, as it is registered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CheckDefinition {
    /// Empty: made of the service's id and the check's place.
    pub(crate) id: String,
    /// Empty: made of the service's name.
    pub(crate) name: String,
    pub(crate) notes: String,
    /// How it stands until it is first heard of; `None` is critical.
    pub(crate) status: Option<CheckStatus>,
    /// Whose check it is; `None` for one of the node.
    pub(crate) service_id: Option<String>,
    pub(crate) kind: CheckKind,
    /// Critical for so long, the service goes.
    pub(crate) deregister_after: Option<Duration>,
    /// More than this of what it says is not kept.
    #[serde(default = "output_bytes_max")]
    pub(crate) output_bytes_max: usize,
}

impl CheckDefinition {
    /// The id of a check that is registered on its own: its name, if it names none.
    pub(crate) fn id_or_name(&self) -> &str {
        if self.id.is_empty() { &self.name } else { &self.id }
    }
}

/// How a check comes to know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum CheckKind {
    /// It is told; when it has not been for this long, it is critical.
    Ttl(Duration),
    /// The agent looks.
    Active(CheckTarget),
    /// Critical for as long as it is there.
    Maintenance,
    /// Whether the node's agent is reachable: it is, since it is this one.
    Serf,
}

impl CheckKind {
    /// Consul's word for it.
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

/// What the agent looks at, and how often.
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

/// A request whose answer's status is the check's.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct HttpCheck {
    pub(crate) url: String,
    pub(crate) method: String,
    pub(crate) headers: BTreeMap<String, Vec<String>>,
    pub(crate) body: String,
    /// More of an answer's body than this is not shown.
    pub(crate) output_bytes_max: usize,
    pub(crate) interval: Duration,
    pub(crate) timeout: Duration,
}

/// Without what may be secret: headers, body, and the user of the URL.
impl fmt::Debug for HttpCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpCheck").field("interval", &self.interval).finish_non_exhaustive()
    }
}

/// A connection that can be made, or not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TcpCheck {
    /// `host:port`.
    pub(crate) address: String,
    pub(crate) interval: Duration,
    pub(crate) timeout: Duration,
}

/// Why the state will not do what it was asked. The texts are Consul's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// A beat for a check that is not there, or is told by nobody.
    NoTtl(String),
    /// A check for an instance that is not there.
    UnknownService(String),
    /// Maintenance for an instance that is not there.
    NothingToMaintain(String),
    /// Deregistration of an instance without an id.
    NoServiceId,
    /// Deregistration of a check without an id.
    NoCheckId,
    /// The id is the agent's own.
    Reserved(String),
    /// There are as many of them as this agent holds.
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
            Self::Reserved(id) => write!(f, "{id:?} is the agent's own"),
            Self::Full { what, limit } => write!(f, "this agent holds at most {limit} {what}"),
        }
    }
}
