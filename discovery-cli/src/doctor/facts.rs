//! What one run has gathered: plain data, without a socket or a clock.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
};

use discovery::agent::wire::service::ServiceEntry;
use serde_json::Value;

/// Consul's default of `limits.http_max_conns_per_client`.
const CONNECTIONS_MAX_DEFAULT: usize = 200;

/// All facts of one run.
#[derive(Debug, Default)]
pub(crate) struct Facts {
    pub(crate) variables: Variables,
    /// None if the variables can't be used.
    pub(crate) agent: Option<Agent>,
    pub(crate) dns: Dns,
    /// The sockets of this host to the agent.
    pub(crate) connections: usize,
    pub(crate) records: Vec<ServiceEntry>,
    /// Names that were given and have no instance.
    pub(crate) unknown: Vec<String>,
    /// Services about which the agent did not answer.
    pub(crate) unanswered: BTreeSet<String>,
    /// Attempts to connect to instances that Consul has as healthy, and to ports of the cluster.
    pub(crate) dials: BTreeMap<(String, u16), Dial>,
}

/// What the environment has.
#[derive(Debug, Default)]
pub(crate) struct Variables {
    /// Why the settings can't be used.
    pub(crate) unusable: Option<String>,
    pub(crate) token_file: Option<TokenFile>,
    pub(crate) has_token: bool,
    /// `http_proxy` and the like, that are not empty.
    pub(crate) proxies: BTreeMap<String, String>,
}

/// The token file that is set.
#[derive(Debug)]
pub(crate) struct TokenFile {
    pub(crate) path: String,
    /// Its content is not blank, or the reason why it can't be read.
    pub(crate) is_filled: Result<bool, String>,
    pub(crate) is_world_readable: bool,
}

/// The agent, as it answers.
#[derive(Debug, Default)]
pub(crate) struct Agent {
    /// As in the settings.
    pub(crate) address: String,
    /// The host of that; none for a unix socket.
    pub(crate) host: Option<String>,
    /// On this machine, as far as its address shows.
    pub(crate) is_here: bool,
    pub(crate) dial: Dial,
    pub(crate) leader: Reply,
    pub(crate) itself: Reply,
    pub(crate) members: Reply,
    pub(crate) nodes: Reply,
    pub(crate) services: Reply,
    pub(crate) token: Reply,
    /// By how many seconds its clock is ahead of ours; negative if it is behind.
    pub(crate) ahead: Option<f64>,
}

/// The result of a connection attempt.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum Dial {
    Connected,
    Refused,
    TimedOut,
    /// The host name has no address.
    NameUnknown,
    Failed(String),
    #[default]
    NotTried,
}

/// An answer of the agent.
#[derive(Debug, Clone, Default)]
pub(crate) enum Reply {
    Answered {
        status: u16,
        /// Whether the header about records that ACLs removed is set.
        is_filtered: bool,
        /// From the header about a leader.
        has_leader: Option<bool>,
        body: Value,
        /// The start of a body that is not JSON.
        text: String,
    },
    Failed(String),
    #[default]
    NotAsked,
}

impl Reply {
    /// The body of a success.
    pub(crate) fn body(&self) -> Option<&Value> {
        match self {
            Self::Answered { status: 200, body, .. } => Some(body),
            Self::Answered { .. } | Self::Failed(_) | Self::NotAsked => None,
        }
    }

    pub(crate) fn status(&self) -> Option<u16> {
        match self {
            Self::Answered { status, .. } => Some(*status),
            Self::Failed(_) | Self::NotAsked => None,
        }
    }
}

impl Agent {
    /// Whether it answers as an agent does.
    pub(crate) fn answers(&self) -> bool {
        self.leader.body().is_some_and(Value::is_string)
    }

    /// The limit on connections of one client; Consul's default if the agent's settings are not known.
    pub(crate) fn connections_max(&self) -> usize {
        let max = self.config("HTTPMaxConnsPerClient").and_then(Value::as_u64);
        max.and_then(|max| usize::try_from(max).ok()).unwrap_or(CONNECTIONS_MAX_DEFAULT)
    }

    /// A setting of the agent.
    pub(crate) fn config(&self, name: &str) -> Option<&Value> {
        self.itself.body()?.get("DebugConfig")?.get(name)
    }

    /// Its node.
    pub(crate) fn node(&self) -> Option<&str> {
        self.itself.body()?["Member"]["Name"].as_str()
    }
}

/// The DNS of Consul and of this system.
#[derive(Debug, Default)]
pub(crate) struct Dns {
    /// The address of Consul's DNS.
    pub(crate) address: String,
    /// The name that is looked up: `consul.service.consul`.
    pub(crate) name: String,
    pub(crate) consul: Lookup,
    /// The system's DNS server, and its answer; none without one.
    pub(crate) system: Option<(SocketAddr, Lookup)>,
    /// By service, the answer to an SRV query over UDP without EDNS.
    pub(crate) services: BTreeMap<String, Lookup>,
}

/// The answer to a DNS query.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum Lookup {
    Answered {
        code: String,
        addresses: BTreeSet<IpAddr>,
        /// Records of the answer.
        count: usize,
        is_truncated: bool,
    },
    Failed(String),
    #[default]
    NotAsked,
}
